"""Receiving without a network: what is kept, what a duplicate is, what a full disk answers, what a crash leaves."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hexdicom.errors import StoreError
from hexdicom_services.catalog import instances
from hexdicom_services.part10 import file_head, read_head
from hexdicom_services.recover import recover
from hexdicom_services.scp.desk import Delivery, Desk
from hexdicom_services.spool import Spool

from .conftest import EXPLICIT, Bench, encoded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydicom.dataset import Dataset
    from sqlalchemy import Connection


def files(bench: Bench) -> list[Path]:
    return sorted((bench.settings.spool / "received").rglob("*.dcm"))


def test_the_file_holds_the_bytes_as_they_came(bench: Bench, cine: list[Dataset]) -> None:
    assert bench.receive(cine[0]) == "new"
    (file,) = files(bench)
    head = read_head(file)
    assert file.read_bytes()[head.offset :] == encoded(cine[0])
    assert (head.sop_instance_uid, head.transfer_syntax_uid, head.source_ae_title) == (
        cine[0].SOPInstanceUID,
        EXPLICIT,
        "SCANNER",
    )
    assert bench.rows("select state, instances, generation from series") == [("RECEIVING", 1, 1)]


def test_the_same_again_changes_nothing(bench: Bench, cine: list[Dataset]) -> None:
    bench.receive(cine[0])
    assert bench.receive(cine[0]) == "duplicate"
    assert len(files(bench)) == 1
    assert bench.rows("select instances, generation from series") == [(1, 1)]


def test_the_same_again_repairs_a_file_that_was_lost(bench: Bench, cine: list[Dataset]) -> None:
    bench.receive(cine[0])
    files(bench)[0].unlink()
    assert bench.receive(cine[0]) == "duplicate"
    assert len(files(bench)) == 1


def test_other_content_under_the_same_uid_is_kept_beside_it(bench: Bench, cine: list[Dataset]) -> None:
    bench.receive(cine[0])
    cine[0].PatientComments = "corrected"
    assert bench.receive(cine[0]) == "version"
    assert len(files(bench)) == 2
    assert bench.rows("select version from instance order by id") == [(1,), (2,)]
    assert bench.value("select count(*) from event where name = 'instance.version'") == 1


def test_a_data_set_that_cannot_be_read_is_kept(bench: Bench) -> None:
    garbage = b"\xff" * 100
    assert bench.desk.receive(Delivery("1.2.840.10008.5.1.4.1.1.4", "1.2.3", EXPLICIT, "X", garbage)) == "new"
    (file,) = files(bench)
    assert file.read_bytes().endswith(garbage)
    assert bench.rows("select series_instance_uid, sop_instance_uid from instance") == [("", "1.2.3")]


def test_below_the_reserve_nothing_is_taken(bench: Bench, cine: list[Dataset]) -> None:
    desk = Desk(bench.catalog, Spool(bench.settings.spool, reserve_bytes=1 << 60), bench.clock)
    with pytest.raises(StoreError, match="reserve") as caught:
        desk.receive(Delivery("1.2", str(cine[0].SOPInstanceUID), EXPLICIT, "X", encoded(cine[0])))
    desk.close()
    assert caught.value.dimse_status == 0xA700
    assert not files(bench)


def test_a_catalog_that_fails_is_told_to_the_peer(bench: Bench, cine: list[Dataset]) -> None:
    with bench.catalog.write() as connection:
        connection.exec_driver_sql("alter table instance rename to gone")
    with pytest.raises(StoreError):
        bench.receive(cine[0])


def test_file_and_folder_are_flushed_before_there_is_a_row(
    bench: Bench, cine: list[Dataset], monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.receive(cine[0])  # makes the folder of the series
    (folder,) = {file.parent for file in files(bench)}
    order, flush, add = [], os.fsync, instances.add

    def flushed(descriptor: int) -> None:
        order.append(("flush", Path(f"/proc/self/fd/{descriptor}").readlink().parent.name, len(list(folder.iterdir()))))
        flush(descriptor)

    def added(connection: Connection, batch: Sequence[instances.Received]) -> list[instances.Outcome]:
        order.append(("row", batch[0].path, len(list(folder.iterdir()))))
        return add(connection, batch)

    monkeypatch.setattr(os, "fsync", flushed)
    monkeypatch.setattr(instances, "add", added)
    bench.receive(cine[1])
    (path,) = (
        str(file.relative_to(bench.settings.spool)) for file in files(bench) if cine[1].SOPInstanceUID in str(read_head(file))
    )
    assert order == [("flush", "incoming", 1), ("flush", "received", 2), ("row", path, 2)]


def test_a_file_without_a_row_is_adopted(bench: Bench, cine: list[Dataset]) -> None:
    for ds in cine:
        bench.receive(ds)
    with bench.catalog.write() as connection:
        connection.exec_driver_sql("delete from instance where id > 3")
        connection.exec_driver_sql("delete from series")
    assert recover(bench.settings, bench.catalog).adopted == len(cine) - 3
    assert bench.value("select count(*) from instance") == len(cine)
    assert recover(bench.settings, bench.catalog).adopted == 0


def test_a_leftover_gets_its_name_only_if_it_is_known_and_whole(bench: Bench, cine: list[Dataset]) -> None:
    for ds in cine[:3]:
        bench.receive(ds)
    whole, torn, _ = files(bench)
    incoming = bench.settings.spool / "incoming"
    whole.rename(incoming / f"{whole.stem}.0badf00d")
    (incoming / f"{torn.stem}.0badf00d").write_bytes(torn.read_bytes()[:-10])
    torn.unlink()
    (incoming / "never-acknowledged").write_bytes(b"x")
    assert recover(bench.settings, bench.catalog).renamed == 1
    assert whole.is_file()
    assert not torn.exists()
    assert not list(incoming.iterdir())


def test_a_head_is_read_back() -> None:
    head = file_head("1.2.840.10008.5.1.4.1.1.4", "1.2.3", EXPLICIT, "AET")
    assert head[128:132] == b"DICM"
    assert len(head) % 2 == 0
