"""A frozen bitstream decodes to the same bits on a processor with vectors of four, and no fused product and sum."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent
EXPECTED = json.loads((FOLDER / "expected.json").read_text())
NAMES = ["rounded-lossless-adapted", "rounded-near-lossless-9-int16", "network-lossless-adapted", "filtered-lossy"]
DECODE = """
import hashlib, sys
from pathlib import Path
from hexdicom import codec
for path in sys.argv[1:]:
    values = codec.decode(Path(path).read_bytes(), device="cpu").values
    print(hashlib.sha256(values.astype(values.dtype.newbyteorder("<")).tobytes()).hexdigest())
"""


@pytest.mark.slow
@pytest.mark.skipif(platform.machine() != "x86_64", reason="names of x86 processors")
def test_decodes_to_the_same_bits_without_avx(tmp_path: Path) -> None:
    of_processor = {"NUMBA_CPU_NAME": "nehalem", "NUMBA_CPU_FEATURES": "", "NUMBA_CACHE_DIR": str(tmp_path)}
    paths = [str(FOLDER / f"{one}.hxd") for one in NAMES]
    done = subprocess.run(
        [sys.executable, "-c", DECODE, *paths], env=os.environ | of_processor, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [EXPECTED[one]["sha256"] for one in NAMES]
