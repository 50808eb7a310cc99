"""Instances of any size: large ones go to disk while they come, too large ones are refused, and no message has no end."""

from __future__ import annotations

import gc
import hashlib
import socket
import struct
import time
from typing import TYPE_CHECKING

import pytest

from hexdicom.dicom.phantom import beating_heart
from hexdicom_services import scu
from hexdicom_services.catalog.session import open_catalog
from hexdicom_services.part10 import read_head
from hexdicom_services.recover import recover
from hexdicom_services.scp.incoming import Limits, Spilled
from hexdicom_services.scu.association import associate
from hexdicom_services.spool import Spool

from .conftest import MR, STORAGE, peer, receiving

if TYPE_CHECKING:
    from pathlib import Path

    from pydicom.dataset import Dataset

    from hexdicom_services.scp.server import Receiver
    from hexdicom_services.settings import Settings


def large(mebibytes: int) -> Dataset:
    """An instance of about that size."""
    (ds,) = beating_heart(slices=1, phases=1, rows=16, columns=16)
    ds.add_new(0x00091001, "OB", bytes(range(256)) * (mebibytes << 12))  # before the UIDs of study and series
    return ds


def spooled(settings: Settings) -> list[Path]:
    return sorted(path for path in settings.spool.rglob("*") if path.is_file())


def test_a_large_instance_goes_through_a_file_byte_for_byte(tmp_path: Path) -> None:
    ds = large(20)
    ds.save_as(tmp_path / "large.dcm", enforce_file_format=True)
    sent = (tmp_path / "large.dcm").read_bytes()[read_head(tmp_path / "large.dcm").offset :]
    with receiving(tmp_path) as (running, settings):
        assert [one.state for one in scu.store(peer(running), [tmp_path / "large.dcm"])] == ["sent"]
        (file,) = spooled(settings)
        head = read_head(file)
        assert file.read_bytes()[head.offset :] == sent
        assert (head.sop_instance_uid, head.source_ae_title) == (ds.SOPInstanceUID, "SCANNER")
        assert file.stat().st_mode & 0o077 == 0
        with running._catalog.read() as connection:
            row = connection.exec_driver_sql("select series_instance_uid, sha256, size, path from instance").one()
        assert tuple(row[:3]) == (ds.SeriesInstanceUID, hashlib.sha256(sent).hexdigest(), len(sent))
        assert settings.spool / row.path == file


def test_one_that_is_too_large_is_refused_and_the_next_one_is_taken(tmp_path: Path) -> None:
    (small,) = beating_heart(slices=1, phases=1, rows=16, columns=16)
    with (
        receiving(tmp_path, receiver={"max_object_mb": 10}) as (running, settings),
        associate(peer(running), [STORAGE]) as association,
    ):
        for size in (20, 11):  # refused after it had gone to a file, and again
            answer = association.send_c_store(large(size))
            assert (answer.Status, answer.ErrorComment) == (0xA700, "Larger than the 10 MiB that are taken here.")
            assert not spooled(settings)
        assert association.send_c_store(small).Status == 0x0000
        assert len(spooled(settings)) == 1


def test_a_full_disk_is_told_to_the_sender_of_a_large_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with receiving(tmp_path) as (running, settings), associate(peer(running), [STORAGE]) as association:

        def full(*_: object) -> int:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patched:
            patched.setattr("hexdicom_services.scp.incoming.os.pwrite", full)
            answer = association.send_c_store(large(12))
        assert answer.Status == 0xA700
        assert "No space left" in answer.ErrorComment
        assert association.send_c_store(large(12)).Status == 0x0000
        assert len(spooled(settings)) == 1


def test_what_breaks_off_leaves_nothing(tmp_path: Path) -> None:
    with receiving(tmp_path) as (running, settings):
        line = associated(running)
        command = store_command()
        line.sendall(p_data(1, 3, command))
        for _ in range(100):
            line.sendall(p_data(1, 0, bytes(100_000)))
        until = time.monotonic() + 5
        while not spooled(settings) and time.monotonic() < until:
            time.sleep(0.02)
        assert [path.name.partition(".")[0] for path in spooled(settings)] == ["large"]
        line.close()
        while spooled(settings) and time.monotonic() < until + 10:
            gc.collect()
            time.sleep(0.05)
        assert not spooled(settings)


@pytest.mark.parametrize("kind", ["command", "identifier", "impatient"])
def test_a_message_without_end_ends_the_association(tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    with receiving(tmp_path) as (running, _):
        line = associated(running)
        find = command_set(
            {0x0002: b"1.2.840.10008.5.1.4.1.2.2.1\0", 0x0100: b"\x20\0", 0x0110: b"\1\0", 0x0700: b"\0\0", 0x0800: b"\1\0"}
        )

        def flood() -> None:
            for number in range(3000):
                if kind == "command":
                    line.sendall(p_data(1, 1, bytes(100_000)))
                elif kind == "identifier":
                    line.sendall(p_data(1, 3, find) if number == 0 else p_data(1, 0, bytes(100_000)))
                else:
                    echo = {0x0002: b"1.2.840.10008.1.1\0", 0x0100: b"\x30\0", 0x0110: struct.pack("<H", number), 0x0800: b"\1\1"}
                    line.sendall(p_data(1, 3, command_set(echo)) * 50)

        with pytest.raises(ConnectionError):  # A-ABORT and the end come long before all is sent
            flood()
        line.close()
        assert scu.echo(peer(running)) < 5
    said = [record.message for record in caplog.records if getattr(record, "event", "") == "connection.closed"]
    assert said
    assert said[0].startswith("a connection of 127.0.0.1 was closed")


def test_a_crash_between_file_and_name_loses_nothing(tmp_path: Path) -> None:
    """The name by which a large file is found again is durable before its row can be."""
    with receiving(tmp_path) as (running, settings):
        large(12).save_as(tmp_path / "large.dcm", enforce_file_format=True)
        scu.store(peer(running), [tmp_path / "large.dcm"])
        (file,) = spooled(settings)
    spool = Spool(settings.spool)
    limits = Limits(spool.incoming)
    again = Spilled(limits, spool.incoming, file.read_bytes())
    target = str(file.relative_to(settings.spool))
    file.unlink()

    def crash(folder: Path) -> None:
        raise KeyboardInterrupt

    spool._folders.add(file.parent)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("hexdicom_services.spool.sync_folder", crash)
        with pytest.raises(KeyboardInterrupt):
            spool.take(target, again.path, again.handle)
    assert not file.exists()
    catalog = open_catalog(settings.database)
    assert recover(settings, catalog).renamed == 1
    catalog.close()
    assert file.is_file()


def test_who_else_receives_in_this_process_gets_large_ones_whole(tmp_path: Path, free_port: int) -> None:
    """The node's way with large data sets is its own: an inbox beside it has never heard of it, and would write an empty file."""
    ds = large(9)
    sent = tmp_path / "sent.dcm"
    ds.save_as(sent, enforce_file_format=True)
    with receiving(tmp_path, peers={"us": f"BACK@127.0.0.1:{free_port}"}) as (running, _):
        assert [one.state for one in scu.store(peer(running), [sent])] == ["sent"]
        (got,) = scu.get(peer(running), [ds], tmp_path / "got")
        (moved,) = scu.get_by_move(peer(running), [ds], tmp_path / "moved", scu.Destination("BACK", "127.0.0.1", free_port))
    for one in (got, moved):
        assert one.path.read_bytes()[read_head(one.path).offset :] == sent.read_bytes()[read_head(sent).offset :]


def associated(running: Receiver) -> socket.socket:
    """A line on which an association has been accepted, for messages that no library would send."""
    line = socket.create_connection(("127.0.0.1", running.port))
    line.settimeout(10)
    uids = {1: "1.2.840.10008.1.1"}
    items = item(0x10, b"1.2.840.10008.3.1.1.1")
    for number, uid in uids.items():
        syntaxes = item(0x30, uid.encode()) + item(0x40, b"1.2.840.10008.1.2")
        items += item(0x20, bytes((number, 0, 0, 0)) + syntaxes)
    items += item(0x50, item(0x51, struct.pack(">I", 16384)) + item(0x52, b"1.2.3"))
    request = struct.pack(">HH16s16s32x", 1, 0, b"HEXDICOM".ljust(16), b"SCANNER".ljust(16)) + items
    line.sendall(struct.pack(">BxI", 1, len(request)) + request)
    answer = line.recv(6)
    assert answer[0] == 2, "the association was not accepted"
    (length,) = struct.unpack(">I", answer[2:])
    while length:
        length -= len(line.recv(length))
    until = time.monotonic() + 10  # the peer hears of it a moment before the association knows
    while not any(one.is_established for one in running._server.active_associations):
        assert time.monotonic() < until
        time.sleep(0.001)
    return line


def item(kind: int, value: bytes) -> bytes:
    return struct.pack(">BxH", kind, len(value)) + value


def p_data(context: int, control: int, data: bytes) -> bytes:
    """A P-DATA-TF PDU of one value (PS3.8 section 9.3.5); control: 1 command, 2 last."""
    value = struct.pack(">IBB", len(data) + 2, context, control) + data
    return struct.pack(">BxI", 4, len(value)) + value


def command_set(elements: dict[int, bytes]) -> bytes:
    """Elements of group 0000, implicit VR little endian (PS3.7 section 6.3.1)."""
    return b"".join(struct.pack("<HHI", 0, number, len(value)) + value for number, value in sorted(elements.items()))


def store_command() -> bytes:
    requested = {0x0002: MR.encode() + b"\0", 0x1000: b"1.2.3.4\0"}
    return command_set({**requested, 0x0100: b"\1\0", 0x0110: b"\1\0", 0x0700: b"\0\0", 0x0800: b"\1\0"})
