"""The transport of an association: what it waits for, how long, and what it does not wait for."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING

import pytest
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.pdu_primitives import A_ASSOCIATE, A_RELEASE
from pynetdicom.transport import AddressInformation

from hexdicom_services import messages
from hexdicom_services.scp import transport
from hexdicom_services.scp.transport import NodeSocket

if TYPE_CHECKING:
    from collections.abc import Iterator

FOR_EVER = 3600.0  # seconds: a test that waits for that fails by its time limit


@pytest.fixture
def ends() -> Iterator[tuple[NodeSocket, socket.socket]]:
    """Ours, and the peer's."""
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()) as peer:
        accepted, _ = listener.accept()
        with accepted:
            association = Association(AE(), "acceptor")
            association.requestor.address_info = AddressInformation(*accepted.getpeername())
            ours = NodeSocket(association, client_socket=accepted)
            association.set_socket(ours)
            association.acse_timeout = 0.3
            ours._is_connected = True
            yield ours, peer


def events(ours: NodeSocket) -> list[str]:
    return [ours.event_queue.get() for _ in range(ours.event_queue.qsize())]


def test_what_comes_in_pieces_is_read_whole(ends: tuple[NodeSocket, socket.socket]) -> None:
    ours, peer = ends
    whole = bytes(range(256)) * 2000
    sender = threading.Thread(
        target=lambda: [peer.sendall(whole[start : start + 70_000]) for start in range(0, len(whole), 70_000)]
    )
    sender.start()
    assert ours.recv(len(whole)) == whole
    sender.join()


def test_the_end_of_a_connection_is_no_silence(ends: tuple[NodeSocket, socket.socket], caplog: pytest.LogCaptureFixture) -> None:
    ours, peer = ends
    peer.sendall(b"abc")
    peer.shutdown(socket.SHUT_WR)
    assert ours.recv(6) == b"abc"
    assert not caplog.records


@pytest.mark.parametrize("sent", [b"", b"abc"])
def test_who_does_not_send_the_rest_is_cut_off(
    ends: tuple[NodeSocket, socket.socket], caplog: pytest.LogCaptureFixture, sent: bytes
) -> None:
    ours, peer = ends
    peer.sendall(sent)
    assert len(ours.recv(6)) < 6
    assert "it did not send the rest of a PDU" in caplog.text


def test_who_sends_a_byte_now_and_then_is_cut_off(ends: tuple[NodeSocket, socket.socket], caplog: pytest.LogCaptureFixture) -> None:
    ours, peer = ends
    done = threading.Event()

    def trickle() -> None:
        while not done.wait(0.01):
            peer.sendall(b"a")

    sender = threading.Thread(target=trickle)
    sender.start()
    assert len(ours.recv(100_000)) < 100_000
    done.set()
    sender.join()
    assert "it did not send the rest of a PDU" in caplog.text


def test_who_does_not_take_what_is_sent_is_cut_off(
    ends: tuple[NodeSocket, socket.socket], caplog: pytest.LogCaptureFixture
) -> None:
    ours, _ = ends
    ours.send(bytes(64 << 20))  # more than the buffers of both ends hold
    assert "it did not take what was sent" in caplog.text
    assert events(ours)[-1] == "Evt17"


def test_a_peer_that_has_gone_is_no_silence(ends: tuple[NodeSocket, socket.socket], caplog: pytest.LogCaptureFixture) -> None:
    ours, peer = ends
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # with a reset
    peer.close()
    ours.send(b"answer")
    ours.send(b"answer")
    assert events(ours)[-1] == "Evt17"
    assert not caplog.records


def test_an_event_that_waits_is_not_kept_waiting(ends: tuple[NodeSocket, socket.socket], monkeypatch: pytest.MonkeyPatch) -> None:
    """pynetdicom puts the association request behind the event that says that there is a connection."""
    ours, _ = ends
    monkeypatch.setattr(transport, "_WAIT", FOR_EVER)
    ours.event_queue.put("Evt6")
    assert not ours.ready


def test_a_release_wakes_who_waits_for_messages(ends: tuple[NodeSocket, socket.socket], monkeypatch: pytest.MonkeyPatch) -> None:
    ours, _ = ends
    monkeypatch.setattr(messages, "_SLICE", FOR_EVER)
    ours.assoc.dul.to_user_queue.put(A_RELEASE())
    assert ours.assoc.dimse.get_msg(block=False) == (None, None)
    assert isinstance(ours.assoc.dul.to_user_queue.get(), A_RELEASE)
    ours.assoc.dul.to_user_queue.put(A_ASSOCIATE())
    assert ours.assoc.dimse.msg_queue.empty()


def test_a_wake_is_no_message(ends: tuple[NodeSocket, socket.socket]) -> None:
    ours, _ = ends
    ours.assoc.dul.to_user_queue.put(A_RELEASE())
    ours.assoc.dimse.msg_queue.put((1, "message"))
    assert ours.assoc.dimse.msg_queue.get(timeout=5) == (1, "message")
