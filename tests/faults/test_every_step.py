"""A node that dies, or whose disk fails, at any step of what it does: afterwards it goes on, and nothing is lost or there twice.

Each test goes through one stage step by step: every write, flush, rename, deletion and commit of it is hit once.
"""

from __future__ import annotations

import shutil
from itertools import count
from typing import TYPE_CHECKING

import pytest

from hexdicom.dicom.phantom import beating_heart
from tests.faults.crash import Fault, run
from tests.faults.site import Site
from tests.peers.odd_pacs import OddPacs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pydicom.dataset import Dataset

    from tests.faults.conftest import Tally
    from tests.faults.crash import Kind

pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("stored_codec"),
    # pynetdicom leaves the sockets of broken associations to the garbage collector
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

KINDS: list[Kind] = ["kill", "torn", "full", "broken"]


@pytest.fixture
def cine() -> list[Dataset]:
    """A small series, 2 slices and 2 phases, and one instance that is no part of it."""
    series = list(beating_heart(slices=2, phases=2, rows=20, columns=16))
    odd = next(iter(beating_heart(slices=1, phases=1, rows=20, columns=16)))
    odd.SOPInstanceUID = odd.file_meta.MediaStorageSOPInstanceUID = "1.2.3.4.5"
    odd.SeriesInstanceUID = series[0].SeriesInstanceUID
    odd.ImageType = ["DERIVED", "SECONDARY"]
    return [*series, odd]


@pytest.fixture
def pacs(memory_disk: Path) -> Iterator[OddPacs]:
    with OddPacs(memory_disk / "pacs") as odd:
        yield odd


def through_every_step(site: Site, cine: list[Dataset], stage: str, kind: Kind, acknowledged: set[str], tally: Tally) -> int:
    """Tries the fault at step 1, 2, … of the stage until the stage is done before it comes; returns how many that were."""
    before = site.folder.with_name("before")
    shutil.copytree(site.folder, before) if site.folder.exists() else before.mkdir()
    began = site.now
    for step in count(1):
        if site.folder.exists():
            shutil.rmtree(site.folder)
        shutil.copytree(before, site.folder)
        site.now = began

        def action(tell: object) -> None:
            if stage == "receive":
                site.receive(cine, tell)  # type: ignore[arg-type]
            else:
                getattr(site, stage)(tell)

        ended = run(action, site.folder, Fault(kind, step))
        if not ended.struck:
            assert ended.code == 0
            return step - 1
        safe = acknowledged | {line.removeprefix("ack ") for line in ended.lines}
        where = f"{stage}, {kind} at step {step} ({ended.struck})"
        tally.tried[f"{stage}: {kind}"] += 1
        site.now = began + 10_000
        site.start_again()
        lost = site.missing(safe)
        tally.instances, tally.lost = tally.instances + len(safe), tally.lost + len(lost)
        assert not lost, where
        try:
            site.check_spool()
            if stage != "receive":  # nothing is sent again: what was acknowledged has to do
                site.finish()
                site.check()
            site.receive(cine)
            site.finish()
            site.check()
        except AssertionError as error:
            raise AssertionError(where) from error
        assert not site.missing(safe), where
    raise AssertionError("unreachable")


def prepared(site: Site, cine: list[Dataset], stage: str) -> set[str]:
    """Everything that comes before a stage, done."""
    if stage == "receive":
        return set()
    acknowledged = site.receive(cine)
    if stage != "intake":
        site.intake()
    if stage in ("release", "recall"):
        site.work(most=5)
    if stage == "recall":
        site.release()
    return acknowledged


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("stage", ["receive", "intake", "work", "release", "recall"])
def test_a_fault_at_every_step(memory_disk: Path, cine: list[Dataset], stage: str, kind: Kind, tally: Tally) -> None:
    site = Site(memory_disk / "state")
    acknowledged = prepared(site, cine, stage)
    tried = through_every_step(site, cine, stage, kind, acknowledged, tally)
    assert tried or kind == "torn"  # a stage that writes no file has none to tear


@pytest.mark.parametrize("kind", KINDS)
def test_a_fault_at_every_step_of_forwarding(
    memory_disk: Path, cine: list[Dataset], kind: Kind, pacs: OddPacs, tally: Tally
) -> None:
    site = Site(memory_disk / "state", str(pacs.peer))
    acknowledged = site.receive(cine)
    site.intake()
    site.work()  # archives
    assert site.states("select kind, state from job order by id") == [("archive", "DONE"), ("forward", "READY")]
    assert through_every_step(site, cine, "work", kind, acknowledged, tally)
    site.work(most=5)
    assert {state for (state,) in site.states("select state from delivery")} == {"VERIFIED"}
