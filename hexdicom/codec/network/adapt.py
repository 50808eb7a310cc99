"""The prior, adapted to one series: network and six planes fitted together on the bits, rounded, and kept only where they pay."""

from __future__ import annotations

import logging
import math
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import torch

from hexdicom.codec.adam import Adam
from hexdicom.codec.network import field, rounding, sampling, weights
from hexdicom.codec.network.field import FieldPlanes
from hexdicom.codec.network.model import CausalNetwork, load, no_field
from hexdicom.codec.network.parameters import Adapted, parts
from hexdicom.codec.network.soap import Soap
from hexdicom.codec.parallel import threads
from hexdicom.errors import BitstreamError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from hexdicom.codec.network.model import Examples
    from hexdicom.codec.network.prior import Prior
    from hexdicom.codec.profile import Learns

log = logging.getLogger(__name__)

_EXAMPLES, _HELD_OUT, _TRIED = 300_000, 60_000, 20_000  # to learn from, to judge what was learned by, to choose a prior by
_RENEW = 150  # steps on one sample: each example is seen about twice, so that a large series is not learned by heart
_SHARES = 3  # of the steps, at least so many samples: the next is drawn meanwhile
_BATCH = 4096
_VOXELS_PER_STEP = 300
_LARGE, _MOST_TIMES = 1 << 24, 2.0
_RATE, _FIELD_RATE = 5e-3, 6e-2
_EVERY = 3  # of the held-out examples, one in so many says how sensitive the loss is to each weight
# Weight of the curvature, as weights err together, which a diagonal does not know; and how much of it lies behind the clamp: tried
_CURVATURES = ((1.0, 0.0), (2.0, 0.0), (4.0, 0.0), (1.0, 0.1), (1.0, 1.0))


def unchanged(prior: Prior) -> Adapted:
    return Adapted(prior.network, np.zeros(len(prior.network.flat()), np.int64), np.zeros(2 * weights.LAYERS, np.int64), None)


def choose(series: sampling.Series, priors: Sequence[Prior], max_error: int) -> Prior:
    """The prior that costs the series the fewest bits as it is"""
    some = sampling.sample(series, min(_TRIED, series.values.size), max_error, np.random.default_rng(0))

    def cost(prior: Prior) -> float:
        network = CausalNetwork(prior.hidden)
        load(network, prior.network.flat() / weights.units(prior.hidden))
        return _bits(network, None, some)

    return priors[0] if len(priors) == 1 else min(priors, key=cost)


@threads(torch.device("cpu"))
def adapt(
    series: sampling.Series, prior: Prior, max_error: int, steps: int, learns: Learns, progress: Callable[[float], None]
) -> Adapted:
    """steps: of SOAP, for a large series. A smaller one has time for more, a very small one learns by heart and takes fewer.
    learns: what is fitted; `all` is best, the others show what each part is worth.

    Where nothing pays, or where the fit fails, the prior is kept as it is.
    """
    times, slices, height, width = shape = series.shape
    voxels = times * slices * height * width
    steps = min(round(steps * min(_MOST_TIMES, max(1.0, math.sqrt(_LARGE / voxels)))), voxels // _VOXELS_PER_STEP)
    if steps == 0:
        return unchanged(prior)
    held_out = sampling.sample(series, min(_HELD_OUT, voxels), max_error, np.random.default_rng(0))
    start = prior.network.flat().astype(np.float64)
    units = weights.units(prior.hidden)
    network = CausalNetwork(prior.hidden)
    load(network, start / units)
    as_it_is = _bits(network, None, held_out) * voxels
    planes = None if learns == "network" else FieldPlanes(shape, field.nodes_for(shape), 0)
    network.requires_grad_(learns != "planes")
    renew = min(_RENEW, -(-steps // _SHARES))
    with ThreadPoolExecutor(1) as pool:  # the next sample is drawn while the network learns from this one
        samples = _samples(pool, series, min(_EXAMPLES, _BATCH * renew, 2 * voxels), max_error, -(-steps // renew))
        fitted = _fit(network, planes, torch.from_numpy(start / units).float(), samples, steps, renew, voxels, progress)
    if not fitted:
        log.error("the network could not learn from this series and is kept as it was", extra={"event": "fit.failed"})
        return unchanged(prior)
    moved = torch.nn.utils.parameters_to_vector(network.parameters()).detach().double().numpy() * units - start
    integers = None if planes is None else planes.integers()
    if planes is not None and integers is not None:
        planes.load(integers)
    context = parts(prior.network.sizes)
    network.requires_grad_(True)
    before, behind = rounding.sensitivity(network, planes, held_out.part(slice(0, None, _EVERY)))

    def rounded(weight: float, share: float) -> tuple[float, Adapted | None]:
        """A change costs its bytes once, what it saves counts for every voxel. -> (bits, what costs them)"""
        curvature = weight * ((1 - share) * before + share * behind)
        change, octaves = rounding.rounded(moved, curvature * voxels / units**2, context)
        try:
            candidate = weights.from_flat(start.astype(np.int64) + (change << octaves[context]), prior.hidden)
        except BitstreamError:  # rounding made a sum too large
            return math.inf, None
        load(network, candidate.flat() / units)
        bits = _bits(network, planes, held_out) * voxels + rounding.change_bits(change, context)
        return bits, Adapted(candidate, change, octaves, integers)

    bits, adapted = min((rounded(*curvature) for curvature in _CURVATURES), key=lambda one: one[0])
    if integers is not None:
        bits += 8 * len(integers.to_bytes())
    return adapted if adapted is not None and bits < as_it_is else unchanged(prior)


def _samples(pool: ThreadPoolExecutor, series: sampling.Series, size: int, max_error: int, count: int) -> Iterator[Examples]:
    """So many samples, each with its own seed, shuffled: a batch is then a slice, not a gather"""

    def draw(seed: int) -> Examples:
        some = sampling.sample(series, size, max_error, np.random.default_rng(seed))
        return some.part(torch.randperm(len(some), generator=torch.Generator().manual_seed(seed)))

    following = pool.submit(draw, 1)
    for seed in range(2, count + 1):
        drawn = following.result()
        following = pool.submit(draw, seed)
        yield drawn
    yield following.result()


def _fit(
    network: CausalNetwork,
    planes: FieldPlanes | None,
    start: torch.Tensor,
    samples: Iterator[Examples],
    steps: int,
    renew: int,
    voxels: int,
    progress: Callable[[float], None],
) -> bool:
    """renew: steps on one sample. -> whether it came to anything: to numbers"""
    optimiser = Soap(list(network.parameters()))
    of_planes = None if planes is None else Adam(list(planes.parameters()), (0.9, 0.999))
    train = next(samples)
    for step in range(steps):
        if step and step % renew == 0:
            train = next(samples)
        pace = (0.5 * (1 + math.cos(math.pi * step / steps)) + 0.005) * min(1.0, (step + 1) / 30)
        begin = step % renew % max(1, len(train) // _BATCH) * _BATCH
        part = train.part(slice(begin, begin + _BATCH))
        loss = network.bits(part, _field(planes, part)).mean()
        # bits of the changes under a Laplace distribution, per voxel: a small series moves the prior less
        change = torch.nn.utils.parameters_to_vector(network.parameters()) - start
        spread = change.detach().abs().mean() + 1e-3
        loss = loss + change.abs().sum() / (spread * math.log(2) * voxels)
        network.zero_grad()
        if planes is not None:
            planes.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        try:
            optimiser.step(_RATE * pace)
        except torch.linalg.LinAlgError:  # type: ignore[attr-defined]
            return False
        if planes is not None and of_planes is not None:
            of_planes.step([_FIELD_RATE * pace] * len(planes.planes))
        if step % 10 == 0 or step == steps - 1:
            network.project()
            progress(step / steps)
    learned = [*network.parameters(), *(() if planes is None else planes.parameters())]
    return all(bool(parameter.isfinite().all()) for parameter in learned)


def _bits(network: CausalNetwork, planes: FieldPlanes | None, examples: Examples) -> float:
    """Mean bits per voxel of the examples"""
    total = 0.0
    with torch.no_grad():
        for begin in range(0, len(examples), 1 << 14):
            part = examples.part(slice(begin, begin + (1 << 14)))
            total += float(network.bits(part, _field(planes, part)).sum())
    return total / len(examples)


def _field(planes: FieldPlanes | None, examples: Examples) -> torch.Tensor:
    return no_field(len(examples)) if planes is None else planes(examples.place)
