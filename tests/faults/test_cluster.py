"""Encoding on a dask cluster of real processes: its workers and its scheduler are killed, and no job is lost or done twice."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from hexdicom.dicom.phantom import beating_heart
from hexdicom_services.sections import WorkerSection

from ..security.conftest import Authority
from .node_process import NodeProcess
from .test_node_killed import check_restores, deliver

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow


class Cluster:
    """A scheduler and one worker."""

    def __init__(self, folder: Path, port: int, secured: tuple[str, ...] = ()) -> None:
        self.folder, self.secured = folder, secured
        self.address = f"{'tls' if secured else 'tcp'}://127.0.0.1:{port}"
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, what: str) -> None:
        place = ["--host", "127.0.0.1"]
        options = {
            "scheduler": [*place, "--port", self.address.rpartition(":")[2], "--no-dashboard"],
            "worker": [self.address, *place, "--nthreads", "1", "--no-dashboard", "--no-nanny", "--resources", "hexdicom=1",
                       "--local-directory", str(self.folder)],
        }  # fmt: skip
        with (self.folder / f"{what}.log").open("ab") as log:
            command = [sys.executable, "-m", f"distributed.cli.dask_{what}", *options[what], *self.secured]
            self.running[what] = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder)

    def kill(self, what: str) -> None:
        process = self.running.pop(what)
        process.send_signal(signal.SIGKILL)
        process.wait()


def made_in(folder: Path, *secured: str) -> Cluster:
    """A cluster that runs. Skips the test where there can be none."""
    pytest.importorskip("distributed", reason="dask is not installed (pip install 'hexdicom[cluster]')")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder.mkdir()
    made = Cluster(folder, port, secured)
    made.start("scheduler")
    made.start("worker")
    return made


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    made = made_in(tmp_path / "cluster")
    yield made
    for what in list(made.running):
        made.kill(what)


def test_a_cluster_with_tls_encodes_and_who_has_no_certificate_of_it_is_turned_away(tmp_path: Path) -> None:
    authority, stranger = Authority(tmp_path / "authority"), Authority(tmp_path / "stranger", "stranger")
    pair, strange = authority.issue("cluster"), stranger.issue("intruder")
    tls = ("--tls-ca-file", authority.ca, "--tls-cert", pair.certificate, "--tls-key", pair.key)
    cluster = made_in(tmp_path / "cluster", *map(str, tls))
    where: dict[str, Any] = {
        "cluster": cluster.address,
        "lease": 3,
        "retry_delay": 0.5,
        "device": "cpu",
        "cluster_ca": authority.ca,
    }
    right = WorkerSection(**where, cluster_certificate=pair.certificate, cluster_key=pair.key)
    wrong = WorkerSection(**where, cluster_certificate=strange.certificate, cluster_key=strange.key)
    node = NodeProcess(tmp_path / "node", more={"worker": wrong})
    try:
        node.start()
        series = list(beating_heart(slices=2, phases=3, rows=32, columns=32))
        deliver(node, series)
        node.wait_for(lambda now: now.jobs.get("READY"), 30)
        until = time.monotonic() + 30
        while "the cluster cannot be used now" not in node.log.read_text():
            assert time.monotonic() < until
            time.sleep(0.1)
        assert node.status().jobs == {"READY": 1}
        node.stop()
        node.more["worker"] = right
        node.__post_init__()
        node.start()
        assert not node.children("hexdicom_services.worker")
        assert node.wait_for(lambda now: now.idle, 120).series == {"ARCHIVED": 1}
        check_restores(node)
    finally:
        node.stop()
        for what in list(cluster.running):
            cluster.kill(what)
    assert "TLS" in (cluster.folder / "scheduler.log").read_text().upper()


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
