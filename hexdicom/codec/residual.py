"""The residual layer: every voxel, exactly or within a bound, by prediction from what is already decoded.

The predictor is named by its identifier at the head of the layer. New archives are made with predictor 3, the network; predictor 1,
linear, and predictor 2, the network with coarser rounding, are decoded for ever.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hexdicom.codec.linear import layer as linear
from hexdicom.codec.network import layer as network
from hexdicom.codec.reader import Reader
from hexdicom.errors import UnsupportedVersion

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    import torch
    from numpy.typing import NDArray

    from hexdicom.codec.interface import Progress
    from hexdicom.codec.profile import Profile

    Shape = tuple[int, int, int, int]
    Stream = linear.Stream | network.Stream


def encode(
    values: NDArray[np.int32], max_error: int, profile: Profile, device: torch.device, progress: Progress
) -> tuple[bytes, NDArray[np.int32]]:
    """-> (layer, (T, Z, Y, X) values that the decoder will have).

    values: (T, Z, Y, X). max_error: 0 for exact, else the bound on every |error|.
    """
    return network.encode(values, max_error, profile.prior, profile.adapt_steps, profile.learns, device, progress)


def parse(layer: bytes, shape: Shape) -> Stream:
    """Check what can be checked before memory for a (T, Z, Y, X) volume is taken. Raises BitstreamError."""
    reader = Reader(layer, "residual layer")
    (identifier,) = reader.fields("i")
    if identifier == linear.IDENTIFIER:
        return linear.parse(reader, len(layer), shape)
    if identifier in network.IDENTIFIERS:
        return network.parse(reader, identifier, len(layer), shape)
    raise UnsupportedVersion(
        f"The residual layer was made with predictor {identifier}, which this hexdicom does not have.", hint="Update hexdicom."
    )


def slices_alone(stream: Stream) -> bool:
    """Whether `decode` spares the slices that are not asked for."""
    return isinstance(stream, network.Stream)


def decode(
    stream: Stream,
    base: Callable[[], NDArray[np.int32]],
    max_error: int,
    device: torch.device,
    progress: Progress,
    slices: Sequence[int] | None = None,
) -> NDArray[np.int32]:
    """-> (T, Z, Y, X), or only the slices that are asked for, in their order. Raises BitstreamError.

    base: gives the (T, Z, Y, X) six planes, which only predictor 1 looks at.
    """
    if isinstance(stream, network.Stream):
        return network.decode(stream, max_error, device, progress, slices)
    decoded = linear.decode(stream, base(), max_error, device, progress)
    return decoded if slices is None else decoded[:, list(slices)]
