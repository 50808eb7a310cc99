"""kill -9 at many moments: nothing that was acknowledged is lost, nothing is there twice, the work is finished."""

from __future__ import annotations

import os
import signal
import time
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pydicom.uid import generate_uid

from hexdicom import pipeline
from hexdicom.dicom.phantom import beating_heart
from hexdicom_services import vitals
from hexdicom_services.part10 import read_head

from .node_process import NodeProcess, Sender

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydicom.dataset import Dataset

# pynetdicom, as the sender, leaves the socket of a broken association to the garbage collector.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")]

RECEIVER, WORKER = "hexdicom_services.scp.server", "hexdicom_services.worker"


@pytest.fixture
def node(tmp_path: Path) -> Iterator[NodeProcess]:
    made = NodeProcess(tmp_path / "node")
    yield made
    made.stop()


def instances(number: int) -> list[Dataset]:
    """Many different instances of one series, 8 kB each."""
    template = next(iter(beating_heart(slices=1, phases=1, rows=64, columns=64)))
    made = []
    for index in range(number):
        ds = deepcopy(template)
        ds.SOPInstanceUID, ds.InstanceNumber = generate_uid(entropy_srcs=[str(index)]), index
        made.append(ds)
    return made


@pytest.mark.parametrize("victim", ["receiver", "node"])
def test_killed_while_receiving(node: NodeProcess, victim: str) -> None:
    node.silence = 3600  # no worker in this test
    node.__post_init__()
    every, acknowledged = instances(1000), set()
    for moment in (0.05, 0.15, 0.3, 0.5, 0.8, 1.1):
        port = node.start() if node.process is None else node.status().port
        sender = Sender(port, [ds for ds in every if str(ds.SOPInstanceUID) not in acknowledged])
        sender.start()
        time.sleep(moment)
        if victim == "node":
            node.kill_all()
        else:
            os.kill(node.children(RECEIVER)[0], signal.SIGKILL)
        sender.join(60)
        acknowledged |= set(sender.acknowledged)
        if victim == "receiver":
            node.wait_for(lambda now: receives(node))
    if node.process is None:
        node.start()
    assert 0 < len(acknowledged) < len(every)
    if victim == "receiver":  # what it left is put in order when the node starts
        node.stop()
        node.start()
    node.check_consistent(acknowledged)
    rest = [ds for ds in every if str(ds.SOPInstanceUID) not in acknowledged]
    sender = Sender(node.status().port, rest)
    sender.start()
    sender.join(120)
    assert len(sender.acknowledged) == len(rest)
    node.check_consistent(str(ds.SOPInstanceUID) for ds in every)
    assert node.status().instances_received == len(every)


def receives(node: NodeProcess) -> bool:
    """Whether the receiver accepts; the port listens in any case."""
    vital = vitals.look(node.settings.vitals).get("receiver-1")
    return bool(node.children(RECEIVER)) and vital is not None and vital.age < 0.5


def deliver(node: NodeProcess, series: list[Dataset]) -> None:
    sender = Sender(node.status().port, series)
    sender.start()
    sender.join(60)
    assert len(sender.acknowledged) == len(series)


def check_restores(node: NodeProcess) -> None:
    """The archive gives every received data set back, byte for byte."""
    keys = [key for (key,) in node.rows("select key from stored where kind = 'archive' and current = 1")]
    spool = {read_head(path).sop_instance_uid: path for path in node.settings.spool.rglob("*.dcm")}
    restored = list(pipeline.restored_instances([node.settings.store / key for key in keys]))
    assert len(restored) == len(spool)
    for _, uid, _, data in restored:
        assert data == spool[uid].read_bytes()


def test_the_node_killed_while_working(node: NodeProcess) -> None:
    node.start()
    series = list(beating_heart(slices=3, phases=8, rows=64, columns=64))
    deliver(node, series)
    for moment in (0.0, 0.4, 1.0, 1.8, 2.6, 3.5, 4.5, 5.5):
        try:
            node.wait_for(lambda now: now.jobs.get("RUNNING") or now.jobs.get("DONE"), 60)
            time.sleep(moment)
        finally:
            node.kill_all()
        node.start()
    now = node.wait_for(lambda now: now.idle)
    assert now.series == {"ARCHIVED": 1}
    assert (now.archives, now.archived_instances, now.passed_through) == (1, len(series), 0)
    node.check_consistent(str(ds.SOPInstanceUID) for ds in series)
    check_restores(node)


def test_a_worker_killed_while_working_is_replaced(node: NodeProcess) -> None:
    node.start()
    series = list(beating_heart(slices=2, phases=6, rows=48, columns=48))
    deliver(node, series)
    for _ in range(2):
        node.wait_for(lambda now: now.jobs.get("RUNNING"), 60)
        time.sleep(0.4)
        os.kill(node.children(WORKER)[0], signal.SIGKILL)
        node.wait_for(lambda now: not now.jobs.get("RUNNING"), 60)
    now = node.wait_for(lambda now: now.idle)
    assert now.series == {"ARCHIVED": 1}
    assert node.rows("select state, attempts from job") == [("DONE", 3)]
    node.check_consistent(str(ds.SOPInstanceUID) for ds in series)
    check_restores(node)


def test_no_process_outlives_the_node(node: NodeProcess) -> None:
    node.start()
    assert node.process is not None
    children = node.children("hexdicom_services")
    assert len(children) == 2
    os.kill(node.process.pid, signal.SIGKILL)
    node.process.wait()
    node.process = None
    until = time.monotonic() + 15
    while any(Path(f"/proc/{pid}").exists() for pid in children) and time.monotonic() < until:
        time.sleep(0.1)
    assert not any(Path(f"/proc/{pid}").exists() for pid in children)
