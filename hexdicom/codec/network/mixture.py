"""From the network's outputs to frequencies of symbols: a mixture of three logistic distributions, in integers, in torch.

The readable form of `compiled.distribution` and what follows it. Specified in docs/format.md.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch

from hexdicom.codec.network.neighbours import COMPONENTS, NEIGHBOURS
from hexdicom.codec.network.stream import ESCAPE_BITS, REACH_LIMIT, ROUNDED, TOTAL

if TYPE_CHECKING:
    from collections.abc import Callable

    from hexdicom.codec.network.inputs import Seen, Tables

_FAR = 1 << 22  # sixteenths of a stored value, beyond any value
_ONE = 1 << 30
_OF_VOXELS = (
    "means", "inverse_scales", "weights", "centre", "shift", "reach", "origin", "alone", "smallest", "largest", "least", "greatest",
    "first", "count",
)  # fmt: skip
_BIAS = 1 << (ESCAPE_BITS - 1)


@dataclass(frozen=True, slots=True)
class Bounds:
    """low, high: of the values; step: of the quantiser, 2 · max_error + 1; predictor: FLOORED or ROUNDED."""

    low: int
    high: int
    max_error: int
    predictor: int

    @property
    def step(self) -> int:
        return 2 * self.max_error + 1


@dataclass(frozen=True, slots=True)
class Mixture:
    """For (Z, n) voxels; all int64. A voxel is centre + step · q, its symbol is (q − origin) >> shift.

    means, inverse_scales, weights: (Z, n, COMPONENTS). centre, shift, reach, origin: (Z, n). smallest..largest: what q may be.
    least..greatest: what symbols may be; of these −reach − 1 and reach + 1 are escapes, and `alone` means `smallest` and nothing
    else. first: of the `count` symbols that have a frequency of at least 1.
    """

    means: torch.Tensor
    inverse_scales: torch.Tensor
    weights: torch.Tensor
    centre: torch.Tensor
    shift: torch.Tensor
    reach: torch.Tensor
    origin: torch.Tensor
    alone: torch.Tensor
    smallest: torch.Tensor
    largest: torch.Tensor
    least: torch.Tensor
    greatest: torch.Tensor
    first: torch.Tensor
    count: torch.Tensor
    step: int
    knots: torch.Tensor

    def part(self, rows: slice) -> Mixture:
        """Some of the n voxels"""
        return self._seen(lambda one: one[:, rows])

    def symbol(self, q: torch.Tensor) -> torch.Tensor:
        return torch.minimum(torch.maximum((q - self.origin) >> self.shift, -self.reach - 1), self.reach + 1)

    def raw_bits(self, symbol: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
        """What `q` needs beside its symbol"""
        return torch.where(self._escapes(symbol), q + _BIAS, (q - self.origin) & ((1 << self.shift) - 1))

    def raw_length(self, symbol: torch.Tensor) -> torch.Tensor:
        """How many bits that has"""
        return torch.where(self._escapes(symbol), ESCAPE_BITS, self.shift * (symbol != self.alone))

    def quantised(self, symbol: torch.Tensor, raw: torch.Tensor) -> torch.Tensor:
        """-> q. A damaged stream may leave the bounds; the predictor must never see such a value."""
        q = torch.where(self._escapes(symbol), raw - _BIAS, (symbol << self.shift) + raw + self.origin)
        q = torch.where(symbol == self.alone, self.smallest, q)
        return torch.minimum(torch.maximum(q, self.smallest), self.largest)

    def _seen(self, view: Callable[[torch.Tensor], torch.Tensor]) -> Mixture:
        """The same view of all that is kept for each voxel"""
        viewed: dict[str, Any] = {name: view(getattr(self, name)) for name in _OF_VOXELS}
        return replace(self, **viewed)

    def _escapes(self, symbol: torch.Tensor) -> torch.Tensor:
        return (symbol == -self.reach - 1) | (symbol == self.reach + 1)

    def below(self, symbol: torch.Tensor) -> torch.Tensor:
        """(Z, n) cumulative frequency below symbols least..greatest + 1, out of TOTAL"""
        edge = 16 * (self.centre + ((symbol << self.shift) + self.origin) * self.step) - 8 * self.step  # (Z, n)
        u = ((edge[..., None] - self.means).clamp(-_FAR, _FAR) * self.inverse_scales) >> 20  # (Z, n, COMPONENTS)
        share = (self.weights * _sigmoid(u, self.knots)).sum(-1) >> 12
        inner = (share * (TOTAL - self.count) >> 30) + symbol - self.first
        return torch.where(symbol <= self.least, 0, torch.where(symbol > self.greatest, TOTAL, inner))

    def table(self, window: int) -> torch.Tensor:
        """(Z, n, window + 1) `below` from the least symbol on; TOTAL beyond the greatest"""
        wide = self._seen(lambda one: one[:, :, None])
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
    rounded = bounds.predictor == ROUNDED
    # predictor 2 rounds down, which makes scales too narrow, and keeps means within the bounds, which air does not
    half, margin = 0.5 * rounded, (bounds.high - bounds.low + 1) * rounded
    lowest, highest = 16 * (bounds.low - margin), 16 * (bounds.high + margin)
    combined = (output[..., :NEIGHBOURS] * seen.difference).sum(-1)  # (Z, n)
    unbound = (seen.reference + _floor(combined * 2.0**-18 + half)).clamp(lowest, highest)
    logits, offsets, levels = torch.split(output[..., NEIGHBOURS:], COMPONENTS, -1)  # (Z, n, COMPONENTS)
    means = (unbound[..., None] + _floor(offsets * seen.activity[..., None] * 2.0**-15 + half)).clamp(lowest, highest)
    level = (_floor(levels * 2.0**-11 + half) + (known.log(seen.activity)[..., None] + rounded >> 1)).clamp(0, 255)
    logit = _floor(logits * 2.0**-11)
    behind = (logit.amax(-1, keepdim=True) - logit).clamp(max=255)
    share = known.decay[behind]
    weights = (share << 12) // share.sum(-1, keepdim=True)
    # what rounding took goes to the heaviest, the first of them
    rest = 4096 - weights.sum(-1, keepdim=True)
    weights = weights.scatter_add(-1, weights.argmax(-1, keepdim=True), rest)
    return _window(unbound.clamp(16 * bounds.low, 16 * bounds.high), means, level, weights, bounds, known)


def _window(
    mean: torch.Tensor, means: torch.Tensor, level: torch.Tensor, weights: torch.Tensor, bounds: Bounds, known: Tables
) -> Mixture:
    """Which q get a symbol of their own: as fine as the narrowest component needs, as far as the widest one reaches."""
    step, rounded = bounds.step, bounds.predictor == ROUNDED
    finest = torch.where(weights >= 256, level, 255).amin(-1)  # (Z, n)
    widest = (12 * known.scale[level] + (means - mean[..., None]).abs()).amax(-1)
    shift = ((finest >> 4) - 8 - (step.bit_length() - 1)).clamp(min=0)
    reach = ((widest // (16 * step) >> shift) + 2).clamp(max=REACH_LIMIT)
    centre = (mean + 8) >> 4
    smallest = -((centre - bounds.low + bounds.max_error) // step)
    largest = (bounds.high - centre + bounds.max_error) // step
    # a series has the value `low` often: air, masks. Symbols begin where it has one to itself.
    origin = (smallest + 1) & ((1 << shift) - 1) if rounded else torch.zeros_like(shift)
    least = torch.maximum((smallest - origin) >> shift, -reach - 1)
    greatest = torch.minimum((largest - origin) >> shift, reach + 1)
    alone = torch.where(least > -reach - 1, least, least - 1) if rounded else least - 1
    # predictor 2 also counts the symbols that lie beyond the bounds
    first, count = (least, greatest - least + 1) if rounded else (-reach - 1, 2 * reach + 3)
    return Mixture(
        means, known.inverse_scale[level], weights, centre, shift, reach, origin, alone, smallest, largest, least, greatest, first,
        count, step, known.knots,
    )  # fmt: skip


def _sigmoid(u: torch.Tensor, knots: torch.Tensor) -> torch.Tensor:
    """1 / (1 + exp(−u)), u in 2^-16, result in 2^-30; linear between 64 knots per unit"""
    magnitude = u.abs().clamp(max=(24 << 16) - 1)
    knot, part = magnitude >> 10, magnitude & 1023
    lower = knots[knot]
    upper = lower + ((knots[knot + 1] - lower) * part >> 10)
    return torch.where(u < 0, _ONE - upper, upper)


def _floor(values: torch.Tensor) -> torch.Tensor:
    return torch.floor(values).long()
