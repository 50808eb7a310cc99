"""Files to archive objects and back, on a phantom, with a codec that takes no time."""

from __future__ import annotations

import hashlib
from datetime import datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from pydicom import dcmread

from hexdicom import pipeline
from hexdicom.codec import Profile
from hexdicom.dicom.phantom import beating_heart
from hexdicom.dicom.series import plan_files
from hexdicom.errors import ArchiveError, NotFound, SeriesError, StoreError, VerificationError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("stored_codec")
NOW = datetime(2026, 1, 2, 3, 4, 5)
LATER = datetime(2026, 2, 3, 4, 5, 6)
NEAR = Profile(name="near-lossless", kind="near-lossless", max_error=2)
LOSSY = Profile(name="lossy", kind="lossy")


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    folder = tmp_path / "sources"
    folder.mkdir()
    for ds in beating_heart(slices=2, phases=4, rows=24, columns=20):
        ds.save_as(folder / f"{ds.InstanceNumber:04}.dcm", enforce_file_format=True)
    return folder


def hashes(files: Iterable[Path]) -> set[str]:
    return {hashlib.sha256(file.read_bytes()).hexdigest() for file in files if file.is_file()}


def compress(sources: Path, out: Path, profile: Profile | None = None, now: datetime = NOW) -> Any:
    return pipeline.compress([sources], out, profile or Profile(), now=now)


def test_lossless_gives_every_file_back(sources: Path, tmp_path: Path) -> None:
    report = compress(sources, tmp_path / "out")
    [group] = report.series
    assert (group.instances, group.encoding.shape, report.passed_through) == (8, (4, 2, 24, 20), ())
    assert group.archives == (tmp_path / "out" / f"{group.uid}.dcm",)
    assert group.archive_bytes == group.archives[0].stat().st_size
    restored = pipeline.restore([tmp_path / "out"], tmp_path / "back", now=NOW)
    assert restored.ok
    assert all(one.identical and one.state == "restored" for one in restored.instances)
    assert hashes((tmp_path / "back").iterdir()) == hashes(sources.iterdir())
    assert [path.name for path in sorted((tmp_path / "back").iterdir())] == sorted(
        f"{one.sop_instance_uid}.dcm" for one in restored.instances
    )


def test_json_has_the_promised_fields(sources: Path, tmp_path: Path) -> None:
    (sources / "notes.txt").write_text("hello")
    found = compress(sources, tmp_path / "out").to_json()
    assert set(found) == {"series", "passed_through"}
    assert list(found["series"][0]) == [
        "series_instance_uid",
        "shape",
        "instances",
        "source_bytes",
        "pixel_bytes",
        "archive_bytes",
        "payload_bytes",
        "bits_per_voxel",
        "layers",
        "header_bytes",
        "profile",
        "max_error",
        "psnr_db",
        "worst_frame_psnr_db",
        "ssim",
        "device",
        "fit_seconds",
        "encode_seconds",
        "verify_seconds",
        "archive",
    ]
    assert [set(one) for one in found["passed_through"]] == [{"path", "reason"}]


def test_what_is_not_4d_is_passed_through_and_comes_back(sources: Path, tmp_path: Path) -> None:
    (sources / "notes.txt").write_text("hello")
    (sources / "more").mkdir()
    (sources / "more" / "notes.txt").write_text("other")
    lone = next(iter(beating_heart(slices=1, phases=1, rows=24, columns=20, seed=9)))
    lone.save_as(sources / "lone.dcm", enforce_file_format=True)
    report = compress(sources, tmp_path / "out")
    assert len(report.passed_through) == len(report.copies) == 3
    folder = tmp_path / "out" / pipeline.PASSED_THROUGH
    assert {path.name for path in folder.iterdir()} == {"notes.txt", "notes-2.txt", f"{lone.SOPInstanceUID}.dcm"}
    restored = pipeline.restore([tmp_path / "out"], tmp_path / "back", now=NOW)
    assert hashes((tmp_path / "back").iterdir()) == hashes(sources.rglob("*"))
    assert [one.state for one in restored.instances].count("untouched") == 3


def test_doing_it_again_makes_nothing_twice(sources: Path, tmp_path: Path) -> None:
    (sources / "notes.txt").write_text("hello")
    compress(sources, tmp_path / "out")
    before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    compress(sources, tmp_path / "out", now=LATER)
    assert {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()} == before


def test_a_damaged_leftover_is_replaced(sources: Path, tmp_path: Path) -> None:
    [archive] = compress(sources, tmp_path / "out").series[0].archives
    archive.write_bytes(archive.read_bytes()[:-100])
    assert compress(sources, tmp_path / "out").series[0].archives == (archive,)
    assert pipeline.verify([archive], sources).ok


def test_the_out_folder_may_lie_in_the_source_folder(sources: Path) -> None:
    compress(sources, sources / "out")
    assert compress(sources, sources / "out").passed_through == ()


@pytest.mark.parametrize("above", [False, True])
def test_the_out_folder_may_be_the_source_folder_or_above_it(sources: Path, above: bool) -> None:
    out = sources.parent if above else sources
    for _ in range(2):
        report = compress(sources, out)
        assert (len(report.series), report.passed_through) == (1, ())
    restored = pipeline.restore([out], out, now=NOW)
    assert [one.state for one in restored.instances] == ["restored"] * 8


def test_several_parts(sources: Path, tmp_path: Path) -> None:
    plan = plan_files([sources]).groups[0]
    report = pipeline.compress_group(plan, tmp_path / "out", Profile(), now=NOW, largest_part=1000)
    assert len(report.archives) > 3
    assert pipeline.describe(tmp_path / "out").parts == len(report.archives)
    pipeline.restore(report.archives[::-1], tmp_path / "back", now=NOW)
    assert hashes((tmp_path / "back").iterdir()) == hashes(sources.iterdir())
    with pytest.raises(ArchiveError, match="missing"):
        pipeline.restore(report.archives[1:], tmp_path / "none", now=NOW)


def test_nothing_is_left_of_an_archive_that_does_not_come_back(
    sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sound = pipeline.codec

    def decode(data: bytes, **_: object) -> Any:
        volume = sound.decode(data)
        values = volume.values.copy()
        values[0, 0, 0, 0] ^= 1
        return type(volume)(values)

    monkeypatch.setattr(pipeline, "codec", SimpleNamespace(encode=sound.encode, inspect=sound.inspect, decode=decode))
    with pytest.raises(VerificationError, match="error of 1"):
        pipeline.compress_group(plan_files([sources]).groups[0], tmp_path / "out", Profile(), now=NOW)
    assert list((tmp_path / "out").iterdir()) == []
    report = compress(sources, tmp_path / "out")
    assert (len(report.series), len(report.passed_through)) == (0, 8)
    assert hashes((tmp_path / "out" / pipeline.PASSED_THROUGH).iterdir()) == hashes(sources.iterdir())


def test_a_source_that_changed_since_it_was_planned_is_refused(sources: Path, tmp_path: Path) -> None:
    plan = plan_files([sources]).groups[0]
    plan.sources[3].write_bytes(plan.sources[3].read_bytes()[:-20])
    with pytest.raises(SeriesError):
        pipeline.compress_group(plan, tmp_path / "out", Profile(), now=NOW)
    plan.sources[3].unlink()
    with pytest.raises(StoreError):
        pipeline.compress_group(plan, tmp_path / "out", Profile(), now=NOW)


def test_near_lossless_comes_back_marked_and_within_its_bound(sources: Path, tmp_path: Path) -> None:
    compress(sources, tmp_path / "out", NEAR)
    restored = pipeline.restore([tmp_path / "out"], tmp_path / "back", now=NOW)
    originals = {ds.SOPInstanceUID: ds for ds in map(dcmread, sources.iterdir())}
    for one in restored.instances:
        assert (one.state, one.identical) == ("derived", False)
        assert one.path is not None
        ds = dcmread(one.path)
        source = originals[ds.SourceImageSequence[0].ReferencedSOPInstanceUID]
        assert ds.SOPInstanceUID not in originals
        assert np.abs(ds.pixel_array.astype(int) - source.pixel_array).max() <= 2
        assert (ds.ImageType[0], ds.LossyImageCompression, ds.LossyImageCompressionMethod) == ("DERIVED", "01", "HEXCINE_1")
    assert len({one.sop_instance_uid for one in restored.instances}) == 8


def test_lossy_restores_the_same_instances_each_time(sources: Path, tmp_path: Path) -> None:
    compress(sources, tmp_path / "out", LOSSY)
    pipeline.restore([tmp_path / "out"], tmp_path / "one", now=NOW)
    pipeline.restore([tmp_path / "out"], tmp_path / "two", now=LATER)
    assert hashes((tmp_path / "one").iterdir()) == hashes((tmp_path / "two").iterdir())


def test_restored_instances_are_ready_to_send(sources: Path, tmp_path: Path) -> None:
    compress(sources, tmp_path / "out")
    sent = list(pipeline.restored_instances([tmp_path / "out"]))
    originals = {dcmread(path).SOPInstanceUID: path.read_bytes() for path in sources.iterdir()}
    assert {uid: data for _, uid, _, data in sent} == originals
    assert {(sop_class, syntax) for sop_class, _, syntax, _ in sent} == {("1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.1.2.1")}


def test_a_damaged_archive_does_not_block_the_others(sources: Path, tmp_path: Path) -> None:
    for ds in beating_heart(slices=2, phases=3, rows=24, columns=20, seed=5):
        ds.save_as(sources / f"other{ds.InstanceNumber:04}.dcm", enforce_file_format=True)
    one, other = compress(sources, tmp_path / "out").series
    data = bytearray(one.archives[0].read_bytes())
    data[-5] ^= 1
    one.archives[0].write_bytes(data)
    restored = pipeline.restore([tmp_path / "out"], tmp_path / "back", now=NOW)
    assert len(restored.instances) == other.instances
    assert not restored.ok
    assert "SHA-256" in restored.problems[0]
    assert not pipeline.verify([tmp_path / "out"]).ok
    with pytest.raises(ArchiveError):
        pipeline.restore(one.archives, tmp_path / "none", now=NOW)
    with pytest.raises(ArchiveError):
        list(pipeline.restored_instances([tmp_path / "out"]))


def test_verify_finds_what_differs_from_the_originals(sources: Path, tmp_path: Path) -> None:
    compress(sources, tmp_path / "out")
    assert pipeline.verify([tmp_path / "out"], sources).archives[0].compared == 8
    files = sorted(sources.iterdir())
    files[0].write_bytes(files[0].read_bytes()[:-2] + b"ab")
    files[1].unlink()
    report = pipeline.verify([tmp_path / "out"], sources)
    assert not report.ok
    assert len(report.archives[0].problems) == 2
    assert report.to_json()["archives"][0]["compared"] == 7


def test_restoring_again_leaves_what_is_there_and_overwrites_nothing(sources: Path, tmp_path: Path) -> None:
    compress(sources, tmp_path / "out")
    back = tmp_path / "back"
    first = pipeline.restore([tmp_path / "out"], back, now=NOW)
    again = pipeline.restore([tmp_path / "out"], back, now=NOW)
    assert [one.path for one in first.instances] == [one.path for one in again.instances]
    assert first.instances[0].path is not None
    first.instances[0].path.write_bytes(b"somebody's")
    third = pipeline.restore([tmp_path / "out"], back, now=NOW)
    assert third.instances[0].path == first.instances[0].path.with_stem(first.instances[0].path.stem + "-2")
    assert first.instances[0].path.read_bytes() == b"somebody's"


def test_describe(sources: Path, tmp_path: Path) -> None:
    group = compress(sources, tmp_path / "out").series[0]
    info = pipeline.describe(group.archives[0])
    assert (info.uid, info.instances, info.parts, info.kind) == (group.uid, 8, 1, "lossless")
    assert (info.archive_bytes, info.header_bytes) == (group.archive_bytes, group.header_bytes)
    assert info.to_json()["shape"] == [4, 2, 24, 20]
    with pytest.raises(NotFound):
        pipeline.describe(tmp_path / "nowhere")
    with pytest.raises(ArchiveError):
        pipeline.describe(next(sources.iterdir()))


def test_enhanced(sources: Path, tmp_path: Path) -> None:
    compress(sources, tmp_path / "out")
    report = pipeline.restore([tmp_path / "out"], tmp_path / "back", as_="enhanced", now=NOW)
    [one] = report.instances
    assert (one.state, one.identical) == ("enhanced", False)
    assert one.path is not None
    ds = dcmread(one.path)
    plan = plan_files([sources]).groups[0]
    assert ds.SOPClassUID.name == "Legacy Converted Enhanced MR Image Storage"
    assert ds.NumberOfFrames == 8
    for frame, pixels, ref in zip(ds.PerFrameFunctionalGroupsSequence, ds.pixel_array, plan.frames, strict=True):
        source = dcmread(plan.sources[ref.instance])
        assert frame.PlanePositionSequence[0].ImagePositionPatient == source.ImagePositionPatient
        assert (pixels == source.pixel_array).all()


def test_sources_of_a_restore_may_lie_in_the_out_folder_and_it_among_them(sources: Path, tmp_path: Path) -> None:
    (sources / "notes.txt").write_text("hello")
    compress(sources, tmp_path / "back" / "archives")
    inner = pipeline.restore([tmp_path / "back" / "archives"], tmp_path / "back", now=NOW)
    assert len(inner.instances) == 9
    assert (tmp_path / "back" / "notes.txt").read_text() == "hello"
    for _ in range(2):
        outer = pipeline.restore([tmp_path / "back"], tmp_path / "back" / "again", now=NOW)
        assert hashes((tmp_path / "back" / "again").iterdir()) == hashes(sources.iterdir())
    assert [one.state for one in outer.instances].count("restored") == 8


@pytest.mark.parametrize("content", [{}, {"notes.txt": b"no DICOM file"}])
def test_a_wrong_folder_is_said_and_nothing_is_copied(content: dict[str, bytes], tmp_path: Path) -> None:
    wrong, out = tmp_path / "wrong", tmp_path / "out"
    wrong.mkdir()
    for name, data in content.items():
        (wrong / name).write_bytes(data)
    with pytest.raises(NotFound, match=r"no DICOM file at .*wrong"):
        pipeline.compress([wrong], out, Profile(), now=NOW)
    with pytest.raises(NotFound, match=r"no DICOM file at .*wrong"):
        pipeline.restore([wrong], out, now=NOW)
    assert not out.exists()


def test_verifying_where_no_archive_is_does_not_succeed(sources: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(NotFound, match=r"no archive object at .*sources"):
        pipeline.verify([sources])
    with pytest.raises(NotFound, match=r"no DICOM file at .*empty"):
        pipeline.verify([empty])
