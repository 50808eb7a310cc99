"""Dying, or failing, at a chosen step: every change of a file and every commit of a process is one.

The process is a fork of the test's, so a fault costs little and a whole run of steps can be tried one after the other. SIGKILL is
not a power cut: what the kernel has taken is on disk. What a power cut may do to a file that was not flushed, `torn` does.
"""

from __future__ import annotations

import errno
import multiprocessing
import os
import signal
import sqlite3
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from sqlalchemy.engine.default import DefaultDialect

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Kind = Literal["kill", "torn", "full", "broken"]
_FILE_CALLS = ("write", "writev", "pwrite", "rename", "replace", "unlink", "remove", "mkdir", "fsync")


@dataclass(frozen=True, slots=True)
class Fault:
    """kind: `kill` before the step, `torn` (the file is cut in half, then killed), `full` (ENOSPC) or `broken` (EIO) once.

    step: from 1, counted over all threads of the process.
    """

    kind: Kind
    step: int


@dataclass(frozen=True, slots=True)
class Ended:
    """What the child said, line by line; whether the fault came, and at which step by name; its exit code."""

    lines: tuple[str, ...]
    struck: str
    code: int


class _Steps:
    """Counts the steps of this process, and strikes at one."""

    def __init__(self, fault: Fault, root: Path, tell: Callable[[str], None]) -> None:
        self.fault, self.root, self.tell = fault, str(root), tell
        self.count, self.lock = 0, threading.Lock()

    def step(self, name: str, place: Any) -> None:
        path = _path(place)
        if path is not None and not path.startswith(self.root):
            return
        if self.fault.kind == "torn" and not (name == "fsync" and path is not None and os.path.isfile(path)):  # noqa: PTH113
            return
        with self.lock:
            self.count += 1
            if self.count != self.fault.step:
                return
        self.tell(f"struck {name}")
        if self.fault.kind == "torn":
            os.ftruncate(place, os.fstat(place).st_size // 2)
        if self.fault.kind in ("kill", "torn"):
            os.kill(os.getpid(), signal.SIGKILL)
        if name == "commit":
            raise sqlite3.OperationalError("database or disk is full")
        number = errno.ENOSPC if self.fault.kind == "full" else errno.EIO
        raise OSError(number, os.strerror(number))

    def install(self) -> None:
        for name in _FILE_CALLS:
            setattr(os, name, self._counted(name, getattr(os, name)))
        commit, steps = DefaultDialect.do_commit, self

        def counted_commit(self: DefaultDialect, connection: Any) -> None:
            steps.step("commit", None)
            commit(self, connection)

        DefaultDialect.do_commit = counted_commit  # type: ignore[method-assign]

    def _counted(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(first: Any, *more: Any, **named: Any) -> Any:
            self.step(name, first)
            return real(first, *more, **named)

        return call


def _path(place: Any) -> str | None:
    """Which file a call is about, by its path or descriptor; None for a commit."""
    if place is None:
        return None
    return os.readlink(f"/proc/self/fd/{place}") if isinstance(place, int) else os.fspath(place)  # noqa: PTH115


def run(action: Callable[[Callable[[str], None]], None], root: Path, fault: Fault | None) -> Ended:
    """Runs `action(tell)` in a child process, with a fault below `root`. What it tells is known even if it dies at once."""
    reading, writing = os.pipe()
    write = os.write

    def tell(line: str) -> None:
        write(writing, f"{line}\n".encode())

    def child() -> None:
        if fault is not None:
            _Steps(fault, root, tell).install()
        action(tell)

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    os.close(writing)
    with os.fdopen(reading) as pipe:
        lines = tuple(line.rstrip("\n") for line in pipe)
    process.join(120)
    assert process.exitcode is not None, "the child hangs"
    struck = next((line.removeprefix("struck ") for line in lines if line.startswith("struck ")), "")
    return Ended(tuple(line for line in lines if not line.startswith("struck ")), struck, process.exitcode)
