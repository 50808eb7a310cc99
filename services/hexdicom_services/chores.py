"""What a worker does when no job waits: one file of a scrub, or one series of retention, then it looks for jobs again.

One process does chores at a time; the others ask again when its turn has run out. All that is done can be broken off anywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hexdicom_services import retention
from hexdicom_services.catalog.scrubs import take_turn
from hexdicom_services.scrub import DAY, Scrubber

if TYPE_CHECKING:
    from collections.abc import Callable

    from hexdicom_services.catalog.session import Catalog
    from hexdicom_services.settings import Settings

_TURN = 900.0  # seconds; longer than any chore takes
_REST = 30.0  # seconds between looks where nothing was to be done


@dataclass(slots=True)
class Chores:
    """The chores of one worker."""

    catalog: Catalog
    settings: Settings
    owner: str
    clock: Callable[[], float]
    rests_until: float = 0.0

    def run_next(self) -> bool:
        """Does one thing; False where there is nothing to do for now. Raises StoreError."""
        now = self.clock()
        if now < self.rests_until <= now + _REST:
            return False
        wanted = self.settings.scrub.enabled or self.settings.retention.enabled
        self.rests_until = now + _REST  # also where something is wrong: the jobs of others go on meanwhile
        if wanted and self._has_turn(now) and (self._scrub(now) or self._release()):
            self.rests_until = 0.0
            return True
        return False

    def _has_turn(self, now: float) -> bool:
        with self.catalog.write() as connection:
            return take_turn(connection, "chores", self.owner, now, _TURN)

    def _scrub(self, now: float) -> bool:
        rules = self.settings.scrub
        if not rules.enabled:
            return False
        scrubber = Scrubber(self.catalog, self.settings, self.clock, rules.decode_share)
        return scrubber.next(now - rules.interval_days * DAY) is not None

    def _release(self) -> bool:
        return self.settings.retention.enabled and retention.release_next(self.catalog, self.settings, self.clock) is not None
