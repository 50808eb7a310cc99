"""A node as processes that can be killed, and a sender that knows what was acknowledged."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import build_context

from hexdicom.errors import PeerError
from hexdicom_services.catalog.session import open_catalog
from hexdicom_services.messages import Messages
from hexdicom_services.part10 import read_head
from hexdicom_services.peer import Peer
from hexdicom_services.scu.association import associate
from hexdicom_services.sections import ArchiveSection, LoggingSection, NodeSection, ReceiverSection, SeriesSection, WorkerSection
from hexdicom_services.settings import Settings
from hexdicom_services.status import NodeStatus, status
from hexdicom_services.toml import render_toml

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pydicom.dataset import Dataset

MR = "1.2.840.10008.5.1.4.1.1.4"


@dataclass
class NodeProcess:
    """`start` and `kill` as often as a test likes; the state folder stays."""

    folder: Path
    silence: float = 1.0
    reserve_mb: int = 0
    more: dict[str, Any] = field(default_factory=dict)  # sections of the settings that a test has its own of
    process: subprocess.Popen[bytes] | None = None
    settings: Settings = field(init=False)

    def __post_init__(self) -> None:
        sections: dict[str, Any] = {
            "node": NodeSection(port=0, state_dir=self.folder / "state"),
            "receiver": ReceiverSection(disk_reserve_mb=self.reserve_mb),
            "series": SeriesSection(silence=self.silence, settle=min(self.silence, 0.5)),
            "archive": ArchiveSection(profile="fast"),  # the default one runs in the demo's test, and takes ten times as long
            "worker": WorkerSection(retry_delay=0.5, device="cpu"),
            "logging": LoggingSection(format="text"),
        }
        self.settings = Settings(**(sections | self.more))

    def start(self) -> int:
        """The port it listens on."""
        self.folder.mkdir(exist_ok=True)
        config = self.folder / "node.toml"
        config.write_text(render_toml(self.settings))
        command = [sys.executable, "-m", "hexdicom_services", "node", "run", "--config", str(config)]
        place = self.settings.state / "node.json"
        place.unlink(missing_ok=True)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        for _ in range(400):
            if place.is_file():
                port: int = json.loads(place.read_text())["port"]
                return port
            if self.process.poll() is not None:
                break
            time.sleep(0.1)
        return pytest.fail(self.log.read_text()[-3000:])

    @property
    def log(self) -> Path:
        return self.folder.parent / f"{self.folder.name}.log"

    def children(self, module: str) -> list[int]:
        """Process ids of the node's processes that run a module."""
        assert self.process is not None
        pids = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return [int(pid) for pid in pids if module in Path(f"/proc/{pid}/cmdline").read_text()]

    def kill_all(self) -> None:
        """SIGKILL for every process of the node at once."""
        assert self.process is not None
        for pid in [self.process.pid, *self.children("hexdicom_services")]:
            os.kill(pid, signal.SIGKILL)
        self.process.wait()
        self.process = None

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(40)
            self.process = None

    def status(self) -> NodeStatus:
        return status(self.settings)

    def wait_for(self, condition: Any, seconds: float = 120) -> NodeStatus:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            now = self.status()
            if condition(now):
                return now
            time.sleep(0.1)
        return pytest.fail(f"{now}\n{self.log.read_text()[-2000:]}")

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        catalog = open_catalog(self.settings.database)
        try:
            with catalog.read() as connection:
                return [tuple(row) for row in connection.exec_driver_sql(sql)]
        finally:
            catalog.close()

    def check_consistent(self, acknowledged: Iterable[str], *, refused: bool = False) -> None:
        """Every acknowledged instance is there exactly once, every file is what its row says, no file is too many.

        refused: a commit has failed since the start, so files may lie there whose instance was refused: another association
        may be about to acknowledge the same one, so nobody deletes them. Sending them again, or the next start, gives them a row.
        """
        uids = [row[0] for row in self.rows("select sop_instance_uid from instance")]
        rows = self.rows("select sop_instance_uid, path, sha256, size from instance where released_at = 0")
        assert len(uids) == len(set(uids)), "an instance is there twice"
        missing = set(acknowledged) - set(uids)
        assert not missing, f"{len(missing)} acknowledged instances are lost"
        spool = self.settings.spool
        for _, path, sha256, size in rows:
            content = (spool / path).read_bytes()[read_head(spool / path).offset :]
            assert (len(content), hashlib.sha256(content).hexdigest()) == (size, sha256)
        present, known = {str(p.relative_to(spool)) for p in spool.rglob("*.dcm")}, {row[1] for row in rows}
        assert known <= present if refused else known == present
        stored = {row[0]: row[1:] for row in self.rows("select key, sha256, state from stored")}
        store = self.settings.store
        files = {str(p.relative_to(store)): p for p in store.rglob("*.dcm")} if store.is_dir() else {}
        assert set(files) == set(stored)
        for key, (sha256, state) in stored.items():
            assert (state, hashlib.sha256(files[key].read_bytes()).hexdigest()) == ("STORED", sha256)


@dataclass
class Sender(threading.Thread):
    """Sends on one association; `acknowledged` are the UIDs that were answered 0x0000, `answers` all statuses."""

    port: int
    data_sets: list[Dataset]
    acknowledged: list[str] = field(default_factory=list)
    answers: list[Dataset] = field(default_factory=list)

    def __post_init__(self) -> None:
        threading.Thread.__init__(self)

    def __hash__(self) -> int:
        return id(self)

    def run(self) -> None:
        context = build_context(MR, ExplicitVRLittleEndian)
        with contextlib.suppress(PeerError), associate(Peer("HEXDICOM", "127.0.0.1", self.port), [context]) as association:
            association.dimse.msg_queue = Messages(association)
            for ds in self.data_sets:
                if not association.is_established:
                    return
                try:
                    answer = association.send_c_store(ds)
                except (RuntimeError, ValueError):
                    return
                self.answers.append(answer)
                if answer and answer.Status == 0x0000:
                    self.acknowledged.append(str(ds.SOPInstanceUID))
