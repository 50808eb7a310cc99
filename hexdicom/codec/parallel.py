"""Threads that meet rarely.

Torch's own meet at the end of every operation, and a series takes a hundred thousand small ones: on a machine with anything else to
do, they wait more than they work. So each operation runs on one thread, and the work is split here.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, TypeVar

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

Part = TypeVar("Part")
Result = TypeVar("Result")

_outside: ContextVar[int] = ContextVar("threads of torch outside of `threads`")


class Threads:
    """Runs a function over parts, on the CPU on as many threads as torch would have used, on a GPU on one."""

    def __init__(self, device: torch.device, pool: ThreadPoolExecutor, count: int) -> None:
        self.count = count if device.type == "cpu" else 1
        self._pool = pool

    def map(self, function: Callable[[Part], Result], parts: Sequence[Part]) -> list[Result]:
        """The results in the order of the parts."""
        if self.count == 1 or len(parts) == 1:
            return [function(part) for part in parts]
        return list(self._pool.map(function, parts))

    def start(self, function: Callable[[], Result]) -> Future[Result]:
        """Run it beside what follows; on a GPU, whose turn comes one by one, it has ended when this returns."""
        if self.count == 1:
            done: Future[Result] = Future()
            done.set_result(function())
            return done
        return self._pool.submit(function)


def count() -> int:
    """How many threads torch would use, were it not for `threads`."""
    return _outside.get(torch.get_num_threads())


@contextmanager
def threads(device: torch.device) -> Iterator[Threads]:
    """While it lasts, or while a function that it decorates runs, torch runs every operation on one thread. It may be nested."""
    inside, token = torch.get_num_threads(), _outside.set(count())
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(count(), initializer=torch.set_num_threads, initargs=(1,)) as pool:
            yield Threads(device, pool, count())
    finally:
        torch.set_num_threads(inside)
        _outside.reset(token)


def over(device: torch.device, function: Callable[[Part], Result], parts: Sequence[Part]) -> list[Result]:
    """`Threads.map` for the time of one call. One part alone leaves torch as it is, for whoever else uses it now."""
    if len(parts) == 1:
        return [function(parts[0])]
    with threads(device) as workers:
        return workers.map(function, parts)
