"""The six planes as a decoder sees them: integers in, integers out, the same on every machine. Specified in docs/format.md.

Integers are carried in doubles: every intermediate value that is not clamped away stays below 2^53, so each step is exact in any
order, on CPU and GPU.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, localcontext
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import torch

from hexdicom.codec import parallel, plane_coding
from hexdicom.codec.parallel import threads
from hexdicom.codec.planes import AXES, PLANES, STEP, SixPlanes, Size, interpolation
from hexdicom.codec.reader import Reader
from hexdicom.errors import BitstreamError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

UNIT = 12  # bits behind the point of h, of the network's inputs and its first layer
_LIMIT = 8 * STEP  # plane values lie in −8..8
_WEIGHT_LIMIT = 1 << 16  # first layer: −16..16
_OUTPUT_SHIFT = 20  # bits behind the point of the sum of the second layer
_OUTPUT_LIMIT = 1 << 36
_TILE = 1 << 13  # places of a frame at once, on the CPU: what is computed of them stays in its cache


@dataclass(frozen=True, slots=True)
class Rounded:
    """The parameters in a bitstream.

    planes: six arrays (rows, columns, k) in 1/64. weight1 (k, m), bias1 (m,) in 1/4096. weight2 (m,) in 1/256 grey values,
    bias2 in 2^-20 grey values. low, high: the ReLU of the second layer is the clamp to these stored values.
    """

    size: Size
    planes: tuple[NDArray[np.int64], ...]
    weight1: NDArray[np.int64]
    bias1: NDArray[np.int64]
    weight2: NDArray[np.int64]
    bias2: int
    low: int
    high: int


def rounded(model: SixPlanes, low: int, high: int) -> Rounded:
    """Round a fitted model. low, high: least and greatest stored value of the series."""
    gain = (high - low) / 100

    def integers(tensor: torch.Tensor, scale: float, limit: int) -> NDArray[np.int64]:
        return np.rint(np.clip(tensor.detach().cpu().double().numpy() * scale, -limit, limit)).astype(np.int64)

    one = 1 << UNIT
    return Rounded(
        model.size,
        tuple(integers(plane, STEP, _LIMIT) for plane in model.planes),
        integers(model.weight1, one, _WEIGHT_LIMIT),
        integers(model.bias1, one, 1 << 20),
        integers(model.weight2, 256 * gain, 1 << 24),
        int(integers(model.bias2 * gain + low, 1 << _OUTPUT_SHIFT, _OUTPUT_LIMIT)[0]),
        low,
        high,
    )


@dataclass(frozen=True, slots=True)
class Grid:
    """The planes at every sample of a series: any frame is computed from them, and nothing before it is needed.

    planes: yx, zx, zy, tx, ty, tz as (a, b, k) in 1/4096.
    """

    model: Rounded
    planes: tuple[torch.Tensor, ...]
    device: torch.device

    def values(self, times: Sequence[int], slices: Sequence[int]) -> NDArray[np.int32]:
        """-> (len(times), len(slices), Y, X) stored values"""
        yx, zx, zy, tx, ty, tz = self.planes
        weight1, bias1 = _tensor(self.model.weight1, self.device), _tensor(self.model.bias1, self.device) * (1 << UNIT)
        weight2 = _tensor(self.model.weight2, self.device)
        coarse, fine = (table.to(self.device) for table in _exponentials())
        values = np.empty((len(times), len(slices), *yx.shape[:2]), np.int32)
        rows = max(1, _TILE // yx.shape[1]) if self.device.type == "cpu" else len(yx)

        def synthesise(place: tuple[int, int]) -> None:
            t, z = times[place[0]], slices[place[1]]
            along_x = _shift(zx[z] * tx[t], UNIT)  # (X, k)
            along_y = _shift(_shift(zy[z] * ty[t], UNIT) * tz[t, z], UNIT)  # (Y, k)
            for top in range(0, len(yx), rows):
                part = slice(top, top + rows)
                h = _shift(_shift(yx[part] * along_x[None], UNIT) * along_y[part, None], UNIT)  # (rows, X, k), eq. 1
                exponent = _shift(h @ weight1 + bias1, UNIT).clamp_(-(8 << UNIT), (8 << UNIT) - 1).to(torch.int64).add_(8 << UNIT)
                hidden = (coarse[exponent >> 6] * fine[exponent & 63]) >> 16  # (rows, X, m) in 1/4096
                grey = _shift(hidden.to(torch.float64) @ weight2 + self.model.bias2, _OUTPUT_SHIFT)  # (rows, X)
                values[place][part] = grey.clamp_(self.model.low, self.model.high).to(torch.int32).cpu().numpy()

        parallel.over(self.device, synthesise, list(np.ndindex(len(times), len(slices))))
        return values


def on_grid(model: Rounded, shape: tuple[int, int, int, int], device: torch.device) -> Grid:
    """Interpolate the planes to the samples of a (T, Z, Y, X) series."""
    full = []
    with threads(device):
        for name, plane in zip(PLANES, model.planes, strict=True):
            axes = AXES.index(name[0]), AXES.index(name[1])
            rows, columns = (_tensor(interpolation(shape[a], model.size.nodes[a]), device) for a in axes)
            upsampled = torch.einsum("ai,ijk->ajk", rows, _tensor(plane, device))
            full.append(_shift(torch.einsum("bj,ajk->abk", columns, upsampled), 6 + 16 - UNIT))  # (a, b, k) in 1/4096
    return Grid(model, tuple(full), device)


def _tensor(array: NDArray[np.int64], device: torch.device) -> torch.Tensor:
    return torch.from_numpy(array).to(device, torch.float64)


def _shift(values: torch.Tensor, bits: int) -> torch.Tensor:
    """Divide by 2^bits, in place, to the nearest integer, halves up."""
    return values.mul_(1 / (1 << bits)).add_(0.5).floor_()


@cache
def _exponentials() -> tuple[torch.Tensor, torch.Tensor]:
    """exp over [−8, 8) in steps of 1/64, in 1/4096; and over [0, 1/64) in steps of 1/4096, in 1/65536. int64"""
    with localcontext() as context:
        context.prec = 40
        coarse = [int((Decimal(i - 512) / 64).exp() * 4096) for i in range(1024)]
        fine = [int((Decimal(i) / 4096).exp() * 65536) for i in range(64)]
    return torch.tensor(coarse), torch.tensor(fine)


def to_bytes(model: Rounded) -> bytes:
    """The layer: sizes, network, then the entropy-coded planes."""
    head = np.array([*model.size.nodes, model.size.channels, model.size.hidden], "<u2").tobytes()
    network = np.concatenate((model.weight1.reshape(-1), model.bias1, model.weight2)).astype("<i4").tobytes()
    tail = np.array([model.low, model.high], "<i4").tobytes() + np.array([model.bias2], "<i8").tobytes()
    return head + tail + network + plane_coding.to_bytes(model.planes, _LIMIT)


def from_bytes(layer: bytes, shape: tuple[int, int, int, int]) -> Rounded:
    """Parse a layer of a (T, Z, Y, X) series. Raises BitstreamError."""
    reader = Reader(layer, "planes layer")
    t, z, y, x, channels, hidden = reader.fields("6H")
    size = plane_coding.checked_size((t, z, y, x), shape, channels, hidden)
    low, high = reader.fields("2i")
    (bias2,) = reader.fields("q")
    weight1, bias1, weight2 = (reader.array("<i4", n).astype(np.int64) for n in (channels * hidden, hidden, hidden))
    if not (-32768 <= low <= high <= 65535 and abs(bias2) <= _OUTPUT_LIMIT and np.abs(weight1).max() <= _WEIGHT_LIMIT):
        raise BitstreamError("The planes layer holds parameters out of range.")
    if np.abs(bias1).max() > 1 << 20 or np.abs(weight2).max() > 1 << 24:
        raise BitstreamError("The planes layer holds parameters out of range.")
    arrays = plane_coding.from_bytes(reader, size, _LIMIT)
    reader.end()
    return Rounded(size, arrays, weight1.reshape(channels, hidden), bias1, weight2, bias2, low, high)
