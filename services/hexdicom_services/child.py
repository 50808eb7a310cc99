"""How a process of the node lives: settings come on stdin, and it ends when stdin closes or on SIGTERM.

`python -m hexdicom_services.child MODULE NAME [SOCKET]` calls MODULE.main(NAME [, SOCKET]).

The supervisor keeps the other end of that pipe open as long as it lives. So no process outlives it, whatever killed it.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
import threading
from typing import Any

from hexdicom_services import logs
from hexdicom_services.settings import Settings


def begin() -> tuple[Settings, threading.Event]:
    """The settings, and the event that says when to stop. Configures logging."""
    settings = Settings(**json.loads(sys.stdin.readline()))
    os.umask(0o077)  # what the node keeps names patients
    logs.configure(settings.logging)
    stop = threading.Event()
    threading.Thread(target=_wait_for_parent, args=(stop,), name="parent", daemon=True).start()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the supervisor decides
    return settings, stop


def tell_parent(**values: Any) -> None:
    """One line to the supervisor."""
    sys.stdout.write(json.dumps(values) + "\n")
    sys.stdout.flush()


def _wait_for_parent(stop: threading.Event) -> None:
    while sys.stdin.readline():
        pass
    stop.set()


if __name__ == "__main__":
    importlib.import_module(sys.argv[1]).main(*sys.argv[2:])
