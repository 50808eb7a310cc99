"""Counting what the receiver does, around its handlers."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from hexdicom_services.counters import ASSOCIATIONS, STORE_SECONDS, STORES
from hexdicom_services.statuses import Store

if TYPE_CHECKING:
    from collections.abc import Callable

    from pynetdicom.events import Event

for _status in Store:
    STORES.labels(f"{_status:04X}")
_ACCEPTED, _REJECTED, _TOO_FAST = (ASSOCIATIONS.labels(result) for result in ("accepted", "rejected", "throttled"))


def counted(on_store: Callable[..., Any]) -> Callable[..., Any]:
    """The same handler of C-STORE, with its answers and seconds counted."""

    def handle(event: Event, *arguments: Any) -> Any:
        started = time.perf_counter()
        answer = on_store(event, *arguments)
        STORE_SECONDS.observe(time.perf_counter() - started)
        STORES.labels(f"{answer if isinstance(answer, int) else answer.Status:04X}").inc()
        return answer

    return handle


def on_accepted(event: Event) -> None:
    _ACCEPTED.inc()


def on_rejected(*, too_fast: bool) -> None:
    (_TOO_FAST if too_fast else _REJECTED).inc()
