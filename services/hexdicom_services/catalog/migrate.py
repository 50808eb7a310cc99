"""Bringing a catalog that an earlier version wrote to the schema of this one, in one transaction, with a copy kept beside it.

A schema only ever grows: tables, indexes, and columns that may be empty or have a default. So a migration is the difference
between the tables that are there and the metadata; nothing is written down twice.
"""

from __future__ import annotations

import logging
import os
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine, inspect, select, update
from sqlalchemy.schema import CreateColumn

from hexdicom import durable
from hexdicom.errors import ConfigError, StoreError
from hexdicom_services.catalog.models import SCHEMA_VERSION, meta, metadata

if TYPE_CHECKING:
    from pathlib import Path

log = logging.getLogger(__name__)


def schema_of(connection: Connection) -> int:
    """The version of the schema that is there; 0 where there are no tables, -1 where they do not say."""
    if not inspect(connection).has_table("meta"):
        return 0
    found = connection.scalar(select(meta.c.value).where(meta.c.key == "schema")) or ""
    return int(found) if found.isdigit() else -1


def migrate(engine: Engine, connection: Connection, file: Path | None) -> None:
    """Inside one writing transaction: all of it, or nothing. Raises ConfigError where the catalog is of a later version.

    file: of an SQLite catalog, which is copied to <file>.schema-<version> before; None for a server, whose administrator has
    backups.
    """
    found = schema_of(connection)
    if found == SCHEMA_VERSION:  # another process was faster
        return
    if not 1 <= found < SCHEMA_VERSION:
        name = file or engine.url.render_as_string()
        raise ConfigError(
            f"The catalog {name} has schema {found if found > 0 else '(unknown)'}, this hexdicom knows {SCHEMA_VERSION}.",
            hint="Use the hexdicom that wrote it, or a later one.",
        )
    if file is not None:
        _keep_copy(file, found)
    grow(connection)
    connection.execute(update(meta).where(meta.c.key == "schema").values(value=str(SCHEMA_VERSION)))
    extra = {"event": "catalog.migrated"}
    log.warning("the catalog was brought from schema %d to %d", found, SCHEMA_VERSION, extra=extra)


def grow(connection: Connection) -> None:
    """Adds every table, column and index of the metadata that is not there."""
    there = inspect(connection)
    tables = set(there.get_table_names())
    metadata.create_all(connection)  # only what is missing
    quote = connection.dialect.identifier_preparer.quote
    for table in metadata.sorted_tables:
        if table.name not in tables:
            continue
        columns = {column["name"] for column in there.get_columns(table.name)}
        for column in table.columns:
            if column.name not in columns:
                definition = CreateColumn(column).compile(dialect=connection.dialect)
                connection.exec_driver_sql(f"ALTER TABLE {quote(table.name)} ADD COLUMN {definition}")
        indexes = {index["name"] for index in there.get_indexes(table.name)}
        for index in table.indexes:
            if index.name not in indexes:
                index.create(connection)


def _keep_copy(file: Path, version: int) -> None:
    """A consistent copy: the transaction that is open already keeps every other writer out. Raises StoreError."""
    copy = file.with_name(f"{file.name}.schema-{version}")
    partial = copy.with_name(f"{copy.name}.partial")
    try:
        partial.unlink(missing_ok=True)
        partial.touch(0o600)  # it names patients
        with closing(sqlite3.connect(file)) as source, closing(sqlite3.connect(partial)) as target:
            source.backup(target)
        with partial.open("rb+") as written:
            os.fsync(written.fileno())
        partial.replace(copy)
        durable.sync_folder(copy.parent)
    except (OSError, sqlite3.Error) as error:
        raise StoreError(f"The catalog cannot be copied before it is changed: {error}.", hint="Is the disk full?") from error
