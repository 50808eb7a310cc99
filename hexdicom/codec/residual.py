"""The residual layer: every voxel, exactly or within a bound, by prediction from what is already decoded and rANS.

Encoder and decoder walk the same wavefronts and call the same predictor on the same surroundings; only the step in the middle,
which gives the residual of each voxel, differs. A predictor is named by its identifier at the head of the layer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import zstandard

from hexdicom.codec import linear, logistic, symbols
from hexdicom.codec.causal import Surroundings
from hexdicom.codec.parallel import threads
from hexdicom.codec.reader import Reader, unzstd
from hexdicom.errors import BitstreamError, Truncated, UnsupportedVersion

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from hexdicom.codec.interface import Progress

    Ints = NDArray[np.signedinteger[Any]]

_PARAMETER_LIMIT = 1 << 20
_CHUNK = 1 << 20
_WORTH_SPLITTING = 512  # voxels
_VOXELS_PER_BYTE = 1 << 16  # more are not believed; `encode` stores what would come out smaller than this


def encode(
    values: NDArray[np.int32], base: NDArray[np.int32], max_error: int, device: torch.device, progress: Progress
) -> tuple[bytes, NDArray[np.int32]]:
    """-> (layer, (T, Z, Y, X) values that the decoder will have).

    values, base: (T, Z, Y, X). max_error: 0 for exact, else the bound on every |error|.
    """
    shape = _shape(values)
    low, high = int(values.min()), int(values.max())
    surroundings = Surroundings(shape, base, device)
    surroundings.fill(values)
    model = linear.fit(surroundings)
    sizes = surroundings.schedule.sizes()
    ends = np.cumsum(sizes).tolist()
    groups = [slice(end - size, end) for end, size in zip(ends, sizes, strict=True)]
    q, mean = np.empty(values.size, np.int32), np.empty(values.size, np.int32)
    context = np.empty(values.size, np.int16)
    group = iter(groups)

    def residual(means: Ints, contexts: Ints, voxels: torch.Tensor) -> Ints:
        # the surroundings hold the series itself where nothing is committed yet, and no view reaches there
        difference = surroundings.at(voxels).cpu().numpy() - _quantiser(means, low, high, max_error)[0]
        residuals: Ints = np.sign(difference) * ((np.abs(difference) + max_error) // (2 * max_error + 1))
        part = next(group)
        q[part], mean[part], context[part] = residuals, means, contexts
        return residuals

    decoded = _walk(surroundings, model, low, high, max_error, residual, progress)
    chunks = [slice(begin, begin + _CHUNK) for begin in range(0, values.size, _CHUNK)]
    level, kind = symbols.best_tables(
        [(q[part], _quantiser(mean[part], low, high, max_error)[1], context[part]) for part in chunks], linear.CONTEXTS
    )
    writer = symbols.Writer()
    for part in groups:
        writer.write(q[part], _model(mean[part], context[part], low, high, max_error, level, kind))
    tables = np.stack((level, kind)).astype(np.uint8).tobytes()
    parameters = zstandard.ZstdCompressor(level=19).compress(model.to_bytes() + tables)
    head = np.array([linear.IDENTIFIER, low, high, len(parameters)], "<i4").tobytes()
    return head + parameters + writer.finish(), decoded


@dataclass(frozen=True, slots=True)
class Stream:
    """A parsed layer, not yet decoded. level, kind: the table of each context."""

    shape: tuple[int, int, int, int]
    low: int
    high: int
    model: linear.Linear
    level: Ints
    kind: Ints
    source: symbols.Source


def parse(layer: bytes, shape: tuple[int, int, int, int]) -> Stream:
    """Check what can be checked before memory for a (T, Z, Y, X) volume is taken. Raises BitstreamError."""
    reader = Reader(layer, "residual layer")
    identifier, low, high, length = reader.fields("4i")
    if identifier != linear.IDENTIFIER:
        raise UnsupportedVersion(
            f"The residual layer was made with predictor {identifier}, which this hexdicom does not have.",
            hint="Update hexdicom.",
        )
    voxels = int(np.prod(shape))
    if not -32768 <= low <= high <= 65535:
        raise BitstreamError(f"The residual layer claims values from {low} to {high}.")
    if len(layer) * _VOXELS_PER_BYTE < voxels:
        raise Truncated(f"A residual layer of {len(layer)} bytes cannot hold {voxels} voxels.")
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
    model: linear.Linear,
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


def _parameters(data: bytes) -> tuple[linear.Linear, Ints, Ints]:
    plain = unzstd(data, _PARAMETER_LIMIT, "parameter block of the residual layer")
    if len(plain) < 2 * linear.CONTEXTS:
        raise BitstreamError("The parameters of the residual layer are too short.")
    tables = np.frombuffer(plain[-2 * linear.CONTEXTS :], np.uint8).astype(np.int64).reshape(2, linear.CONTEXTS)
    if tables[0].max() > logistic.TOP_LEVEL or tables[1].max() >= logistic.SHAPES:
        raise BitstreamError("The residual layer names a probability table that does not exist.")
    return linear.Linear.from_bytes(plain[: -2 * linear.CONTEXTS]), tables[0], tables[1]


def _shape(values: NDArray[Any]) -> tuple[int, int, int, int]:
    t, z, y, x = values.shape
    return t, z, y, x
