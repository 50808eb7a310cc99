"""The connection of one process to the catalog: one engine per process, short transactions, one that writes at a time.

Everything that changes the catalog reads first and then decides, so writers follow one another, on every database: SQLite by
BEGIN IMMEDIATE, PostgreSQL by an advisory lock that the transaction takes at its start (catalog/postgres.py).

SQLite: write-ahead log with synchronous FULL, so that a commit survives a power cut. The one exception is `Writer`.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import Connection, Engine, create_engine, event, insert, inspect
from sqlalchemy.exc import DBAPIError

from hexdicom.durable import sync_folder
from hexdicom.errors import ConfigError, NotFound, StoreError
from hexdicom_services.catalog import postgres
from hexdicom_services.catalog.migrate import migrate, schema_of
from hexdicom_services.catalog.models import SCHEMA_VERSION, meta, metadata

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator
    from pathlib import Path

    from hexdicom_services.database import Database

_BUSY_SECONDS = 30.0


class Catalog:
    """An open catalog. `write` and `read` give a connection inside one transaction."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that may change rows; it is durable when this returns. Raises StoreError."""
        with self._transaction(write=True) as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that sees one state of the catalog. Raises StoreError."""
        with self._transaction(write=False) as connection:
            yield connection

    def writer(self) -> Writer:
        """For what writes all the time, and may be taken back by a power cut."""
        return Writer(self, self._engine)

    @contextmanager
    def _transaction(self, *, write: bool) -> Iterator[Connection]:
        with self.translated(), self._engine.connect().execution_options(hexdicom_write=write) as connection, connection.begin():
            yield connection

    @contextmanager
    def translated(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            hint = "Is the disk full?" if self._engine.dialect.name == "sqlite" else "Does PostgreSQL run?"
            raise StoreError(f"The catalog failed: {_first_line(error)}.", hint=hint) from error

    def close(self) -> None:
        self._engine.dispose()


class Writer:
    """`Catalog.write` for rows that can be made again from files: a commit survives the end of its process, not a power cut.

    A power cut takes the newest of these transactions back, never one that a transaction of `Catalog.write` has followed: that
    one flushes the log up to itself. On SQLite alone, which goes down with its machine, so that the next start makes up for it
    (recover.py); a PostgreSQL may restart without the node. For one thread at a time; its connection is kept.
    """

    def __init__(self, catalog: Catalog, engine: Engine) -> None:
        self._catalog, self._engine = catalog, engine
        self._kept: Connection | None = None

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """As `Catalog.write`, but for what a power cut leaves of it."""
        if self._engine.dialect.name != "sqlite":
            with self._catalog.write() as connection:
                yield connection
            return
        with self._catalog.translated():
            connection, self._kept = self._kept or self._connect(), None
            try:
                with connection.begin():
                    yield connection
            except BaseException:  # whatever state it is in, the next transaction begins with another one
                connection.close()  # really, since no pool has it: it may still hold the right to write
                raise
            self._kept = connection

    def _connect(self) -> Connection:
        connection = self._engine.connect().execution_options(hexdicom_write=True)
        connection.detach()  # it never goes back to those that flush
        cast("sqlite3.Connection", connection.connection.dbapi_connection).execute("PRAGMA synchronous=NORMAL").close()
        return connection

    def close(self) -> None:
        if self._kept is not None:
            self._kept.close()


def open_catalog(database: Database) -> Catalog:
    """The catalog of that database; made where there is none, migrated where it is of an earlier version.

    Raises ConfigError, StoreError.
    """
    engine = _sqlite(database.file) if database.file is not None else postgres.engine(database)
    catalog = Catalog(engine)
    try:
        with catalog.read() as connection:
            version = schema_of(connection)
        if version == 0:
            with catalog.write() as connection:
                if not inspect(connection).has_table("meta"):  # another process may have been faster
                    metadata.create_all(connection)
                    connection.execute(insert(meta).values(key="schema", value=str(SCHEMA_VERSION)))
            if database.file is not None:
                database.file.chmod(0o600)  # it names patients
                sync_folder(database.file.parent)
        elif version != SCHEMA_VERSION:
            with catalog.write() as connection:
                migrate(engine, connection, database.file)
    except BaseException:
        catalog.close()
        raise
    return catalog


@contextmanager
def existing_catalog(database: Database, state: Path) -> Iterator[Catalog]:
    """The catalog of a node that has been there, closed afterwards. Raises NotFound, ConfigError, StoreError."""
    if not database.exists() or not state.is_dir():  # a server may have a catalog although this machine had no node
        raise NotFound(f"There is no node in {state}.", hint="`hexdicom node run` starts one.")
    catalog = open_catalog(database)
    try:
        yield catalog
    finally:
        catalog.close()


def _sqlite(file: Path) -> Engine:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{file.parent} cannot be made: {error.strerror}.", hint="Set node.state_dir.") from error
    # Every transaction has ended when its connection goes back: no need to roll it back once more.
    engine = create_engine(
        f"sqlite:///{file}", pool_reset_on_return=None, connect_args={"timeout": _BUSY_SECONDS, "check_same_thread": False}
    )
    event.listen(engine, "connect", _on_connect)
    event.listen(engine, "begin", _on_begin)
    return engine


def _on_connect(connection: Any, _: Any) -> None:
    connection.isolation_level = None  # sqlite3 must not begin transactions of its own
    for pragma in ("journal_mode=WAL", "synchronous=FULL", f"busy_timeout={int(_BUSY_SECONDS * 1000)}"):
        connection.execute(f"PRAGMA {pragma}").close()


def _on_begin(connection: Connection) -> None:
    write = connection.get_execution_options().get("hexdicom_write", True)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


def _first_line(error: DBAPIError) -> str:
    lines = str(error.orig).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error.orig).__name__
