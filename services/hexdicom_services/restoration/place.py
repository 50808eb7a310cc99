"""Where the restore process is found, and what is said to it.

A Unix socket in the state folder. Who asks sends one line of JSON, `keys` of archive objects in the store and the `wanted`
instances as [SOP Instance UID, SHA-256 of the received data set]; for each of them comes one line, [UID, name of a file, problem],
in the order in which they are ready. For each line one byte goes back when its file is not needed any more. Closing ends it all.
"""

from __future__ import annotations

import hashlib
import os
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SOCKET: Final = "restore.sock"
FILES: Final = "restored"  # folder of the restored files, below the state folder
NEEDED: Final = "restore.needed"  # a file that asks the supervisor for the process
DONE: Final = b"."


def file_name(sop_instance_uid: str, sha256: str) -> str:
    """The same for the same instance and content, and no UID of a peer."""
    return f"{hashlib.sha256(sop_instance_uid.encode()).hexdigest()[:24]}-{sha256[:32]}.dcm"


def listen(state: Path) -> socket.socket:
    """The socket to wait at; what an earlier process left is removed. OSError passes."""
    (state / SOCKET).unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    try:
        with _short(state) as name:
            listener.bind(name)
        (state / SOCKET).chmod(0o600)
        listener.listen(64)
    except OSError:
        listener.close()
        raise
    return listener


def connect(state: Path) -> socket.socket:
    """A connection to the process. OSError where none listens."""
    connection = socket.socket(socket.AF_UNIX)
    try:
        with _short(state) as name:
            connection.connect(name)
    except OSError:
        connection.close()
        raise
    return connection


@contextmanager
def _short(state: Path) -> Iterator[str]:
    """A name for the socket that fits into the 108 bytes of a Unix address, however long the path of the state folder is."""
    folder = os.open(state, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{SOCKET}"
    finally:
        os.close(folder)
