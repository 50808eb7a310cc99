"""A catalog on a server belongs to one node: two of them would take each other's work for the leftovers of a crash."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from sqlalchemy import insert, select

from hexdicom import durable
from hexdicom.errors import ConfigError
from hexdicom_services.catalog.models import meta

if TYPE_CHECKING:
    from pathlib import Path

    from hexdicom_services.catalog.session import Catalog

_KEY = "node"


def claim(catalog: Catalog, state: Path) -> None:
    """Writes the number of this state folder into the catalog. Raises ConfigError where another one's is there, StoreError."""
    file = state / "node.id"
    if not file.exists():
        durable.write(file, uuid.uuid4().hex.encode())
    own = file.read_text("ascii").strip()
    with catalog.write() as connection:
        owner = connection.scalar(select(meta.c.value).where(meta.c.key == _KEY))
        if owner is None:
            connection.execute(insert(meta).values(key=_KEY, value=own))
    if owner not in (None, own):
        raise ConfigError(
            f"The catalog belongs to another node, not to {state}.",
            hint="Give each node a database of its own. If that node is gone for good, delete the row 'node' of the table meta.",
        )
