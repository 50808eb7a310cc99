"""Makes the frozen bitstreams of a format version, once: `python tests/golden/freeze.py`. It never overwrites one.

A bitstream that is there was released; what it decodes to is in `expected.json`, and no later hexdicom may decode it otherwise.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from hexdicom import codec, pipeline
from hexdicom.codec import Profile
from hexdicom.dicom.phantom import beating_heart
from hexdicom.volume import CineVolume

FOLDER = Path(__file__).parent
QUICK = {"channels": 4, "hidden": 6, "steps": 60}


def cine(phases: int = 6, slices: int = 3, rows: int = 40, columns: int = 44) -> np.ndarray:
    """(phases, slices, rows, columns) int16 of the phantom"""
    datasets = list(beating_heart(slices=slices, phases=phases, rows=rows, columns=columns, seed=11))
    places = sorted({float(ds.SliceLocation) for ds in datasets})
    values = np.zeros((phases, slices, rows, columns), np.int16)
    for ds in datasets:
        phase = round(float(ds.TriggerTime) / float(ds.NominalInterval) * phases)
        values[phase, places.index(float(ds.SliceLocation))] = ds.pixel_array
    return values


def wide(dtype: str) -> np.ndarray:
    """(3, 2, 30, 32) noise over the range of the type, a ramp below it: raw bits and escapes"""
    limits = np.iinfo(dtype)
    rng = np.random.default_rng(5)
    ramp = np.linspace(limits.min, limits.max, 3 * 2 * 30 * 32).reshape(3, 2, 30, 32)
    return np.clip(np.rint(ramp + rng.standard_t(2, ramp.shape) * (limits.max - limits.min) / 40), limits.min, limits.max).astype(
        dtype
    )


def masked() -> np.ndarray:
    """(4, 2, 36, 40) coarse noise, and the least value wherever it would be small: symbols of several values, one of them alone"""
    values = 40 * cine(4, 2, 36, 40).astype(np.int32) % 4096
    values += np.random.default_rng(6).integers(-300, 300, values.shape)
    return np.where(values < 1000, 0, values).astype(np.int16)


def alike() -> np.ndarray:
    """(3, 9, 23, 26) int16: slices that are more alike than neighbours within one"""
    rng = np.random.default_rng(8)
    texture = rng.normal(0, 200, (23, 26))
    t, z, _, _ = np.indices((3, 9, 23, 26))
    return np.rint(900 + texture * (1 + 0.02 * z + 0.1 * np.sin(t)) + rng.normal(0, 4, t.shape)).astype(np.int16)


def cases() -> dict[str, tuple[np.ndarray, Profile]]:
    near = {"kind": "near-lossless", **QUICK}
    return {
        "v1-lossless-int16": (cine(), Profile(**QUICK)),
        "v1-near-lossless-1": (cine(), Profile(max_error=1, **near)),
        "v1-near-lossless-9-uint16": (wide("uint16"), Profile(max_error=9, **near)),
        "v1-lossy": (cine(), Profile(kind="lossy", ratio=12, **QUICK)),
        "v1-lossless-wide-uint16": (wide("uint16"), Profile(**QUICK)),
        "v1-lossless-wide-int16": (wide("int16"), Profile(**QUICK)),
        "v1-lossless-int8": (wide("int8"), Profile(**QUICK)),
        "v1-stored-with-attachment": (np.arange(96, dtype=np.int16).reshape(2, 2, 4, 6), Profile(**QUICK)),
        # predictor 2; those above with a residual layer were frozen when there was only predictor 1
        "network-lossless-adapted": (cine(10, 2, 72, 80), Profile(**QUICK)),
        "network-near-lossless-2": (cine(10, 2, 72, 80), Profile(max_error=2, **near)),
        "network-lossless-prior-1": (cine(), Profile(prior=1, adapt_steps=0, **QUICK)),
        "network-lossless-prior-2": (cine(), Profile(prior=2, adapt_steps=0, **QUICK)),
        "network-lossless-prior-3": (cine(), Profile(prior=3, adapt_steps=0, **QUICK)),
        "network-near-lossless-9-int16": (wide("int16"), Profile(max_error=9, **near)),
        "network-lossless-wide-uint16": (wide("uint16"), Profile(**QUICK)),
        # predictor 3; those named network-… were frozen when there was only predictor 2
        "rounded-lossless-adapted": (cine(8, 1, 64, 72), Profile(**QUICK)),
        "rounded-lossless-masked": (masked(), Profile(prior=7, adapt_steps=0, **QUICK)),
        "rounded-near-lossless-2": (cine(), Profile(prior=8, adapt_steps=0, max_error=2, **near)),
        "rounded-near-lossless-9-int16": (wide("int16"), Profile(max_error=9, **near)),
        "rounded-lossless-wide-uint16": (wide("uint16"), Profile(**QUICK)),
        "rounded-lossless-narrow": (cine(8, 2, 48, 48), Profile(prior=10, adapt_steps=40, **QUICK)),
        # sparse planes; v1-lossy was frozen when the lossy profile was the planes layer alone
        "sparse-lossy": (cine(), Profile(kind="lossy", ratio=25)),
        "sparse-across-slices": (alike(), Profile(kind="lossy", ratio=12)),
        "sparse-wide-uint16": (wide("uint16"), Profile(kind="lossy", psnr=30)),
        "sparse-wide-int16": (wide("int16"), Profile(kind="lossy", max_bytes=2000)),
        # filtered planes; those named sparse-… were frozen when the lossy profile was sparse planes
        "filtered-lossy": (cine(8, 6, 64, 64), Profile(kind="lossy", ratio=60)),
        "filtered-coarse": (cine(8, 6, 64, 64), Profile(kind="lossy", psnr=24)),
        "filtered-fine": (cine(8, 6, 64, 64), Profile(kind="lossy", psnr=38)),
        "filtered-across-slices": (alike(), Profile(kind="lossy", ratio=12)),
        "filtered-wide-uint16": (wide("uint16"), Profile(kind="lossy", psnr=30)),
        "filtered-wide-int16": (wide("int16"), Profile(kind="lossy", max_bytes=2000)),
        "filtered-with-attachment": (cine(), Profile(kind="lossy", ratio=25)),
        # networks that expect, and wide filters; those named filtered-… were frozen when there were none
        "expected-lossy": (cine(8, 6, 64, 64), Profile(kind="lossy", ratio=60)),
        "expected-coarse": (cine(8, 6, 64, 64), Profile(kind="lossy", psnr=24)),
        "expected-fine": (cine(4, 6, 64, 64), Profile(kind="lossy", psnr=38)),
        "expected-across-slices": (alike(), Profile(kind="lossy", ratio=12)),
        "expected-wide-uint16": (wide("uint16"), Profile(kind="lossy", psnr=30)),
        "expected-wide-int16": (wide("int16"), Profile(kind="lossy", max_bytes=2000)),
        "v1-stored-uint8": (np.arange(120, dtype=np.uint8).reshape(2, 3, 4, 5), Profile(**QUICK)),
    }


def freeze_archive() -> None:
    """A whole archive object, as a PACS may hold it for decades."""
    target = FOLDER / "v1-archive.dcm"
    if target.exists():
        return
    with tempfile.TemporaryDirectory() as folder:
        sources, out = Path(folder) / "sources", Path(folder) / "out"
        sources.mkdir()
        for number, ds in enumerate(beating_heart(slices=2, phases=4, rows=30, columns=32, seed=12)):
            ds.save_as(sources / f"{number}.dcm", enforce_file_format=True)
        report = pipeline.compress([sources], out, Profile(**QUICK), now=datetime(2026, 11, 22, tzinfo=UTC), device="cpu")
        target.write_bytes(report.series[0].archives[0].read_bytes())
        digests = sorted(hashlib.sha256(path.read_bytes()).hexdigest() for path in sources.iterdir())
    (FOLDER / "expected-archive.json").write_text(json.dumps(digests, indent=1) + "\n")


def main() -> None:
    freeze_archive()
    expected_file = FOLDER / "expected.json"
    expected = json.loads(expected_file.read_text()) if expected_file.exists() else {}
    for name, (values, profile) in cases().items():
        if name in expected:
            continue
        bitstream = codec.encode(CineVolume(values), profile, device="cpu").bitstream
        if name.endswith("attachment"):
            bitstream = codec.attach(bitstream, b"the caller's own")
        decoded = codec.decode(bitstream, device="cpu").values
        (FOLDER / f"{name}.hxd").write_bytes(bitstream)
        digest = hashlib.sha256(decoded.astype(decoded.dtype.newbyteorder("<")).tobytes()).hexdigest()
        expected[name] = {"shape": list(decoded.shape), "dtype": decoded.dtype.name, "sha256": digest}
    expected_file.write_text(json.dumps(expected, indent=1) + "\n")


if __name__ == "__main__":
    main()
