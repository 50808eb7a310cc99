"""Single originals out of an archive: the right ones, byte for byte, and no more decoded than they need."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import pytest

from hexdicom import pipeline
from hexdicom.access import Access
from hexdicom.codec import Profile, residual
from hexdicom.dicom.geometry import Geometry, slices_of, source_values, values_of
from hexdicom.dicom.phantom import beating_heart
from hexdicom.dicom.plan import FrameRef
from hexdicom.errors import ArchiveError

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2026, 1, 6, tzinfo=UTC)


@pytest.fixture(scope="module")
def archived(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, bytes], list[Path]]:
    """Originals by SOP Instance UID, and their archive."""
    folder = tmp_path_factory.mktemp("archived")
    originals = {}
    for number, ds in enumerate(beating_heart(slices=3, phases=5, rows=48, columns=40)):
        path = folder / f"{number}.dcm"
        ds.save_as(path, enforce_file_format=True)
        originals[str(ds.SOPInstanceUID)] = path.read_bytes()
    report = pipeline.compress([folder], folder / "out", Profile(steps=5, adapt_steps=5), now=NOW)
    return originals, list(report.series[0].archives)


def test_instances_come_slice_by_slice(archived: tuple[dict[str, bytes], list[Path]], monkeypatch: pytest.MonkeyPatch) -> None:
    originals, parts = archived
    asked: list[object] = []
    plain = residual.decode

    def decode(*arguments: object) -> object:
        asked.append(arguments[-1])
        return plain(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(residual, "decode", decode)
    access = Access(parts, device="cpu")
    assert set(access.received) == set(originals)
    came = []
    for slices in access.batches(originals, 2):
        came += list(access.restore(slices))
    assert asked == [(0,), (1, 2)]
    assert {one.sop_instance_uid: one.data for one in came} == originals
    assert {one.sha256 for one in came} == set(access.received.values())


def test_the_slice_of_the_first_one_asked_for_comes_first(archived: tuple[dict[str, bytes], list[Path]]) -> None:
    originals, parts = archived
    access = Access(parts, device="cpu")
    last = list(originals)[-1]
    ((only,),) = access.batches([last], 4)
    assert only == 2
    assert last in {one.sop_instance_uid for one in access.restore((only,))}
    assert list(access.batches([], 4)) == []


def test_no_original_comes_out_of_a_lossy_archive(tmp_path: Path) -> None:
    for number, ds in enumerate(beating_heart(slices=2, phases=3, rows=48, columns=40)):
        ds.save_as(tmp_path / f"{number}.dcm", enforce_file_format=True)
    report = pipeline.compress([tmp_path], tmp_path / "out", Profile(kind="lossy", ratio=20, steps=5), now=NOW)
    with pytest.raises(ArchiveError, match="with loss"):
        Access(report.series[0].archives)


def test_values_of_some_sources_are_those_of_all() -> None:
    values = np.random.default_rng(1).integers(0, 99, (2, 3, 4, 5)).astype(np.int16)
    frames = tuple(FrameRef(time * 3 + z, 0, 0) for time in range(2) for z in range(3))
    geometry = Geometry((2, 3, 4, 5), "int16", (1, 1), frames, (40,) * 6, (False,) * 6)
    assert slices_of(geometry) == [frozenset({z}) for _ in range(2) for z in range(3)]
    whole = list(source_values(geometry, values))
    assert list(values_of(geometry, [5, 2], values[:, [2]], [2])) == [whole[5], whole[2]]
