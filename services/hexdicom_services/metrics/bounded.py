"""Asking something that may never answer: a database server that hangs accepts connections and is silent."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future
from typing import TYPE_CHECKING, Generic, TypeVar

from hexdicom.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class Bounded(Generic[T]):
    """A question that waits `seconds` for its answer, and is asked once at a time, however many want to know.

    Who comes while one is overdue does not wait again.
    """

    def __init__(self, question: Callable[[], T], seconds: float, silence: str) -> None:
        self._question, self._seconds, self._silence = question, seconds, silence
        self._asked: Future[T] | None = None
        self._until = 0.0
        self._lock = threading.Lock()

    def __call__(self) -> T:
        """The answer. Raises StoreError with `silence` where it does not come in time, and what the question raises."""
        with self._lock:
            if self._asked is None or self._asked.done():
                self._asked, self._until = Future(), time.monotonic() + self._seconds
                threading.Thread(target=self._ask, args=(self._asked,), name="bounded", daemon=True).start()
            asked, until = self._asked, self._until
        try:
            return asked.result(max(0.0, until - time.monotonic()))
        except TimeoutError as error:
            raise StoreError(self._silence) from error

    def _ask(self, asked: Future[T]) -> None:
        try:
            asked.set_result(self._question())
        except BaseException as error:  # whoever asked gets it
            asked.set_exception(error)
