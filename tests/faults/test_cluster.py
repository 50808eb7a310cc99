"""Encoding on a dask cluster of real processes: its workers and its scheduler are killed, and no job is lost or done twice."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from hexdicom.dicom.phantom import beating_heart
from hexdicom_services.sections import WorkerSection

from .node_process import NodeProcess
from .test_node_killed import check_restores, deliver

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow


class Cluster:
    """A scheduler and one worker."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.address = folder, f"tcp://127.0.0.1:{port}"
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, what: str) -> None:
        place = ["--host", "127.0.0.1"]
        options = {
            "scheduler": [*place, "--port", self.address.rpartition(":")[2], "--no-dashboard"],
            "worker": [self.address, *place, "--nthreads", "1", "--no-dashboard", "--no-nanny", "--resources", "hexdicom=1",
                       "--local-directory", str(self.folder)],
        }  # fmt: skip
        with (self.folder / f"{what}.log").open("ab") as log:
            command = [sys.executable, "-m", f"distributed.cli.dask_{what}", *options[what]]
            self.running[what] = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder)

    def kill(self, what: str) -> None:
        process = self.running.pop(what)
        process.send_signal(signal.SIGKILL)
        process.wait()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    pytest.importorskip("distributed", reason="dask is not installed (pip install 'hexdicom[cluster]')")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = tmp_path / "cluster"
    folder.mkdir()
    made = Cluster(folder, port)
    made.start("scheduler")
    made.start("worker")
    yield made
    for what in list(made.running):
        made.kill(what)


def test_a_worker_and_the_scheduler_killed(tmp_path: Path, cluster: Cluster) -> None:
    worker = WorkerSection(cluster=cluster.address, lease=3, retry_delay=0.5, device="cpu")
    node = NodeProcess(tmp_path / "node", more={"worker": worker})
    try:
        node.start()
        assert not node.children("hexdicom_services.worker")
        series = list(beating_heart(slices=2, phases=6, rows=48, columns=48))
        deliver(node, series)
        node.wait_for(lambda now: now.jobs.get("RUNNING"), 120)
        cluster.kill("worker")
        cluster.start("worker")
        node.wait_for(lambda now: any(work.attempts == 2 for work in now.working), 120)
        cluster.kill("scheduler")
        time.sleep(1)
        cluster.start("scheduler")
        if cluster.running["worker"].poll() is not None:  # without its scheduler it gave up
            cluster.start("worker")
        until = time.monotonic() + 150
        while not node.status().idle and time.monotonic() < until:
            if cluster.running["worker"].poll() is not None:
                cluster.start("worker")
            time.sleep(0.5)
        now = node.wait_for(lambda now: now.idle, 5)
        assert now.series == {"ARCHIVED": 1}
        assert now.archived_instances == len(series)
        node.check_consistent(str(ds.SOPInstanceUID) for ds in series)
        check_restores(node)
    finally:
        node.stop()
