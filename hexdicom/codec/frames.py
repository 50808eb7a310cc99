"""An opened bitstream: parsed once, then any frame of it. `decode` and `preview` are all frames at once.

What a frame costs depends on the layers. What all frames of planes have in common is computed when they are opened; a frame then
is one small sum. Of an exact archive a slice with all its times is the least that is decoded alone; those last asked for are kept.
"""

from __future__ import annotations

from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from hexdicom.codec import container, residual, stored, synthesis
from hexdicom.codec.container import ATTACHMENT, FILTERED, PLANES, RESIDUAL, SPARSE, STORED
from hexdicom.codec.interface import silent
from hexdicom.codec.sparse import first
from hexdicom.codec.sparse import model as sparse
from hexdicom.errors import BitstreamError, ProfileError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import torch
    from numpy.typing import NDArray

    from hexdicom.codec.container import Container
    from hexdicom.codec.interface import Progress

    Some = Sequence[int] | None  # None: all


class _Source(Protocol):
    slices_alone: bool

    def frame(self, time: int, slice_: int) -> NDArray[Any]:
        """-> (Y, X)"""

    def values(self, times: Some, slices: Some, progress: Progress) -> NDArray[Any]:
        """-> (len(times), len(slices), Y, X)"""


class Frames:
    """What `codec.open` gives. Several threads may use it at once; two that want the same slice of an exact archive both decode it.

    shape: (T, Z, Y, X). dtype: of the values. slices_alone: whether a slice is decoded in its share of the time of all. Else what
    all frames have in common was decoded on opening; but of an archive of predictor 1, any slice takes the time of all.
    """

    def __init__(self, bitstream: bytes, preview: bool, device: torch.device, keep: int) -> None:
        parsed = _checked(container.unpack(bitstream))
        self.shape, self.dtype = parsed.shape, parsed.dtype
        exact = None if preview else parsed.layer(RESIDUAL)
        self._source: _Source = _Common(parsed, device) if exact is None else _Exact(parsed, exact, device, keep)
        self.slices_alone = self._source.slices_alone

    def frame(self, time: int, slice_: int) -> NDArray[Any]:
        """-> (Y, X) stored values, the caller's own. Raises ProfileError where there is no such frame, BitstreamError."""
        self.check([time], [slice_])
        return _typed(self._source.frame(time, slice_), self.dtype)

    def values(self, times: Some = None, slices: Some = None, progress: Progress = silent) -> NDArray[Any]:
        """-> (len(times), len(slices), Y, X): all, or those named, in their order. Raises as `frame` does. Nothing is kept."""
        self.check(times or (), slices or ())
        return _typed(self._source.values(times, slices, progress), self.dtype)

    def check(self, times: Sequence[int], slices: Sequence[int]) -> None:
        """Raise ProfileError where one of them does not exist."""
        for name, wanted, count in (("Time", times, self.shape[0]), ("Slice", slices, self.shape[1])):
            for one in wanted:
                if not 0 <= one < count:
                    hint = f"The series has the {name.lower()}s 0 to {count - 1}."
                    raise ProfileError(f"{name} {one} does not exist.", hint=hint)


class _Common:
    """Planes, and stored values: what all frames have in common is here before the first."""

    slices_alone = False

    def __init__(self, parsed: Container, device: torch.device) -> None:
        self._shape = parsed.shape
        data = parsed.layer(STORED)
        if data is None:
            self._some = _planes(parsed, device)
        else:
            whole = stored.decode(data, parsed.shape, parsed.dtype)
            self._some = lambda times, slices: whole[np.ix_(times, slices)]

    def frame(self, time: int, slice_: int) -> NDArray[Any]:
        frame: NDArray[Any] = self._some([time], [slice_])[0, 0]
        return frame

    def values(self, times: Some, slices: Some, progress: Progress) -> NDArray[Any]:
        return self._some(range(self._shape[0]) if times is None else times, range(self._shape[1]) if slices is None else slices)


class _Exact:
    """What the residual layer decodes to: slice by slice, or all at once where predictor 1 made it."""

    def __init__(self, parsed: Container, layer: bytes, device: torch.device, keep: int) -> None:
        stream = residual.parse(layer, parsed.shape)
        alone = self.slices_alone = residual.slices_alone(stream)
        t, z, y, x = parsed.shape

        def base() -> NDArray[np.int32]:
            return _planes(parsed, device)(range(t), range(z))

        def decoded(slices: Some, progress: Progress) -> NDArray[np.int32]:
            source = stream if alone else residual.parse(layer, parsed.shape)  # predictor 1 reads its stream up
            return residual.decode(source, base, parsed.max_error or 0, device, progress, slices)

        def part(slice_: int | None) -> NDArray[Any]:
            return _typed(decoded(None if slice_ is None else [slice_], silent), parsed.dtype)

        self._decoded = decoded
        self._part = lru_cache(max(1, keep // (t * y * x * np.dtype(parsed.dtype).itemsize)) if alone else 1)(part)

    def frame(self, time: int, slice_: int) -> NDArray[Any]:
        frame: NDArray[Any] = self._part(slice_)[time, 0] if self.slices_alone else self._part(None)[time, slice_]
        return frame.copy()

    def values(self, times: Some, slices: Some, progress: Progress) -> NDArray[Any]:
        found = self._decoded(slices, progress)
        return found if times is None else found[list(times)]


def _planes(parsed: Container, device: torch.device) -> Callable[[Sequence[int], Sequence[int]], NDArray[np.int32]]:
    """-> what gives the values (len(times), len(slices), Y, X) of planes"""
    layer = parsed.layer(FILTERED)
    if layer is not None:
        return partial(sparse.synthesise(sparse.from_bytes(layer, parsed.shape)).values, device=device)
    layer = parsed.layer(SPARSE)
    if layer is not None:
        return partial(first.from_bytes(layer, parsed.shape).values, device=device)
    return synthesis.on_grid(synthesis.from_bytes(parsed.layer(PLANES) or b"", parsed.shape), parsed.shape, device).values


def _checked(parsed: Container) -> Container:
    kinds = {layer.kind for layer in parsed.layers} - {ATTACHMENT}
    bound = parsed.max_error
    if not (
        (kinds == {STORED} and bound == 0)
        or (kinds in ({PLANES}, {SPARSE}, {FILTERED}) and bound is None)
        or (kinds == {PLANES, RESIDUAL} and bound is not None)
    ):
        raise BitstreamError("The bitstream's error bound and its layers contradict one another.")
    return parsed


def _typed(values: NDArray[Any], dtype: str) -> NDArray[Any]:
    if values.dtype == dtype:
        return values
    limits = np.iinfo(dtype)
    if values.min() < limits.min or values.max() > limits.max:
        raise BitstreamError(f"The bitstream holds values that do not fit into {dtype}.")
    return values.astype(dtype)
