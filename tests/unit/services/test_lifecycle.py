"""States, leases and timers: only allowed changes, and each job done once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hexdicom_services import intake
from hexdicom_services.catalog import ledger
from hexdicom_services.catalog.lifecycle import JOB, SERIES, move_job, move_series

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

    from .conftest import Bench


def close(bench: Bench) -> int:
    return intake.close_due(bench.catalog, bench.settings.spool, bench.settings.series, bench.clock())


def queued(bench: Bench, cine: list[Dataset]) -> None:
    for ds in cine:
        bench.receive(ds)
    bench.clock.now += 11
    assert close(bench) == 1


def test_every_state_is_known() -> None:
    for machine in (SERIES, JOB):
        assert {after for follow in machine.values() for after in follow} <= set(machine)


def test_a_change_that_is_not_allowed_is_refused(bench: Bench, cine: list[Dataset]) -> None:
    bench.receive(cine[0])
    uid = str(cine[0].SeriesInstanceUID)
    with bench.catalog.write() as connection:
        assert not move_series(connection, uid, "ARCHIVED", 0)
        assert not move_series(connection, "unknown", "QUEUED", 0)
        assert not move_job(connection, 99, "DONE", 0)
    assert bench.value("select state from series") == "RECEIVING"


def test_silence_closes_a_series_and_a_late_instance_opens_it_again(bench: Bench, cine: list[Dataset]) -> None:
    bench.receive(cine[0])
    bench.clock.now += 9
    assert close(bench) == 0
    bench.receive(cine[1])
    bench.clock.now += 9
    assert close(bench) == 0
    bench.clock.now += 2
    assert close(bench) == 1
    assert bench.value("select state from series") == "QUEUED"
    bench.receive(cine[2])
    assert bench.value("select state from series") == "RECEIVING"
    with bench.catalog.write() as connection:
        assert ledger.claim(connection, "w", bench.clock(), 60) is None  # that job is not for this batch
    bench.clock.now += 11
    assert close(bench) == 1
    assert bench.rows("select state from job order by id") == [("DROPPED",), ("READY",)]


def test_the_force_timer_closes_a_series_that_never_falls_silent(bench: Bench, cine: list[Dataset]) -> None:
    for number in range(13):
        cine[0].InstanceNumber = number
        cine[0].SOPInstanceUID = f"1.2.{number}"
        bench.receive(cine[0])
        bench.clock.now += 8
    assert close(bench) == 1
    assert "force" in str(bench.value("select detail from event where name = 'series.queued'"))


def test_attributes_that_prove_completeness_need_no_silence(bench: Bench, cine: list[Dataset]) -> None:
    for number, ds in enumerate(cine):
        ds.ImagesInAcquisition = len(cine)
        bench.receive(ds)
        if number == 3:
            bench.clock.now += 2
            assert close(bench) == 0  # one slice is a whole rectangle, but not all that was announced
    bench.clock.now += 2
    assert close(bench) == 1


def test_a_lease_is_kept_lost_and_taken_over(bench: Bench, cine: list[Dataset]) -> None:
    queued(bench, cine)
    now = bench.clock()
    with bench.catalog.write() as connection:
        first = ledger.claim(connection, "one", now, 60)
        assert first is not None
        assert ledger.claim(connection, "two", now, 60) is None
        assert ledger.renew(connection, first.id, "one", now + 120, "fit", 0.5)
        assert ledger.claim(connection, "two", now + 100, 60) is None
        second = ledger.claim(connection, "two", now + 130, 60)
        assert second is not None
        assert (second.id, second.attempts) == (first.id, 2)
        assert not ledger.renew(connection, first.id, "one", now + 300, "fit", 0.9)
        assert not move_job(connection, first.id, "DONE", now, "one")
        assert move_job(connection, first.id, "DONE", now, "two")
        assert not move_job(connection, first.id, "DONE", now, "two")


def test_a_stopped_worker_does_not_use_up_an_attempt(bench: Bench, cine: list[Dataset]) -> None:
    queued(bench, cine)
    for _ in range(5):
        with bench.catalog.write() as connection:
            job = ledger.claim(connection, "one", bench.clock(), 60)
            assert job is not None
            assert job.attempts == 1
            assert ledger.give_back(connection, job.id, "one", bench.clock())


def test_a_worker_that_died_uses_up_an_attempt_and_a_node_that_died_does_not(bench: Bench, cine: list[Dataset]) -> None:
    queued(bench, cine)
    seen = []
    for release in (lambda c: ledger.release_worker(c, "one", 0), lambda c: ledger.release_all(c, 0), lambda c: 0):
        with bench.catalog.write() as connection:
            job = ledger.claim(connection, "one", bench.clock(), 60)
            assert job is not None
            seen.append(job.attempts)
            release(connection)
    assert seen == [1, 2, 2]
