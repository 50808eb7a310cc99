"""The node before real peers: DCMTK sends, asks and fetches; what comes back is what was sent."""

from __future__ import annotations

import gc
import json
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset, FileDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from hexdicom.dicom.phantom import beating_heart
from hexdicom.dicom.uids import archive_series_uid
from hexdicom.errors import ConfigError
from hexdicom_services import node as service
from hexdicom_services import scu
from hexdicom_services.part10 import file_head, read_head
from hexdicom_services.peer import Peer
from hexdicom_services.settings import (
    ArchiveSection,
    ForwardSection,
    LoggingSection,
    NodeSection,
    ReceiverSection,
    SeriesSection,
    Settings,
)
from hexdicom_services.status import NodeStatus, status
from hexdicom_services.toml import render_toml

from .conftest import DESTINATION, RunningPeer, port, running, tool

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.peer


@dataclass
class Node:
    """A running node."""

    settings: Settings
    port: int

    @property
    def peer(self) -> Peer:
        return Peer("HEXDICOM", "127.0.0.1", self.port)

    def dcmtk(self, program: str, *more: str | Path, code: int = 0) -> str:
        command = [tool(program), "-aec", "HEXDICOM", *map(str, more)]
        at = command.index("--") if "--" in command else len(command)
        command[at : at + 1] = ["127.0.0.1", str(self.port)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def wait(self, seconds: float = 90) -> NodeStatus:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            now = status(self.settings)
            if now.idle and now.instances_received:
                return now
            time.sleep(0.2)
        pytest.fail(f"the node did not finish: {now}")


def make_settings(folder: Path, **more: object) -> Settings:
    """The profile is the fast one: with the default one, which runs in the demo's test, an archive takes ten times as long."""
    more.setdefault("archive", ArchiveSection(profile="fast"))
    return Settings(
        node=NodeSection(port=0, state_dir=folder / "state"),
        receiver=ReceiverSection(disk_reserve_mb=0),
        series=SeriesSection(silence=1.0, settle=0.3),
        logging=LoggingSection(format="text"),
        **more,
    )


def start(settings: Settings, folder: Path) -> tuple[subprocess.Popen[bytes], int]:
    config = folder / "node.toml"
    config.write_text(render_toml(settings))
    command = [sys.executable, "-m", "hexdicom_services", "node", "run", "--config", str(config)]
    with (folder / "node.log").open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    place = settings.state / "node.json"
    for _ in range(300):
        if status_running(settings) and place.is_file():
            return process, json.loads(place.read_text())["port"]
        if process.poll() is not None:
            break
        time.sleep(0.1)
    pytest.fail((folder / "node.log").read_text()[-3000:])


def status_running(settings: Settings) -> bool:
    return settings.database.exists() and status(settings).running


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    folder = tmp_path / "node"
    folder.mkdir()
    destination = port()
    settings = make_settings(folder, peers={"dest": f"{DESTINATION}@127.0.0.1:{destination}"})
    process, number = start(settings, folder)
    try:
        yield Node(settings, number)
    finally:
        process.terminate()
        process.wait(30)


def save(data_sets: list[FileDataset], folder: Path, syntax: str = ExplicitVRLittleEndian) -> list[Path]:
    folder.mkdir(exist_ok=True)
    paths = []
    for number, ds in enumerate(data_sets):
        path = folder / f"{number:03}.dcm"
        buffer = DicomBytesIO()
        buffer.is_little_endian, buffer.is_implicit_VR = syntax != ExplicitVRBigEndian, syntax == ImplicitVRLittleEndian
        if syntax == ExplicitVRBigEndian:
            ds.PixelData = np.frombuffer(ds.PixelData, "<i2").astype(">i2").tobytes()
        write_dataset(buffer, Dataset(ds))
        path.write_bytes(file_head(ds.SOPClassUID, ds.SOPInstanceUID, syntax, "") + buffer.getvalue())
        paths.append(path)
    return paths


def content(path: Path) -> bytes:
    return path.read_bytes()[read_head(path).offset :]


def test_echo(node: Node) -> None:
    node.dcmtk("echoscu")
    assert scu.echo(node.peer) < 5


def test_every_data_set_is_kept_byte_for_byte(node: Node, phantom: list[Path]) -> None:
    node.dcmtk("storescu", "--", *phantom)
    spooled = {read_head(path).sop_instance_uid: path for path in node.settings.spool.rglob("*.dcm")}
    assert len(spooled) == len(phantom)
    for path in phantom:
        assert content(spooled[read_head(path).sop_instance_uid]) == content(path)


@pytest.mark.parametrize(
    ("option", "syntax"), [("--propose-implicit", ImplicitVRLittleEndian), ("--propose-big", ExplicitVRBigEndian)]
)
def test_other_encodings_are_taken(node: Node, tmp_path: Path, option: str, syntax: str) -> None:
    paths = save(list(beating_heart(slices=1, phases=2, rows=24, columns=24)), tmp_path / "files", syntax)
    node.dcmtk("storescu", option, "--", *paths)
    spooled = {read_head(path).sop_instance_uid: path for path in node.settings.spool.rglob("*.dcm")}
    assert {read_head(path).transfer_syntax_uid for path in spooled.values()} == {syntax}
    for path in paths:
        assert content(spooled[read_head(path).sop_instance_uid]) == content(path)


def test_private_and_unknown_sop_classes_are_taken(node: Node, tmp_path: Path) -> None:
    ds = next(iter(beating_heart(slices=1, phases=1, rows=24, columns=24)))
    for number, uid in enumerate(["1.3.46.670589.11.0.0.12.1", "1.2.840.10008.5.1.4.1.1.66", "1.2.3.4.5"]):
        ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = uid
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.{number}"
        assert [sent.state for sent in scu.store(node.peer, save([ds], tmp_path / "one"))] == ["sent"]


def test_an_association_that_breaks_loses_nothing_that_was_answered(node: Node, phantom: list[Path]) -> None:
    node.dcmtk("storescu", "--abort", "--", *phantom[:5])
    assert status(node.settings).instances_received == 5
    node.dcmtk("echoscu")


def test_more_associations_than_pynetdicom_allows_by_default(node: Node, tmp_path: Path) -> None:
    senders = []
    for number in range(16):
        series = list(beating_heart(slices=1, phases=3, rows=24, columns=24, seed=number))
        paths = save(series, tmp_path / f"s{number}")
        command = [tool("storescu"), "-aec", "HEXDICOM", "127.0.0.1", str(node.port), *map(str, paths)]
        senders.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT))
    for sender in senders:
        out, _ = sender.communicate(timeout=60)
        assert sender.returncode == 0, out.decode()
    assert status(node.settings).instances_received == 48


@pytest.mark.slow
def test_what_is_archived_is_found_and_fetched(node: Node, phantom: list[Path], tmp_path: Path) -> None:
    lone = next(iter(beating_heart(slices=1, phases=1, rows=24, columns=24, seed=9)))
    lone.StudyInstanceUID = dcmread(phantom[0]).StudyInstanceUID
    lone.SeriesDescription = "Übersicht"
    lone.SpecificCharacterSet = "ISO_IR 100"
    others = save([lone], tmp_path / "other", ImplicitVRLittleEndian)
    node.dcmtk("storescu", "--", *phantom)
    node.dcmtk("storescu", "--propose-implicit", "--", *others)
    now = node.wait()
    assert (now.archives, now.archived_instances, now.passed_through) == (1, len(phantom), 1)

    study = str(lone.StudyInstanceUID)
    keys = ["-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={study}", "-k", "NumberOfStudyRelatedInstances"]
    assert "NumberOfStudyRelatedInstances" in node.dcmtk("findscu", "-S", *keys)
    series = node.dcmtk("findscu", "-S", "-k", "QueryRetrieveLevel=SERIES", "-k", "SeriesInstanceUID", "-k", "Modality=OT")
    source = str(dcmread(phantom[0]).SeriesInstanceUID)
    assert "# Dicom-Data-Set" not in series  # the archive object comes only to who names it
    series = node.dcmtk(
        "findscu",
        "-S",
        "-k",
        "QueryRetrieveLevel=SERIES",
        "-k",
        f"SeriesInstanceUID={archive_series_uid(source)}",
        "-k",
        "Modality",
    )
    assert "OT" in series
    assert study in node.dcmtk("findscu", "-P", "-k", "QueryRetrieveLevel=STUDY", "-k", "StudyInstanceUID", "-k", "PatientName=*")
    assert "# Dicom-Data-Set" not in node.dcmtk("findscu", "-S", "-k", "QueryRetrieveLevel=STUDY", "-k", "PatientID=nobody")

    fetched = tmp_path / "fetched"
    fetched.mkdir()
    node.dcmtk("getscu", "-S", "-od", fetched, "-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={study}")
    assert len(list(fetched.iterdir())) == len(phantom) + 1
    query = FileDataset("", {})
    query.StudyInstanceUID = study
    mine = scu.get(node.peer, query, tmp_path / "mine")
    sent = {read_head(path).sop_instance_uid: path for path in [*phantom, *others]}
    assert len(mine) == len(sent) == len(phantom) + 1
    for item in mine:
        assert content(item.path) == content(sent[item.sop_instance_uid])

    query.SeriesInstanceUID = archive_series_uid(source)
    (archive,) = scu.get(node.peer, query, tmp_path / "archive")
    stored = {read_head(path).sop_instance_uid: path for path in node.settings.store.rglob("*.dcm")}
    assert content(archive.path) == content(stored[archive.sop_instance_uid])


@pytest.mark.slow
def test_c_move_sends_to_a_configured_peer_and_to_nobody_else(node: Node, phantom: list[Path], tmp_path: Path) -> None:
    node.dcmtk("storescu", "--", *phantom[:1])
    node.wait()
    study = str(dcmread(phantom[0]).StudyInstanceUID)
    keys = ["-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={study}"]
    folder, number = tmp_path / "moved", node.settings.peer("dest").port
    folder.mkdir()
    with running([tool("storescp"), "--bit-preserving", "-od", folder, str(number)], number, tmp_path / "dest.log"):
        node.dcmtk("movescu", "-S", "-aem", DESTINATION, *keys)
    (moved,) = folder.iterdir()
    assert content(moved) == content(phantom[0])
    assert "MoveDestinationUnknown" in node.dcmtk("movescu", "-S", "-aem", "STRANGER", *keys, code=69)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["orthanc", "dcmqrscp"])
def test_what_is_archived_is_forwarded_fetched_back_and_compared(
    kind: str, phantom: list[Path], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    pacs: RunningPeer = request.getfixturevalue(kind)
    folder = tmp_path / "node"
    folder.mkdir()
    more = {"peers": {"pacs": str(pacs.peer)}, "forward": ForwardSection(targets=("pacs",), retry_delay=1)}
    settings = make_settings(folder, **more)
    process, number = start(settings, folder)
    try:
        running_node = Node(settings, number)
        running_node.dcmtk("storescu", "--", *phantom)
        now = running_node.wait()
    finally:
        process.terminate()
        process.wait(30)
    assert now.deliveries == {"pacs": {"VERIFIED": 1}}, now


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["orthanc", "dcmqrscp_without_get"])
def test_what_is_archived_is_read_back_by_c_move(
    kind: str, phantom: list[Path], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    pacs: RunningPeer = request.getfixturevalue(kind)
    folder = tmp_path / "node"
    folder.mkdir()
    forward = ForwardSection(
        targets=("pacs",), read_back="move", move_ae_title=DESTINATION, move_port=pacs.destination_port, retry_delay=1
    )
    settings = make_settings(folder, peers={"pacs": str(pacs.peer)}, forward=forward)
    process, number = start(settings, folder)
    try:
        running_node = Node(settings, number)
        running_node.dcmtk("storescu", "--", *phantom)
        now = running_node.wait()
    finally:
        process.terminate()
        process.wait(30)
    assert now.deliveries == {"pacs": {"VERIFIED": 1}}, now
    assert "returned-" not in str(list(settings.state.iterdir()))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["orthanc", "dcmqrscp"])
def test_a_pacs_that_does_not_know_us_as_destination_is_tried_again(
    kind: str, phantom: list[Path], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    pacs: RunningPeer = request.getfixturevalue(kind)
    folder, own = tmp_path / "node", port()
    folder.mkdir()
    forward = ForwardSection(targets=("pacs",), read_back="move", move_port=own, retry_delay=0.5, max_delay=1)
    settings = make_settings(folder, peers={"pacs": str(pacs.peer)}, forward=forward)
    process, number = start(settings, folder)
    try:
        Node(settings, number).dcmtk("storescu", "--", *phantom[:1])
        until = time.monotonic() + 90
        while time.monotonic() < until and not any(work.error for work in status(settings).working):
            time.sleep(0.2)
        now = status(settings)
    finally:
        process.terminate()
        process.wait(30)
    assert f"must know HEXDICOM as a C-MOVE destination, at host 127.0.0.1, port {own}" in now.working[0].error
    assert now.working[0].kind == "forward"
    assert "VERIFIED" not in now.deliveries.get("pacs", {})


@pytest.mark.slow
def test_a_pacs_that_is_away_is_tried_again(phantom: list[Path], tmp_path: Path, request: pytest.FixtureRequest) -> None:
    folder, number = tmp_path / "node", port()
    folder.mkdir()
    more = {
        "peers": {"pacs": f"QRSCP@127.0.0.1:{number}"},
        "forward": ForwardSection(targets=("pacs",), retry_delay=0.5, max_delay=1),
    }
    settings = make_settings(folder, **more)
    process, own = start(settings, folder)
    try:
        running_node = Node(settings, own)
        running_node.dcmtk("storescu", "--", *phantom[:1])
        until = time.monotonic() + 60
        while time.monotonic() < until and not any(work.error for work in status(settings).working):
            time.sleep(0.2)
        assert "Nothing answers" in status(settings).working[0].error
        home = tmp_path / "late"
        home.mkdir()
        config = tmp_path / "late.cfg"
        config.write_text(
            f"NetworkTCPPort = {number}\nMaxPDUSize = 131072\nMaxAssociations = 16\nHostTable BEGIN\nHostTable END\n"
            f"VendorTable BEGIN\nVendorTable END\nAETable BEGIN\nQRSCP {home} RW (1000, 4096mb) ANY\nAETable END\n"
        )
        with running([tool("dcmqrscp"), "-c", config], number, tmp_path / "late.log"):
            now = running_node.wait()
    finally:
        process.terminate()
        process.wait(30)
    assert now.deliveries == {"pacs": {"VERIFIED": 1}}


def test_two_nodes_do_not_share_a_state_folder(node: Node) -> None:
    with pytest.raises(ConfigError, match="Another node"):
        service.run(node.settings)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # pynetdicom leaves the socket open
def test_the_checks_say_what_is_wrong(node: Node, tmp_path: Path) -> None:
    found = {result.name: result for result in service.check(node.settings)}
    assert found["state folder"].ok
    assert found["port"].ok is None
    assert not found["peer dest"].ok
    assert "Nothing answers" in found["peer dest"].message
    gc.collect()


def test_the_port_for_reading_back_is_checked(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        forward = ForwardSection(read_back="move", move_port=taken.getsockname()[1])
        settings = make_settings(tmp_path, forward=forward)
        (held,) = [result for result in service.check(settings) if result.name == "move port"]
    (free,) = [result for result in service.check(settings) if result.name == "move port"]
    assert (held.ok, free.ok) == (False, True)
    assert str(forward.move_port) in held.message
    off = settings.model_copy(update={"forward": ForwardSection()})
    assert "move port" not in {result.name for result in service.check(off)}


@pytest.mark.slow
def test_a_drained_node_has_finished_everything(tmp_path: Path, phantom: list[Path]) -> None:
    folder = tmp_path / "node"
    folder.mkdir()
    settings = make_settings(folder).model_copy(update={"series": SeriesSection(silence=3600)})
    process, number = start(settings, folder)
    Node(settings, number).dcmtk("storescu", "--", *phantom[:2])
    service.drain(settings)
    assert process.wait(30) == 0
    assert status(settings).idle
    assert not status(settings).running
