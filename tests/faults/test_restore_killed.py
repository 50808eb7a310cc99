"""A restore into a folder that dies, or whose disk fails, at any step: nothing false is there, and done again it gives all."""

from __future__ import annotations

import shutil
from datetime import datetime
from itertools import count
from typing import TYPE_CHECKING

import pytest

from hexdicom import durable, pipeline
from hexdicom.codec import Profile
from hexdicom.dicom.phantom import beating_heart
from tests.faults.crash import Fault, run

if TYPE_CHECKING:
    from pathlib import Path

    from tests.faults.conftest import Tally
    from tests.faults.crash import Kind

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("stored_codec")]
NOW = datetime(2026, 1, 2, 3, 4, 5)


@pytest.mark.parametrize("kind", ["kill", "torn", "full", "broken"])
def test_a_restore_at_every_step(memory_disk: Path, kind: Kind, tally: Tally) -> None:
    sources, store, out = memory_disk / "sources", memory_disk / "store", memory_disk / "out"
    sources.mkdir()
    for ds in beating_heart(slices=1, phases=4, rows=24, columns=24):
        ds.save_as(sources / f"{ds.InstanceNumber}.dcm", enforce_file_format=True)
    originals = {path.read_bytes() for path in sources.iterdir()}
    pipeline.compress([sources], store, Profile(), now=NOW)
    for step in count(1):
        shutil.rmtree(out, ignore_errors=True)
        ended = run(lambda tell: bool(pipeline.restore([store], out, now=NOW)), memory_disk, Fault(kind, step))
        if not ended.struck:
            assert step > 4
            return
        tally.tried[f"restore: {kind}"] += 1
        there = {path.read_bytes() for path in out.rglob("*") if path.is_file() and not durable.is_partial(path)}
        assert there <= originals, f"something false was left at step {step} ({ended.struck})"
        report = pipeline.restore([store], out, now=NOW)
        assert {one.path.read_bytes() for one in report.instances if one.path} == originals
        tally.instances += len(originals)
