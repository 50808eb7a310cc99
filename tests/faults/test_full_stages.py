"""A disk that is really full, at each stage: it fails in words, and goes on when there is space. Needs root, for the mount."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

import pytest

from hexdicom.errors import HexdicomError
from tests.faults.site import Site
from tests.faults.test_disk_full import remount, small_disk
from tests.faults.test_every_step import cine, prepared

if TYPE_CHECKING:
    from pathlib import Path

    from pydicom.dataset import Dataset

    from tests.faults.conftest import Tally

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("stored_codec")]
__all__ = ["cine", "small_disk"]


def fill(folder: Path, leave: int) -> Path:
    """A file that takes all the space but so many bytes."""
    filler = folder / "filler"
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(1 << 16))
    os.truncate(filler, max(0, filler.stat().st_size - leave))
    return filler


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
    tally.tried[f"{stage}: disk full"] += 1
    tally.instances, tally.lost = tally.instances + len(acknowledged), tally.lost + len(lost)
    assert not lost
    site.check_spool()
    site.receive(cine)
    site.finish()
    site.check()
