"""Leaving audit messages: every one is a row of the catalog before anything else happens to it."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hexdicom_services.audit.message import to_xml
from hexdicom_services.audit.occasions import Party
from hexdicom_services.catalog import audit_rows

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from hexdicom_services.audit.message import AuditMessage
    from hexdicom_services.catalog.session import Catalog
    from hexdicom_services.settings import Settings


@dataclass(frozen=True, slots=True)
class Trail:
    """Where messages are left, and who leaves them."""

    catalog: Catalog
    node: Party
    site: str = ""

    @classmethod
    def of(cls, settings: Settings, catalog: Catalog) -> Trail:
        """The trail of the node with these settings."""
        host = settings.node.host
        address = socket.gethostname() if host in ("", "0.0.0.0", "::") else host
        return cls(catalog, Party(settings.node.ae_title, address), settings.audit.site)

    def leave(self, *messages: AuditMessage) -> None:
        """Keeps messages; they are durable when this returns. Raises StoreError."""
        with self.catalog.write() as connection:
            self.leave_in(connection, *messages)

    def leave_in(self, connection: Connection, *messages: AuditMessage) -> None:
        """The same in a transaction that is going on, so that what was done and its message are there both or neither."""
        for message in messages:
            audit_rows.add(connection, message.at, message.event.value, to_xml(message, self.node.ae_title, self.site))
