"""A disk that is really full, at each stage: it fails in words, and goes on when there is space. Needs root, for the mount."""

from __future__ import annotations

import contextlib
import hashlib
import os
from datetime import datetime
from typing import TYPE_CHECKING

import pytest

from hexdicom import pipeline
from hexdicom.errors import HexdicomError
from hexdicom_services.part10 import read_head
from tests.faults.site import Site
from tests.faults.test_disk_full import remount, small_disk
from tests.faults.test_every_step import cine, prepared
from tests.peers.odd_pacs import OddPacs

if TYPE_CHECKING:
    from pathlib import Path

    from pydicom.dataset import Dataset

    from tests.faults.conftest import Tally

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("stored_codec")]
__all__ = ["cine", "small_disk"]
NOW = datetime(2026, 1, 2, 3, 4, 5)


def fill(folder: Path, leave: int) -> Path:
    """A file that takes all the space but so many bytes."""
    filler = folder / "filler"
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(1 << 16))
    os.truncate(filler, max(0, filler.stat().st_size - leave))
    return filler


def counted(tally: Tally, what: str, acknowledged: set[str], lost: set[str]) -> None:
    tally.tried[f"{what}: disk full"] += 1
    tally.instances, tally.lost = tally.instances + len(acknowledged), tally.lost + len(lost)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("leave", [0, 8 << 10, 32 << 10])
def test_forwarding_on_a_full_disk(small_disk: Path, tmp_path: Path, cine: list[Dataset], leave: int, tally: Tally) -> None:
    remount(small_disk, "8m")
    with OddPacs(tmp_path / "pacs") as pacs:
        site = Site(small_disk / "state", str(pacs.peer))
        acknowledged = prepared(site, cine, "work")
        site.work()  # archives
        filler = fill(small_disk, leave)
        with contextlib.suppress(HexdicomError):
            site.work()
        filler.unlink()
        site.now += 10_000
        site.start_again()
        lost = site.missing(acknowledged)
        counted(tally, "forward", acknowledged, lost)
        assert not lost
        site.finish()
        site.check()
        assert {state for (state,) in site.states("select state from delivery")} == {"VERIFIED"}


@pytest.mark.parametrize("leave", [0, 8 << 10, 16 << 10])
def test_a_restore_into_a_full_disk(small_disk: Path, tmp_path: Path, cine: list[Dataset], leave: int, tally: Tally) -> None:
    site, out = Site(tmp_path / "state"), small_disk / "out"
    acknowledged = prepared(site, cine, "release")
    fill(small_disk, leave)
    with contextlib.suppress(HexdicomError):
        pipeline.restore([site.settings.store], out, now=NOW)
    there = {hashlib.sha256(data_set(path)).hexdigest() for path in out.rglob("*.dcm")}
    assert there <= acknowledged, "something false was left"
    remount(small_disk, "64m")
    pipeline.restore([site.settings.store], out, now=NOW)
    restored = {hashlib.sha256(data_set(path)).hexdigest() for path in out.rglob("*.dcm")}
    counted(tally, "restore", acknowledged, acknowledged - restored)
    assert restored == acknowledged


def data_set(path: Path) -> bytes:
    return path.read_bytes()[read_head(path).offset :]


@pytest.mark.parametrize("leave", [0, 8 << 10, 32 << 10, 96 << 10])
@pytest.mark.parametrize("stage", ["receive", "intake", "work", "release", "recall"])
def test_a_stage_on_a_full_disk(small_disk: Path, cine: list[Dataset], stage: str, leave: int, tally: Tally) -> None:
    remount(small_disk, "8m")
    site = Site(small_disk / "state")
    acknowledged = prepared(site, cine, stage)
    began = site.now
    filler = fill(small_disk, leave)
    with contextlib.suppress(HexdicomError):  # a sentence, and no other exception
        acknowledged |= site.receive(cine) if stage == "receive" else set()
        if stage != "receive":
            getattr(site, stage)()
    filler.unlink()
    site.now = began + 10_000
    site.start_again()
    lost = site.missing(acknowledged)
    counted(tally, stage, acknowledged, lost)
    assert not lost
    site.check_spool()
    site.receive(cine)
    site.finish()
    site.check()
