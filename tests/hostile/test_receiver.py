"""Peers that send anything: the receiver process lives, answers C-ECHO after each, keeps no thread, and logs no traceback."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from hexdicom.dicom.phantom import beating_heart
from hexdicom_services import scu
from hexdicom_services.elements import identify
from hexdicom_services.listening import listen
from hexdicom_services.peer import Peer
from hexdicom_services.sections import LoggingSection, NodeSection, ReceiverSection
from hexdicom_services.settings import Settings
from hexdicom_services.supervisor import Supervised

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MR, IMPLICIT, EXPLICIT = b"1.2.840.10008.5.1.4.1.1.4", b"1.2.840.10008.1.2", b"1.2.840.10008.1.2.1"
FIND, GET, VERIFICATION = b"1.2.840.10008.5.1.4.1.2.2.1", b"1.2.840.10008.5.1.4.1.2.2.3", b"1.2.840.10008.1.1"
CONTEXTS = {1: MR, 3: FIND, 5: GET, 7: VERIFICATION}
RELEASE, RELEASED = (struct.pack(">BxI", kind, 4) + bytes(4) for kind in (5, 6))
_SELDOM = 10  # examples of the long tests between two associations that must be answered
QUICK = settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
LONG = settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])


@dataclass
class Target:
    """A receiver in a process of its own."""

    process: Supervised
    port: int
    log: Path
    recent: deque[Any] = field(default_factory=lambda: deque(maxlen=_SELDOM))
    sent: int = 0
    culprits: str = ""

    def count_threads(self) -> int:
        assert self.process.process is not None
        return len(os.listdir(f"/proc/{self.process.process.pid}/task"))  # noqa: PTH208 - threads come and go while one looks

    def check(self) -> None:
        """It is there, and answers."""
        assert self.process.process is not None
        assert self.process.process.poll() is None, self.log.read_text()[-3000:]
        assert scu.echo(Peer("HEXDICOM", "127.0.0.1", self.port)) < 10

    def check_now_and_then(self, example: Any) -> None:
        """The process lives; and after every few examples it answers. A failure names all that may have brought it about.

        What comes after the first failure, as when hypothesis looks for a smaller example, finds a process that is dead
        already: it repeats what was said first.
        """
        assert not self.culprits, self.culprits
        assert self.process.process is not None
        self.recent.append(example)
        self.sent += 1
        try:
            assert self.process.process.poll() is None, self.log.read_text()[-3000:]
            if self.sent % _SELDOM == 0:
                self.check()
        except Exception as error:
            self.culprits = f"{error}\nIt was one of these, or all together:\n" + "\n".join(map(repr, self.recent))
            raise AssertionError(self.culprits) from error

    def check_left(self, threads: int) -> None:
        """After all of the tests that this process ran: no thread of a connection lives on, and none ended by an error."""
        until = time.monotonic() + 30
        while self.count_threads() > threads + 1 and time.monotonic() < until:
            time.sleep(0.2)
        assert self.count_threads() <= threads + 1
        log = self.log.read_text(errors="replace")
        assert "Exception in thread" not in log, log[log.index("Exception in thread") :][:3000]

    def send(self, *pieces: bytes, patience: float = 0.0) -> bytes:
        """Everything on one connection, which is then closed; what came back in that many seconds, up to a release."""
        got = b""
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as line, contextlib.suppress(OSError):
            line.settimeout(patience or 2.0)
            for number, piece in enumerate(pieces):
                line.sendall(piece)
                if number == 0 and len(pieces) > 1:
                    got += line.recv(65536)  # the answer to an association request
            if patience:
                while not got.endswith(RELEASED) and (data := line.recv(65536)):
                    got += data
        return got


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    folder = tmp_path_factory.mktemp("target")
    configured = Settings(
        node=NodeSection(port=0, state_dir=folder / "state"),
        receiver=ReceiverSection(disk_reserve_mb=0, request_timeout=2.0, network_timeout=3.0, max_object_mb=4, max_pending=200),
        logging=LoggingSection(format="text", pynetdicom="error"),
    )
    process, log = Supervised("hexdicom_services.scp.server", "receiver", speaks=True), folder / "receiver.log"
    listener = listen("127.0.0.1", 0)
    process.socket = listener.fileno()
    kept = os.dup(2)
    with log.open("wb") as out:
        os.dup2(out.fileno(), 2)  # the child writes its log to our stderr
        try:
            said = process.start(configured)
        finally:
            os.dup2(kept, 2)
            os.close(kept)
    found = Target(process, said["port"], log)
    found.check()
    threads = found.count_threads()
    yield found
    try:
        found.check()  # after the last examples of each test too
        found.check_left(threads)
    finally:
        process.stop()
        process.wait(20)
        listener.close()


def item(kind: int, value: bytes) -> bytes:
    return struct.pack(">BxH", kind, len(value) & 0xFFFF) + value


def request() -> bytes:
    """An A-ASSOCIATE-RQ PDU for CONTEXTS (PS3.8 section 9.3.2)."""
    items = item(0x10, b"1.2.840.10008.3.1.1.1")
    for number, uid in CONTEXTS.items():
        items += item(0x20, bytes((number, 0, 0, 0)) + item(0x30, uid) + item(0x40, EXPLICIT if uid == MR else IMPLICIT))
    items += item(0x50, item(0x51, struct.pack(">I", 16384)) + item(0x52, b"1.2.3") + item(0x55, b"FUZZ"))
    body = struct.pack(">HH16s16s32x", 1, 0, b"HEXDICOM".ljust(16), b"FUZZER".ljust(16)) + items
    return struct.pack(">BxI", 1, len(body)) + body


def p_data(context: int, control: int, data: bytes) -> bytes:
    value = struct.pack(">IBB", len(data) + 2, context, control) + data
    return struct.pack(">BxI", 4, len(value)) + value


def command(elements: dict[int, bytes]) -> bytes:
    return b"".join(struct.pack("<HHI", 0, number, len(value)) + value for number, value in sorted(elements.items()))


def store(uid: bytes = b"1.2.3.4\0") -> dict[int, bytes]:
    numbers = {0x0100: b"\1\0", 0x0110: b"\1\0", 0x0700: b"\0\0", 0x0800: b"\1\0"}
    return {**numbers, 0x0002: MR + b"\0" * (len(MR) % 2), 0x1000: uid}


def encoded() -> bytes:
    (ds,) = beating_heart(slices=1, phases=1, rows=16, columns=16)
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, False
    write_dataset(buffer, ds)
    return buffer.getvalue()


REQUEST, DATA_SET = request(), encoded()
changes = st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=6)
cuts = st.one_of(st.none(), st.floats(0, 1))


def damaged(data: bytes, where: list[tuple[float, int]], cut: float | None) -> bytes:
    changed = bytearray(data)
    for place, value in where:
        changed[int(place * len(changed))] = value
    return bytes(changed if cut is None else changed[: int(cut * len(changed))])


elements = st.dictionaries(
    st.sampled_from(
        [0x0000, 0x0001, 0x0002, 0x0003, 0x0100, 0x0110, 0x0120, 0x0600, 0x0700, 0x0800, 0x0900, 0x0902, 0x1000, 0x1001, 0x1030]
    ),
    st.one_of(st.binary(max_size=40), st.integers(0, 0xFFFF).map(lambda n: struct.pack("<H", n)), st.just(MR), st.just(b"9" * 70)),
    max_size=8,
)
known_commands = st.sampled_from(
    [0x0001, 0x8001, 0x0010, 0x0020, 0x8020, 0x0021, 0x0030, 0x0FFF, 0x0100, 0x0110, 0x0120, 0x0130, 0x0140, 0x0150]
)
pdus = st.one_of(
    st.builds(p_data, st.integers(0, 255), st.integers(0, 255), st.binary(max_size=300)),
    st.builds(
        lambda context, field, more, last: p_data(context, last, command({**store(), 0x0100: struct.pack("<H", field), **more})),
        st.sampled_from([1, 3, 5, 7, 9]), known_commands, elements, st.sampled_from([1, 3]),
    ),
    st.builds(lambda where, cut: p_data(1, 2, damaged(DATA_SET, where, cut)), changes, cuts),
    st.builds(lambda kind, body: struct.pack(">BxI", kind, len(body)) + body, st.integers(0, 255), st.binary(max_size=60)),
    st.builds(lambda kind, length: struct.pack(">BxI", kind, length), st.integers(0, 8), st.integers(0, 2**32 - 1)),
    st.sampled_from([RELEASE, struct.pack(">BxI", 7, 4) + bytes(4), struct.pack(">BxI", 4, 0), REQUEST]),
)  # fmt: skip


def check_any_bytes(target: Target, data: bytes) -> None:
    target.send(data)
    target.check()


def send_request(target: Target, where: list[tuple[float, int]], cut: float | None) -> bytes:
    asked = damaged(REQUEST, where, cut)
    target.send(asked, patience=0.1)
    return asked


def send_messages(target: Target, sent: list[bytes]) -> None:
    target.send(REQUEST, b"".join(sent), patience=0.1)


def check_data_sets(target: Target, where: list[tuple[float, int]], cut: float | None, serial: int) -> None:
    data = damaged(DATA_SET, where, cut)
    uid = f"1.2.{serial}".encode()
    asked = p_data(1, 3, command(store(uid + b"\0" * (len(uid) % 2)))) + p_data(1, 2, data)
    got = target.send(REQUEST, asked + RELEASE, patience=20)
    assert struct.pack("<HHIH", 0, 0x0900, 2, 0) in got  # whatever it is: it is kept, and 0x0000 says so
    target.check()


@QUICK
@given(st.binary(max_size=400))
def test_any_bytes(target: Target, data: bytes) -> None:
    check_any_bytes(target, data)


@QUICK
@given(changes, cuts)
def test_damaged_association_requests(target: Target, where: list[tuple[float, int]], cut: float | None) -> None:
    send_request(target, where, cut)
    target.check()


@QUICK
@given(st.lists(pdus, min_size=1, max_size=5))
def test_messages_that_are_none(target: Target, sent: list[bytes]) -> None:
    send_messages(target, sent)
    target.check()


@QUICK
@given(changes, cuts, st.integers(1, 10**9))
def test_damaged_data_sets_are_kept(target: Target, where: list[tuple[float, int]], cut: float | None, serial: int) -> None:
    check_data_sets(target, where, cut, serial)


@settings(deadline=None, max_examples=500)
@given(changes, cuts, st.sampled_from([EXPLICIT, IMPLICIT, b"1.2.840.10008.1.2.2", b"1.2.840.10008.1.2.1.99"]))
def test_identifying_never_raises(where: list[tuple[float, int]], cut: float | None, syntax: bytes) -> None:
    found = identify(damaged(DATA_SET, where, cut), syntax.decode())
    assert all(len(text) <= 128 for text in (found.sop_instance_uid, found.study_instance_uid, found.series_instance_uid))


@pytest.mark.slow
@LONG
@given(st.lists(pdus, min_size=1, max_size=8))
def test_messages_that_are_none_for_long(target: Target, sent: list[bytes]) -> None:
    send_messages(target, sent)
    target.check_now_and_then(sent)


@pytest.mark.slow
@LONG
@given(changes, cuts)
def test_damaged_association_requests_for_long(target: Target, where: list[tuple[float, int]], cut: float | None) -> None:
    target.check_now_and_then(send_request(target, where, cut))


def test_a_hostile_connection_is_named_in_the_log(target: Target) -> None:
    said, until = "a connection of 127.0.0.1 was closed: it announced a PDU of 4294967295 bytes", time.monotonic() + 30
    target.send(struct.pack(">BxI", 1, 2**32 - 1) + b"more than anybody sends")
    while said not in target.log.read_text(errors="replace") and time.monotonic() < until:
        time.sleep(0.1)
    assert said in target.log.read_text(errors="replace")
    target.check()
