"""The messages that an association has received: a cure for waits in pynetdicom that nothing ends.

When a connection breaks, pynetdicom puts one (None, None) into this queue. If its reactor takes that out before a `send_*`
call waits, the call waits for its whole timeout although the connection is gone. Here whoever waits is told so at once.
"""

from __future__ import annotations

import queue
import time
from typing import TYPE_CHECKING, Any, Final

from pynetdicom.pdu_primitives import A_ASSOCIATE

if TYPE_CHECKING:
    from pynetdicom.association import Association

_SLICE = 0.05  # seconds between looks at whether the connection is still there
_LOOK: Final = object()  # stands for no message, but for a reason to wake


class Messages(queue.Queue[Any]):
    """Stands in for `association.dimse.msg_queue`.

    patient: asking without waiting waits a little, so that a reactor that asks again and again need not sleep.
    """

    def __init__(self, association: Association, *, patient: bool = False) -> None:
        super().__init__()
        self._association, self._patient = association, patient

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """The next (context id, message); (None, None) where none will come. Raises queue.Empty."""
        if not block:
            return self._next(self._patient)
        until = None if timeout is None else time.monotonic() + timeout
        while True:
            try:
                return self._next(True)
            except queue.Empty:
                if not self._association.dul.is_alive() and self.empty():
                    return None, None
                if until is not None and time.monotonic() >= until:
                    raise

    def look_for(self, wish: object) -> None:
        """Has a reactor that waits for a message look at once for what else the peer wants: a release, or an abort."""
        if not isinstance(wish, A_ASSOCIATE):  # with which nobody waits for messages yet
            self.put(_LOOK)

    def _next(self, wait: bool) -> Any:
        message = super().get(wait, _SLICE)
        if message is _LOOK:
            raise queue.Empty
        return message
