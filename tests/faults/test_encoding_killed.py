"""kill -9 before and after each part of the work on a series: read, assembled, encoded, written, proved, stored, published."""

from __future__ import annotations

import os
import signal
from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest

from tests.faults.crash import run
from tests.faults.site import Site
from tests.faults.test_every_step import cine, prepared

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pydicom.dataset import Dataset

    from tests.faults.conftest import Tally

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("stored_codec")]
__all__ = ["cine"]

PARTS = {  # in the order in which they come; of some there is one for each instance or file
    "plan": "hexdicom_services.jobs.archive:plan_files",
    "assemble": "hexdicom.pipeline:assemble",
    "read headers": "hexdicom.pipeline:read_received",
    "encode headers": "hexdicom.pipeline:encode_headers",
    "encode": "hexdicom.pipeline.codec:encode",
    "build": "hexdicom.pipeline:build",
    "write": "hexdicom.pipeline.shelf:store",
    "read back": "hexdicom.pipeline.shelf:read",
    "verify": "hexdicom.pipeline:_prove",
    "store": "hexdicom_services.stores.folder.FolderStore:put",
    "publish": "hexdicom_services.catalog.holdings:publish",
}


def deadly(part: str, moment: str, tell: Callable[[str], None]) -> None:
    """From here on this process dies before a part of the work begins, or when it has ended."""
    place, _, name = PARTS[part].partition(":")
    owner = _found(place)
    real = getattr(owner, name)

    def die() -> None:
        tell(f"struck {part}")
        os.kill(os.getpid(), signal.SIGKILL)

    def call(*more: Any, **named: Any) -> Any:
        if moment == "before":
            die()
        real(*more, **named)
        die()

    setattr(owner, name, call)


def _found(place: str) -> Any:
    """A module, or what is in one."""
    try:
        return import_module(place)
    except ModuleNotFoundError:
        module, _, name = place.rpartition(".")
        return getattr(import_module(module), name)


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("part", PARTS)
def test_killed_at_a_part_of_the_work(memory_disk: Path, cine: list[Dataset], part: str, moment: str, tally: Tally) -> None:
    site = Site(memory_disk / "state")
    acknowledged = prepared(site, cine, "work")

    def action(tell: Callable[[str], None]) -> None:
        deadly(part, moment, tell)
        site.work()

    ended = run(action, site.folder, None)
    assert (ended.struck, ended.code) == (part, -signal.SIGKILL)
    site.now += 10_000
    site.start_again()
    lost = site.missing(acknowledged)
    tally.tried[f"kill {moment}: {part}"] += 1
    tally.instances, tally.lost = tally.instances + len(acknowledged), tally.lost + len(lost)
    assert not lost
    site.check_spool()
    site.finish()
    site.check()
    assert site.states("select kind, state from job") == [("archive", "DONE")]
