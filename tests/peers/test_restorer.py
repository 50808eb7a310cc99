"""Originals back from a PACS that holds the archive object: Orthanc and dcmqrscp, by series, study and patient."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pynetdicom.dsutils import split_dataset

from hexdicom import pipeline
from hexdicom.codec import Profile
from hexdicom.dicom.phantom import beating_heart
from hexdicom.errors import NotFound, PeerError
from hexdicom_services import cli, restorer, scu
from hexdicom_services.restorer import Request, Work
from hexdicom_services.scu.association import Patience
from tests.peers.conftest import RunningPeer, cut_connection

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.peer
NOW = datetime(2026, 1, 6, tzinfo=UTC)
WORK = Work(NOW, patience=Patience(connect=5, negotiate=5, respond=20, attempts=3, delay=0.05))


@pytest.fixture(scope="session")
def archived(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with originals/, one of them alone in a series of its own, and what `compress` made of them in out/."""
    folder = tmp_path_factory.mktemp("archived")
    originals = folder / "originals"
    originals.mkdir()
    series = list(beating_heart(slices=2, phases=3, rows=24, columns=20))
    for ds in series:
        ds.save_as(originals / f"{int(ds.InstanceNumber):03}.dcm", enforce_file_format=True)
    scout = series[0]
    scout.SeriesInstanceUID += ".1"
    scout.SOPInstanceUID = scout.file_meta.MediaStorageSOPInstanceUID = scout.SOPInstanceUID + ".1"
    scout.save_as(originals / "scout.dcm", enforce_file_format=True)
    report = pipeline.compress([originals], folder / "out", Profile(steps=5), now=NOW)
    assert (len(report.series), len(report.passed_through)) == (1, 1)
    return folder


@pytest.fixture(params=["dcmqrscp", "orthanc"])
def pacs(request: pytest.FixtureRequest, archived: Path) -> RunningPeer:
    """A PACS that has the archive object and the instance that was passed through, and none of the other originals."""
    running: RunningPeer = request.getfixturevalue(request.param)
    sent = scu.store(running.peer, sorted((archived / "out").rglob("*.dcm")))
    assert {one.state for one in sent} == {"sent"}
    return running


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Where to restore to; the peers keep what is theirs beside it."""
    return tmp_path / "restored"


def digests(folder: Path) -> dict[str, str]:
    """SOP Instance UID -> SHA-256 of the data set."""
    found = {}
    for path in sorted(folder.rglob("*.dcm")):
        meta, offset = split_dataset(path)
        found[str(meta.MediaStorageSOPInstanceUID)] = hashlib.sha256(path.read_bytes()[offset:]).hexdigest()
    return found


def head(archived: Path) -> Dataset:
    return dcmread(archived / "originals" / "001.dcm", stop_before_pixels=True)


def test_a_study_comes_back_byte_for_byte(pacs: RunningPeer, archived: Path, out: Path) -> None:
    request = Request(study_instance_uid=head(archived).StudyInstanceUID)
    outcome = restorer.fetch(pacs.peer, request, out, WORK)
    assert outcome.complete
    assert digests(out) == digests(archived / "originals")
    assert sorted(one.state for one in outcome.restored.instances) == ["restored"] * 6 + ["untouched"]
    assert not [path for path in out.parent.iterdir() if path.name.startswith(".")]


def test_a_patient_comes_back(pacs: RunningPeer, archived: Path, out: Path) -> None:
    restorer.fetch(pacs.peer, Request(patient_id=head(archived).PatientID), out, WORK)
    assert digests(out) == digests(archived / "originals")


@pytest.mark.parametrize("with_study", [True, False])
def test_a_series_is_asked_for_by_the_uid_of_the_originals(pacs: RunningPeer, archived: Path, out: Path, with_study: bool) -> None:
    wanted = head(archived)
    study = wanted.StudyInstanceUID if with_study else ""
    outcome = restorer.fetch(pacs.peer, Request("", study, wanted.SeriesInstanceUID), out, WORK)
    assert outcome.complete
    expected = {uid: digest for uid, digest in digests(archived / "originals").items() if not uid.endswith(".1")}
    assert digests(out) == expected


def test_originals_that_are_still_there_come_once(pacs: RunningPeer, archived: Path, out: Path) -> None:
    scu.store(pacs.peer, sorted((archived / "originals").iterdir()))
    outcome = restorer.fetch(pacs.peer, Request(study_instance_uid=head(archived).StudyInstanceUID), out, WORK)
    assert len(outcome.restored.instances) == 7
    assert digests(out) == digests(archived / "originals")
    assert len(list(out.iterdir())) == 7


def test_raw_data_of_others_stays_what_it_is(pacs: RunningPeer, archived: Path, tmp_path: Path, out: Path) -> None:
    foreign = Dataset()
    foreign.update(head(archived))
    foreign.SOPClassUID = "1.2.840.10008.5.1.4.1.1.66"
    foreign.SOPInstanceUID = "1.2.3.4.5.6"
    foreign.SeriesInstanceUID = "1.2.3.4.5"
    foreign.file_meta = head(archived).file_meta
    foreign.file_meta.MediaStorageSOPClassUID = foreign.SOPClassUID
    foreign.file_meta.MediaStorageSOPInstanceUID = foreign.SOPInstanceUID
    (tmp_path / "foreign").mkdir()
    foreign.save_as(tmp_path / "foreign" / "foreign.dcm", enforce_file_format=True)
    scu.store(pacs.peer, [tmp_path / "foreign" / "foreign.dcm"])
    outcome = restorer.fetch(pacs.peer, Request(study_instance_uid=foreign.StudyInstanceUID), out, WORK)
    assert outcome.complete
    assert digests(out) == {**digests(archived / "originals"), "1.2.3.4.5.6": digests(tmp_path / "foreign")["1.2.3.4.5.6"]}


def test_restored_instances_are_sent_on(orthanc: RunningPeer, storescp: RunningPeer, archived: Path, out: Path) -> None:
    scu.store(orthanc.peer, sorted((archived / "out").rglob("*.dcm")))
    request = Request(study_instance_uid=head(archived).StudyInstanceUID)
    outcome = restorer.fetch_and_send(orthanc.peer, request, storescp.peer, WORK)
    assert outcome.complete
    assert len(outcome.sent) == 7
    received = out
    received.mkdir()
    for path in storescp.files():
        (received / f"{path.name}.dcm").write_bytes(path.read_bytes())
    assert digests(received) == digests(archived / "originals")


def test_a_broken_line_costs_nothing(orthanc: RunningPeer, archived: Path, out: Path) -> None:
    scu.store(orthanc.peer, sorted((archived / "out").rglob("*.dcm")))
    request = Request(study_instance_uid=head(archived).StudyInstanceUID)
    with (
        cut_connection(orthanc.peer, after=600, times=1, downstream=True) as peer,
        pytest.raises(PeerError, match=r"C-FIND|C-GET"),
    ):
        restorer.fetch(peer, request, out, Work(NOW, patience=Patience(attempts=1, delay=0.01)))
    assert not [path for path in out.parent.iterdir() if path.name.startswith(".hexdicom")]
    assert restorer.fetch(orthanc.peer, request, out, WORK).complete
    again = restorer.fetch(orthanc.peer, request, out, WORK)
    assert again.complete
    assert digests(out) == digests(archived / "originals")
    assert len(list(out.iterdir())) == 7


def test_nothing_there(orthanc: RunningPeer, out: Path) -> None:
    with pytest.raises(NotFound, match=r"has nothing of series 1\.2\.3"):
        restorer.fetch(orthanc.peer, Request(series_instance_uid="1.2.3"), out, WORK)


def test_command_line(orthanc: RunningPeer, archived: Path, out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scu.store(orthanc.peer, sorted((archived / "out").rglob("*.dcm")))
    node, study = str(orthanc.peer), head(archived).StudyInstanceUID
    assert cli.run(["find", "--from", node, "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["studies"]
    assert found["study_instance_uid"] == study
    assert sorted(series["archive"] for series in found["series"]) == [False, True]
    assert cli.run(["find", "--from", node, "--patient", "nobody"]) == 3
    assert cli.run(["find", "--from", node]) == 0
    assert "archive" in capsys.readouterr().out

    assert cli.run(["restore", "--from", node, "--study", study, "--out", str(out / "a"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert len(told["instances"]) == 7
    assert told["missing"] == []
    assert cli.run(["restore", "--from", node, "--study", study, "--out", str(out / "a")]) == 0
    assert "restored, identical by SHA-256" in capsys.readouterr().out
    assert cli.run(["restore", "--from", node, "--out", str(out / "a")]) == 2
