"""What to keep and how hard to try: the encoder's request. A profile is data; config/profiles holds the shipped ones."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from hexdicom.errors import ProfileError

Kind = Literal["lossless", "near-lossless", "lossy"]
Learns = Literal["all", "network", "planes"]


@dataclass(frozen=True, slots=True)
class Profile:
    """One way to encode a series.

    kind: `lossless` (exact), `near-lossless` (every stored value within `max_error`) or `lossy` (planes alone, decision 9).
    max_error: bound on the absolute error in stored values; only near-lossless has one, at least 1.
    ratio: uncompressed size over size of the bitstream, which the lossy profile keeps from above. In the others it is r of eq. 2
        and sizes the base layer, which is there for the preview.
    psnr, max_bytes: lossy only, instead of a ratio; one of them. The fewest bytes that reach this many dB, or the best that this
        many bytes hold. All three are met from the good side: dB within 0.03 (of a few hundred bytes, 0.2), sizes
        within 2 % (unless all is said in fewer).
    channels, hidden, steps: exact kinds only: k of the planes of the preview, the width of its decoder network (a small series has
        fewer) and the Adam steps of its fit.
    prior, adapt_steps: exact kinds only: the number of the shipped network that predicts (0: the best of the widest),
        and the most steps that adapt it to a large series; one below 2^24 voxels gets up to twice as many, a very small one fewer.
    learns: exact kinds only: what adapts, the network, the six planes that drive it, or all of it. For ablations.
    """

    name: str = "lossless"
    kind: Kind = "lossless"
    max_error: int = 0
    ratio: float = 1000.0
    psnr: float | None = None
    max_bytes: int | None = None
    channels: int = 8
    hidden: int = 12
    steps: int = 600
    prior: int = 0
    adapt_steps: int = 1000
    learns: Learns = "all"

    def __post_init__(self) -> None:
        if (self.kind == "near-lossless") != (self.max_error > 0) or self.max_error < 0:
            raise ProfileError(
                f"Profile {self.name!r} ({self.kind}) cannot have max_error {self.max_error}.",
                hint="near-lossless needs an error bound of at least 1; the other kinds have none.",
            )
        if not (math.isfinite(self.ratio) and self.ratio >= 1):
            raise ProfileError(f"A compression ratio of {self.ratio} is not possible.", hint="Give 1 or more.")
        if self.psnr is not None and (self.kind != "lossy" or not 0 < self.psnr < 200):
            raise ProfileError(f"psnr {self.psnr} does not fit profile {self.name!r}.", hint="Only lossy profiles take it.")
        if self.max_bytes is not None and (self.kind != "lossy" or self.max_bytes < 1):
            raise ProfileError(
                f"max_bytes {self.max_bytes} does not fit profile {self.name!r}.", hint="Only lossy profiles take it."
            )
        if self.max_bytes is not None and self.psnr is not None:
            raise ProfileError(f"Profile {self.name!r} asks for max_bytes and for psnr.", hint="Name one of them.")
        if self.learns not in get_args(Learns):
            raise ProfileError(
                f"Profile {self.name!r} cannot learn {self.learns!r}.", hint=f"Known: {', '.join(get_args(Learns))}."
            )
        if not (1 <= self.channels <= 64 and 1 <= self.hidden <= 64 and 1 <= self.steps <= 1_000_000):
            raise ProfileError(f"Profile {self.name!r} asks for a model outside 1..64 channels, 1..64 hidden units.")
