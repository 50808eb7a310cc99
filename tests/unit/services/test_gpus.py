"""Workers and GPUs: each worker has one, and each GPU one series at a time."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from typing import TYPE_CHECKING

import pytest

from hexdicom.errors import StoreError
from hexdicom_services import gpus

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from pathlib import Path


def driver(folder: Path, number: int) -> Path:
    for one in range(number):
        (folder / f"0000:{one:02x}:00.0").mkdir()
    return folder


@pytest.mark.parametrize(
    ("number", "named", "chosen"),
    [
        (2, None, ["0", "1", "0"]),
        (1, None, ["0", "0", "0"]),
        (8, "3, 5", ["3", "5", "3"]),
        (1, "GPU-5ebe9c8a,GPU-77", ["GPU-5ebe9c8a", "GPU-77", "GPU-5ebe9c8a"]),
    ],
)
def test_each_worker_sees_one(tmp_path: Path, number: int, named: str | None, chosen: list[str]) -> None:
    for worker, gpu in zip(("worker-1", "worker-2", "worker-3"), chosen, strict=True):
        environment = {} if named is None else {"CUDA_VISIBLE_DEVICES": named}
        folder = tmp_path / worker
        folder.mkdir()
        assert gpus.choose(worker, "auto", environment, driver(folder, number)) == gpu
        assert environment == {"CUDA_VISIBLE_DEVICES": gpu}


@pytest.mark.parametrize(("device", "number", "named"), [("cpu", 2, None), ("auto", 0, None), ("cuda", 1, ""), ("auto", 1, "-1")])
def test_where_there_is_none_nothing_is_chosen(tmp_path: Path, device: str, number: int, named: str | None) -> None:
    environment = {} if named is None else {"CUDA_VISIBLE_DEVICES": named}
    before = dict(environment)
    assert gpus.choose("worker-1", device, environment, driver(tmp_path, number)) is None
    assert environment == before
    with gpus.alone(tmp_path / "nowhere", None):
        pass


def _take(folder: Path, told: Connection) -> None:
    with gpus.alone(folder, "0"):
        told.send("mine")
        signal.pause()


def test_one_at_a_time_and_whoever_dies_gives_it_back(tmp_path: Path) -> None:
    ours, theirs = multiprocessing.Pipe()
    other = multiprocessing.get_context("fork").Process(target=_take, args=(tmp_path, theirs))
    other.start()
    assert ours.recv() == "mine"
    had = threading.Event()

    def take() -> None:
        with gpus.alone(tmp_path, "0"):
            had.set()

    with gpus.alone(tmp_path, "1"):  # another one is free
        waiting = threading.Thread(target=take)
        waiting.start()
        assert not had.wait(0.3)
    assert other.pid is not None
    os.kill(other.pid, signal.SIGKILL)
    assert had.wait(10)
    waiting.join()
    other.join()


def test_a_lock_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"gpu-0\.lock"), gpus.alone(tmp_path / "nowhere", "0"):
        pass
