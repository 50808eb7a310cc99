"""GPUs of this machine: a worker keeps to one, and workers that share one encode on it one after the other.

Two fits at once take the memory of two, and neither is faster. On a dask cluster its resources say the same (cluster.py).
"""

from __future__ import annotations

import fcntl
import re
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hexdicom import durable

if TYPE_CHECKING:
    from collections.abc import Iterator, MutableMapping

_VISIBLE: Final = "CUDA_VISIBLE_DEVICES"
_DRIVER: Final = Path("/proc/driver/nvidia/gpus")  # a folder for each GPU, without loading CUDA


def choose(name: str, device: str, environment: MutableMapping[str, str], driver: Path = _DRIVER) -> str | None:
    """The GPU of a worker, `worker-1` the first: all that CUDA will see once it is loaded. None where it works on the CPU.

    Where the environment names GPUs already, one of those.
    """
    if device == "cpu":
        return None
    named = environment.get(_VISIBLE)
    known = named.split(",") if named is not None else [str(number) for number, _ in enumerate(_folders(driver))]
    known = [gpu.strip() for gpu in known if gpu.strip() not in ("", "-1")]
    if not known:
        return None
    number = int(name.rpartition("-")[2])
    environment[_VISIBLE] = known[(number - 1) % len(known)]
    return environment[_VISIBLE]


@contextmanager
def alone(folder: Path, gpu: str | None) -> Iterator[None]:
    """For as long as nobody else has this GPU; whoever dies gives it back. Raises StoreError."""
    if gpu is None:
        yield
        return
    file = folder / f"gpu-{re.sub(r'[^A-Za-z0-9-]', '_', gpu)}.lock"
    with durable.on_disk(file):
        lock = file.open("ab")
    with lock:
        with durable.on_disk(file):
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _folders(driver: Path) -> list[Path]:
    return sorted(driver.iterdir()) if driver.is_dir() else []
