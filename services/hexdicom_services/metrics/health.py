"""Whether the node lives, and whether it can take instances now."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import select

from hexdicom.errors import HexdicomError
from hexdicom_services import vitals
from hexdicom_services.catalog.models import meta

if TYPE_CHECKING:
    from collections.abc import Callable

    from hexdicom_services.catalog.session import Catalog
    from hexdicom_services.settings import Settings


@dataclass(frozen=True, slots=True)
class Health:
    """ok, and for each thing that was looked at, a sentence where it is not well and "" where it is."""

    checks: dict[str, str]

    @property
    def ok(self) -> bool:
        return not any(self.checks.values())


def health(settings: Settings) -> Health:
    """Whether the supervisor goes round. If not, the node should be started again."""
    return Health({"node": _silent(settings, "node")})


def readiness(settings: Settings, ask_catalog: Callable[[], str]) -> Health:
    """Whether an instance that is sent now would be kept. ask_catalog: what is wrong with the catalog; may raise StoreError."""
    receivers = [f"receiver-{number}" for number in range(1, settings.receiver.processes + 1)]
    return Health(
        {
            "catalog": _answer(ask_catalog),
            "disk": _disk(settings),
            **{name: _silent(settings, name) for name in receivers},
        }
    )


def _silent(settings: Settings, name: str) -> str:
    vital = vitals.look(settings.vitals).get(name)
    if vital is None:
        return "It is not running."
    return "" if vital.age < vitals.STALE else f"It has given no sign of life for {vital.age:.0f} seconds."


def _answer(ask_catalog: Callable[[], str]) -> str:
    try:
        return ask_catalog()
    except HexdicomError as error:
        return error.message


def catalog(opened: Catalog) -> str:
    """ "" once the catalog has been read. Raises StoreError; may wait for ever for a server that hangs."""
    with opened.read() as connection:
        connection.execute(select(meta.c.value)).first()
    return ""


def _disk(settings: Settings) -> str:
    try:
        free, reserve = shutil.disk_usage(settings.spool).free, settings.receiver.disk_reserve_mb << 20
    except OSError as error:
        return f"The spool is gone: {error.strerror}."
    return "" if free >= reserve else f"The disk has {free >> 20} MiB left, {reserve >> 20} are reserved."
