"""Jobs that take too long. How long is measured here, from when a job was first seen in hand: a clock that is set does no harm."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from hexdicom_services.catalog.job_rows import JobRow


class Overtime:
    """Remembers since when each job is in hand. limit: seconds that it may take."""

    def __init__(self, limit: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit, self._clock = limit, clock
        self._since: dict[tuple[int, int, str], float] = {}

    def overdue(self, running: Iterable[JobRow]) -> list[JobRow]:
        """Those of the jobs in hand that have taken too long in this attempt."""
        now, rows = self._clock(), list(running)
        self._since = {key: self._since.get(key, now) for key in map(_attempt, rows)}
        return [row for row in rows if now - self._since[_attempt(row)] > self._limit]


def _attempt(row: JobRow) -> tuple[int, int, str]:
    return row.id, row.attempts, row.worker
