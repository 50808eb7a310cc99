"""Kinds of jobs that an operator has paused: such a job stays where it is until its kind is resumed, over restarts too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sqlalchemy import Connection, delete, select
from sqlalchemy.dialects.postgresql import insert

from hexdicom_services.catalog.models import meta

if TYPE_CHECKING:
    from collections.abc import Iterable

KINDS: Final = ("archive", "forward")
_PREFIX: Final = "paused:"


def paused(connection: Connection) -> list[str]:
    """Kinds that no worker takes now, sorted."""
    keys = connection.scalars(select(meta.c.key).where(meta.c.key.like(f"{_PREFIX}%")).order_by(meta.c.key))
    return [key.removeprefix(_PREFIX) for key in keys]


def pause(connection: Connection, kinds: Iterable[str], now: float) -> None:
    """No job of these kinds is begun any more; one that is in hand goes on."""
    for kind in kinds:
        connection.execute(insert(meta).values(key=_PREFIX + kind, value=str(now)).on_conflict_do_nothing())


def resume(connection: Connection, kinds: Iterable[str]) -> None:
    """Jobs of these kinds are taken again."""
    connection.execute(delete(meta).where(meta.c.key.in_([_PREFIX + kind for kind in kinds])))
