"""What every test may ask for: the real series, a free port, an environment without settings of the user."""

from __future__ import annotations

import json
import os
import socket
import zlib
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import hypothesis
import numpy as np
import pytest

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as hexdicom_services does, before torch is loaded
if "PYTEST_XDIST_WORKER" in os.environ:  # there is a worker for each core already
    os.environ.setdefault("OMP_NUM_THREADS", "1")

from hexdicom import pipeline
from hexdicom.codec import Encoded, EncodeReport, Info, LayerSize, Profile
from hexdicom.errors import BitstreamError
from hexdicom.volume import CineVolume

from .postgres import Server, server

if TYPE_CHECKING:
    from collections.abc import Iterator

# a law holds however long it takes: time is measured by benchmarks, and these machines are noisy
hypothesis.settings.register_profile("hexdicom", deadline=None)
hypothesis.settings.load_profile("hexdicom")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real MR series; the test is skipped where it is absent."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("HEXDICOM_TEST_DATA", default))
    if not (folder / "INDEX.md").is_file():
        pytest.skip(f"real series are not on this machine (HEXDICOM_TEST_DATA, looked in {folder})")
    return folder


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """A PostgreSQL server of the tests; skips where there is none. What is in it, the next test removes."""
    with server() as made:
        yield made


@pytest.fixture
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("HEXDICOM_") and name != "HEXDICOM_TEST_DATA":
            monkeypatch.delenv(name)
    monkeypatch.setenv("TCP_NODELAY", "1")  # else DCMTK tools measure Nagle's 40 ms


@pytest.fixture
def stored_codec(monkeypatch: pytest.MonkeyPatch) -> None:
    """A codec that takes no time, for tests of what lies around it: values packed by zlib, coarser where lossy."""

    def encode(volume: CineVolume, profile: Profile, **_: object) -> Encoded:
        step = {"lossless": 1, "near-lossless": 2 * profile.max_error + 1, "lossy": 16}[profile.kind]
        values = volume.values.astype(np.int64)
        coarse = np.clip((values + step // 2) // step * step, values.min(), values.max()).astype(volume.values.dtype)
        head = json.dumps([volume.shape, coarse.dtype.name]).encode().ljust(64)
        data = head + zlib.compress(coarse.tobytes())
        layers = (LayerSize("stored", len(data)),)
        psnr = None if step == 1 else 50.0
        return Encoded(data, EncodeReport(volume.shape, len(data), layers, profile.name, profile.max_error, psnr, "cpu", 0, 0, 0))

    def inspect(data: bytes) -> Info:
        try:
            shape, dtype = json.loads(data[:64])
        except ValueError as error:
            raise BitstreamError("not a stored volume") from error
        return Info(1, tuple(shape), dtype, 0, (LayerSize("stored", len(data)),))

    def decode(data: bytes, **_: object) -> CineVolume:
        info = inspect(data)
        try:
            values = np.frombuffer(zlib.decompress(data[64:]), info.dtype).reshape(info.shape)
        except (zlib.error, ValueError) as error:
            raise BitstreamError("damaged") from error
        return CineVolume(values)

    monkeypatch.setattr(pipeline, "codec", SimpleNamespace(encode=encode, decode=decode, inspect=inspect))
