"""The process that encodes: takes jobs from the catalog, one at a time, until it is told to stop.

Dying is a normal way to end: whatever a worker had in hand is taken up by the next one. So when asked to stop it gives
its job back and goes at once, in the middle of an encoding.
"""

from __future__ import annotations

import logging
import os
import shutil
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hexdicom.errors import HexdicomError, StoreError
from hexdicom_services import child, custody, gpus
from hexdicom_services.catalog import holdings, ledger, series_rows
from hexdicom_services.catalog.lifecycle import move_job
from hexdicom_services.catalog.session import Catalog, open_catalog
from hexdicom_services.chores import Chores
from hexdicom_services.jobs.archive import archive_series, keep_untouched
from hexdicom_services.jobs.archiver import Archiver, PipelineArchiver
from hexdicom_services.jobs.filing import Filing
from hexdicom_services.jobs.forward import forward_series
from hexdicom_services.logs import short
from hexdicom_services.shipped import load_profile
from hexdicom_services.spool import Spool
from hexdicom_services.stores import mark
from hexdicom_services.stores.folder import FolderStore
from hexdicom_services.vitals import Pulse

if TYPE_CHECKING:
    from collections.abc import Callable

    from hexdicom_services.catalog.ledger import Job
    from hexdicom_services.settings import Settings

log = logging.getLogger(__name__)

_POLL = 0.2  # seconds between looks for work
_PAUSE = 2.0  # seconds after the catalog was away
_LONGEST_DELAY = 900.0


@dataclass(slots=True)
class Worker:
    """One worker. `hold` keeps the lease of the job in hand from another thread."""

    settings: Settings
    catalog: Catalog
    archiver: Archiver
    name: str
    clock: Callable[[], float] = time.time
    gpu: str | None = None
    job: Job | None = None
    step: str = ""
    fraction: float = 0.0
    owed: Job | None = None  # a job that could not be finished because the catalog was away

    def run_next(self) -> bool:
        """Does the next job that is due; False where there is none. Never raises for a job that fails."""
        lease = self.settings.worker.lease
        with self.catalog.write() as connection:
            if self.owed is not None:  # no fault of the series
                ledger.give_back(connection, self.owed.id, self.name, self.clock())
            job = ledger.claim(connection, self.name, self.clock(), lease)
        self.owed = None
        if job is None:
            return False
        self.step, self.fraction, self.job = "", 0.0, job
        try:
            if job.kind == "archive":
                self._archive(job)
            else:
                self._forward(job)
        except StoreError:
            self.owed = job
            raise
        finally:
            self.job = None
        return True

    def progress(self, step: str, fraction: float) -> None:
        self.step, self.fraction = step, fraction

    def hold(self) -> None:
        """Renews the lease of the job in hand."""
        job = self.job
        if job is None:
            return
        until = self.clock() + self.settings.worker.lease
        with self.catalog.write() as connection:
            held = ledger.renew(connection, job.id, self.name, until, self.step, self.fraction)
        if not held and self.job is job:
            log.warning("job %d went to another worker", job.id, extra={"event": "job.lost", "job": job.id})

    def give_back(self) -> None:
        """Gives the job in hand back, to be done by somebody else."""
        job = self.job
        if job is not None:
            with self.catalog.write() as connection:
                ledger.give_back(connection, job.id, self.name, self.clock())

    def _archive(self, job: Job) -> None:
        started = time.monotonic()
        settings = self.settings
        work = settings.state / "work" / self.name
        try:
            mark.check(settings)
            store, uid = FolderStore(settings.store), job.series_instance_uid
            spool = Spool(settings.spool, settings.receiver.disk_reserve_mb << 20)
            with gpus.alone(settings.state, self.gpu):
                custody.make_ready(self.catalog, spool, store, uid, self.clock(), settings.worker.device)
                filing = Filing(self.catalog, settings.spool, store, job, self.clock)
                error = self._last_error(job)
                if job.attempts > settings.worker.attempts:
                    keep_untouched(filing, error)
                else:
                    work.mkdir(parents=True, exist_ok=True)
                    archive_series(filing, job, self.archiver, work, self.progress)
                    error = ""
            self._publish(job, filing, error, time.monotonic() - started)
        except Exception as failure:  # the job is marked, the worker goes on
            self._put_off(job, failure)
        finally:
            shutil.rmtree(work, ignore_errors=True)

    def _publish(self, job: Job, filing: Filing, error: str, seconds: float) -> None:
        """One transaction: what peers get, the state of the series, the end of the job, and what is to be forwarded."""
        uid, now = job.series_instance_uid, self.clock()
        with self.catalog.write() as connection:
            if not move_job(connection, job.id, "FAILED" if error else "DONE", now, self.name, finished_at=now):
                log.warning("job %d went to another worker", job.id, extra={"event": "job.lost", "job": job.id})
                return
            holdings.publish(connection, uid, filing.keys)
            series_rows.settle(connection, uid, filing.generation, now, error)
            for target in self.settings.forward.targets:
                ledger.add_forward(connection, uid, target, filing.generation, now)
        extra = {"event": "series.failed" if error else "series.archived", "series": short(uid), "seconds": seconds}
        if error:
            log.error("a series was archived untouched: %s", error, extra=extra)
        else:
            log.info("series %s archived in %.1f s", short(uid), seconds, extra=extra)

    def _put_off(self, job: Job, failure: Exception) -> None:
        expected = isinstance(failure, HexdicomError)
        sentence = str(failure) if expected else f"{type(failure).__name__}: {failure}"
        extra = {"event": "job.retry", "job": job.id, "series": short(job.series_instance_uid)}
        log.error("job %d failed: %s", job.id, sentence, exc_info=None if expected else failure, extra=extra)
        delay = min(_LONGEST_DELAY, self.settings.worker.retry_delay * 2 ** min(job.attempts - 1, 16))
        now = self.clock()
        with self.catalog.write() as connection:
            ledger.retry(connection, job.id, self.name, now, not_before=now + delay, error=sentence)
            if isinstance(failure, StoreError):  # a full disk is not the fault of the series: it waits for space
                ledger.uncount(connection, job.id)

    def _last_error(self, job: Job) -> str:
        with self.catalog.read() as connection:
            error = ledger.error_of(connection, job.id)
        return error or f"The worker ended without a word, {job.attempts - 1} times."

    def _forward(self, job: Job) -> None:
        try:
            failed = forward_series(self.catalog, self.settings, job, self.clock, self.progress)
            now = self.clock()
            with self.catalog.write() as connection:
                move_job(connection, job.id, "FAILED" if failed else "DONE", now, self.name, finished_at=now, error=failed)
        except Exception as failure:  # the job is marked, the worker goes on
            expected = isinstance(failure, HexdicomError)
            extra = {"event": "forward.retry", "job": job.id, "target": job.target}
            log.warning("forwarding failed: %s", failure, exc_info=None if expected else failure, extra=extra)
            forward, now = self.settings.forward, self.clock()
            delay = min(forward.max_delay, forward.retry_delay * 2 ** min(job.attempts - 1, 16))
            with self.catalog.write() as connection:
                ledger.retry(connection, job.id, self.name, now, not_before=now + delay, error=str(failure))


def keep_alive(worker: Worker, stop: threading.Event) -> None:
    """Holds the lease while the worker works; ends the process, in the middle of it, when asked to stop."""
    pause = min(5.0, worker.settings.worker.lease / 4)
    pulse = Pulse(worker.settings.vitals, worker.name)
    while True:
        pulse.beat()
        if stop.wait(pause):
            break
        try:
            worker.hold()
        except StoreError as error:
            log.warning("the lease could not be renewed: %s", error, extra={"event": "loop.error"})
    try:
        worker.give_back()
    finally:
        os._exit(0)  # torch cannot be interrupted, and nothing needs tidying up


def main(name: str) -> None:
    """A worker process (see child.py)."""
    settings, stop = child.begin()
    gpu = gpus.choose(name, settings.worker.device, os.environ)
    archiver = PipelineArchiver(load_profile(settings.archive.profile), settings.worker.device)
    worker = Worker(settings, open_catalog(settings.database), archiver, name, gpu=gpu)
    threading.Thread(target=keep_alive, args=(worker, stop), name="lease", daemon=True).start()
    chores = Chores(worker.catalog, settings, name, time.time)
    while not stop.is_set():
        try:
            busy = worker.run_next() or chores.run_next()
        except HexdicomError as error:  # the catalog is away or its disk is full: that may pass
            log.error("the worker could not go on: %s", error, extra={"event": "loop.error"})  # noqa: TRY400 - it says it all
            busy = False
            stop.wait(_PAUSE)
        except Exception:
            log.exception("the worker could not go on", extra={"event": "loop.error"})
            busy = False
            stop.wait(_PAUSE)
        if not busy:
            stop.wait(_POLL)
    threading.Event().wait()  # the lease thread ends the process
