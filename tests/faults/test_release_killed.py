"""The processes of a node, and the command, are killed while originals are released and recalled, again and again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from datetime import datetime
from typing import TYPE_CHECKING

import pytest

from hexdicom import pipeline
from hexdicom.dicom.phantom import beating_heart
from hexdicom_services.part10 import read_head
from hexdicom_services.sections import RetentionSection
from tests.faults.node_process import NodeProcess, Sender
from tests.faults.site import encoded

if TYPE_CHECKING:
    from pathlib import Path

    from tests.faults.conftest import Tally

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")]


def command(node: NodeProcess, *words: str) -> subprocess.Popen[bytes]:
    config = node.folder / "node.toml"
    with node.log.open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "hexdicom_services", "node", *words, "--config", str(config)], stdout=log, stderr=log
        )


def test_killed_while_releasing_and_recalling(tmp_path: Path, tally: Tally) -> None:
    node = NodeProcess(tmp_path / "node")
    rules = {"enabled": True, "keep_days": 0, "interval_hours": 0.0001}
    node.settings = node.settings.model_copy(update={"retention": RetentionSection(**rules)})
    every = list(beating_heart(slices=2, phases=6, rows=32, columns=32))
    study = str(every[0].StudyInstanceUID)
    originals = {encoded(ds) for ds in every}
    try:
        sender = Sender(node.start(), every)
        sender.start()
        sender.join(60)
        acknowledged = set(sender.acknowledged)
        assert len(acknowledged) == len(every)
        node.wait_for(lambda now: now.instances_released == len(every), 400)  # its worker does it by itself
        for moment in (0.9, 1.5, 2.0, 2.5, 3.0, 3.5, 4.5):
            recall = command(node, "recall", "--study", study)
            release = command(node, "release")
            time.sleep(moment)
            for process in (recall, release):
                if process.poll() is None:
                    os.kill(process.pid, signal.SIGKILL)
                process.wait()
            node.kill_all()
            tally.tried["release and recall: processes killed"] += 1
            tally.instances += len(acknowledged)
            node.start()
        node.wait_for(lambda now: now.instances_released == len(every) and now.idle, 400)
        node.check_consistent(acknowledged)
        report = pipeline.restore([node.settings.store], tmp_path / "back", now=datetime(2026, 1, 1))
        back = {one.path.read_bytes()[read_head(one.path).offset :] for one in report.instances if one.path}
        assert back == originals
    finally:
        node.stop()
