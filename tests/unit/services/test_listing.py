"""Received instances become findable, each once, whichever way they come and whatever becomes of their files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hexdicom_services.catalog import found, listings
from hexdicom_services.catalog.found import RECEIVED
from hexdicom_services.catalog.listings import Listed
from hexdicom_services.jobs.listing import list_all, list_some

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

    from .conftest import Bench


def test_while_instances_arrive_only_a_few_are_listed(bench: Bench, cine: list[Dataset]) -> None:
    for ds in cine:
        bench.receive(ds)
    spool = bench.settings.spool
    assert list_some(bench.catalog, spool, bench.clock()) == 5
    assert list_some(bench.catalog, spool, bench.clock() + 2) == len(cine) - 5
    assert list_some(bench.catalog, spool, bench.clock() + 2) == 0
    assert bench.value("select count(*) from listing where current = 1 and modality = 'MR'") == len(cine)


def test_a_query_lists_what_it_is_about_and_nothing_else(bench: Bench, cine: list[Dataset]) -> None:
    other = cine.pop()
    other.SeriesInstanceUID += ".1"
    for ds in (*cine, other):
        bench.receive(ds)
    list_all(bench.catalog, bench.settings.spool, {"SeriesInstanceUID": str(other.SeriesInstanceUID)})
    assert bench.rows("select sop_instance_uid from listing") == [(str(other.SOPInstanceUID),)]
    list_all(bench.catalog, bench.settings.spool, {})
    assert bench.value("select count(*) from listing") == len(cine) + 1
    assert bench.value("select count(*) from instance where listed = 0") == 0


def test_the_newest_version_is_found_in_whatever_order_they_are_listed(bench: Bench, cine: list[Dataset]) -> None:
    ds = cine[0]
    bench.receive(ds)
    ds.PatientComments = "another content"
    bench.receive(ds)
    with bench.catalog.read() as connection:
        first, second = listings.unlisted(connection, 10)
    for one in (second, first):
        with bench.catalog.write() as connection:
            listings.add(connection, [Listed(one, {}, {})])
    assert bench.rows("select id, current from listing order by id") == [(first.id, 0), (second.id, 1)]
    with bench.catalog.read() as connection:
        (item,) = found.sendable(connection, RECEIVED, {"SOPInstanceUID": str(ds.SOPInstanceUID)})
    assert item.path == second.path


def test_an_instance_whose_file_is_gone_is_found_by_its_uids(bench: Bench, cine: list[Dataset]) -> None:
    bench.receive(cine[0])
    (path,) = bench.settings.spool.rglob("*.dcm")
    path.unlink()
    list_all(bench.catalog, bench.settings.spool, {})
    with bench.catalog.read() as connection:
        (one,) = found.find(connection, RECEIVED, "IMAGE", {"SeriesInstanceUID": str(cine[0].SeriesInstanceUID)})
    assert one.uid == cine[0].SOPInstanceUID
