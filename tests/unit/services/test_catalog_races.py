"""Several processes and one catalog, on SQLite and on PostgreSQL: each instance once, each job with one worker."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from hexdicom.errors import ConfigError
from hexdicom_services.catalog import instances, ledger, ownership, series_rows
from hexdicom_services.catalog.session import open_catalog
from hexdicom_services.database import Database
from hexdicom_services.sections import CatalogSection

from .conftest import EXPLICIT

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Bench

ONE = instances.Received("1.2.3", "1.2", EXPLICIT, "1.5", "1.6", "a" * 64, 100, "received/x", 1.0, "SCANNER")


def add_by_many(bench: Bench, batches: list[list[instances.Received]]) -> list[list[str]]:
    """Each batch in a transaction of a catalog of its own, all at once: as several receivers do it."""

    def add(batch: list[instances.Received]) -> list[str]:
        catalog = open_catalog(bench.settings.database)
        try:
            with catalog.write() as connection:
                return list(instances.add(connection, batch))
        finally:
            catalog.close()

    with ThreadPoolExecutor(len(batches)) as pool:
        return list(pool.map(add, batches))


def test_the_same_instance_by_many_at_once_is_there_once(bench: Bench) -> None:
    outcomes = add_by_many(bench, [[ONE]] * 8)
    assert sorted(outcome for (outcome,) in outcomes) == ["duplicate"] * 7 + ["new"]
    assert bench.rows("select instances, generation from series") == [(1, 1)]


def test_other_contents_of_one_instance_by_many_at_once_are_numbered(bench: Bench) -> None:
    add_by_many(bench, [[replace(ONE, sha256=str(number) * 64, path=f"received/{number}")] for number in range(8)])
    assert bench.rows("select version from instance order by version") == [(number,) for number in range(1, 9)]
    assert bench.rows("select instances, bytes, generation from series") == [(8, 800, 8)]


def test_crossing_batches_do_not_wait_for_each_other_for_ever(bench: Bench) -> None:
    some = [replace(ONE, sop_instance_uid=f"1.2.{number}", series_instance_uid=f"1.6.{number % 3}") for number in range(30)]
    add_by_many(bench, [some, some[::-1], some[15:] + some[:15]])
    assert bench.value("select count(*) from instance") == 30
    assert bench.value("select sum(instances) from series") == 30


def test_each_job_goes_to_one_worker(bench: Bench) -> None:
    with bench.catalog.write() as connection:
        for number in range(12):
            uid = f"1.6.{number}"
            instances.add(connection, [replace(ONE, sop_instance_uid=uid, series_instance_uid=uid)])
            row = series_rows.get(connection, uid)
            assert row is not None
            series_rows.close(connection, row, 2.0, "test")

    def take(name: str) -> list[int]:
        taken = []
        catalog = open_catalog(bench.settings.database)
        while True:
            with catalog.write() as connection:
                job = ledger.claim(connection, name, 3.0, 60)
            if job is None:
                catalog.close()
                return taken
            taken.append(job.id)

    with ThreadPoolExecutor(4) as pool:
        taken = [job for jobs in pool.map(take, "abcd") for job in jobs]
    assert len(taken) == len(set(taken)) == 12


def test_text_that_a_peer_made_up_is_kept(bench: Bench) -> None:
    """PostgreSQL has no NUL in text: one value of that kind must not make the batch of everybody fail."""
    odd = replace(ONE, sop_instance_uid="1.2\0.3", calling_ae_title="A\0%s:x", series_instance_uid="1.6\0")
    with bench.catalog.write() as connection:
        assert instances.add(connection, [odd, ONE]) == ["new", "new"]
    with bench.catalog.write() as connection:
        assert instances.add(connection, [odd, ONE]) == ["duplicate", "duplicate"]
    assert bench.value("select count(*) from series") == 2


def test_a_catalog_belongs_to_one_node(bench: Bench, tmp_path: Path) -> None:
    ownership.claim(bench.catalog, bench.settings.state)
    ownership.claim(bench.catalog, bench.settings.state)
    other = tmp_path / "other"
    other.mkdir()
    with pytest.raises(ConfigError, match="another node"):
        ownership.claim(bench.catalog, other)


def test_a_catalog_of_another_version_is_not_touched(bench: Bench) -> None:
    with bench.catalog.write() as connection:
        connection.exec_driver_sql("update meta set value = '99' where key = 'schema'")
    with pytest.raises(ConfigError, match="99"):
        open_catalog(bench.settings.database)


@pytest.mark.parametrize(
    "url", ["postgresql+psycopg://u:hush@h/db", "postgresql+psycopg://u@h/db?password=hush", "mysql://u@h/hush", "//[hush"]
)
def test_a_url_with_a_password_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(ConfigError) as refused:
        Database(url=url)
    assert "hush" not in str(refused.value)
    with pytest.raises(ValueError, match="catalog") as invalid:
        CatalogSection(url=url)
    assert all("hush" not in one["msg"] for one in invalid.value.errors())  # type: ignore[attr-defined]


def test_a_password_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    pytest.importorskip("psycopg")
    with pytest.raises(ConfigError, match="password file"):
        open_catalog(Database(url="postgresql+psycopg://u@127.0.0.1:9/db", password_file=tmp_path / "missing"))
