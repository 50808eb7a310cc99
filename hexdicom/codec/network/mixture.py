"""From the network's outputs to frequencies of symbols: a mixture of three logistic distributions, in integers, in torch.

The readable form of `compiled.distribution` and what follows it. Specified in docs/format.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from hexdicom.codec.network.neighbours import COMPONENTS, NEIGHBOURS
from hexdicom.codec.network.stream import REACH_LIMIT, TOTAL

if TYPE_CHECKING:
    from hexdicom.codec.network.inputs import Seen, Tables

_FAR = 1 << 22  # sixteenths of a stored value, beyond any value
_ONE = 1 << 30


@dataclass(frozen=True, slots=True)
class Bounds:
    """low, high: of the values; step: of the quantiser, 2 · max_error + 1."""

    low: int
    high: int
    max_error: int

    @property
    def step(self) -> int:
        return 2 * self.max_error + 1


@dataclass(frozen=True, slots=True)
class Mixture:
    """For (Z, n) voxels; all int64. A voxel is centre + step · q, its symbol is q >> shift.

    means, inverse_scales, weights: (Z, n, COMPONENTS). centre, shift, reach: (Z, n). smallest..largest: what q may be.
    least..greatest: what symbols may be; of these −reach − 1 and reach + 1 are escapes.
    """

    means: torch.Tensor
    inverse_scales: torch.Tensor
    weights: torch.Tensor
    centre: torch.Tensor
    shift: torch.Tensor
    reach: torch.Tensor
    smallest: torch.Tensor
    largest: torch.Tensor
    least: torch.Tensor
    greatest: torch.Tensor
    step: int
    knots: torch.Tensor

    def part(self, rows: slice) -> Mixture:
        """Some of the n voxels"""
        return Mixture(
            self.means[:, rows], self.inverse_scales[:, rows], self.weights[:, rows], self.centre[:, rows], self.shift[:, rows],
            self.reach[:, rows], self.smallest[:, rows], self.largest[:, rows], self.least[:, rows], self.greatest[:, rows],
            self.step, self.knots,
        )  # fmt: skip

    def escapes(self, symbol: torch.Tensor) -> torch.Tensor:
        return (symbol == -self.reach - 1) | (symbol == self.reach + 1)

    def below(self, symbol: torch.Tensor) -> torch.Tensor:
        """(Z, n) cumulative frequency below symbols least..greatest + 1, out of TOTAL"""
        edge = 16 * (self.centre + (symbol << self.shift) * self.step) - 8 * self.step  # (Z, n)
        u = ((edge[..., None] - self.means).clamp(-_FAR, _FAR) * self.inverse_scales) >> 20  # (Z, n, COMPONENTS)
        share = (self.weights * _sigmoid(u, self.knots)).sum(-1) >> 12
        free = TOTAL - (2 * self.reach + 3)
        inner = (share * free >> 30) + symbol + self.reach + 1
        return torch.where(symbol <= self.least, 0, torch.where(symbol > self.greatest, TOTAL, inner))

    def table(self, window: int) -> torch.Tensor:
        """(Z, n, window + 1) `below` from the least symbol on; TOTAL beyond the greatest"""
        wide = Mixture(
            self.means[:, :, None], self.inverse_scales[:, :, None], self.weights[:, :, None], self.centre[..., None],
            self.shift[..., None], self.reach[..., None], self.smallest[..., None], self.largest[..., None], self.least[..., None],
            self.greatest[..., None], self.step, self.knots,
        )  # fmt: skip
        return wide.below(self.least[..., None] + torch.arange(window + 1, device=self.least.device))

    def find(self, slot: torch.Tensor, steps: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """-> (symbol, start, end) with start ≤ slot < end, by bisection, for which `steps` must suffice. All (Z, n)."""
        under, over = self.least, self.greatest + 1
        start, end = torch.zeros_like(slot), torch.full_like(slot, TOTAL)
        for _ in range(steps):
            middle = (under + over) >> 1
            bound = self.below(middle)
            right = bound <= slot
            # once under + 1 = over, middle is under and nothing changes
            under, start = torch.where(right, middle, under), torch.where(right, bound, start)
            over, end = torch.where(right, over, middle), torch.where(right, end, bound)
        return under, start, end


def mixture(output: torch.Tensor, seen: Seen, bounds: Bounds, known: Tables) -> Mixture:
    """output: (Z, n, OUTPUTS) of the network, integers in float64, which carries all sums here exactly."""
    low, high, step = bounds.low, bounds.high, bounds.step
    combined = (output[..., :NEIGHBOURS] * seen.difference).sum(-1)  # (Z, n)
    mean = (seen.reference + _floor(combined * 2.0**-18)).clamp(16 * low, 16 * high)
    logits, offsets, levels = torch.split(output[..., NEIGHBOURS:], COMPONENTS, -1)  # (Z, n, COMPONENTS)
    shifted = mean[..., None] + _floor(offsets * seen.activity[..., None] * 2.0**-15)
    means = shifted.clamp(16 * low, 16 * high)
    level = (_floor(levels * 2.0**-11) + (known.log(seen.activity)[..., None] >> 1)).clamp(0, 255)
    logit = _floor(logits * 2.0**-11)
    behind = (logit.amax(-1, keepdim=True) - logit).clamp(max=255)
    share = known.decay[behind]
    weights = (share << 12) // share.sum(-1, keepdim=True)
    # what rounding took goes to the heaviest, the first of them
    rest = 4096 - weights.sum(-1, keepdim=True)
    weights = weights.scatter_add(-1, weights.argmax(-1, keepdim=True), rest)
    return _window(mean, means, level, weights, bounds, step, known)


def _window(
    mean: torch.Tensor, means: torch.Tensor, level: torch.Tensor, weights: torch.Tensor, bounds: Bounds, step: int, known: Tables
) -> Mixture:
    """Which q get a symbol of their own: as fine as the narrowest component needs, as far as the widest one reaches."""
    finest = torch.where(weights >= 256, level, 255).amin(-1)  # (Z, n)
    widest = (12 * known.scale[level] + (means - mean[..., None]).abs()).amax(-1)
    shift = ((finest >> 4) - 8 - (step.bit_length() - 1)).clamp(min=0)
    reach = ((widest // (16 * step) >> shift) + 2).clamp(max=REACH_LIMIT)
    centre = (mean + 8) >> 4
    smallest = -((centre - bounds.low + bounds.max_error) // step)
    largest = (bounds.high - centre + bounds.max_error) // step
    least, greatest = torch.maximum(smallest >> shift, -reach - 1), torch.minimum(largest >> shift, reach + 1)
    return Mixture(
        means, known.inverse_scale[level], weights, centre, shift, reach, smallest, largest, least, greatest, step, known.knots
    )


def _sigmoid(u: torch.Tensor, knots: torch.Tensor) -> torch.Tensor:
    """1 / (1 + exp(−u)), u in 2^-16, result in 2^-30; linear between 64 knots per unit"""
    magnitude = u.abs().clamp(max=(24 << 16) - 1)
    knot, part = magnitude >> 10, magnitude & 1023
    lower = knots[knot]
    upper = lower + ((knots[knot + 1] - lower) * part >> 10)
    return torch.where(u < 0, _ONE - upper, upper)


def _floor(values: torch.Tensor) -> torch.Tensor:
    return torch.floor(values).long()
