"""Asking the restore process for originals. Knows no codec: the receiver uses this."""

from __future__ import annotations

import json
import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hexdicom_services.restoration.place import DONE, FILES, NEEDED, connect, file_name

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

log = logging.getLogger(__name__)

_LOOK = 0.1  # seconds between looks at whether the peer has cancelled
_START = 60.0  # seconds that the process may take to start
_SILENCE = 600.0  # seconds without an answer after which the process is given up
_ATTEMPTS = 3  # connections in a row that brought nothing


@dataclass(frozen=True, slots=True)
class Ready:
    """What became of an instance: its file, which is there until the next one is asked for, or why there is none."""

    sop_instance_uid: str
    path: Path | None
    problem: str = ""


def restore(
    state: Path, keys: Sequence[str], wanted: Mapping[str, str], cancelled: Callable[[], bool] = lambda: False
) -> Iterator[Ready]:
    """Every wanted instance out of the archive objects at `keys`, as soon as it is there; fewer where it was cancelled.

    wanted: SHA-256 of the received data set, by SOP Instance UID. If the process dies, the rest is asked for again.
    """
    rest, fruitless = dict(wanted), 0
    while rest and fruitless < _ATTEMPTS and not cancelled():
        came = False
        try:
            with _connection(state, cancelled) as connection:
                connection.sendall(json.dumps({"keys": list(keys), "wanted": list(rest.items())}).encode() + b"\n")
                for uid, name, problem in _answers(connection, len(rest), cancelled):
                    came = True
                    sha256 = rest.pop(uid)
                    yield Ready(uid, state / FILES / file_name(uid, sha256) if name else None, problem)
                    connection.sendall(DONE)
        except (OSError, ValueError, KeyError) as error:
            log.warning("the restore process went away: %s", type(error).__name__, extra={"event": "restore.failed"})
        fruitless = 0 if came else fruitless + 1
    if not cancelled():
        for uid in rest:
            yield Ready(uid, None, "The restore process does not answer.")


def _connection(state: Path, cancelled: Callable[[], bool]) -> socket.socket:
    """Waits for the process, which the supervisor starts when it is needed. Raises OSError."""
    until = time.monotonic() + _START
    while True:
        try:
            connection = connect(state)
        except OSError:
            if time.monotonic() > until or cancelled():
                raise
            (state / NEEDED).touch()
            time.sleep(_LOOK)
            continue
        connection.settimeout(_LOOK)
        return connection


def _answers(connection: socket.socket, count: int, cancelled: Callable[[], bool]) -> Iterator[tuple[str, str, str]]:
    """(UID, file name, problem). Raises OSError where the process ends or falls silent."""
    buffer, heard = b"", time.monotonic()
    while count and not cancelled():
        line, newline, rest = buffer.partition(b"\n")
        if newline:
            buffer, count = rest, count - 1
            uid, name, problem = json.loads(line)
            yield str(uid), str(name), str(problem)
            heard = time.monotonic()
            continue
        try:
            more = connection.recv(1 << 16)
        except TimeoutError:
            if time.monotonic() - heard > _SILENCE:
                raise
            continue
        if not more:
            raise OSError("closed")
        buffer += more
