"""A viewer that knows nothing of hexdicom: it finds and fetches originals, whatever has become of them meanwhile."""

from __future__ import annotations

import hashlib
import os
import signal
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pynetdicom import build_context, build_role, evt
from pynetdicom.sop_class import (
    MRImageStorage,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
)

from hexdicom.dicom.phantom import beating_heart
from hexdicom.dicom.uids import RAW_DATA_STORAGE, archive_series_uid
from hexdicom_services import cli, scu
from hexdicom_services.catalog.models import instance
from hexdicom_services.catalog.session import open_catalog
from hexdicom_services.part10 import read_head
from hexdicom_services.peer import Peer
from hexdicom_services.scu.association import associate
from hexdicom_services.sections import RetrieveSection, SeriesSection

from .conftest import DESTINATION, port, running, tool
from .test_node_peers import Node, content, make_settings, save, start

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator, Sequence

    from hexdicom_services.settings import Settings

pytestmark = [pytest.mark.peer, pytest.mark.slow]  # a node that has archived something takes long to have
ARCHIVES = "HEXDICOM_ARCHIVE"


@dataclass
class Held:
    """A node that holds a study: a cine series, and an image of its own that was passed through."""

    node: Node
    process: subprocess.Popen[bytes]
    cine: list[Path]
    lone: Path

    @property
    def study(self) -> str:
        return str(dcmread(self.lone, stop_before_pixels=True).StudyInstanceUID)

    @property
    def series(self) -> str:
        return str(dcmread(self.cine[0], stop_before_pixels=True).SeriesInstanceUID)

    def find(self, level: str, **keys: str) -> list[Dataset]:
        return scu.find(self.node.peer, dataset(**keys), level)  # type: ignore[arg-type]

    def children(self, module: str) -> list[int]:
        return children(self.process, module)


def children(process: subprocess.Popen[bytes], module: str) -> list[int]:
    """Process ids of the node's processes that run a module."""
    pids = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return [int(pid) for pid in pids if module in Path(f"/proc/{pid}/cmdline").read_text()]


def dataset(**keys: str) -> Dataset:
    found = Dataset()
    for keyword, value in keys.items():
        setattr(found, keyword, value)
    return found


def digests(paths: Sequence[Path]) -> dict[str, str]:
    """SHA-256 of the data sets, by SOP Instance UID."""
    return {read_head(path).sop_instance_uid: hashlib.sha256(content(path)).hexdigest() for path in paths}


def release(settings: Settings, uids: set[str] | None = None) -> int:
    """What retention does: files leave the spool, and their rows say when. Returns how many files that were."""
    catalog = open_catalog(settings.database)
    gone = 0
    with catalog.write() as connection:
        for row in connection.execute(instance.select()).all():
            if uids is None or row.sop_instance_uid in uids:
                (settings.spool / row.path).unlink()
                connection.execute(instance.update().where(instance.c.id == row.id).values(released_at=time.time()))
                gone += 1
    catalog.close()
    return gone


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Held]:
    folder = tmp_path_factory.mktemp("held")
    settings = make_settings(
        folder,
        peers={"dest": f"{DESTINATION}@127.0.0.1:{port()}"},
        retrieve=RetrieveSection(archive_ae_title=ARCHIVES, cache_mb=16),
    )
    cine = save(list(beating_heart(slices=3, phases=6, rows=48, columns=40)), folder / "cine")
    image = next(iter(beating_heart(slices=1, phases=1, rows=24, columns=24, seed=9)))
    image.StudyInstanceUID, image.PatientID = dcmread(cine[0]).StudyInstanceUID, dcmread(cine[0]).PatientID
    image.SpecificCharacterSet = "ISO_IR 100"
    image.SeriesDescription, image.PatientName = "Übersicht", "Müller^Jörg"
    (lone,) = save([image], folder / "lone")
    os.environ["TCP_NODELAY"] = "1"
    process, number = start(settings, folder)
    try:
        node = Node(settings, number)
        assert {one.state for one in scu.store(node.peer, [*cine, lone])} == {"sent"}
        now = node.wait(300)
        assert (now.archives, now.passed_through) == (1, 1)
        yield Held(node, process, cine, lone)
    finally:
        process.terminate()
        process.wait(30)


def test_originals_are_found_as_if_they_had_never_left(held: Held) -> None:
    counted = {"NumberOfStudyRelatedSeries": "", "NumberOfStudyRelatedInstances": "", "ModalitiesInStudy": ""}
    (study,) = held.find("STUDY", StudyInstanceUID=held.study, **counted)
    assert (study.NumberOfStudyRelatedSeries, study.NumberOfStudyRelatedInstances) == (2, 19)
    assert study.ModalitiesInStudy == "MR"
    keys = ("SeriesInstanceUID", "Modality", "SeriesNumber", "SeriesDescription", "NumberOfSeriesRelatedInstances")
    series = {
        str(one.SeriesInstanceUID): one for one in held.find("SERIES", StudyInstanceUID=held.study, **dict.fromkeys(keys, ""))
    }
    assert set(series) == {held.series, str(dcmread(held.lone).SeriesInstanceUID)}
    assert series[held.series].NumberOfSeriesRelatedInstances == 18
    assert series[held.series].Modality == "MR"
    images = held.find("IMAGE", StudyInstanceUID=held.study, SeriesInstanceUID=held.series, SOPInstanceUID="", InstanceNumber="")
    assert {str(one.SOPInstanceUID) for one in images} == set(digests(held.cine))
    assert {int(one.InstanceNumber) for one in images} == set(range(1, 19))
    assert {one.SOPClassUID for one in images} == {MRImageStorage}
    (patient,) = held.find("PATIENT", PatientID=str(study.get("PatientID") or dcmread(held.lone).PatientID), PatientName="")
    assert patient.PatientID == dcmread(held.lone).PatientID


def test_archive_objects_come_only_to_who_asks_for_them(held: Held) -> None:
    archive = archive_series_uid(held.series)
    (series,) = held.find("SERIES", StudyInstanceUID=held.study, SeriesInstanceUID=archive, Modality="")
    assert series.Modality == "OT"
    (image,) = held.find(
        "IMAGE", StudyInstanceUID=held.study, SeriesInstanceUID="", SOPInstanceUID="", SOPClassUID=RAW_DATA_STORAGE
    )
    assert image.SeriesInstanceUID == archive
    second = Peer(ARCHIVES, "127.0.0.1", held.node.port)
    under = scu.find(second, dataset(StudyInstanceUID=held.study, SeriesInstanceUID="", Modality=""), "SERIES")
    assert {str(one.SeriesInstanceUID) for one in under} == {archive, str(dcmread(held.lone).SeriesInstanceUID)}


def test_answers_are_in_a_character_set_that_covers_them(held: Held) -> None:
    lone = str(dcmread(held.lone).SeriesInstanceUID)
    keys = {"StudyInstanceUID": held.study, "SeriesInstanceUID": lone, "SeriesDescription": ""}
    (latin,) = held.find("SERIES", SpecificCharacterSet="ISO_IR 100", **keys)
    assert (latin.SpecificCharacterSet, latin.SeriesDescription) == ("ISO_IR 100", "Übersicht")
    (unicode,) = held.find("SERIES", SpecificCharacterSet="ISO_IR 144", **keys)
    assert (unicode.SpecificCharacterSet, unicode.SeriesDescription) == ("ISO_IR 192", "Übersicht")
    (plain,) = held.find("SERIES", StudyInstanceUID=held.study, SeriesInstanceUID=held.series, SeriesDescription="")
    assert "SpecificCharacterSet" not in plain
    (found,) = held.find("SERIES", **{**keys, "SpecificCharacterSet": "ISO_IR 100", "SeriesDescription": "Über*"})
    assert found.SeriesInstanceUID == lone
    assert "Übersicht" in held.node.dcmtk(
        "findscu", "-S", "-k", "QueryRetrieveLevel=SERIES", "-k", f"SeriesInstanceUID={lone}", "-k", "SeriesDescription"
    )


def test_an_instance_that_has_just_come_is_found_and_fetched(tmp_path: Path) -> None:
    settings = make_settings(tmp_path).model_copy(update={"series": SeriesSection(silence=3600)})
    (path,) = save(list(beating_heart(slices=1, phases=1, rows=24, columns=24)), tmp_path / "one")
    process, number = start(settings, tmp_path)
    try:
        peer = Peer("HEXDICOM", "127.0.0.1", number)
        scu.store(peer, [path])
        study = dataset(StudyInstanceUID=str(dcmread(path).StudyInstanceUID))
        assert len(scu.find(peer, study, "STUDY")) == 1
        (got,) = scu.get(peer, study, tmp_path / "got")
        assert content(got.path) == content(path)
    finally:
        process.terminate()
        process.wait(30)


def test_originals_that_left_the_spool_come_back_byte_for_byte(held: Held, tmp_path: Path) -> None:
    study = dataset(StudyInstanceUID=held.study)
    expected = digests([*held.cine, held.lone])
    before = scu.get(held.node.peer, study, tmp_path / "before")
    assert digests([one.path for one in before]) == expected

    some = set(list(expected)[:4])
    release(held.node.settings, some)
    mixed = scu.get(held.node.peer, study, tmp_path / "mixed")
    assert digests([one.path for one in mixed]) == expected

    assert release(held.node.settings, set(expected) - some) == len(expected) - 4
    assert not list(held.node.settings.spool.rglob("*.dcm"))
    fetched = tmp_path / "fetched"
    fetched.mkdir()
    held.node.dcmtk(
        "getscu", "-S", "--bit-preserving", "-od", fetched, "-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={held.study}"
    )
    assert digests(list(fetched.iterdir())) == expected
    (image,) = held.find("IMAGE", StudyInstanceUID=held.study, SeriesInstanceUID=held.series, SOPInstanceUID=next(iter(some)))
    assert image.SOPInstanceUID in some


def test_c_move_sends_restored_originals(held: Held, tmp_path: Path) -> None:
    release_all(held)
    folder, number = tmp_path / "moved", held.node.settings.peer("dest").port
    folder.mkdir()
    keys = ["-k", "QueryRetrieveLevel=SERIES", "-k", f"StudyInstanceUID={held.study}", "-k", f"SeriesInstanceUID={held.series}"]
    with running([tool("storescp"), "--bit-preserving", "-od", folder, str(number)], number, tmp_path / "dest.log"):
        held.node.dcmtk("movescu", "-S", "-aem", DESTINATION, *keys)
    assert digests(list(folder.iterdir())) == digests(held.cine)


def test_one_image_is_fetched_alone(held: Held, tmp_path: Path) -> None:
    release_all(held)
    uid = read_head(held.cine[-1]).sop_instance_uid
    keys = dataset(StudyInstanceUID=held.study, SeriesInstanceUID=held.series, SOPInstanceUID=uid)
    (got,) = scu.get(held.node.peer, keys, tmp_path / "got")
    assert content(got.path) == content(held.cine[-1])


def release_all(held: Held) -> None:
    left = {read_head(path).sop_instance_uid for path in held.node.settings.spool.rglob("*.dcm")}
    release(held.node.settings, left)


def test_the_restorer_still_fetches_the_archive_object(held: Held, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    node = str(held.node.peer)
    for number, option in enumerate((("--study", held.study), ("--series", held.series))):
        assert cli.run(["restore", "--from", node, *option, "--out", str(tmp_path / str(number))]) == 0
    assert digests(list((tmp_path / "0").iterdir())) == digests([*held.cine, held.lone])
    assert digests(list((tmp_path / "1").iterdir())) == digests(held.cine)
    assert "restored, identical by SHA-256" in capsys.readouterr().out
    assert cli.run(["find", "--from", node]) == 0
    assert "archive" in capsys.readouterr().out


class Getting:
    """A C-GET by pynetdicom: what came, and what the node says about it. `on_first` is called with the first instance."""

    def __init__(self, peer: Peer, keys: Dataset, level: str = "SERIES", message: int = 7) -> None:
        self.peer, self.keys, self.message = peer, keys, message
        self.keys.QueryRetrieveLevel = level
        self.came: list[tuple[str, float]] = []
        self.refuse: set[str] = set()
        self.cancel_after = 0

    def run(self) -> tuple[Dataset, Dataset | None]:
        model = StudyRootQueryRetrieveInformationModelGet
        contexts = [build_context(model), build_context(MRImageStorage)]
        roles = [build_role(MRImageStorage, scp_role=True)]
        self.started = time.perf_counter()
        with associate(self.peer, contexts, roles=roles, handlers=[(evt.EVT_C_STORE, self._store)]) as association:
            self._association = association
            self.asked = time.perf_counter()
            *_, (status, identifier) = association.send_c_get(self.keys, model, msg_id=self.message)
        return status, identifier

    def _store(self, event: evt.Event) -> int:
        uid = str(event.request.AffectedSOPInstanceUID)
        if uid in self.refuse:
            return 0xC000
        self.came.append((uid, time.perf_counter()))
        if len(self.came) == self.cancel_after:
            self._association.send_c_cancel(self.message, query_model=StudyRootQueryRetrieveInformationModelGet)
        return 0x0000


def series_keys(held: Held) -> Dataset:
    return dataset(StudyInstanceUID=held.study, SeriesInstanceUID=held.series)


def test_sub_operations_are_counted(held: Held) -> None:
    release_all(held)
    getting = Getting(held.node.peer, series_keys(held))
    getting.refuse = {read_head(path).sop_instance_uid for path in held.cine[:2]}
    status, identifier = getting.run()
    assert status.Status == 0xB000
    assert (status.NumberOfCompletedSuboperations, status.NumberOfFailedSuboperations) == (16, 2)
    assert identifier is not None
    assert set(identifier.FailedSOPInstanceUIDList) == getting.refuse


def test_cancel_is_honoured(held: Held) -> None:
    release_all(held)
    getting = Getting(held.node.peer, series_keys(held))
    getting.cancel_after = 3
    status, _ = getting.run()
    assert status.Status == 0xFE00
    assert 3 <= status.NumberOfCompletedSuboperations < 18
    assert status.NumberOfRemainingSuboperations == 18 - status.NumberOfCompletedSuboperations


def test_a_restore_process_that_dies_is_replaced(held: Held, tmp_path: Path) -> None:
    release_all(held)
    scu.get(held.node.peer, series_keys(held), tmp_path / "before")
    (pid,) = held.children("restoration.server")
    os.kill(pid, signal.SIGKILL)
    got = scu.get(held.node.peer, series_keys(held), tmp_path / "after")
    assert digests([one.path for one in got]) == digests(held.cine)
    assert held.children("restoration.server") != [pid]


def test_many_at_once(held: Held, tmp_path: Path) -> None:
    release_all(held)
    results: list[dict[str, str]] = []

    def fetch(number: int) -> None:
        got = scu.get(held.node.peer, series_keys(held), tmp_path / str(number))
        results.append(digests([one.path for one in got]))

    threads = [threading.Thread(target=fetch, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [digests(held.cine)] * 6


def test_a_damaged_spool_file_is_not_sent(tmp_path: Path) -> None:
    paths = save(list(beating_heart(slices=2, phases=4, rows=40, columns=40)), tmp_path / "cine")
    settings = make_settings(tmp_path)
    process, number = start(settings, tmp_path)
    try:
        node = Node(settings, number)
        scu.store(node.peer, paths)
        node.wait(300)
        damaged = next(settings.spool.rglob("*.dcm"))
        damaged.write_bytes(damaged.read_bytes()[:-1] + b"\xff")
        study = dataset(StudyInstanceUID=str(dcmread(paths[0]).StudyInstanceUID))
        got = scu.get(node.peer, study, tmp_path / "got")
        assert digests([one.path for one in got]) == digests(paths)

        # and where the archive cannot give it either, it is a failed sub-operation
        (archive,) = settings.store.rglob("*.dcm")
        archive.write_bytes(archive.read_bytes()[:-3000])
        lost = read_head(damaged).sop_instance_uid
        (held_back,) = [path for path in (settings.state / "restored").glob("*.dcm") if read_head(path).sop_instance_uid == lost]
        assert held_back.is_file()
        (pid,) = children(process, "restoration.server")
        os.kill(pid, signal.SIGKILL)
        study.SeriesInstanceUID = str(dcmread(paths[0]).SeriesInstanceUID)
        getting = Getting(node.peer, study)
        status, identifier = getting.run()
        assert (status.Status, status.NumberOfCompletedSuboperations, status.NumberOfFailedSuboperations) == (0xB000, 7, 1)
        assert identifier is not None
        assert identifier.FailedSOPInstanceUIDList == lost
        assert lost not in {uid for uid, _ in getting.came}
    finally:
        process.terminate()
        process.wait(30)


def test_a_query_of_another_model_is_refused(held: Held) -> None:
    with associate(held.node.peer, [build_context(StudyRootQueryRetrieveInformationModelFind)]) as association:
        ((status, _),) = association.send_c_find(
            dataset(QueryRetrieveLevel="PATIENT", PatientID="*"), StudyRootQueryRetrieveInformationModelFind
        )
    assert status.Status == 0xA900
