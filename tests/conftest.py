"""What every test may ask for: the real series, a free port, an environment without settings of the user."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real MR series; the test is skipped where it is absent."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("HEXDICOM_TEST_DATA", default))
    if not (folder / "INDEX.md").is_file():
        pytest.skip(f"real series are not on this machine (HEXDICOM_TEST_DATA, looked in {folder})")
    return folder


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
