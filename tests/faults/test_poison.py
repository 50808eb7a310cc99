"""A series that kills its worker, or never comes to an end: set aside after its attempts, passed through, and the rest goes on."""

from __future__ import annotations

import os
import re
import resource
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hexdicom.dicom.phantom import beating_heart
from hexdicom_services.part10 import read_head
from hexdicom_services.sections import WorkerSection

from .node_process import NodeProcess
from .test_node_killed import WORKER, deliver

if TYPE_CHECKING:
    from hexdicom_services.status import NodeStatus

pytestmark = pytest.mark.slow


def check_untouched(node: NodeProcess, number: int) -> None:
    """Every original is in the store, byte for byte."""
    rows = node.rows("select key, sop_instance_uid from stored where current = 1 and kind = 'passed-through'")
    assert len(rows) == number
    spool = {read_head(path).sop_instance_uid: path.read_bytes() for path in node.settings.spool.rglob("*.dcm")}
    assert all((node.settings.store / key).read_bytes() == spool[uid] for key, uid in rows)


@pytest.mark.parametrize("how", [signal.SIGSEGV, signal.SIGKILL])  # a broken library; the kernel where memory is short
def test_a_series_that_kills_its_worker_three_times(tmp_path: Path, how: signal.Signals) -> None:
    node = NodeProcess(tmp_path / "node")
    try:
        node.start()
        series = list(beating_heart(slices=2, phases=5, rows=48, columns=48))
        deliver(node, series)
        for attempt in (1, 2, 3):
            node.wait_for(lambda now, n=attempt: any(work.state == "RUNNING" and work.attempts == n for work in now.working), 90)
            os.kill(node.children(WORKER)[0], how)
        now = node.wait_for(lambda now: now.idle)
        assert now.series == {"FAILED": 1}
        assert "ended without a word" in now.failures[0].reason
        assert [line.command for line in now.attention] == ["hexdicom node jobs, then hexdicom node requeue --all-failed"]
        check_untouched(node, len(series))
        node.check_consistent(str(ds.SOPInstanceUID) for ds in series)
        other = list(beating_heart(slices=1, phases=4, rows=24, columns=24, seed=7))
        deliver(node, other)
        assert node.wait_for(lambda now: now.idle).series == {"ARCHIVED": 1, "FAILED": 1}
    finally:
        node.stop()


def test_a_series_for_which_memory_is_short_three_times(tmp_path: Path) -> None:
    """The kernel gives the worker no more than it has: an encoder that needs more fails, or takes its process with it."""
    node = NodeProcess(tmp_path / "node")
    try:
        node.start()
        small = list(beating_heart(slices=1, phases=4, rows=24, columns=24, seed=7))
        deliver(node, small)
        assert node.wait_for(lambda now: now.idle).series == {"ARCHIVED": 1}  # everything is loaded now
        (pid,) = node.children(WORKER)
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[0])
        most = pages * resource.getpagesize() + (8 << 20)
        resource.prlimit(pid, resource.RLIMIT_AS, (most, most))
        series = list(beating_heart(slices=4, phases=10, rows=128, columns=128))
        deliver(node, series)

        def set_aside(now: NodeStatus) -> bool:
            for one in node.children(WORKER):  # one that took the place of another gets no more
                resource.prlimit(one, resource.RLIMIT_AS, (most, most))
            return now.series.get("FAILED") == 1

        now = node.wait_for(set_aside, 200)
        assert now.series == {"ARCHIVED": 1, "FAILED": 1}
        said = re.search(r"memory|allocat|ended without a word", now.failures[0].reason, re.IGNORECASE)
        assert said, now.failures[0].reason
        assert node.rows("select attempts from job where state = 'FAILED'") == [(4,)]
        check_untouched(node, len(series))
        node.check_consistent(str(ds.SOPInstanceUID) for ds in series)
    finally:
        node.stop()


def test_a_series_that_takes_too_long(tmp_path: Path) -> None:
    worker = WorkerSection(retry_delay=0.1, device="cpu", attempts=2, timeout=1)
    node = NodeProcess(tmp_path / "node", more={"worker": worker})
    try:
        node.start()
        series = list(beating_heart(slices=2, phases=8, rows=192, columns=192))  # few files: passing them through is quick
        deliver(node, series)
        now = node.wait_for(lambda now: now.series.get("FAILED"), 200)
        assert now.failures[0].reason == "It took longer than 1 seconds."
        node.stop()
        node.start()  # what was set aside stays so
        assert node.wait_for(lambda now: now.idle).series == {"FAILED": 1}
        check_untouched(node, len(series))
    finally:
        node.stop()
