"""Resident memory as the kernel counts it. Linux only; elsewhere nothing is claimed."""

from __future__ import annotations

import re
from pathlib import Path

_PROC = Path("/proc")


def high_water() -> int | None:
    """The most bytes that this process ever had in memory, interpreter and libraries included; None where it is not known.

    Not `getrusage`: its figure starts with what the parent had at the fork.
    """
    return _field("self", "VmHWM")


def of_tree(pid: int) -> int:
    """Bytes that a process and everything below it have in memory now; 0 where it is not known. Shared pages count in each."""
    total, waiting = 0, [str(pid)]
    while waiting:
        one = waiting.pop()
        total += _field(one, "VmRSS") or 0
        try:
            waiting += [child for task in (_PROC / one / "task").iterdir() for child in (task / "children").read_text().split()]
        except OSError:  # it has ended meanwhile
            continue
    return total


def of_machine() -> int | None:
    """Bytes of memory in this machine."""
    try:
        found = re.search(r"^MemTotal:\s+(\d+) kB", (_PROC / "meminfo").read_text(), re.MULTILINE)
    except OSError:
        return None
    return int(found[1]) * 1024 if found else None


def _field(pid: str, name: str) -> int | None:
    try:
        found = re.search(rf"^{name}:\s+(\d+) kB", (_PROC / pid / "status").read_text(), re.MULTILINE)
    except OSError:
        return None
    return int(found[1]) * 1024 if found else None
