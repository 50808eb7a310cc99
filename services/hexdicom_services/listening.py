"""The port of the node. The supervisor listens and hands the socket to its receivers, however many they are.

So one that dies takes no waiting connection with it, and all of them share one queue.
"""

from __future__ import annotations

import errno
import socket
import time

from hexdicom.errors import ConfigError

_BIND_PATIENCE = 5.0  # seconds: a node that is just ending may still hold the port
_BACKLOG = 128


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one. Raises ConfigError."""
    until = time.monotonic() + _BIND_PATIENCE
    while True:
        listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((host, port))
            listener.listen(_BACKLOG)
        except OSError as error:
            listener.close()
            if port and error.errno == errno.EADDRINUSE and time.monotonic() < until:
                time.sleep(0.1)
                continue
            raise ConfigError(
                f"Port {port} of {host} cannot be used: {error.strerror}.",
                hint="Another node or PACS may hold it; set host and port in [node].",
            ) from error
        listener.setblocking(False)  # another receiver may be faster to accept
        return listener
