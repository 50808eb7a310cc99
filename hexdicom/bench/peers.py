"""Who is measured. A peer is data, so that it can be handed to the process that runs it and stand in a result."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from hexdicom.bench.fits import Fit
from hexdicom.bench.images import Imagecodecs, JpegLs
from hexdicom.bench.lossy_videos import LossyVideo
from hexdicom.bench.own import Hexdicom
from hexdicom.bench.stacks import Tomoz
from hexdicom.bench.videos import Video
from hexdicom.bench.wavelets import LossyJpeg2000, Sperr

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from hexdicom.bench.coder import Coder
    from hexdicom.codec.profile import Profile

OURS: Final = "hexdicom"
_MAKERS: Final[Mapping[str, Callable[..., Coder]]] = MappingProxyType(
    {
        "imagecodecs": Imagecodecs,
        "jpeg-ls": JpegLs,
        "tomoz": Tomoz,
        "video": Video,
        "lossy-video": LossyVideo,
        "lossy-jpeg2000": LossyJpeg2000,
        "sperr": Sperr,
        "fit": Fit,
        OURS: Hexdicom,
    }
)


@dataclass(frozen=True, slots=True)
class Peer:
    """A codec with its settings.

    name: in tables. how: what it is given, in words. kind, settings: the Coder behind it and its arguments, plain JSON.
    max_error: what it promises; 0: every value comes back; None: it is lossy, and its PSNR is measured.
    setting: of a lossy codec, which is one peer for each point of its curve.
    """

    name: str
    how: str
    kind: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    max_error: int | None = 0
    setting: str = ""

    @property
    def ours(self) -> bool:
        return self.kind == OURS

    def coder(self) -> Coder:
        return _MAKERS[self.kind](**self.settings)


LOSSLESS: Final = (
    Peer("JPEG-LS", "each frame by itself", "jpeg-ls"),
    Peer("JPEG 2000", "each frame by itself, reversible", "imagecodecs", {"name": "jpeg2k"}),
    Peer("HTJ2K", "each frame by itself, reversible", "imagecodecs", {"name": "htj2k"}),
    Peer("JPEG XL", "each frame by itself, effort 7", "imagecodecs", {"name": "jpegxl"}),
    Peer("x265", "lossless video along t, veryslow", "video", {"name": "x265"}),
    Peer("FFV1", "video along t, version 3, range coder, large context", "video", {"name": "ffv1"}),
    Peer("tomoz", "one stack of all slices, the times of each together", "tomoz"),
)


def near(max_error: int) -> Peer:
    """JPEG-LS with a bound on the error of each value."""
    how = f"each frame by itself, NEAR={max_error}"
    return Peer(f"JPEG-LS ±{max_error}", how, "jpeg-ls", {"max_error": max_error}, max_error)


def own(profile: Profile, device: str) -> Peer:
    """Our codec with a profile."""
    bound = f" ±{profile.max_error}" if profile.max_error else ""
    name = f"{OURS} {profile.name}{bound}"
    return Peer(name, f"profile {profile.name}", OURS, {"profile": asdict(profile), "device": device}, profile.max_error)


def ablation(profile: Profile, device: str) -> tuple[Peer, ...]:
    """An exact profile with and without what makes it small. The first is the one that the others are compared with."""
    parts: tuple[tuple[str, str, dict[str, Any]], ...] = (
        ("prior alone", "the shipped network as it is", {"adapt_steps": 0}),
        ("six planes", "six planes drive the shipped network", {"learns": "planes"}),
        ("network", "the network adapted to the series", {"learns": "network"}),
        ("network and six planes", "both fitted together", {"learns": "all"}),
    )
    settings = asdict(profile)
    return tuple(
        Peer(name, how, OURS, {"profile": settings | change, "device": device}, profile.max_error) for name, how, change in parts
    )


def chosen(peers: Iterable[Peer], names: Sequence[str]) -> tuple[Peer, ...]:
    """Those of the names, or all without names: `hexdicom` are all of ours, `JPEG-LS` is also `JPEG-LS ±2`.

    Raises KeyError with the first name that is nobody's.
    """
    everyone = tuple(peers)
    if not names:
        return everyone
    taken: set[str] = set()
    for name in names:
        own_names = {peer.name for peer in everyone if f"{peer.name} ".casefold().startswith(f"{name} ".casefold())}
        if not own_names:
            raise KeyError(name)
        taken |= own_names
    return tuple(peer for peer in everyone if peer.name in taken)
