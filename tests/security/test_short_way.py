"""Instances that come in pieces that no scanner sends: whichever way they go, each is kept once, answered once, and in order."""

from __future__ import annotations

import struct
import time
from typing import TYPE_CHECKING, Any

import pytest
from pynetdicom import AE
from pynetdicom.sop_class import MRImageStorage

from hexdicom.dicom.phantom import beating_heart
from hexdicom_services import scu
from hexdicom_services.scp import short_way, store_messages
from hexdicom_services.scp.desk import Desk
from hexdicom_services.scu.association import associate

from .conftest import MR, STORAGE, peer, receiving
from .test_sizes import associated, command_set, p_data

if TYPE_CHECKING:
    import socket
    from pathlib import Path

    from pydicom.dataset import Dataset

    from hexdicom_services.scp.server import Receiver

COMMAND, LAST = 1, 2  # message control header, PS3.8 annex E.2


def request(number: int) -> bytes:
    plain = {0x0100: b"\1\0", 0x0110: struct.pack("<H", number), 0x0700: b"\0\0", 0x0800: b"\1\0"}
    return command_set({**plain, 0x0002: MR.encode() + b"\0", 0x1000: f"1.2.{number}".encode()})


def content(number: int) -> bytes:
    return struct.pack("<HHI", 0x0008, 0x0018, 6) + f"1.2.{number}\0\0".encode()[:6] + bytes([number]) * 50_000


def value(control: int, data: bytes) -> bytes:
    """One presentation data value, without the head of its PDU."""
    return p_data(1, control, data)[6:]


def pdu(*values: bytes) -> bytes:
    return struct.pack(">BxI", 4, sum(map(len, values))) + b"".join(values)


def message(number: int) -> bytes:
    return command(number) + p_data(1, LAST, content(number))


def answer(line: socket.socket) -> tuple[int, int]:
    """Message ID and status of the next response."""

    def read(length: int) -> bytes:
        data = b""
        while len(data) < length:
            data += line.recv(length - len(data)) or pytest.fail("the connection ended")
        return data

    _, length = struct.unpack(">BxI", read(6))
    body, position, found = read(length)[6:], 0, {}
    while position < len(body):
        _, element, size = struct.unpack_from("<HHI", body, position)
        found[element] = body[position + 8 : position + 8 + size]
        position += 8 + size
    return int.from_bytes(found[0x0120], "little"), int.from_bytes(found[0x0900], "little")


def kept(running: Receiver) -> list[str]:
    with running._catalog.read() as connection:
        return list(connection.exec_driver_sql("select sop_instance_uid from instance order by id").scalars())


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The instances that were answered on the short way."""
    went: list[str] = []

    def response(store: store_messages.StoreRequest, *rest: Any) -> bytes:
        went.append(store.AffectedSOPInstanceUID)
        return plain(store, *rest)

    plain = store_messages.response
    monkeypatch.setattr(short_way.store_messages, "response", response)
    return went


def command(number: int) -> bytes:
    return p_data(1, COMMAND | LAST, request(number))


PIECES = {
    "as a sender does": (message(1), [1]),
    "command and data in one PDU": (pdu(value(COMMAND | LAST, request(1)), value(LAST, content(1))), [1]),
    "data in pieces": (command(1) + pdu(*[value(0, b"x" * 999)] * 7) + p_data(1, LAST, b""), [1]),
    "a divided command": (
        p_data(1, COMMAND, request(1)[:30]) + p_data(1, COMMAND | LAST, request(1)[30:]) + p_data(1, LAST, content(1)),
        [],  # pynetdicom puts it together
    ),
    "three without waiting": (message(1) + message(2) + message(3), [1, 2, 3]),
    "the next command with the last data": (
        command(1) + pdu(value(LAST, content(1)), value(COMMAND | LAST, request(2))) + p_data(1, LAST, content(2)),
        [1, 2],
    ),
}


@pytest.mark.parametrize("name", PIECES)
def test_pieces(tmp_path: Path, name: str, short: list[str]) -> None:
    sent, shortly = PIECES[name]
    numbers = shortly or [1]
    with receiving(tmp_path) as (running, _), associated(running) as line:
        line.sendall(sent)
        assert [answer(line) for _ in numbers] == [(number, 0x0000) for number in numbers]
        assert kept(running) == [f"1.2.{number}" for number in numbers]
        line.sendall(message(9))  # and the association goes on
        assert answer(line) == (9, 0x0000)
    assert short == [f"1.2.{number}" for number in (*shortly, 9)]


def test_a_command_within_a_data_set_ends_the_association(tmp_path: Path) -> None:
    with receiving(tmp_path) as (running, _), associated(running) as line:
        line.sendall(command(1) + p_data(1, 0, content(1)) + command(2))
        assert line.recv(1)[0] == 7  # A-ABORT
        until = time.monotonic() + 5
        while running._server.active_associations and time.monotonic() < until:
            time.sleep(0.02)
        assert not running._server.active_associations
        assert not kept(running)


def test_what_senders_send_goes_the_short_way(tmp_path: Path, phantom_files: list[Path], short: list[str]) -> None:
    with receiving(tmp_path) as (running, _):
        assert [one.state for one in scu.store(peer(running), phantom_files)] == ["sent"] * 3
        assert short == kept(running)


def test_who_takes_small_pdus_alone_is_answered_in_pieces(tmp_path: Path, short: list[str]) -> None:
    ae = AE("SCANNER")
    with receiving(tmp_path) as (running, _):
        association = ae.associate("127.0.0.1", running.port, [STORAGE], ae_title="HEXDICOM", max_pdu=64)
        assert association.send_c_store(instance()).Status == 0x0000
        association.release()
        assert len(kept(running)) == 1
    assert not short


def test_a_store_that_takes_long_is_no_silence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = Desk.receive

    def slowly(*arguments: Any) -> Any:
        time.sleep(1.2)
        return plain(*arguments)

    with (
        receiving(tmp_path, receiver={"network_timeout": 0.5}) as (running, _),
        associate(peer(running), [STORAGE]) as association,
        monkeypatch.context() as patched,
    ):
        patched.setattr(Desk, "receive", slowly)
        assert association.send_c_store(instance()).Status == 0x0000
        assert association.send_c_store(instance()).Status == 0x0000


def instance() -> Dataset:
    (ds,) = beating_heart(slices=1, phases=1, rows=16, columns=16)
    assert ds.SOPClassUID == MRImageStorage
    return ds
