"""How often one address may ask for an association: so many a minute, in a burst or evenly."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_MINUTE: Final = 60.0  # seconds
_MOST_ADDRESSES: Final = 4096  # in memory; those that have not called for a minute are forgotten


@dataclass(slots=True)
class _Address:
    """left: associations that it may still have, as of `at`; said: when it was last told of. Seconds of the clock."""

    left: float
    at: float
    said: float = float("-inf")


class Rate:
    """A bucket of `most` associations for each address, which fills up in a minute; 0: no limit."""

    def __init__(self, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._most, self._clock = most, clock
        self._known: dict[str, _Address] = {}
        self._lock = threading.Lock()

    def takes(self, address: str) -> bool:
        """Whether this address may have one more now; if so, it has it."""
        if not self._most:
            return True
        now = self._clock()
        with self._lock:
            if len(self._known) >= _MOST_ADDRESSES:
                self._known = {name: one for name, one in self._known.items() if now - max(one.at, one.said) < _MINUTE}
            one = self._known.setdefault(address, _Address(self._most, now))
            one.left, one.at = min(self._most, one.left + (now - one.at) * self._most / _MINUTE), now
            if one.left < 1:
                return False
            one.left -= 1
            return True

    def is_news(self, address: str) -> bool:
        """Whether its being too fast is to be said: once a minute."""
        now = self._clock()
        with self._lock:
            one = self._known.get(address)
            if one is None or now - one.said < _MINUTE:
                return False
            one.said = now
            return True
