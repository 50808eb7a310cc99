"""ffmpeg, the program behind the video codecs. Its start is timed with them."""

from __future__ import annotations

import importlib
import shutil
import subprocess
from typing import TYPE_CHECKING

from hexdicom.bench.coder import Unfit
from hexdicom.errors import HexdicomError

if TYPE_CHECKING:
    from collections.abc import Sequence


def program() -> str:
    """That of imageio-ffmpeg, else of the system. Raises Unfit."""
    try:
        return str(importlib.import_module("imageio_ffmpeg").get_ffmpeg_exe())
    except (ImportError, RuntimeError):  # RuntimeError: the package is there without a program for this machine
        found = shutil.which("ffmpeg")
    if found is None:
        raise Unfit("ffmpeg is not installed (pip install 'hexdicom[bench]')")
    return found


def version(encoder: str, pixels: str) -> str:
    """Of an encoder that takes this pixel format. Raises Unfit."""
    if pixels not in run(["-hide_banner", "-h", f"encoder={encoder}"]).decode(errors="replace"):
        raise Unfit(f"{program()} has no {encoder} with {pixels} (pip install 'hexdicom[bench]')")
    return f"{encoder} in ffmpeg {run(['-version']).decode(errors='replace').split()[2]}"


def run(arguments: Sequence[str], data: bytes = b"") -> bytes:
    """What it writes to its output. Raises Unfit, and HexdicomError with what it says."""
    done = subprocess.run([program(), "-v", "error", *arguments], input=data, capture_output=True, check=False)
    if done.returncode != 0:
        raise HexdicomError(f"ffmpeg failed: {done.stderr.decode(errors='replace').strip()[-300:]}")
    return done.stdout
