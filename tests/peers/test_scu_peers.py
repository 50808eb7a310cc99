"""Our SCU against DCMTK and Orthanc."""

from __future__ import annotations

import gc
import hashlib
from typing import TYPE_CHECKING

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pynetdicom.dsutils import split_dataset

from hexdicom.errors import NotFound, PeerError
from hexdicom_services import scu
from hexdicom_services.peer import Peer
from hexdicom_services.scu.association import Patience
from tests.peers.conftest import DESTINATION, RunningPeer, cut_connection, port, running, tool

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.peer
QUICK = Patience(connect=5, negotiate=5, respond=20, attempts=3, delay=0.05)


@pytest.fixture(params=["dcmqrscp", "orthanc"])
def archive(request: pytest.FixtureRequest) -> RunningPeer:
    running_peer: RunningPeer = request.getfixturevalue(request.param)
    return running_peer


def data_set(path: Path) -> str:
    """SHA-256 of the data set, without preamble and file meta information."""
    _, offset = split_dataset(path)
    return hashlib.sha256(path.read_bytes()[offset:]).hexdigest()


def study(path: Path) -> Dataset:
    key = Dataset()
    key.StudyInstanceUID = dcmread(path, stop_before_pixels=True).StudyInstanceUID
    return key


def test_echo(archive: RunningPeer) -> None:
    assert 0 < scu.echo(archive.peer, patience=QUICK) < 5


def test_store_find_get_brings_the_same_bytes(archive: RunningPeer, phantom: list[Path], tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    sent = scu.store(archive.peer, phantom, progress=lambda done, total: seen.append((done, total)), patience=QUICK)
    assert [item.state for item in sent] == ["sent"] * 12
    assert [item.path for item in sent] == phantom
    assert seen[-1] == (12, 12)

    key = study(phantom[0])
    key.SeriesInstanceUID = ""
    key.Modality = ""
    (series,) = scu.find(archive.peer, key, "SERIES", patience=QUICK)
    assert series.Modality == "MR"

    instances = scu.find_instances(archive.peer, study(phantom[0]), patience=QUICK)
    assert {i.SOPInstanceUID for i in instances} == {item.sop_instance_uid for item in sent}
    assert {i.SOPClassUID for i in instances} <= {"", sent[0].sop_class_uid}

    into = tmp_path / "got"
    got = scu.get(archive.peer, study(phantom[0]), into, patience=QUICK)
    assert [item.state for item in got] == ["received"] * 12
    assert {data_set(item.path) for item in got} == {data_set(path) for path in phantom}
    assert not list(into.glob(".*"))


def test_get_goes_on_where_it_stopped(archive: RunningPeer, phantom: list[Path], tmp_path: Path) -> None:
    scu.store(archive.peer, phantom, patience=QUICK)
    first = scu.get(archive.peer, study(phantom[0]), tmp_path, patience=QUICK)
    for item in first[:5]:
        item.path.unlink()
    again = scu.get(archive.peer, study(phantom[0]), tmp_path, patience=QUICK)
    assert sorted(item.state for item in again) == ["present"] * 7 + ["received"] * 5


def test_get_some_instances_by_their_uids(archive: RunningPeer, phantom: list[Path], tmp_path: Path) -> None:
    scu.store(archive.peer, phantom, patience=QUICK)
    some = scu.find_instances(archive.peer, study(phantom[0]), patience=QUICK)[3:7]
    got = scu.get(archive.peer, some, tmp_path, patience=QUICK)
    assert {item.sop_instance_uid for item in got if item.state == "received"} == {i.SOPInstanceUID for i in some}


def test_find_by_patient_and_by_series(archive: RunningPeer, phantom: list[Path]) -> None:
    scu.store(archive.peer, phantom, patience=QUICK)
    head = dcmread(phantom[0], stop_before_pixels=True)
    for keyword in ("PatientID", "SeriesInstanceUID"):
        key = Dataset()
        setattr(key, keyword, head[keyword].value)
        assert len(scu.find_instances(archive.peer, key, patience=QUICK)) == 12


def test_nothing_matches(archive: RunningPeer, tmp_path: Path) -> None:
    key = Dataset()
    key.StudyInstanceUID = "1.2.3.4"
    with pytest.raises(NotFound, match="nothing that matches"):
        scu.get(archive.peer, key, tmp_path, patience=QUICK)


def test_move_sends_to_the_destination(archive: RunningPeer, phantom: list[Path], tmp_path: Path) -> None:
    scu.store(archive.peer, phantom, patience=QUICK)
    folder = tmp_path / "destination"
    folder.mkdir()
    number = archive.destination_port
    with running([tool("storescp"), "--bit-preserving", "+xa", "-od", folder, str(number)], number, tmp_path / "log"):
        moved = scu.move(archive.peer, study(phantom[0]), DESTINATION, patience=QUICK)
    assert (moved.completed, moved.failed) == (12, 0)
    assert {data_set(path) for path in folder.iterdir()} == {data_set(path) for path in phantom}


def test_some_instances_are_moved_to_ourselves(archive: RunningPeer, phantom: list[Path], tmp_path: Path) -> None:
    scu.store(archive.peer, phantom, patience=QUICK)
    files = {str(dcmread(path, stop_before_pixels=True).SOPInstanceUID): path for path in phantom[3:7]}
    some = [item for item in _instances(phantom) if item.SOPInstanceUID in files]
    destination = scu.Destination(DESTINATION, "127.0.0.1", archive.destination_port)
    got = scu.get_by_move(archive.peer, some, tmp_path / "moved", destination, patience=QUICK)
    assert [item.state for item in got] == ["received"] * 4
    assert {item.sop_instance_uid: data_set(item.path) for item in got} == {uid: data_set(path) for uid, path in files.items()}
    assert len(list((tmp_path / "moved").iterdir())) == 4


def test_one_that_the_archive_does_not_have_is_reported(archive: RunningPeer, phantom: list[Path], tmp_path: Path) -> None:
    scu.store(archive.peer, phantom[1:], patience=QUICK)
    destination = scu.Destination(DESTINATION, "127.0.0.1", archive.destination_port)
    got = scu.get_by_move(archive.peer, _instances(phantom), tmp_path / "moved", destination, patience=QUICK)
    assert [item.state for item in got] == ["failed", *["received"] * 11]


@pytest.mark.parametrize(("ae_title", "reason"), [("NOBODY", "C-MOVE to NOBODY"), (DESTINATION, "C-MOVE")])
def test_what_the_archive_must_know_is_said(
    ae_title: str, reason: str, archive: RunningPeer, phantom: list[Path], tmp_path: Path
) -> None:
    """It does not know the AE title, or it knows it at another port."""
    scu.store(archive.peer, phantom[:2], patience=QUICK)
    destination = scu.Destination(ae_title, "127.0.0.1", port())
    with pytest.raises(PeerError, match=reason) as caught:
        scu.get_by_move(archive.peer, _instances(phantom[:2]), tmp_path / "moved", destination, patience=QUICK)
    assert f"must know {ae_title} as a C-MOVE destination, at host 127.0.0.1, port {destination.port}" in caught.value.hint


def _instances(paths: list[Path]) -> list[Dataset]:
    """As `find_instances` gives them."""
    keys = ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID"]
    return [dcmread(path, specific_tags=keys, stop_before_pixels=True) for path in paths]


def test_move_to_an_unknown_destination(dcmqrscp: RunningPeer, phantom: list[Path]) -> None:
    scu.store(dcmqrscp.peer, phantom, patience=QUICK)
    with pytest.raises(PeerError, match=r"C-MOVE to NOBODY with status 0xA801"):
        scu.move(dcmqrscp.peer, study(phantom[0]), "NOBODY", patience=QUICK)


def test_storescp_gets_the_bytes_as_they_lie_in_the_file(storescp: RunningPeer, phantom: list[Path]) -> None:
    scu.store(storescp.peer, phantom, patience=QUICK)
    assert {data_set(path) for path in storescp.files()} == {data_set(path) for path in phantom}


def test_implicit_only_peer_gets_a_converted_data_set(phantom: list[Path], tmp_path: Path) -> None:
    folder, number = tmp_path / "implicit", port()
    folder.mkdir()
    with running([tool("storescp"), "+xi", "-od", folder, str(number)], number, tmp_path / "log"):
        (sent,) = scu.store(Peer("ANY", "127.0.0.1", number), phantom[:1], patience=QUICK)
    assert sent.state == "sent"
    (arrived,) = folder.iterdir()
    received, original = dcmread(arrived), dcmread(phantom[0])
    assert received.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2"
    assert received == original


def test_a_peer_that_always_breaks_off_is_given_up_with_every_instance_named(phantom: list[Path], tmp_path: Path) -> None:
    number = port()
    command = [tool("storescp"), "--abort-after", "+xa", "-od", tmp_path, str(number)]
    with running(command, number, tmp_path / "log"):
        sent = scu.store(Peer("ANY", "127.0.0.1", number), phantom[:4], patience=QUICK)
    assert [item.state for item in sent] == ["failed"] * 4
    assert all("broke the association" in item.reason for item in sent)


def test_store_is_taken_up_where_the_association_broke(storescp: RunningPeer, phantom: list[Path]) -> None:
    with cut_connection(storescp.peer, after=20_000, times=3) as peer:
        sent = scu.store(peer, phantom, patience=QUICK)
    assert [item.state for item in sent] == ["sent"] * 12
    assert {data_set(path) for path in phantom} <= {data_set(path) for path in storescp.files()}


def test_get_is_taken_up_where_the_association_broke(archive: RunningPeer, phantom: list[Path], tmp_path: Path) -> None:
    scu.store(archive.peer, phantom, patience=QUICK)
    instances = scu.find_instances(archive.peer, study(phantom[0]), patience=QUICK)
    with cut_connection(archive.peer, after=20_000, times=2, downstream=True) as peer:
        got = scu.get(peer, instances, tmp_path / "got", patience=QUICK)
    assert [item.state for item in got] == ["received"] * 12
    assert {data_set(item.path) for item in got} == {data_set(path) for path in phantom}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # pynetdicom leaves a socket to the gc
def test_refusal_names_the_peer_and_the_next_step() -> None:
    peer = Peer("NOBODY", "127.0.0.1", port())
    with pytest.raises(PeerError, match=r"Nothing answers at 127\.0\.0\.1 port \d+ \(NOBODY@127") as caught:
        scu.echo(peer, patience=QUICK)
    assert "running" in caught.value.hint
    with pytest.raises(PeerError, match=r"host name 'no\.such\.invalid'"):
        scu.echo(Peer("NOBODY", "no.such.invalid", 104), patience=QUICK)
    gc.collect()


def test_rejected_association_says_why(phantom: list[Path], tmp_path: Path) -> None:
    number = port()
    with running([tool("storescp"), "--refuse", "-od", tmp_path, str(number)], number, tmp_path / "log"):
        with pytest.raises(PeerError, match="rejected the association"):
            scu.echo(Peer("X", "127.0.0.1", number), patience=QUICK)
        with pytest.raises(PeerError, match="rejected the association"):
            scu.store(Peer("X", "127.0.0.1", number), phantom, patience=QUICK)


def test_files_that_are_not_dicom_are_reported(storescp: RunningPeer, phantom: list[Path], tmp_path: Path) -> None:
    text = tmp_path / "text.dcm"
    text.write_text("hello")
    sent = scu.store(storescp.peer, [text, phantom[0], tmp_path / "absent.dcm"], patience=QUICK)
    assert [item.state for item in sent] == ["failed", "sent", "failed"]
    assert "not a DICOM file" in sent[0].reason
    assert "cannot be read" in sent[2].reason
