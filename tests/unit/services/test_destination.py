"""The C-MOVE destination that a node is while it reads back: what it takes, what it refuses, and that it goes away."""

from __future__ import annotations

import gc
import socket
import struct
from io import BytesIO
from typing import TYPE_CHECKING

import pytest
from pydicom.dataset import Dataset
from pynetdicom import build_context
from pynetdicom.dimse_primitives import C_STORE

from hexdicom.dicom.phantom import beating_heart
from hexdicom.errors import ConfigError, PeerError
from hexdicom_services import scu
from hexdicom_services.part10 import read_head
from hexdicom_services.peer import Peer
from hexdicom_services.scu.association import Patience, associate
from hexdicom_services.scu.destination import Destination, get_by_move, listening
from hexdicom_services.scu.inbox import Inbox

if TYPE_CHECKING:
    from pathlib import Path

QUICK = Patience(connect=5, negotiate=0.3, respond=20, attempts=1, delay=0.05)


@pytest.fixture
def destination() -> Destination:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return Destination("READBACK", "127.0.0.1", probe.getsockname()[1])


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Two instances of one series; the second of a private SOP class."""
    paths = []
    for number, ds in enumerate(beating_heart(slices=1, phases=2, rows=24, columns=24)):
        if number:
            ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = "1.2.3.4.5"
        path = tmp_path / f"{number}.dcm"
        ds.save_as(path, enforce_file_format=True)
        paths.append(path)
    return paths


def inbox(folder: Path, *expected: Path) -> Inbox:
    folder.mkdir()
    return Inbox(folder, total=len(expected), expected={read_head(path).sop_instance_uid for path in expected})


def peer(destination: Destination, ae_title: str = "") -> Peer:
    return Peer(ae_title or destination.ae_title, destination.host, destination.port)


@pytest.mark.parametrize("wanted", [0, 1])
def test_only_what_is_expected_is_taken(wanted: int, destination: Destination, files: list[Path], tmp_path: Path) -> None:
    box = inbox(tmp_path / "in", files[wanted])
    with listening(destination, box, QUICK):
        sent = {item.path: item for item in scu.store(peer(destination), files)}
    assert sent[files[wanted]].state == "sent"
    assert sent[files[1 - wanted]].state == "refused"
    assert "0x0124" in sent[files[1 - wanted]].reason
    assert "asked for" in sent[files[1 - wanted]].reason
    (file,) = box.folder.iterdir()
    assert file.read_bytes()[read_head(file).offset :] == files[wanted].read_bytes()[read_head(files[wanted]).offset :]


@pytest.mark.parametrize("length", [0, 7, 200, -1, -100])
def test_a_data_set_that_is_not_whole_is_refused_and_leaves_no_file(
    length: int, destination: Destination, files: list[Path], tmp_path: Path
) -> None:
    box = inbox(tmp_path / "in", *files)
    whole = read_head(files[0])
    data = files[0].read_bytes()[whole.offset :]
    torn = data[:length] if length else b""
    with listening(destination, box, QUICK):
        status = send_raw(peer(destination), whole.sop_class_uid, whole.sop_instance_uid, torn)
        assert status.Status == 0xC000
        assert "not whole" in status.ErrorComment
        assert not list(box.folder.iterdir())
        assert send_raw(peer(destination), whole.sop_class_uid, whole.sop_instance_uid, data).Status == 0
    assert [file.name for file in box.folder.iterdir()] == [f"{whole.sop_instance_uid}.dcm"]


def send_raw(there: Peer, sop_class: str, uid: str, data: bytes) -> Dataset:
    """The answer to a C-STORE of these very bytes."""
    with associate(there, [build_context(sop_class, "1.2.840.10008.1.2.1")]) as association:
        request = C_STORE()
        request.MessageID, request.Priority, request.AffectedSOPClassUID, request.AffectedSOPInstanceUID = 1, 2, sop_class, uid
        if data:  # else pynetdicom announces one and sends none
            request.DataSet = BytesIO(data)
        association._reactor_checkpoint.clear()
        try:
            association.dimse.send_msg(request, association.accepted_contexts[0].context_id)
            _, answer = association.dimse.get_msg(block=True)
        finally:
            association._reactor_checkpoint.set()
    status = Dataset()
    status.Status, status.ErrorComment = answer.Status, answer.ErrorComment
    return status


def test_another_ae_title_is_not_answered(destination: Destination, files: list[Path], tmp_path: Path) -> None:
    with listening(destination, inbox(tmp_path / "in", *files), QUICK), pytest.raises(PeerError, match="rejected"):
        scu.echo(peer(destination, "STRANGER"))


def test_an_absurd_pdu_ends_the_connection(destination: Destination, files: list[Path], tmp_path: Path) -> None:
    with (
        listening(destination, inbox(tmp_path / "in", *files), QUICK),
        socket.create_connection((destination.host, destination.port), 5) as line,
    ):
        line.sendall(struct.pack(">BBI", 1, 0, 0xFFFFFFF0) + bytes(1000))
        assert not line.recv(1000)


def test_the_port_is_free_again_also_after_an_error(destination: Destination, files: list[Path], tmp_path: Path) -> None:
    box = inbox(tmp_path / "in", *files)
    for _ in range(2):
        with pytest.raises(RuntimeError), listening(destination, box, QUICK):
            raise RuntimeError
    socket.create_server((destination.host, destination.port)).close()


def test_a_port_in_use_is_named(destination: Destination, files: list[Path], tmp_path: Path) -> None:
    box = inbox(tmp_path / "in", *files)
    with (
        listening(destination, box, QUICK),
        pytest.raises(ConfigError, match=f"Port {destination.port}.*move_port"),
        listening(destination, box, QUICK),
    ):
        pass


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # pynetdicom leaves the socket open
def test_a_peer_that_is_away_is_named(destination: Destination, tmp_path: Path) -> None:
    item = Dataset()
    item.SOPClassUID, item.StudyInstanceUID, item.SeriesInstanceUID, item.SOPInstanceUID = "1.2", "1.3", "1.4", "1.5"
    with socket.create_server(("127.0.0.1", 0)) as probe:
        number = probe.getsockname()[1]
    with pytest.raises(PeerError, match=f"Nothing answers.*READBACK.*port {destination.port}"):
        get_by_move(Peer("PACS", "127.0.0.1", number), [item], tmp_path, destination, patience=QUICK)
    gc.collect()
