"""The suite `paper`: Table I of Zheng et al., "Hybrid Representation for 4D Medical Image Compression", and stronger peers."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Final

from hexdicom.bench.peers import OURS, Peer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hexdicom.codec.profile import Profile

ANCHOR: Final = "HEVC (z)"
RATIOS: Final = (2000.0, 1000.0, 500.0, 250.0, 125.0, 62.5)
STEPS: Final = 80_000  # the paper names none; this is the code that its NeRF and SIREN come from (codec of Yang et al.)
_QP: Final = (12, 16, 20, 24, 28, 32, 36, 40, 44, 48, 51)
_CRF: Final = (2, 7, 12, 22, 32, 42, 52, 63)
_LEVELS: Final = (28.0, 31.0, 34.0, 37.0, 40.0, 43.0)
_RATES: Final = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
_MODELS: Final = (
    ("six planes (published)", "planes", "as published: eq. 1 to 4, sizes by eq. 2 and 3, 16 channels, fp32"),
    ("NeRF", "nerf", "10 frequencies, five layers, fp32"),
    ("SIREN", "siren", "w0 = 20, five layers, fp32"),
)


def peers(profiles: Sequence[Profile], ratios: Sequence[float], steps: int, seconds: float, device: str) -> tuple[Peer, ...]:
    """Every codec at every setting, the anchor first, ours last.

    profiles: of ours, lossy. ratios: stored size over size of the parameters, for the models and for ours.
    steps, seconds: bounds of each fit of a published model; 0 seconds: none.
    """
    found = [_video(ANCHOR, "hevc", "z", qp) for qp in _QP]
    found += [_video("HEVC (t)", "hevc", "t", qp) for qp in _QP]
    found += [_video("AV1 (t)", "av1", "t", crf) for crf in _CRF]
    how = "each frame by itself, irreversible"
    found += [Peer("JPEG 2000", how, "lossy-jpeg2000", {"psnr": level}, None, f"{level:g} dB") for level in _LEVELS]
    for along, how in (
        ("z", "3-D wavelets, each time by itself, in place of JP3D"),
        ("t", "3-D wavelets, each slice with its times"),
    ):
        found += [Peer(f"SPERR ({along})", how, "sperr", {"along": along, "rate": rate}, None, f"{rate:g} bpv") for rate in _RATES]
    bound = f"{steps} steps" + (f" or {seconds:g} s" if seconds else "")
    for name, model, how in _MODELS:
        settings = {"model": model, "steps": steps, "seconds": seconds, "device": device}
        found += [
            Peer(name, f"{how}; {bound}", "fit", {**settings, "ratio": ratio}, None, _ratio(ratio)) for ratio in ratios
        ]  # fmt: skip
    for profile in profiles:
        found += [_own(profile, ratio, device) for ratio in ratios]
    return tuple(found)


def _video(name: str, codec: str, along: str, quality: int) -> Peer:
    words = {"hevc": "x265, 12 bits, preset slow, tuned for PSNR", "av1": "SVT-AV1, 10 bits, preset 3, tuned for PSNR"}[codec]
    how = f"{words}; one video along {along}, {'the times of each slice' if along == 't' else 'the slices of each time'} together"
    setting = f"{'qp' if codec == 'hevc' else 'crf'} {quality}"
    return Peer(name, how, "lossy-video", {"name": codec, "along": along, "quality": quality}, None, setting)


def _own(profile: Profile, ratio: float, device: str) -> Peer:
    settings = {"profile": asdict(replace(profile, ratio=ratio)), "device": device}
    return Peer(f"{OURS} {profile.name}", f"profile {profile.name}, the ratio set", OURS, settings, None, _ratio(ratio))


def _ratio(ratio: float) -> str:
    return f"{ratio:g} : 1"
