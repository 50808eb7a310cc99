"""A compression that is killed at any step leaves nothing false behind, and done again it makes nothing twice."""

from __future__ import annotations

import multiprocessing
import os
import signal
from datetime import datetime
from typing import TYPE_CHECKING

import pytest

from hexdicom import durable, pipeline
from hexdicom.codec import Profile
from hexdicom.dicom.phantom import beating_heart
from hexdicom.dicom.series import plan_files

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("stored_codec")
NOW = datetime(2026, 1, 2, 3, 4, 5)
LATER = datetime(2026, 2, 3, 4, 5, 6)


def compress(folder: Path, out: Path, now: datetime, fatal_sync: int = 0) -> None:
    """In a process of its own that dies by SIGKILL at the fatal_sync-th fsync, half of the time before it is done."""

    def run() -> None:
        count, sync = 0, os.fsync

        def fsync(descriptor: int) -> None:
            nonlocal count
            count += 1
            if count == fatal_sync:
                os.kill(os.getpid(), signal.SIGKILL)
            sync(descriptor)

        os.fsync = fsync
        pipeline.compress_group(plan_files([folder]).groups[0], out, Profile(), now=now, largest_part=2000)

    process = multiprocessing.get_context("fork").Process(target=run)
    process.start()
    process.join(60)
    assert process.exitcode == (-signal.SIGKILL if fatal_sync else 0)


@pytest.mark.parametrize("fatal_sync", [1, 2, 3, 4])
def test_killed_and_done_again(tmp_path: Path, fatal_sync: int) -> None:
    sources, out = tmp_path / "sources", tmp_path / "out"
    sources.mkdir()
    for ds in beating_heart(slices=1, phases=4, rows=24, columns=24):
        ds.save_as(sources / f"{ds.InstanceNumber}.dcm", enforce_file_format=True)
    compress(sources, out, NOW, fatal_sync)
    finished = {path: path.read_bytes() for path in out.iterdir() if not durable.is_partial(path)}
    compress(sources, out, LATER)
    assert not [path for path in out.iterdir() if durable.is_partial(path)]
    assert all(path.read_bytes() == data for path, data in finished.items())
    restored = pipeline.restore([out], tmp_path / "back", now=NOW)
    assert {one.path.read_bytes() for one in restored.instances if one.path} == {path.read_bytes() for path in sources.iterdir()}
    assert pipeline.describe(out).parts == len(list(out.iterdir()))
