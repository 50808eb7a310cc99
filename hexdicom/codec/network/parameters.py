"""What the slices of a series share, and the block that says it: changes of the prior, references, linear predictor, field."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from hexdicom.codec import logistic, symbols
from hexdicom.codec.network import field, prior, weights
from hexdicom.codec.network.neighbours import REFERENCES, VALUES
from hexdicom.errors import BitstreamError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from hexdicom.codec.reader import Reader

_CHANGE_LIMIT = 1 << 17  # what 18 raw bits of an escape can say
_TABLES = 2 * weights.LAYERS  # one for the weights, one for the biases of each layer


@dataclass(frozen=True, slots=True)
class Adapted:
    """What goes into the layer: integers that are added to the prior's weights, and a field or none.

    change: (count,) in the order of `Network.flat`; steps: (8,) octaves that an integer is worth, for the matrix and the bias of
    each layer in turn.
    """

    network: weights.Network
    change: NDArray[np.int64]
    steps: NDArray[np.int64]
    field: field.Field | None


@dataclass(frozen=True, slots=True)
class Parameters:
    """predictor: FLOORED or ROUNDED; low, high: bounds of the values.

    references: (T, 3) times, -1 for none; linear: (VALUES,) in 1/4096.
    """

    predictor: int
    low: int
    high: int
    references: NDArray[np.int64]
    linear: NDArray[np.float64]
    adapted: Adapted
    prior: int

    def to_bytes(self) -> bytes:
        """The parameter block; the bounds stand before it in the layer."""
        change = self.adapted.change
        context = parts(self.adapted.network.sizes)
        level, kind = symbols.best_tables([(change, np.zeros_like(change), context)], _TABLES)
        writer = symbols.Writer()
        writer.write(change, _change_model(level, kind, context))
        stream = writer.finish() if change.any() else b""
        times = np.arange(len(self.references))[:, None]
        behind = np.where(self.references < 0, 0, times - self.references).astype("<u2").tobytes()
        one = self.adapted.field
        return b"".join(
            (
                np.array([self.prior, len(stream)], "<u4").tobytes(),
                np.stack((self.adapted.steps, level, kind)).astype(np.uint8).tobytes(),
                stream,
                behind,
                self.linear.astype("<i2").tobytes(),
                b"" if one is None else one.to_bytes(),
            )
        )


def from_reader(reader: Reader, predictor: int, low: int, high: int, shape: tuple[int, int, int, int]) -> Parameters:
    """The inverse of `Parameters.to_bytes`, of a (T, Z, Y, X) series. Raises BitstreamError."""
    number, length = reader.fields("2I")
    chosen = prior.load(number)
    steps, level, kind = (reader.array("u1", _TABLES).astype(np.int64) for _ in range(3))
    if steps.max() > 16 or level.max() > logistic.TOP_LEVEL or kind.max() >= logistic.SHAPES:
        raise BitstreamError("The residual layer names a rounding step or a probability table that does not exist.")
    data = reader.take(length)
    context = parts(chosen.network.sizes)
    change = np.zeros(len(context), np.int64)
    if data:
        source = symbols.Source(data, len(context))
        change = source.read(_change_model(level, kind, context))
        source.end()
    network = weights.from_flat(chosen.network.flat() + (change << steps[context]), chosen.hidden)
    behind = reader.array("<u2", shape[0] * REFERENCES).astype(np.int64).reshape(-1, REFERENCES)
    times = np.arange(shape[0])[:, None]
    if (behind > times).any():
        raise BitstreamError("The residual layer predicts a frame from one that does not come before it.")
    order = np.where(behind == 0, -1, times - behind)
    linear = reader.array("<i2", VALUES).astype(np.float64)
    one = field.from_reader(reader, shape) if reader.left else None
    return Parameters(predictor, low, high, np.ascontiguousarray(order), linear, Adapted(network, change, steps, one), number)


def parts(sizes: Sequence[int]) -> NDArray[np.int64]:
    """(count,) which of the eight parts, matrix and bias of each layer, a weight belongs to, in the order of `Network.flat`"""
    return np.repeat(np.arange(_TABLES), [n for width, height in pairwise(sizes) for n in (width * height, height)])


def _change_model(level: NDArray[np.int64], kind: NDArray[np.int64], context: NDArray[np.int64]) -> symbols.Model:
    limit = np.full(len(context), _CHANGE_LIMIT - 1)
    return symbols.Model(level[context], kind[context], np.zeros_like(limit), -limit, limit)
