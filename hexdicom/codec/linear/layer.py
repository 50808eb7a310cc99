"""The residual layer under predictor 1: wavefronts of voxels that do not depend on one another, one entropy-coded stream."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from hexdicom.codec import logistic, symbols
from hexdicom.codec.linear import predictor
from hexdicom.codec.linear.surroundings import Surroundings
from hexdicom.codec.parallel import threads
from hexdicom.codec.reader import Reader, unzstd
from hexdicom.errors import BitstreamError, Truncated

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from hexdicom.codec.interface import Progress

    Ints = NDArray[np.signedinteger[Any]]

IDENTIFIER = 1
_PARAMETER_LIMIT = 1 << 20
_WORTH_SPLITTING = 512  # voxels
_VOXELS_PER_BYTE = 1 << 16  # more are not believed; `encode` stores what would come out smaller than this


@dataclass(frozen=True, slots=True)
class Stream:
    """A parsed layer, not yet decoded. level, kind: the table of each context."""

    shape: tuple[int, int, int, int]
    low: int
    high: int
    model: predictor.Linear
    level: Ints
    kind: Ints
    source: symbols.Source


def parse(reader: Reader, size: int, shape: tuple[int, int, int, int]) -> Stream:
    """Check what can be checked before memory for a (T, Z, Y, X) volume is taken.

    reader: what follows the identifier of a layer of `size` bytes. Raises BitstreamError.
    """
    low, high, length = reader.fields("3i")
    voxels = int(np.prod(shape))
    if not -32768 <= low <= high <= 65535:
        raise BitstreamError(f"The residual layer claims values from {low} to {high}.")
    if size * _VOXELS_PER_BYTE < voxels:
        raise Truncated(f"A residual layer of {size} bytes cannot hold {voxels} voxels.")
    model, level, kind = _parameters(reader.take(length))
    return Stream(shape, low, high, model, level, kind, symbols.Source(reader.rest(), voxels))


def decode(stream: Stream, base: NDArray[np.int32], max_error: int, device: torch.device, progress: Progress) -> NDArray[np.int32]:
    """base: (T, Z, Y, X) -> (T, Z, Y, X). Raises BitstreamError."""
    low, high = stream.low, stream.high

    def residual(mean: Ints, context: Ints, voxels: torch.Tensor) -> Ints:
        return stream.source.read(_model(mean, context, low, high, max_error, stream.level, stream.kind))

    surroundings = Surroundings(stream.shape, base, device)
    decoded = _walk(surroundings, stream.model, low, high, max_error, residual, progress)
    stream.source.end()
    return decoded


def _walk(
    surroundings: Surroundings,
    model: predictor.Linear,
    low: int,
    high: int,
    max_error: int,
    residual: Callable[[Ints, Ints, torch.Tensor], Ints],
    progress: Progress,
) -> NDArray[np.int32]:
    """What encoder and decoder share. residual(mean, context, voxels) -> quantised residuals, all (n,)."""
    predictor = model.on(surroundings.device)
    total = surroundings.schedule.voxels
    done = 0

    def predict(part: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return predictor.predict(surroundings.view(part), low, high)

    with threads(surroundings.device) as workers:
        for count, indices in enumerate(surroundings.schedule):
            voxels = torch.from_numpy(indices).to(surroundings.device)
            share = -(-len(indices) // workers.count) if len(indices) > _WORTH_SPLITTING else len(indices)
            predicted = workers.map(predict, torch.split(voxels, share))
            mean, context = (torch.cat(column).cpu().numpy() for column in zip(*predicted, strict=True))
            q = residual(mean, context, voxels)
            centre = _quantiser(mean, low, high, max_error)[0]
            surroundings.commit(voxels, np.clip(centre + q * (2 * max_error + 1), low, high), mean)
            done += len(indices)
            if count % 32 == 0:
                progress("voxels", done / total)
    return surroundings.decoded()


def _quantiser(mean: NDArray[Any], low: int, high: int, max_error: int) -> tuple[Ints, Ints, Ints, Ints]:
    """mean in sixteenths -> (centre, offset of the mean from it in 1/16 step, least and greatest quantised residual)"""
    step = 2 * max_error + 1
    mean = mean.astype(np.int64)
    centre = (mean + 8) >> 4
    offset = (mean - 16 * centre) // step
    return centre, offset, -((centre - low + max_error) // step), (high - centre + max_error) // step


def _model(
    mean: NDArray[Any], context: NDArray[Any], low: int, high: int, max_error: int, level: Ints, shape: Ints
) -> symbols.Model:
    _, offset, least, greatest = _quantiser(mean, low, high, max_error)
    return symbols.Model(level[context], shape[context], offset, least, greatest)


def _parameters(data: bytes) -> tuple[predictor.Linear, Ints, Ints]:
    plain = unzstd(data, _PARAMETER_LIMIT, "parameter block of the residual layer")
    if len(plain) < 2 * predictor.CONTEXTS:
        raise BitstreamError("The parameters of the residual layer are too short.")
    tables = np.frombuffer(plain[-2 * predictor.CONTEXTS :], np.uint8).astype(np.int64).reshape(2, predictor.CONTEXTS)
    if tables[0].max() > logistic.TOP_LEVEL or tables[1].max() >= logistic.SHAPES:
        raise BitstreamError("The residual layer names a probability table that does not exist.")
    return predictor.Linear.from_bytes(plain[: -2 * predictor.CONTEXTS]), tables[0], tables[1]
