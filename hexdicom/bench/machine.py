"""What it ran on: machine, interpreter, packages, commit."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import shutil
import subprocess
from pathlib import Path

from hexdicom import __version__
from hexdicom.bench import memory
from hexdicom.bench.result import Machine

PACKAGES = ("torch", "numpy", "numba", "zstandard", "imagecodecs", "pyjpegls", "tomoz", "imageio-ffmpeg", "scipy")
_HERE = Path(__file__).resolve()


def this_machine() -> Machine:
    """Its processor by name, the cores that are ours, its memory and its GPU."""
    affinity = getattr(os, "sched_getaffinity", None)  # not on macOS
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    return Machine(_processor(), cores, memory.of_machine(), _gpu(), f"{platform.system()} {platform.machine()}")


def version() -> str:
    """Of hexdicom."""
    return __version__


def python() -> str:
    """Version of the interpreter."""
    return platform.python_version()


def packages() -> dict[str, str]:
    """Versions of what is installed of the packages that decide about sizes and times."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def commit() -> str:
    """The commit of the checkout that this file is part of, with + where tracked files were changed since; "" without one."""
    if not _said("git", "ls-files", _HERE.name):  # a checkout around the environment that hexdicom is installed in is not ours
        return ""
    changed = _said("git", "status", "--porcelain", "--untracked-files=no")
    return _said("git", "rev-parse", "--short=12", "HEAD") + ("+" if changed else "")


def _processor() -> str:
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        found = None
    return found[1].strip() if found else platform.processor() or platform.machine()


def _gpu() -> str:
    return _said("nvidia-smi", "--query-gpu=name", "--format=csv,noheader").partition("\n")[0]


def _said(program: str, *arguments: str) -> str:
    """What a program says beside this file; "" where it is not there or fails."""
    path = shutil.which(program)
    if path is None:
        return ""
    done = subprocess.run([path, *arguments], cwd=_HERE.parent, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""
