"""The worker on a real catalog, spool and store, with a codec that takes no time: archived once, whatever goes wrong."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

import pytest

from hexdicom.codec.profile import Profile
from hexdicom.errors import SeriesError, StoreError, VerificationError
from hexdicom_services import intake
from hexdicom_services.catalog import ledger
from hexdicom_services.jobs.archive import EARLIER
from hexdicom_services.jobs.archiver import Archived, PipelineArchiver
from hexdicom_services.part10 import read_head
from hexdicom_services.status import status
from hexdicom_services.stores.folder import FolderStore
from hexdicom_services.worker import Worker

from .conftest import Bench, encoded

if TYPE_CHECKING:
    from pathlib import Path

    from pydicom.dataset import Dataset

pytestmark = pytest.mark.usefixtures("stored_codec")


class Counting:
    """The real archiver, counted; `failures` are raised first."""

    def __init__(self, *failures: Exception) -> None:
        self._real, self.failures, self.calls = PipelineArchiver(Profile(), "cpu"), list(failures), 0

    @property
    def name(self) -> str:
        return self._real.name

    def __call__(self, plan: Any, out: Path, **more: Any) -> Archived:
        self.calls += 1
        if self.failures:
            raise self.failures.pop(0)
        return self._real(plan, out, **more)


def worker(bench: Bench, archiver: Any) -> Worker:
    return Worker(bench.settings, bench.catalog, archiver, "worker", bench.clock)


def deliver(bench: Bench, data_sets: list[Dataset]) -> None:
    for ds in data_sets:
        bench.receive(ds)
    bench.clock.now += 11
    intake.close_due(bench.catalog, bench.settings.spool, bench.settings.series, bench.clock())


def stored_files(bench: Bench) -> list[Path]:
    return sorted(path for path in bench.settings.store.rglob("*") if path.is_file())


def test_a_series_is_archived_once(bench: Bench, cine: list[Dataset]) -> None:
    archiver = Counting()
    deliver(bench, cine)
    assert worker(bench, archiver).run_next()
    assert not worker(bench, archiver).run_next()
    assert bench.rows("select state from series") == [("ARCHIVED",)]
    assert bench.rows("select state, attempts from job") == [("DONE", 1)]
    assert bench.rows("select kind, state, current, source_instances from stored") == [("archive", "STORED", 1, 8)]
    assert len(stored_files(bench)) == 1
    now = status(bench.settings)
    assert (now.archives, now.archived_instances, now.idle, now.running) == (1, 8, True, False)
    assert now.ratio > 1
    assert bench.value("select patient_name from stored")
    assert not (bench.settings.state / "work" / "worker").exists()


def test_what_is_not_a_clean_series_is_stored_byte_for_byte_with_the_reason(bench: Bench, cine: list[Dataset]) -> None:
    deliver(bench, cine[:1])
    worker(bench, Counting()).run_next()
    ((key, reason),) = bench.rows("select key, reason from stored")
    assert reason
    file = bench.settings.store / key
    assert file.read_bytes()[read_head(file).offset :] == encoded(cine[0])
    assert bench.rows("select state from series") == [("ARCHIVED",)]


def test_a_group_that_is_refused_when_its_pixels_are_seen_is_passed_through(bench: Bench, cine: list[Dataset]) -> None:
    deliver(bench, cine)
    worker(bench, Counting(SeriesError("Padding is not zero."))).run_next()
    assert bench.rows("select distinct kind, reason, current from stored") == [("passed-through", "Padding is not zero.", 1)]
    assert bench.rows("select state from job") == [("DONE",)]


@pytest.mark.parametrize("failure", [VerificationError("wrong"), RuntimeError("CUDA error"), MemoryError()])
def test_a_failure_is_tried_again_later(bench: Bench, cine: list[Dataset], failure: Exception) -> None:
    deliver(bench, cine)
    hand = worker(bench, Counting(failure))
    assert hand.run_next()
    assert not hand.run_next()  # not yet
    assert bench.rows("select state from series") == [("ARCHIVING",)]
    assert status(bench.settings).working[0].error
    bench.clock.now += 6
    assert hand.run_next()
    assert bench.rows("select state, attempts from job") == [("DONE", 2)]


def test_after_three_failures_the_originals_are_stored_untouched(bench: Bench, cine: list[Dataset]) -> None:
    deliver(bench, cine)
    archiver = Counting(*[VerificationError("What came back differs.")] * 9)
    for _ in range(4):
        worker(bench, archiver).run_next()
        bench.clock.now += 1000
    assert archiver.calls == 3
    assert bench.rows("select state, reason from series") == [("FAILED", "What came back differs.")]
    assert bench.value("select count(*) from stored where current = 1 and kind = 'passed-through'") == len(cine)
    (failure,) = status(bench.settings).failures
    assert failure.reason == "What came back differs."


def test_a_series_that_kills_its_worker_is_set_aside(bench: Bench, cine: list[Dataset]) -> None:
    deliver(bench, cine)
    for _ in range(3):
        with bench.catalog.write() as connection:
            assert ledger.claim(connection, "victim", bench.clock(), 60)
            ledger.release_worker(connection, "victim", bench.clock())
    archiver = Counting()
    worker(bench, archiver).run_next()
    assert archiver.calls == 0
    assert bench.rows("select state from series") == [("FAILED",)]


def test_a_full_disk_uses_up_no_attempt(bench: Bench, cine: list[Dataset]) -> None:
    deliver(bench, cine)
    archiver = Counting(*[StoreError("No space left on device.")] * 6)
    for _ in range(7):
        worker(bench, archiver).run_next()
        bench.clock.now += 1000
    assert bench.rows("select state from series") == [("ARCHIVED",)]


def test_a_late_instance_makes_a_new_version_and_keeps_the_old(bench: Bench, cine: list[Dataset]) -> None:
    archiver = Counting()
    deliver(bench, cine[:4])
    worker(bench, archiver).run_next()
    deliver(bench, cine[4:])
    worker(bench, archiver).run_next()
    assert bench.rows("select source_instances, current from stored order by id") == [(4, 0), (8, 1)]
    assert len(stored_files(bench)) == 2
    assert status(bench.settings).archived_instances == 8


def test_a_late_instance_during_the_work_is_not_forgotten(bench: Bench, cine: list[Dataset]) -> None:
    class Interrupting(Counting):
        def __call__(self, plan: Any, out: Path, **more: Any) -> Archived:
            if not self.calls:
                bench.receive(cine[-1])
            return super().__call__(plan, out, **more)

    deliver(bench, cine[:4])
    worker(bench, Interrupting()).run_next()
    assert bench.rows("select state from series") == [("RECEIVING",)]
    bench.clock.now += 11
    intake.close_due(bench.catalog, bench.settings.spool, bench.settings.series, bench.clock())
    worker(bench, Counting()).run_next()
    assert bench.rows("select state from series") == [("ARCHIVED",)]
    assert bench.value("select sum(source_instances) from stored where current = 1") == 5


def test_an_unchanged_group_is_not_encoded_again(bench: Bench, cine: list[Dataset]) -> None:
    archiver = Counting()
    deliver(bench, cine)
    worker(bench, archiver).run_next()
    extra = deepcopy(cine[0])
    extra.SOPInstanceUID, extra.Rows = "1.2.3.4.5", 24
    del extra.PixelData
    deliver(bench, [extra])
    worker(bench, archiver).run_next()
    assert archiver.calls == 1
    assert bench.rows("select kind, current from stored order by id") == [("archive", 1), ("passed-through", 1)]


def test_of_two_versions_the_later_is_archived_and_the_earlier_kept(bench: Bench, cine: list[Dataset]) -> None:
    deliver(bench, cine)
    worker(bench, Counting()).run_next()
    cine[0].PatientComments = "corrected"
    deliver(bench, cine[:1])
    worker(bench, Counting()).run_next()
    assert bench.rows("select kind, current, reason from stored order by id") == [
        ("archive", 0, ""),
        ("passed-through", 0, EARLIER),
        ("archive", 1, ""),
    ]


def test_work_that_was_broken_off_while_storing_is_cleaned_up_and_done_once(
    bench: Bench, cine: list[Dataset], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Died(BaseException):
        """Not an Exception: nothing in the worker may react to it."""

    real = FolderStore.put

    def die(self: FolderStore, key: str, source: Path) -> Any:
        real(self, key, source)
        raise Died

    deliver(bench, cine)
    with monkeypatch.context() as patch:
        patch.setattr(FolderStore, "put", die)
        with pytest.raises(Died):
            worker(bench, Counting()).run_next()
    assert bench.rows("select state, current from stored") == [("WRITING", 0)]
    with bench.catalog.write() as connection:
        ledger.release_all(connection, bench.clock())
    worker(bench, Counting()).run_next()
    assert bench.rows("select state, current from stored") == [("STORED", 1)]
    assert len(stored_files(bench)) == 1
    assert bench.rows("select state, attempts from job") == [("DONE", 1)]


def test_a_damaged_store_is_noticed(bench: Bench, cine: list[Dataset], monkeypatch: pytest.MonkeyPatch) -> None:
    import hexdicom_services.stores.folder as folder

    deliver(bench, cine)
    monkeypatch.setattr(folder, "digest", lambda file: folder.Written("0" * 64, 1))
    worker(bench, Counting()).run_next()
    assert bench.rows("select current, state from stored") == [(0, "WRITING")]
    assert "other bytes" in status(bench.settings).working[0].error
