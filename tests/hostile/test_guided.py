"""Each parser under coverage-guided fuzzing, for a few seconds; guided.py does it for as long as one likes."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

SECONDS = int(os.environ.get("HEXDICOM_FUZZ_SECONDS", "5"))


@pytest.mark.slow
@pytest.mark.timeout(300 + 2 * SECONDS)
@pytest.mark.parametrize("target", ["message", "identity", "archive", "headers", "layer"])
def test_nothing_but_clear_errors(target: str, tmp_path: Path) -> None:
    if importlib.util.find_spec("atheris") is None:
        pytest.skip("atheris is not installed (pip install atheris)")
    words = [target, f"-max_total_time={SECONDS}", f"-artifact_prefix={tmp_path}/", "-rss_limit_mb=4096"]
    command = [sys.executable, "-m", "tests.hostile.guided", *words]
    done = subprocess.run(command, cwd=Path(__file__).resolve().parents[2], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    runs = re.search(r"Done (\d+) runs", done.stderr)
    assert runs
    assert int(runs[1]) > 100
