"""A listening port of DICOM associations that strangers cannot block: it accepts, and everything else is done in threads.

A TLS handshake has a thread and a deadline of its own; the number of connections that have not yet brought an association is
bounded, in all and for each address. A connection beyond that is closed, which costs its sender more than us.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pynetdicom.transport import ThreadedAssociationServer

from hexdicom_services.tls import reason

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Callable

log = logging.getLogger(__name__)

_BACKLOG = 128
_QUIET = 60.0  # seconds in which a refusal of the same address is logged and told only once


@dataclass(frozen=True, slots=True)
class Door:
    """How connections are let in.

    context: of TLS; None: plain DICOM. patience: seconds for a handshake. pending: connections that wait for a handshake or an
    association; of one address half as many. told: called with address and reason when one is turned away.
    """

    context: ssl.SSLContext | None = None
    patience: float = 15.0
    pending: int = 32
    told: Callable[[str, str], None] | None = None


def say_closed(address: str, why: str) -> None:
    """Logs that a connection of that address was closed, and why."""
    log.warning("a connection of %s was closed: %s", address, why, extra={"event": "connection.closed", "peer": address})


class Listener(ThreadedAssociationServer):
    """Listens through a Door."""

    request_queue_size = _BACKLOG
    daemon_threads = True

    def __init__(self, *args: Any, door: Door, **kwargs: Any) -> None:
        self._door = door
        self._entering: list[str] = []  # addresses of connections that are no association yet
        self._lock = threading.Lock()
        self._told: dict[str, float] = {}
        super().__init__(*args, **kwargs)

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Whether there is room for one more stranger."""
        address = str(client_address[0])
        with self._lock:
            waiting = [*self._entering]
            waiting += [a.requestor.address or "" for a in self.active_associations if not a.is_established]
            if len(waiting) < self._door.pending and waiting.count(address) < max(1, self._door.pending // 2):
                self._entering.append(address)
                return True
        self.turn_away(address, "too many connections wait for an association")
        return False

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        address = str(client_address[0])
        try:
            if self._door.context is not None:
                request = self._shake_hands(request, address)
            if request is not None:
                super().process_request_thread(request, client_address)
        finally:
            with self._lock:
                self._entering.remove(address)

    def _shake_hands(self, request: socket.socket, address: str) -> socket.socket | None:
        assert self._door.context is not None
        try:
            request.settimeout(self._door.patience)
            return self._door.context.wrap_socket(request, server_side=True)
        except (OSError, ValueError) as error:
            why = reason(error) if isinstance(error, OSError) else "the connection ended"
            self.turn_away(address, f"TLS failed: {why}")
            request.close()
            return None

    def turn_away(self, address: str, why: str) -> None:
        """Says that a connection was closed; the same address only once in a while."""
        now = time.monotonic()
        with self._lock:
            if now - self._told.get(address, -_QUIET) < _QUIET:
                return
            self._told = {known: at for known, at in self._told.items() if now - at < _QUIET}
            self._told[address] = now
        say_closed(address, why)
        if self._door.told is not None:
            self._door.told(address, why)
