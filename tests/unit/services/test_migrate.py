"""A catalog of every schema that was ever written opens, with everything that was in it; one of a later schema does not."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import inspect

from hexdicom.errors import ConfigError, StoreError
from hexdicom_services.catalog import migrate, series_rows
from hexdicom_services.catalog.models import SCHEMA_VERSION, metadata
from hexdicom_services.catalog.session import open_catalog
from hexdicom_services.database import Database

FROZEN = Path(__file__).with_name("schema_1.sql")


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A catalog of schema 1."""
    file = tmp_path / "catalog.sqlite"
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript(FROZEN.read_text())
    return file


def dump(file: Path) -> list[str]:
    with closing(sqlite3.connect(file)) as connection:
        return list(connection.iterdump())


def shape(file: Path) -> dict[str, set[str]]:
    """Columns and indexes of every table."""
    catalog = open_catalog(Database(file=file))
    try:
        with catalog.read() as connection:
            there = inspect(connection)
            return {
                name: {column["name"] for column in there.get_columns(name)} | {str(i["name"]) for i in there.get_indexes(name)}
                for name in there.get_table_names()
            }
    finally:
        catalog.close()


def test_schema_1_becomes_that_of_a_fresh_catalog_and_loses_nothing(old: Path, tmp_path: Path) -> None:
    before = dump(old)
    assert shape(old) == shape(tmp_path / "fresh.sqlite")
    catalog = open_catalog(Database(file=old))
    with catalog.read() as connection:
        row = series_rows.get(connection, "1.2.3.9")
        released = connection.exec_driver_sql("select sop_instance_uid, released_at, lost_at from instance").all()
        committed = connection.exec_driver_sql("select state, committed_at, commitment from delivery").all()
        version = connection.exec_driver_sql("select value from meta where key = 'schema'").scalar()
    catalog.close()
    assert row is not None
    assert (row.state, row.instances) == ("ARCHIVED", 1)
    assert [tuple(one) for one in released] == [("1.2.3.1", 0, 0)]
    assert [tuple(one) for one in committed] == [("VERIFIED", 0, "")]
    assert version == str(SCHEMA_VERSION)
    copy = old.with_name("catalog.sqlite.schema-1")
    assert dump(copy) == before
    assert copy.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("step", ["_keep_copy", "grow"])
def test_a_migration_that_is_killed_changed_nothing_and_is_done_again(old: Path, step: str) -> None:
    before = dump(old)

    def run() -> None:
        real = getattr(migrate, step)

        def fatal(*arguments: object) -> None:
            real(*arguments)
            os.kill(os.getpid(), signal.SIGKILL)

        setattr(migrate, step, fatal)
        open_catalog(Database(file=old))

    process = multiprocessing.get_context("fork").Process(target=run)
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    assert dump(old) == before
    open_catalog(Database(file=old)).close()
    assert dump(old.with_name("catalog.sqlite.schema-1")) == before


def test_a_copy_that_cannot_be_made_stops_the_migration(old: Path) -> None:
    before = dump(old)
    old.with_name("catalog.sqlite.schema-1.partial").mkdir()
    with pytest.raises(StoreError, match="cannot be copied"):
        open_catalog(Database(file=old))
    assert dump(old) == before


@pytest.mark.parametrize("said", [str(SCHEMA_VERSION + 1), "new", ""])
def test_another_schema_is_refused_and_left_alone(old: Path, said: str) -> None:
    with closing(sqlite3.connect(old)) as connection:
        connection.execute("update meta set value = ?", (said,))
        connection.commit()
    before = dump(old)
    with pytest.raises(ConfigError, match="schema"):
        open_catalog(Database(file=old))
    assert dump(old) == before


def test_the_schema_only_grows_by_what_an_old_row_can_do_without(old: Path) -> None:
    with closing(sqlite3.connect(old)) as connection:
        for table in metadata.sorted_tables:
            there = {row[1] for row in connection.execute(f"pragma table_info({table.name})")}
            added = [column for column in table.columns if there and column.name not in there]
            assert all(column.nullable or column.server_default is not None for column in added), table.name
