"""A cure for a race in pynetdicom 3.0: its reactor thread may take a response that a `send_c_*` call is waiting for.

`send_c_*` clears an Event, waits for a flag that says that the reactor stands still, and sends. The reactor raises the flag
before it waits at the Event and lowers it after, so a reactor that has just passed is taken for one that stands; it then reads
the response, calls it unexpected, and drops it, and the call waits for its whole timeout. Seen about once in 800 C-STOREs on
a busy machine. Here `clear` returns only once the reactor really waits, and it cannot leave before `set`.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pynetdicom.association import Association

_LOOK_AGAIN = 0.05  # seconds: the reactor may end without ever coming to the checkpoint


class Checkpoint(threading.Event):
    """Stands in for the Event at which the reactor of an association waits."""

    def __init__(self, reactor: Association) -> None:
        super().__init__()
        self._reactor = reactor
        self._changed = threading.Condition()
        self._closed = False
        self._parked = False

    def wait(self, timeout: float | None = None) -> bool:
        """The reactor comes by: it goes on, or stands until `set`."""
        with self._changed:
            self._parked = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._closed, timeout)
            self._parked = False
        return not self._closed

    def clear(self) -> None:
        """Close, and wait until the reactor stands here or has ended."""
        with self._changed:
            self._closed = True
            while not self._parked and self._reactor.is_alive():
                self._changed.wait(_LOOK_AGAIN)

    def set(self) -> None:
        """Let the reactor go on."""
        with self._changed:
            self._closed = False
            self._changed.notify_all()


def install(assoc: Association) -> None:
    """Cure an association that has just been established."""
    assoc._reactor_checkpoint = Checkpoint(assoc)
