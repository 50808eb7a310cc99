"""The catalog on PostgreSQL: the same transactions as on SQLite, and a connection that comes back when the server does.

A writing transaction takes one advisory lock before anything else and holds it until it ends, committed or not, also when its
process dies. What that costs: writers wait for one another, as on SQLite; the receivers commit in groups, so it is one flush
for all that waits (docs/decisions/0006-a-catalog-with-one-writer.md). A reading transaction sees one state (REPEATABLE READ).
synchronous_commit is on, whatever the server or the role says: 0x0000 is answered after COMMIT.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import NoSuchModuleError

from hexdicom.errors import ConfigError

if TYPE_CHECKING:
    from hexdicom_services.database import Database

_LOCK = 0x6865786469636F6D  # "hexdicom": advisory locks are numbers, and each database has its own
_SESSION = {
    "application_name": "hexdicom",
    "connect_timeout": 5,  # seconds
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20000,  # milliseconds: a server that vanished is noticed
    "options": "-c synchronous_commit=on -c lock_timeout=30s -c idle_in_transaction_session_timeout=120s -c timezone=UTC",
}


def engine(database: Database) -> Engine:
    """An engine for a PostgreSQL server. Raises ConfigError where the driver is not installed."""
    try:
        made = create_engine(
            database.url, pool_pre_ping=True, pool_size=4, max_overflow=16, pool_recycle=1800, connect_args=dict(_SESSION)
        )
    except (ImportError, NoSuchModuleError) as error:
        raise ConfigError("The driver of PostgreSQL is not installed.", hint="pip install 'hexdicom[postgres]'") from error

    def with_password(dialect: Any, record: Any, arguments: Any, parameters: dict[str, Any]) -> None:
        password = database.password()
        if password:
            parameters["password"] = password

    event.listen(made, "do_connect", with_password)
    event.listen(made, "connect", _on_connect)
    event.listen(made, "begin", _on_begin)
    return made


def _on_connect(connection: Any, _: Any) -> None:
    """Text of PostgreSQL cannot hold NUL, which a peer may put into any value: it becomes the replacement character."""
    from psycopg.types.string import StrDumper, StrDumperUnknown

    class Text(StrDumper):
        def dump(self, obj: str) -> Any:
            return super().dump(obj.replace("\0", "\ufffd"))

    class UnknownText(StrDumperUnknown):
        def dump(self, obj: str) -> Any:
            return super().dump(obj.replace("\0", "\ufffd"))

    connection.adapters.register_dumper(str, Text)
    connection.adapters.register_dumper(str, UnknownText)


def _on_begin(connection: Connection) -> None:
    if connection.get_execution_options().get("hexdicom_write", True):
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
    else:
        connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
