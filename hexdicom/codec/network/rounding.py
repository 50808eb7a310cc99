"""Which integers become the changes of a prior: what each costs in the bitstream against what it saves in the voxels.

What it saves is taken from the diagonal of the Fisher information, the mean square of the gradient of a voxel's bits: near the
optimum that is the curvature of the loss. Rate–distortion optimised quantisation, as video encoders do it with coefficients.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch

from hexdicom.codec import symbols
from hexdicom.codec.network.model import no_field

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hexdicom.codec.network.field import FieldPlanes
    from hexdicom.codec.network.model import CausalNetwork, Examples

_BATCH = 1 << 12
_ROUNDS = 3  # tables and choices depend on each other
COARSEST = 9  # octaves of a rounding step


def sensitivity(
    network: CausalNetwork, planes: FieldPlanes | None, examples: Examples
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(count,) bits that a voxel costs more, for a weight that is off by d units of 1.0, over d²; in the order of `Network.flat`.

    Twice: by the gradients before the clamp of a unit, and by those behind it. A unit that adaptation has silenced has none before
    it: its changes would be rounded away, and it would speak again. By those behind it, it costs more than it is worth.
    """
    before, behind = ([torch.zeros_like(parameter) for parameter in network.parameters()] for _ in range(2))
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []  # inputs and outputs of each layer

    def keep(_: torch.nn.Module, given: tuple[torch.Tensor, ...], made: torch.Tensor) -> None:
        if seen:
            given[0].retain_grad()
        made.retain_grad()
        seen.append((given[0], made))

    hooks = [layer.register_forward_hook(keep) for layer in network.layers]
    for begin in range(0, len(examples), _BATCH):
        part = examples.part(slice(begin, begin + _BATCH))
        field = no_field(len(part)) if planes is None else planes(part.place).detach()
        network.bits(part, field).sum().backward()  # type: ignore[no-untyped-call]
        clamped = [given for given, _ in seen[1:]] + [seen[-1][1]]
        for number, ((given, made), after) in enumerate(zip(seen, clamped, strict=True)):
            for squares, outputs in ((before, made), (behind, after)):
                assert outputs.grad is not None
                square = outputs.grad.square()  # (n, out)
                squares[2 * number] += square.T @ given.detach().square()
                squares[2 * number + 1] += square.sum(0)
        seen.clear()
    for hook in hooks:
        hook.remove()
    network.zero_grad()
    return _per_voxel(before, len(examples)), _per_voxel(behind, len(examples))


def _per_voxel(squares: list[torch.Tensor], count: int) -> NDArray[np.float64]:
    flat: NDArray[np.float64] = torch.cat([square.flatten() for square in squares]).double().numpy()
    return 0.5 * math.log(2) * flat / count


def rounded(
    moved: NDArray[np.float64], worth: NDArray[np.float64], context: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """moved: (count,) wanted changes; worth: bits that the series costs more for a change that is off by d, over d²; context: the
    part of each. -> (change (count,), octaves that an integer of each part is worth (parts,))
    """
    change = np.zeros(len(moved), np.int64)
    octaves = np.zeros(int(context.max()) + 1, np.int64)
    for part in range(len(octaves)):
        rows = context == part
        choices = [_at_step(moved[rows], worth[rows], octave) for octave in range(COARSEST + 1)]
        octaves[part] = min(range(len(choices)), key=lambda octave: choices[octave][0])
        change[rows] = choices[octaves[part]][1]
    return change, octaves


def change_bits(change: NDArray[np.int64], context: NDArray[np.int64]) -> float:
    """What the changes cost in the layer: the code lengths of each part under its best table"""
    return sum(float(_code_lengths(part, part[None]).sum()) for part in np.split(change, np.flatnonzero(np.diff(context)) + 1))


def _at_step(moved: NDArray[np.float64], worth: NDArray[np.float64], octave: int) -> tuple[float, NDArray[np.int64]]:
    """-> (bits of the changes and of what is lost by them, the changes in steps of 2^octave)"""
    nearest = np.rint(moved / (1 << octave)).astype(np.int64)
    sign = np.sign(nearest)
    candidates = np.stack((nearest, nearest - sign, nearest - 2 * sign, np.zeros_like(nearest)))  # (4, n)
    lost = worth * np.square(moved - (candidates << octave))
    change, column = nearest, np.arange(len(nearest))
    for _ in range(_ROUNDS):
        cost = lost + _code_lengths(change, candidates)
        change = candidates[cost.argmin(0), column]
    bits = _code_lengths(change, change[None]) + np.square(moved - (change << octave)) * worth
    return float(bits.sum()), change


def _code_lengths(change: NDArray[np.int64], values: NDArray[np.int64]) -> NDArray[np.float64]:
    """Bits of `values` (m, n) under the table that is best for `change` (n,)"""
    nothing = np.zeros_like(change)
    level, shape = symbols.best_tables([(change, nothing, nothing)], 1)
    return symbols.code_lengths(values, int(level[0]), int(shape[0]))
