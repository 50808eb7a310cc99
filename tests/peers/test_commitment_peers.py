"""Storage commitment over real sockets, the node as SCP: who asks gets an answer, though the node was killed meanwhile."""

from __future__ import annotations

import json
import os
import signal
import time
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE, build_context, evt
from pynetdicom.sop_class import StorageCommitmentPushModel

from hexdicom.dicom.phantom import beating_heart
from hexdicom_services import scu
from hexdicom_services.catalog.session import open_catalog
from hexdicom_services.part10 import read_head
from hexdicom_services.peer import Peer
from hexdicom_services.scu.association import associate
from hexdicom_services.scu.commitment import INSTANCE
from hexdicom_services.sections import CommitmentSection, SeriesSection

from .conftest import RunningPeer, port
from .test_node_peers import Node, make_settings, save, start
from .test_retrieve_peers import children, release

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

    from hexdicom_services.settings import Settings

pytestmark = pytest.mark.peer
SOON = CommitmentSection(retry_delay=0.3, max_delay=1.0, answer_timeout=2.0)


@dataclass
class Listener:
    """A peer that takes N-EVENT-REPORT, as the modality that has asked."""

    port: int
    status: int = 0x0000
    reports: list[tuple[int, Dataset]] = field(default_factory=list)

    def __call__(self, event: evt.Event) -> tuple[int, None]:
        if self.status == 0x0000:
            self.reports.append((event.event_type, event.event_information))
        return self.status, None

    def wait(self, count: int = 1, seconds: float = 60) -> tuple[int, Dataset]:
        until = time.monotonic() + seconds
        while len(self.reports) < count and time.monotonic() < until:
            time.sleep(0.05)
        assert len(self.reports) >= count, "no report came"
        return self.reports[count - 1]


@contextmanager
def listening(listener: Listener, ae_title: str = "MODALITY") -> Iterator[Listener]:
    ae = AE(ae_title=ae_title)
    ae.add_supported_context(StorageCommitmentPushModel, scu_role=True, scp_role=True)
    handlers = [(evt.EVT_N_EVENT_REPORT, listener)]
    server = ae.start_server(("127.0.0.1", listener.port), block=False, evt_handlers=handlers)
    try:
        yield listener
    finally:
        server.shutdown()


def request(transaction_uid: str, instances: list[tuple[str, str]]) -> Dataset:
    asked = Dataset()
    asked.TransactionUID = transaction_uid
    asked.ReferencedSOPSequence = []
    for sop_class, uid in instances:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, uid
        asked.ReferencedSOPSequence.append(item)
    return asked


def act(number: int, asked: Dataset, calling: str = "MODALITY", action: int = 1) -> Dataset:
    peer = Peer("HEXDICOM", "127.0.0.1", number, calling)
    with associate(peer, [build_context(StorageCommitmentPushModel)]) as association:
        status, _ = association.send_n_action(asked, action, StorageCommitmentPushModel, INSTANCE)
    return status


def named(paths: list[Path]) -> list[tuple[str, str]]:
    heads = [read_head(path) for path in paths]
    return [(head.sop_class_uid, head.sop_instance_uid) for head in heads]


def committed(report: Dataset) -> set[str]:
    return {str(item.ReferencedSOPInstanceUID) for item in report.get("ReferencedSOPSequence", ())}


def failed(report: Dataset) -> dict[str, int]:
    return {str(item.ReferencedSOPInstanceUID): int(item.FailureReason) for item in report.get("FailedSOPSequence", ())}


def rows(settings: Settings, sql: str) -> list[Any]:
    catalog = open_catalog(settings.database)
    try:
        with catalog.read() as connection:
            return [tuple(row) for row in connection.exec_driver_sql(sql)]
    finally:
        catalog.close()


def kill(process: subprocess.Popen[bytes], settings: Settings) -> None:
    """SIGKILL for every process of a node; what says where it listened goes too, so that nobody takes it for the next one's."""
    for pid in [process.pid, *children(process, "hexdicom_services")]:
        os.kill(pid, signal.SIGKILL)
    process.wait()
    (settings.state / "node.json").unlink()


@dataclass
class Asked:
    """A node that has some instances, and the modality that it may report to."""

    settings: Settings
    folder: Path
    port: int
    paths: list[Path]
    listener: Listener
    process: subprocess.Popen[bytes]

    def restart(self) -> None:
        self.process, self.port = start(self.settings, self.folder)


@pytest.fixture
def asked(tmp_path: Path) -> Iterator[Asked]:
    listener = Listener(port())
    peers = {"modality": f"MODALITY@127.0.0.1:{listener.port}"}
    settings = make_settings(tmp_path, peers=peers, commitment=SOON).model_copy(update={"series": SeriesSection(silence=3600)})
    paths = save(list(beating_heart(slices=2, phases=3, rows=40, columns=40)), tmp_path / "cine")
    process, number = start(settings, tmp_path)
    scu.store(Peer("HEXDICOM", "127.0.0.1", number), paths)
    one = Asked(settings, tmp_path, number, paths, listener, process)
    yield one
    one.process.terminate()
    one.process.wait(30)


def test_what_is_safe_and_what_is_not(asked: Asked) -> None:
    good = named(asked.paths[:4])
    damaged = read_head(asked.paths[5]).sop_instance_uid
    for path in asked.settings.spool.rglob("*.dcm"):
        if read_head(path).sop_instance_uid == damaged:
            path.write_bytes(path.read_bytes()[:-1] + b"\xff")
    conflict = read_head(asked.paths[4]).sop_instance_uid
    strange = [
        ("1.2.840.10008.5.1.4.1.1.4", "1.2.3.4"),
        ("1.2.840.10008.5.1.4.1.1.2", conflict),
        ("1.2.840.10008.1.1", "1.2.3.5"),
        ("1.2.840.10008.5.1.4.1.1.4", damaged),
    ]
    with listening(asked.listener):
        assert act(asked.port, request("1.2.3.1", good)).Status == 0x0000
        kind, report = asked.listener.wait(1)
        assert (kind, report.TransactionUID, report.RetrieveAETitle) == (1, "1.2.3.1", "HEXDICOM")
        assert committed(report) == {uid for _, uid in good}
        assert "FailedSOPSequence" not in report

        assert act(asked.port, request("1.2.3.2", good + strange)).Status == 0x0000
        kind, report = asked.listener.wait(2)
        assert kind == 2
        assert committed(report) == {uid for _, uid in good}
        assert failed(report) == {"1.2.3.4": 0x0112, conflict: 0x0119, "1.2.3.5": 0x0122, damaged: 0x0110}

        # the same transaction again is reported again; its UID for something else is a duplicate
        assert act(asked.port, request("1.2.3.1", good)).Status == 0x0000
        assert asked.listener.wait(3)[0] == 1
        assert act(asked.port, request("1.2.3.1", good[:2])).Status == 0x0000
        assert failed(asked.listener.wait(4)[1]) == dict.fromkeys([uid for _, uid in good[:2]], 0x0131)


def test_who_cannot_be_reported_to_is_refused(asked: Asked) -> None:
    status = act(asked.port, request("1.2.3.1", named(asked.paths)), calling="STRANGER")
    assert status.Status == 0x0124
    assert "not in [peers]" in status.ErrorComment
    assert rows(asked.settings, "select count(*) from commitment") == [(0,)]
    assert "a commitment request was refused" in (asked.folder / "node.log").read_text()
    assert act(asked.port, request("1.2.3.1", named(asked.paths)), action=2).Status == 0x0123
    assert act(asked.port, request("", named(asked.paths))).Status == 0x0114
    assert act(asked.port, request("1.2.3.1", [])).Status == 0x0114


def test_a_report_survives_kill_and_is_tried_again(asked: Asked) -> None:
    good = named(asked.paths)
    assert act(asked.port, request("1.2.3.1", good)).Status == 0x0000  # nobody listens yet
    kill(asked.process, asked.settings)
    asked.restart()
    asked.listener.status = 0x0110
    with listening(asked.listener):
        until = time.monotonic() + 30
        while rows(asked.settings, "select attempts from commitment")[0][0] < 2 and time.monotonic() < until:
            time.sleep(0.1)
        assert rows(asked.settings, "select state from commitment") == [("OPEN",)]
        asked.listener.status = 0x0000
        kind, report = asked.listener.wait(1)
        assert kind == 1
        assert committed(report) == {uid for _, uid in good}
        time.sleep(0.5)
    assert rows(asked.settings, "select state from commitment") == [("DONE",)]
    assert len(asked.listener.reports) == 1


@pytest.mark.slow
def test_an_archive_is_evidence_and_a_changed_one_is_not(tmp_path: Path) -> None:
    listener = Listener(port())
    settings = make_settings(tmp_path, peers={"modality": f"MODALITY@127.0.0.1:{listener.port}"}, commitment=SOON)
    paths = save(list(beating_heart(slices=2, phases=4, rows=40, columns=40)), tmp_path / "cine")
    process, number = start(settings, tmp_path)
    try:
        node = Node(settings, number)
        scu.store(node.peer, paths)
        assert node.wait(300).archives == 1
        release(settings)
        (archive,) = settings.store.rglob("*.dcm")
        with listening(listener):
            act(number, request("1.2.3.1", named([*paths, archive])))
            kind, report = listener.wait(1)
            assert (kind, len(committed(report))) == (1, len(paths) + 1)
            data = archive.read_bytes()
            archive.write_bytes(data[:-100] + bytes(100))
            act(number, request("1.2.3.2", named([*paths, archive])))
            kind, report = listener.wait(2)
            assert (kind, set(failed(report).values())) == (2, {0x0110})
            assert len(failed(report)) == len(paths) + 1
    finally:
        process.terminate()
        process.wait(30)


@pytest.mark.slow
def test_orthanc_asks_us(orthanc: RunningPeer, tmp_path: Path) -> None:
    folder = tmp_path / "node"
    folder.mkdir()
    settings = make_settings(folder, peers={"orthanc": str(orthanc.peer)}, commitment=SOON)
    paths = save(list(beating_heart(slices=1, phases=2, rows=40, columns=40)), tmp_path / "cine")
    process, number = start(settings, folder)
    try:
        scu.store(Peer("HEXDICOM", "127.0.0.1", number), paths)
        rest = f"http://127.0.0.1:{orthanc.http_port}"
        send(f"{rest}/modalities/hexdicom", {"AET": "HEXDICOM", "Host": "127.0.0.1", "Port": number}, "PUT")
        wanted = [list(one) for one in [*named(paths), ("1.2.840.10008.5.1.4.1.1.4", "1.2.3.4")]]
        job = send(f"{rest}/modalities/hexdicom/storage-commitment", {"DicomInstances": wanted}, "POST")
        report: dict[str, Any] = {}
        until = time.monotonic() + 30
        while report.get("Status", "Pending") == "Pending" and time.monotonic() < until:
            time.sleep(0.2)
            report = json.loads(urllib.request.urlopen(f"{rest}/storage-commitment/{job['ID']}", timeout=10).read())
        assert report["Status"] == "Failure"
        assert {one["SOPInstanceUID"] for one in report["Success"]} == {uid for _, uid in named(paths)}
        assert [one["SOPInstanceUID"] for one in report["Failures"]] == ["1.2.3.4"]
    finally:
        process.terminate()
        process.wait(30)


def send(url: str, body: Any, method: str) -> Any:
    question = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"}, method=method)
    with urllib.request.urlopen(question, timeout=10) as answer:
        data = answer.read()
    return json.loads(data) if data.strip() else {}
