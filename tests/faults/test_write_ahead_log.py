"""The write-ahead log of the catalog, cut off or damaged after a kill: every commit in it may be gone, and nothing else is."""

from __future__ import annotations

import os
import shutil
import signal
from typing import TYPE_CHECKING

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
SHARES = [0.0, 0.2, 0.4, 0.6, 0.8, 0.95]


@pytest.mark.parametrize("harm", ["cut", "damaged"])
@pytest.mark.parametrize("stage", ["receive", "intake", "work", "release", "recall"])
def test_a_log_that_is_not_whole(memory_disk: Path, cine: list[Dataset], stage: str, harm: str, tally: Tally) -> None:
    site = Site(memory_disk / "state")
    acknowledged = prepared(site, cine, stage)

    def action(tell: Callable[[str], None]) -> None:
        with site.catalog():  # open as a node has it: whoever closes it last writes the log into the catalog
            if stage == "receive":
                site.receive(cine, tell)
            else:
                getattr(site, stage)(tell)
            os.kill(os.getpid(), signal.SIGKILL)

    ended = run(action, site.folder, None)
    assert ended.code == -signal.SIGKILL
    acknowledged = acknowledged | {line.removeprefix("ack ") for line in ended.lines}
    before, log = site.folder.with_name("before"), site.database_file.with_name(f"{site.database_file.name}-wal")
    assert log.stat().st_size
    shutil.copytree(site.folder, before)
    began = site.now
    for share in SHARES:
        shutil.rmtree(site.folder)
        shutil.copytree(before, site.folder)
        size = log.stat().st_size
        if harm == "cut":
            os.truncate(log, int(size * share))
        else:
            with log.open("r+b") as file:
                file.seek(int(size * share))
                file.write(os.urandom(100))
        site.now = began + 10_000
        site.start_again()
        lost = site.missing(acknowledged)
        tally.tried[f"catalog log {harm}: {stage}"] += 1
        tally.instances, tally.lost = tally.instances + len(acknowledged), tally.lost + len(lost)
        assert not lost, (stage, harm, share)
        site.finish()
        assert not site.missing(acknowledged), (stage, harm, share)
        site.receive(cine)
        site.finish()
        site.check()
