"""One port, several receivers: each accepts from the same listening socket, and all of them keep one limit of associations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hexdicom_services import vitals
from hexdicom_services.listener import Listener
from hexdicom_services.scp.retrieve import NodeEntity

if TYPE_CHECKING:
    import socket
    from pathlib import Path


class SharedEntity(NodeEntity):
    """An application entity that knows how many associations the other receivers have.

    Receivers tell each other ten times a second and at each request, so with n of them the limit may be passed by n - 1.
    """

    def __init__(self, ae_title: str, folder: Path, name: str, most: int) -> None:
        super().__init__(ae_title)
        self._folder, self._name, self._most = folder, name, most
        self._pulse = vitals.Pulse(folder, name)

    def room(self) -> int:
        """How many associations this receiver may have now."""
        self.beat()
        others = sum(one.associations for name, one in vitals.look(self._folder).items() if name != self._name)
        return max(0, self._most - others)

    def beat(self) -> None:
        """A sign of life, with the number of associations."""
        self._pulse.beat(sum(association.is_acceptor for association in self.active_associations))

    def close(self) -> None:
        self._pulse.close()
        vitals.forget(self._folder, self._name)


class SharedPort(Listener):
    """Accepts from a socket that listens already."""

    ae: SharedEntity

    def __init__(self, *args: Any, listener: socket.socket, **kwargs: Any) -> None:
        self._listener = listener
        super().__init__(*args, **kwargs)

    def server_bind(self) -> None:
        if self.socket is not None:
            self.socket.close()
        self.socket = self._listener
        self.server_address = self.socket.getsockname()

    def server_activate(self) -> None:
        """It listens already."""

    def server_close(self) -> None:
        self._listener.close()  # and no shutdown, which would end it for the other receivers too

    def service_actions(self) -> None:
        super().service_actions()
        self.ae.beat()
