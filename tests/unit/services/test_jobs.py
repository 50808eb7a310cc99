"""What an operator does with jobs: dead letters, tried again, paused, brought forward, and broken off when they take too long."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from hexdicom.errors import NotFound, StoreError, VerificationError
from hexdicom_services import intake
from hexdicom_services.attention import Situation, attention
from hexdicom_services.catalog import commitments, holdings, job_rows, ledger, pauses
from hexdicom_services.catalog.models import delivery
from hexdicom_services.overtime import Overtime
from hexdicom_services.sections import ForwardSection
from hexdicom_services.status import status

from .test_worker import Counting, deliver, worker

if TYPE_CHECKING:
    from pathlib import Path

    from pydicom.dataset import Dataset

    from hexdicom_services.jobs.archiver import Archived

    from .conftest import Bench

pytestmark = pytest.mark.usefixtures("stored_codec")


def lines(bench: Bench) -> list[str]:
    with bench.catalog.read() as connection:
        situation = Situation(bench.settings, connection, bench.clock(), running=True)
        return [f"{line.severity}: {line.what} {line.command}" for line in attention(situation)]


def requeue(bench: Bench, number: int) -> str:
    with bench.catalog.write() as connection:
        return job_rows.requeue(connection, number, bench.clock())


def fail(bench: Bench, series: list[Dataset]) -> Counting:
    """A series whose encoding fails until it is set aside."""
    deliver(bench, series)
    archiver = Counting(*[VerificationError("What came back differs.")] * 3)
    for _ in range(4):
        worker(bench, archiver).run_next()
        bench.clock.now += 1000
    return archiver


def test_a_series_that_was_set_aside_is_archived_when_its_job_is_requeued(bench: Bench, cine: list[Dataset]) -> None:
    archiver = fail(bench, cine)
    with bench.catalog.read() as connection:
        (dead,) = job_rows.jobs(connection)
        assert job_rows.failed(connection) == [dead.id]
    assert (dead.state, dead.attempts) == ("FAILED", 4)
    assert "warning: 1 series could not be encoded and are archived untouched. hexdicom node jobs" in "\n".join(lines(bench))
    assert requeue(bench, dead.id) == ""
    assert worker(bench, archiver).run_next()
    assert bench.rows("select state from series") == [("ARCHIVED",)]
    assert bench.rows("select state, attempts from job") == [("DONE", 1)]
    assert bench.rows("select kind from stored where current = 1") == [("archive",)]
    assert lines(bench) == []


def test_what_is_archived_later_is_forwarded_too(bench: Bench, cine: list[Dataset]) -> None:
    """The job that forwarded the untouched originals is done; the archive that replaces them takes it up again."""
    bench.settings = bench.settings.model_copy(
        update={"forward": ForwardSection(targets=("pacs",)), "peers": {"pacs": "PACS@127.0.0.1:104"}}
    )
    archiver = fail(bench, cine)
    with bench.catalog.write() as connection:
        job = ledger.claim(connection, "f", bench.clock(), 60)
        assert job is not None
        assert job.kind == "forward"
        for stored_id, _ in holdings.undelivered(connection, job.series_instance_uid, "pacs"):
            holdings.delivered(connection, stored_id, "pacs", "VERIFIED", bench.clock())
        assert ledger.move_job(connection, job.id, "DONE", bench.clock(), "f")
    (number,) = [row[0] for row in bench.rows("select id from job where state = 'FAILED'")]
    assert requeue(bench, number) == ""
    worker(bench, archiver).run_next()
    assert bench.rows("select kind, state from job order by kind") == [("archive", "DONE"), ("forward", "READY")]


def test_what_cannot_be_requeued_says_why(bench: Bench, cine: list[Dataset]) -> None:
    archiver = fail(bench, cine[:4])
    bench.receive(cine[4])
    assert "come meanwhile" in requeue(bench, 1)
    bench.clock.now += 11
    intake.close_due(bench.catalog, bench.settings.spool, bench.settings.series, bench.clock())
    assert "later job" in requeue(bench, 1)
    worker(bench, archiver).run_next()
    assert requeue(bench, 2) == "it is done"
    with pytest.raises(NotFound):
        requeue(bench, 99)


def test_a_job_that_waits_for_its_next_attempt_is_tried_at_once(bench: Bench, cine: list[Dataset]) -> None:
    deliver(bench, cine)
    hand = worker(bench, Counting(VerificationError("once")))
    hand.run_next()
    assert not hand.run_next()
    assert requeue(bench, 1) == ""
    assert hand.run_next()
    assert bench.rows("select state, attempts from job") == [("DONE", 1)]


def test_a_paused_kind_waits_over_everything_until_it_is_resumed(bench: Bench, cine: list[Dataset]) -> None:
    with bench.catalog.write() as connection:
        pauses.pause(connection, ["archive", "archive"], bench.clock())
        pauses.pause(connection, ["archive"], bench.clock())
    deliver(bench, cine)
    hand = worker(bench, Counting())
    assert not hand.run_next()
    assert lines(bench) == ["warning: Jobs of kind archive are paused; 1 wait. hexdicom node resume archive"]
    with bench.catalog.write() as connection:
        assert ledger.open_jobs(connection, bench.clock()) == 0  # a drain does not wait for it
        pauses.resume(connection, ["archive", "forward"])
        assert ledger.open_jobs(connection, bench.clock()) == 1
    assert hand.run_next()


def test_a_series_is_brought_before_the_others_also_before_it_is_complete(bench: Bench, cine: list[Dataset]) -> None:
    for number in range(4):
        cine[number].SeriesInstanceUID = f"1.2.{number}"
    bench.receive(cine[2])
    with bench.catalog.write() as connection:
        job_rows.prioritize(connection, "1.2.2")
        with pytest.raises(NotFound):
            job_rows.prioritize(connection, "1.2.99")
    deliver(bench, [cine[0], cine[1], cine[3]])
    with bench.catalog.write() as connection:
        assert job_rows.prioritize(connection, "1.2.3") == 2
        assert [row.series_instance_uid[-1] for row in job_rows.jobs(connection)] == ["3", "2", "0", "1"]
        taken = [ledger.claim(connection, "w", bench.clock(), 60) for _ in range(4)]
    assert [job.series_instance_uid[-1] for job in taken if job] == ["3", "2", "0", "1"]


def test_only_an_attempt_that_takes_too_long_is_overdue(bench: Bench, cine: list[Dataset]) -> None:
    now = [100.0]
    overtime = Overtime(50, lambda: now[0])

    def overdue() -> list[job_rows.JobRow]:
        with bench.catalog.read() as connection:
            return overtime.overdue(job_rows.running(connection))

    deliver(bench, cine)
    with bench.catalog.write() as connection:
        job = ledger.claim(connection, "w", bench.clock(), 60)
    assert job is not None
    bench.clock.now += 1e6  # the clock of the machine is set
    for moment in (100, 150):
        now[0] = moment
        assert overdue() == []
    now[0] = 151
    assert [row.id for row in overdue()] == [job.id]
    with bench.catalog.write() as connection:
        assert ledger.blame(connection, job.id, "w", "It took too long.")
        assert not ledger.blame(connection, job.id, "other", "It took too long.")
        assert ledger.release_worker(connection, "w", bench.clock()) == 1
        assert ledger.claim(connection, "w", bench.clock(), 60)
    assert overdue() == []  # a new attempt, with all its time
    assert bench.rows("select attempts, error from job") == [(2, "It took too long.")]


def test_a_catalog_that_goes_away_during_the_work_uses_up_no_attempt(
    bench: Bench, cine: list[Dataset], monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any, **__: Any) -> Any:
        raise StoreError("The catalog failed.")

    class Leaving(Counting):
        def __call__(self, plan: Any, out: Path, **more: Any) -> Archived:
            done = super().__call__(plan, out, **more)
            if self.calls == 1:
                patch.setattr(bench.catalog, "write", away)
            return done

    deliver(bench, cine)
    hand = worker(bench, Leaving())
    with monkeypatch.context() as patch:
        with pytest.raises(StoreError):
            hand.run_next()
        with pytest.raises(StoreError):
            hand.run_next()
    assert hand.run_next()
    assert bench.rows("select state, attempts from job") == [("DONE", 1)]


def test_commitments_that_come_to_nothing_are_said(bench: Bench) -> None:
    """A report that was given up, and a PACS that takes what it gets and never commits itself; what it is, once."""
    asked = [commitments.Instance("1.2.840.10008.5.1.4.1.1.4", "1.2.3")]
    with bench.catalog.write() as connection:
        commitments.accept(connection, "MODALITY", "1.2.3.4", asked, bench.clock())
        (one,) = commitments.due(connection, bench.clock())
        commitments.give_up(connection, one.id, bench.clock(), "Nothing answers at 10.0.0.7 port 104.")
        silent = {"stored_id": 1, "target": "pacs", "state": "VERIFIED", "commitment": "REQUESTED", "commitment_attempts": 5}
        connection.execute(delivery.insert().values(silent))
    said = "\n".join(lines(bench))
    assert "error: 1 commitments were never reported to MODALITY, which may ask again: Nothing answers at 10.0.0.7" in said
    assert "warning: pacs has not committed itself to 1 objects, asked 5 times" in said
    now = status(bench.settings)
    assert (now.failures, now.commitments) == ((), {"pacs": {"REQUESTED": 1}})
