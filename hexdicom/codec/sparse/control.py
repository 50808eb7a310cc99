"""The step that meets what is asked for: so many bytes at most, or so many dB at least."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from hexdicom.codec.sparse import fit, model, refine, series
from hexdicom.errors import ProfileError
from hexdicom.metrics import psnr

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import torch
    from numpy.typing import NDArray

    from hexdicom.codec.interface import Progress
    from hexdicom.codec.profile import Profile
    from hexdicom.codec.sparse.fit import Analysis
    from hexdicom.codec.sparse.model import Sparse

_SIZE_MARGIN = 0.01  # bytes are met within this share
_LEVEL_MARGIN = 0.03  # dB within which a level is met
_TRIALS = 24
_WIDE = math.log(4)  # first stride of the search, in the logarithm of the step
_EXACT = 8  # a step of 1/8 of a stored value leaves nothing to gain


@dataclass(frozen=True, slots=True)
class Trial:
    """A layer, and what it decodes to where that had to be known. excess: above 0 where it breaks what was asked for."""

    sparse: Sparse
    layer: bytes
    decoded: NDArray[np.int32] | None
    excess: float

    @property
    def step(self) -> int:
        return self.sparse.step


def encode(
    values: NDArray[np.int32], profile: Profile, source_bytes: int, overhead: int, device: torch.device, progress: Progress
) -> tuple[bytes, NDArray[np.int32]]:
    """-> (layer, (T, Z, Y, X) what it decodes to)

    source_bytes: what a ratio refers to. overhead: bytes that the container adds. Raises ProfileError where it cannot be met.
    """
    progress("planes", 0)
    analysis = fit.analyse(values)
    last = refine.ROUNDS if analysis.first.size <= fit.SMALL else 0  # large maps gain 0.02 dB, and take four times as long
    size = most_bytes(profile, source_bytes)
    if size is not None:
        attempts = [partial(_by_size, most=size - overhead, rounds=rounds) for rounds in (0, last)]
        searches = [_Search(attempt, 1, _SIZE_MARGIN, progress) for attempt in attempts]
    else:
        level = profile.psnr or 0.0
        leveled = [partial(_by_level, level=level, values=values, device=device, rounds=rounds) for rounds in (0, last)]
        searches = [_Search(attempt, -1, _LEVEL_MARGIN, progress) for attempt in leveled]
    first = searches[0].run(analysis, _start(analysis), loosely=True)
    analysis = fit.across_slices(analysis, fit.halvings_for(analysis, first.step))
    found = searches[1].run(analysis, first.step, loosely=False)
    if found.excess < -2 * searches[1].margin and found.step > _EXACT:
        found = _filled(analysis, found, searches[1].attempt, found.step if size is None else found.step - 1)
    if found.excess > 0:
        raise _out_of_reach(found, profile, overhead)
    layer, decoded = found.layer, found.decoded
    if decoded is None:
        sparse = found.sparse if last else fit.filtered(analysis, found.sparse)
        layer, decoded = model.to_bytes(sparse), model.evaluate(sparse, device)  # as many bytes as without a filter
    progress("planes", 1)
    return layer, decoded


def curve(
    values: NDArray[np.int32], most: int, least: int, points: int, device: torch.device, progress: Progress
) -> Iterator[tuple[bytes, NDArray[np.int32]]]:
    """Layers from about `least` to about `most` bytes, their steps evenly apart, each with what it decodes to."""
    analysis = fit.analyse(values)
    ends: list[int] = []
    for size in (least, most):
        search = _Search(partial(_by_size, most=size, rounds=0), 1, _SIZE_MARGIN, progress)
        ends.append(search.run(analysis, ends[-1] if ends else _start(analysis), loosely=True).step)
    analysis = fit.across_slices(analysis, fit.halvings_for(analysis, int(math.sqrt(ends[0] * ends[1]))))
    for step in np.geomspace(ends[0], ends[1], points):
        sparse = refine.refined(analysis, round(step), rounds=refine.ROUNDS if analysis.first.size <= fit.SMALL else 0)
        yield model.to_bytes(sparse), model.evaluate(sparse, device)


def most_bytes(profile: Profile, source_bytes: int) -> int | None:
    """How many bytes the bitstream may have; None where the profile names a level instead."""
    if profile.max_bytes is not None:
        return profile.max_bytes
    return None if profile.psnr is not None else int(source_bytes / profile.ratio)


@dataclass(frozen=True, slots=True)
class _Search:
    """Finds the step at which `excess` passes 0, from the side where it is at most 0.

    direction: 1 where a larger step lowers the excess (bytes), −1 where a smaller one does (dB).
    """

    attempt: Callable[..., Trial]  # of an analysis and a step; and of a price
    direction: int
    margin: float
    progress: Progress

    def run(self, analysis: Analysis, start: int, loosely: bool) -> Trial:
        """The best trial; its excess is above 0 where no step does what is asked for.

        loosely: end with the first that is good to 5 %, or 0.2 dB.
        """
        margin = 5 * self.margin if loosely else self.margin
        lowest, highest = _EXACT, fit.highest_step(analysis)
        good: Trial | None = None
        bad: Trial | None = None
        step = min(max(start, lowest), highest)
        for number in range(_TRIALS):
            self.progress("planes", min(0.9, number / 10))
            trial = self.attempt(analysis, step)
            if trial.excess <= 0:
                good = trial
                if trial.excess >= -margin:
                    break
            else:
                bad = trial
            following = self._next(good, bad, lowest, highest, number)
            if following is None:
                break
            step = following
        return good or bad or trial

    def _next(self, good: Trial | None, bad: Trial | None, lowest: int, highest: int, number: int) -> int | None:
        if good is None or bad is None:
            known = good or bad
            assert known is not None
            away = self.direction * (1 if good is None else -1)
            limit = highest if away > 0 else lowest
            if known.step == limit:
                return None
            return min(max(round(known.step * math.exp(away * _WIDE)), lowest), highest)
        if abs(good.step - bad.step) <= 1:
            return None
        left, right = math.log(good.step), math.log(bad.step)
        # where the line between the two is just within the margin
        share = (good.excess + self.margin / 2) / (good.excess - bad.excess)
        if number % 3 == 2 or not math.isfinite(share):
            share = 0.5  # a line may creep; a bisection does not
        step = round(math.exp(left + (right - left) * min(max(share, 0.02), 0.98)))
        between = sorted((good.step, bad.step))
        return min(max(step, between[0] + 1), between[1] - 1)


def _by_size(analysis: Analysis, step: int, most: int, rounds: int, price: float = fit.PRICE) -> Trial:
    """rounds: 0 for one that is not filtered."""
    sparse = fit.at_step(analysis, step, price) if rounds == 0 else refine.refined(analysis, step, price, rounds)
    layer = model.to_bytes(sparse)
    return Trial(sparse, layer, None, math.log(len(layer) / most) if most > 0 else math.inf)


def _filled(analysis: Analysis, good: Trial, attempt: Callable[..., Trial], step: int) -> Trial:
    """Where one step is too much and the next one leaves room: one of them, at the price of bits at which it comes nearest."""
    found = good
    for more in np.geomspace(1e-3, 0.3, 12):
        trial = attempt(analysis, step, price=fit.PRICE * (1 + float(more)))
        if trial.excess <= 0:
            found = max(found, trial, key=lambda one: one.excess)
            if step != good.step:  # a higher price only leaves more room
                break
    return found


def _by_level(
    analysis: Analysis, step: int, level: float, values: NDArray[np.int32], device: torch.device, rounds: int,
    price: float = fit.PRICE,
) -> Trial:  # fmt: skip
    sparse = refine.refined(analysis, step, price, rounds)
    decoded = model.evaluate(sparse, device)
    return Trial(sparse, model.to_bytes(sparse), decoded, level - psnr(values, decoded))


def _start(analysis: Analysis) -> int:
    return max(_EXACT, int((analysis.high - analysis.low) / 6 * (1 << series.UNIT)))


def _out_of_reach(found: Trial, profile: Profile, overhead: int) -> ProfileError:
    if profile.psnr is not None:
        return ProfileError(
            f"The lossy profile reaches {profile.psnr - found.excess:.1f} dB on this series, not {profile.psnr:g} dB.",
            hint="Ask for less, or use the near-lossless profile.",
        )
    return ProfileError(
        f"This series takes {len(found.layer) + overhead} bytes at least.", hint="Ask for more bytes, or for a smaller ratio."
    )
