"""Archive objects and restored images before DICOM software that is not ours: dicom3tools, DCMTK, Orthanc."""

from __future__ import annotations

import json
import shutil
import subprocess
import urllib.request
from collections import Counter
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest
from pydicom import dcmread

from hexdicom import pipeline
from hexdicom.codec import Profile
from hexdicom.dicom.archive import join, read_part
from hexdicom.dicom.series import plan_files

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = [pytest.mark.peer, pytest.mark.usefixtures("stored_codec")]
NOW = datetime(2026, 1, 2, 3, 4, 5)
LOSSY = Profile(name="lossy", kind="lossy")
SERIES = (
    "cine/ge-sax", "asl/philips-multiphase", "asl/siemens-mosaic", "fmri/ge-classic", "fmri/siemens-enhanced",
    "dwi/canon-enhanced-4d", "edge/dynamic-3x3",
)  # fmt: skip


def program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def errors(path: Path) -> Counter[str]:
    """What dciodvfy calls an error."""
    done = subprocess.run([program("dciodvfy"), path], capture_output=True, text=True, errors="replace", check=False)
    return Counter(line for line in done.stderr.splitlines() if line.startswith("Error"))


@pytest.fixture
def archive(phantom: list[Path], tmp_path: Path) -> Path:
    return pipeline.compress(phantom, tmp_path / "out", Profile(), now=NOW).series[0].archives[0]


@pytest.fixture
def checked(archive: Path, phantom: list[Path], tmp_path: Path) -> Callable[[Path], None]:
    """A returned archive object must hold the same archive, and restore every source byte for byte."""
    ours = join([read_part(archive.read_bytes())])

    def check(returned: Path) -> None:
        assert join([read_part(returned.read_bytes())]) == ours
        restored = pipeline.restore([returned], tmp_path / "restored", now=NOW)
        found = {one.path.read_bytes() for one in restored.instances if one.path}
        assert found == {path.read_bytes() for path in phantom}

    return check


def send(path: Path, peer: Any) -> None:
    done = subprocess.run(
        [program("storescu"), "-R", "-aec", peer.ae_title, peer.host, str(peer.port), path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_dciodvfy_finds_no_error_in_an_archive_object(archive: Path, phantom: list[Path], tmp_path: Path) -> None:
    assert errors(archive) == Counter()
    for number, changes in enumerate(
        (
            {"BodyPartExamined": "KNEE", "Laterality": "L"},
            {"BodyPartExamined": "HEART"},
            {"BodyPartExamined": "KNEE"},
            {"PatientSex": "M"},
        )
    ):
        sources = []
        for path in phantom:
            ds = dcmread(path)
            for keyword in ("BodyPartExamined", "Laterality"):
                ds.pop(keyword, None)
            for keyword, value in changes.items():
                setattr(ds, keyword, value)
            sources.append(tmp_path / f"changed{number}" / path.name)
            sources[-1].parent.mkdir(exist_ok=True)
            ds.save_as(sources[-1])
        for one in pipeline.compress(sources, tmp_path / f"out{number}", Profile(), now=NOW).series[0].archives:
            assert errors(one) == Counter()


def test_every_part_is_valid(phantom: list[Path], tmp_path: Path) -> None:
    plan = plan_files(phantom).groups[0]
    report = pipeline.compress_group(plan, tmp_path / "parts", Profile(), now=NOW, largest_part=20_000)
    assert len(report.archives) > 1
    for path in report.archives:
        assert errors(path) == Counter()


def test_a_trip_through_an_implicit_vr_converter(archive: Path, checked: Callable[[Path], None], tmp_path: Path) -> None:
    implicit, explicit = tmp_path / "implicit.dcm", tmp_path / "explicit.dcm"
    subprocess.run([program("dcmconv"), "+ti", archive, implicit], check=True)
    subprocess.run([program("dcmconv"), "+te", implicit, explicit], check=True)
    assert dcmread(explicit)[0x0099, 0x1032].VR == "UN"
    checked(implicit)
    checked(explicit)


def test_a_trip_through_a_big_endian_converter(archive: Path, checked: Callable[[Path], None], tmp_path: Path) -> None:
    subprocess.run([program("dcmconv"), "+tb", archive, tmp_path / "big.dcm"], check=True)
    checked(tmp_path / "big.dcm")


def test_a_trip_to_a_peer_that_takes_only_implicit_vr(
    archive: Path, checked: Callable[[Path], None], implicit_storescp: Any
) -> None:
    send(archive, implicit_storescp.peer)
    [returned] = implicit_storescp.files()
    assert dcmread(returned).file_meta.TransferSyntaxUID == "1.2.840.10008.1.2"
    checked(returned)


def test_a_trip_through_orthanc(archive: Path, checked: Callable[[Path], None], orthanc: Any, tmp_path: Path) -> None:
    send(archive, orthanc.peer)
    url = f"http://127.0.0.1:{orthanc.http_port}/instances"
    with urllib.request.urlopen(url) as answer:
        [instance] = json.load(answer)
    returned = tmp_path / "returned.dcm"
    with urllib.request.urlopen(f"{url}/{instance}/file") as answer:
        returned.write_bytes(answer.read())
    checked(returned)


@pytest.mark.parametrize("profile", [Profile(), LOSSY], ids=lambda profile: profile.kind)
def test_phantom_images_restore_as_valid_as_they_were(phantom: list[Path], tmp_path: Path, profile: Profile) -> None:
    compare(phantom, tmp_path, profile)


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.parametrize("folder", SERIES)
def test_lossy_images_are_as_valid_as_their_sources(real_data: Path, tmp_path: Path, folder: str) -> None:
    compare(sorted(path for path in (real_data / folder).iterdir() if path.suffix != ".txt"), tmp_path, LOSSY)


def compare(sources: list[Path], tmp_path: Path, profile: Profile) -> None:
    report = pipeline.compress(sources, tmp_path / "archives", profile, now=NOW)
    for group in report.series:
        assert errors(group.archives[0]) == Counter()
    restored = pipeline.restore([tmp_path / "archives"], tmp_path / "back", now=NOW)
    originals = {dcmread(path, specific_tags=["SOPInstanceUID"]).SOPInstanceUID: path for path in sources}
    assert len(restored.instances) == len(originals)
    for one in restored.instances[:: max(1, len(restored.instances) // 5)]:
        assert one.path is not None
        ds = dcmread(one.path, stop_before_pixels=True)
        if profile.kind == "lossless":
            uid = ds.SOPInstanceUID
        elif "SourceImageEvidenceSequence" in ds:
            uid = ds.SourceImageEvidenceSequence[-1].ReferencedSeriesSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID
        else:
            uid = ds.SourceImageSequence[-1].ReferencedSOPInstanceUID
        assert errors(one.path) - errors(originals[uid]) == Counter()
