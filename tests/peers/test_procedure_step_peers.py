"""A modality that says what it has made: its series are closed when all of it is here, long before silence would."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from pydicom.dataset import Dataset
from pynetdicom import build_context
from pynetdicom.sop_class import InstanceAvailabilityNotification, ModalityPerformedProcedureStep

from hexdicom.dicom.phantom import beating_heart
from hexdicom_services import scu
from hexdicom_services.peer import Peer
from hexdicom_services.scu.association import associate
from hexdicom_services.sections import SeriesSection
from hexdicom_services.status import status

from .test_commitment_peers import kill, rows
from .test_node_peers import make_settings, save, start

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

    from hexdicom_services.settings import Settings

pytestmark = pytest.mark.peer
STEP = "1.2.3.77.1"


class Scanner:
    """A node that waits an hour for silence, and a modality that speaks to it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        settings = make_settings(folder)
        self.settings: Settings = settings.model_copy(update={"series": SeriesSection(silence=3600, settle=0.3)})
        self.process: subprocess.Popen[bytes]
        self.start()

    def start(self) -> None:
        self.process, number = start(self.settings, self.folder)
        self.peer = Peer("HEXDICOM", "127.0.0.1", number, "SCANNER")

    def create(self, uid: str | None, said: Dataset, sop_class: str = ModalityPerformedProcedureStep) -> tuple[int, Dataset | None]:
        with associate(self.peer, [build_context(sop_class)]) as association:
            answer, created = association.send_n_create(said, sop_class, uid)
        return int(answer.Status), created

    def set(self, said: Dataset, uid: str = STEP) -> Dataset:
        with associate(self.peer, [build_context(ModalityPerformedProcedureStep)]) as association:
            answer, _ = association.send_n_set(said, ModalityPerformedProcedureStep, uid)
        return answer

    def state(self) -> dict[str, int]:
        return status(self.settings).series

    def wait_until_closed(self) -> str:
        until = time.monotonic() + 60
        while self.state().get("RECEIVING") and time.monotonic() < until:
            time.sleep(0.05)
        (detail,) = rows(self.settings, "select json_extract(detail, '$.reason') from event where name = 'series.queued'")
        return str(detail[0])


@pytest.fixture
def scanner(tmp_path: Path) -> Iterator[Scanner]:
    one = Scanner(tmp_path)
    yield one
    one.process.terminate()
    one.process.wait(30)


def step(state: str, data_sets: list[Dataset] | None = None) -> Dataset:
    said = Dataset()
    said.PerformedProcedureStepStatus = state
    if data_sets is not None:
        series = Dataset()
        series.SeriesInstanceUID = data_sets[0].SeriesInstanceUID
        series.ReferencedImageSequence = []
        for ds in data_sets:
            item = Dataset()
            item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = ds.SOPClassUID, ds.SOPInstanceUID
            series.ReferencedImageSequence.append(item)
        said.PerformedSeriesSequence = [series]
    return said


def cine() -> list[Dataset]:
    """Nothing in it says how many images there are to be."""
    return list(beating_heart(slices=2, phases=3, rows=24, columns=24))


def test_a_completed_step_closes_its_series_once_all_is_here(scanner: Scanner, tmp_path: Path) -> None:
    series = cine()
    paths = save(series, tmp_path / "cine")
    assert scanner.create(STEP, step("IN PROGRESS"))[0] == 0x0000
    scu.store(scanner.peer, paths[:-1])
    assert scanner.set(step("COMPLETED", series)).Status == 0x0000
    time.sleep(1.5)
    assert scanner.state() == {"RECEIVING": 1}  # one is missing
    kill(scanner.process, scanner.settings)
    scanner.start()
    scu.store(scanner.peer, paths[-1:])
    assert scanner.wait_until_closed() == "performed"


def test_a_discontinued_step_closes_its_series(scanner: Scanner, tmp_path: Path) -> None:
    series = cine()
    assert scanner.create(STEP, step("IN PROGRESS", series))[0] == 0x0000
    scu.store(scanner.peer, save(series, tmp_path / "cine")[:3])
    assert scanner.set(step("DISCONTINUED")).Status == 0x0000
    assert scanner.wait_until_closed() == "discontinued"


def test_a_notification_of_availability_closes_its_series(scanner: Scanner, tmp_path: Path) -> None:
    series = cine()
    scu.store(scanner.peer, save(series, tmp_path / "cine"))
    said = step("", series)
    said.ReferencedSeriesSequence = said.PerformedSeriesSequence
    said.ReferencedSeriesSequence[0].ReferencedSOPSequence = said.ReferencedSeriesSequence[0].ReferencedImageSequence
    del said.PerformedSeriesSequence, said.PerformedProcedureStepStatus
    answer, _ = scanner.create(None, said, InstanceAvailabilityNotification)
    assert answer == 0x0000
    assert scanner.wait_until_closed() == "performed"


def test_what_does_not_fit_is_refused(scanner: Scanner) -> None:
    assert scanner.create(STEP, step("COMPLETED"))[0] == 0x0106
    without = Dataset()
    without.PatientID = "1"
    assert scanner.create(STEP, without)[0] == 0x0120
    status_, created = scanner.create(None, step("IN PROGRESS"))
    assert status_ == 0x0000
    assert created is not None
    assert scanner.create(STEP, step("IN PROGRESS"))[0] == 0x0000
    assert scanner.create(STEP, step("IN PROGRESS"))[0] == 0x0111
    assert scanner.set(step("COMPLETED"), "1.2.3.78").Status == 0x0112
    assert scanner.set(step("PERHAPS")).Status == 0x0106
    assert scanner.set(step("COMPLETED")).Status == 0x0000
    again = scanner.set(step("DISCONTINUED"))
    assert (again.Status, again.get("ErrorID")) == (0x0110, 0xA710)
