"""How functions are compiled: once a machine where the result can be kept, once a process where it cannot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numba
import numba.extending

if TYPE_CHECKING:
    from collections.abc import Callable


def njit(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """numba.njit, free of the interpreter lock.

    numba refuses to keep anything for a user without a writable folder, as a service may be: archives must be readable there too.
    What is kept is keyed by the one file that a function stands in: after an edit of what it calls, remove compiled/__pycache__.
    """

    def compiled(function: Callable[..., Any]) -> Any:
        try:
            return numba.njit(cache=True, nogil=True, **options)(function)
        except RuntimeError:
            return numba.njit(nogil=True, **options)(function)

    return compiled


def intrinsic(function: Callable[..., Any]) -> Any:
    """numba.extending.intrinsic, whose own types say that callers give the typing context."""
    return numba.extending.intrinsic(function)
