"""The node: builds every part from the settings, starts the processes, keeps them running, and stops them.

This process holds no image: it watches the others, closes series, and owns the lock of the state folder.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import shutil
import signal
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from hexdicom import durable
from hexdicom.errors import ConfigError, HexdicomError, NotFound, StoreError
from hexdicom_services import intake, logs, vitals
from hexdicom_services.audit import occasions
from hexdicom_services.audit.shipper import Shipper
from hexdicom_services.audit.trail import Trail
from hexdicom_services.catalog import instances, job_rows, ledger, ownership
from hexdicom_services.catalog.session import Catalog, open_catalog
from hexdicom_services.checks import CheckResult, check
from hexdicom_services.jobs.listing import list_some
from hexdicom_services.listening import listen
from hexdicom_services.logs import short
from hexdicom_services.overtime import Overtime
from hexdicom_services.own_user import act_for
from hexdicom_services.recover import recover
from hexdicom_services.restoration.place import NEEDED
from hexdicom_services.salvage import adopt, salvage
from hexdicom_services.shipped import load_profile
from hexdicom_services.status import NodeStatus, status
from hexdicom_services.stores import mark
from hexdicom_services.supervisor import Supervised
from hexdicom_services.vitals import Pulse

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from hexdicom_services.settings import Settings

__all__ = ["CheckResult", "NodeStatus", "check", "drain", "run", "status"]

log = logging.getLogger(__name__)

_TICK = 0.1  # seconds
_PAUSE = 1.0  # seconds after a problem
_LONGEST_ABSENCE = 4.0  # seconds before a receiver starts again: peers that call meanwhile wait, but not for long
_LOCK_PATIENCE = 5.0  # seconds: a node that was killed may have processes that are just ending
_GRACE = 15.0  # seconds for each process to end


def run(settings: Settings, stop: threading.Event | None = None) -> None:
    """Runs a node until SIGTERM, SIGINT, `stop`, or a drain that is done. Raises ConfigError, StoreError.

    state_dir/node.json says where it listens, from the moment it does until it ends.
    """
    act_for(settings.state)
    logs.configure(settings.logging)
    stop = stop or threading.Event()
    load_profile(settings.archive.profile)
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
    with _lock(settings.state):
        (settings.state / "drain").unlink(missing_ok=True)
        if settings.database.file is not None:
            salvage(settings.database.file, time.time())
        catalog = open_catalog(settings.database)
        try:
            ownership.claim(catalog, settings.state)
            recover(settings, catalog)
            mark.leave(settings)
            adopt(settings, catalog, time.time())
            trail, shipper = Trail.of(settings, catalog), Shipper(settings, catalog)
            trail.leave(occasions.started(trail.node, time.time()))
            shipper.start()
            try:
                _Node(settings, catalog).run(stop)
            finally:
                _leave_stopped(trail)
                shipper.close()
        finally:
            catalog.close()


def _leave_stopped(trail: Trail) -> None:
    try:
        trail.leave(occasions.stopped(trail.node, time.time()))
    except StoreError:
        log.exception("the end of the node could not be left in the audit trail", extra={"event": "loop.error"})


def drain(settings: Settings, *, poll: Callable[[NodeStatus], None] | None = None) -> None:
    """Has a running node refuse new associations, finish what it has, and end; returns when it has ended.

    Raises NotFound where none runs. `poll` is called with the status now and then.
    """
    if not status(settings).running:
        raise NotFound(f"No node is running with the state folder {settings.state}.")
    durable.write(settings.state / "drain", b"")
    while (now := status(settings)).running:
        if poll is not None:
            poll(now)
        time.sleep(0.5)


class _Node:
    def __init__(self, settings: Settings, catalog: Catalog) -> None:
        self._settings, self._catalog = settings, catalog
        counting = {"PROMETHEUS_MULTIPROC_DIR": str(settings.counters)} if settings.metrics.port else {}
        self._receivers = [
            Supervised(
                "hexdicom_services.scp.server",
                f"receiver-{number}",
                speaks=True,
                environment=counting,
                longest_delay=_LONGEST_ABSENCE,
            )
            for number in range(1, settings.receiver.processes + 1)
        ]
        names = [f"worker-{number}" for number in range(1, settings.worker.processes + 1)]
        self._workers = [Supervised("hexdicom_services.worker", name) for name in names]
        if settings.worker.cluster is not None:
            self._workers = [Supervised("hexdicom_services.cluster", "cluster")]
        self._others = [Supervised("hexdicom_services.metrics.server", "metrics")] if settings.metrics.port else []
        if settings.peers:
            self._others.append(Supervised("hexdicom_services.commitment.courier", "courier"))
        self._restorer = Supervised("hexdicom_services.restoration.server", "restorer")
        self._listener: socket.socket | None = None
        self._overtime, self._looked = Overtime(settings.worker.timeout), 0.0
        self._draining = False

    def run(self, stop: threading.Event) -> None:
        place = self._settings.state / "node.json"
        for folder in (self._settings.vitals, self._settings.counters):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(mode=0o700, exist_ok=True)
        pulse = Pulse(self._settings.vitals, "node")
        try:
            self._listen()
            for receiver in self._receivers:
                self._start_receiver(receiver)
            for process in [*self._workers, *self._others]:
                self._start(process)
            self._say_ready(place)
            while not stop.wait(_TICK):
                pulse.beat()
                try:
                    if self._tick():
                        break
                except HexdicomError as error:  # a full disk, a catalog that is away: the processes go on, and so does this
                    log.error("the node had a problem: %s", error, extra={"event": "loop.error"})  # noqa: TRY400 - it says it all
                    stop.wait(_PAUSE)
                except Exception:
                    log.exception("the node had a problem", extra={"event": "loop.error"})
                    stop.wait(_PAUSE)
        finally:
            log.info("the node stops", extra={"event": "node.stopping"})
            self._stop()
            pulse.close()
            place.unlink(missing_ok=True)
            log.info("the node has stopped", extra={"event": "node.stopped"})

    def _tick(self) -> bool:
        """One look at everything; True when a drain is done."""
        if not self._draining and (self._settings.state / "drain").exists():
            self._draining = True
            self._end_receivers()
            intake.close_all(self._catalog, time.time())
        for process in [*self._receivers, *self._workers, *self._others, self._restorer]:
            if process.died():
                vitals.forget(self._settings.vitals, process.name)
                self._release(process.name)
        for receiver in self._receivers:
            if not self._draining and receiver.is_due():
                self._restart_receiver(receiver)
        for process in [*self._workers, *self._others]:
            if process.is_due():
                self._release(process.name)  # again: the catalog may have been away
                self._start(process)
        if not self._draining:
            intake.close_due(self._catalog, self._settings.spool, self._settings.series, time.time())
            list_some(self._catalog, self._settings.spool, time.time())
        if self._restorer.is_due() and self._restores():
            self._start(self._restorer)
        if time.monotonic() - self._looked > 1.0:
            self._looked = time.monotonic()
            self._end_overtime()
        if not self._draining:
            return False
        with self._catalog.read() as connection:
            return ledger.open_jobs(connection, time.time()) == 0

    def _start(self, process: Supervised) -> None:
        """Starts one that is not waited for. It counts as alive from now: what it imports takes seconds."""
        vitals.begin(self._settings.vitals, process.name)
        process.start(self._settings)

    def _release(self, worker: str) -> None:
        """Gives back what a worker had that has died."""
        with self._catalog.write() as connection:
            ledger.release_worker(connection, worker, time.time())

    def _restores(self) -> bool:
        """Whether originals may have to be restored: some have left the spool, or the receiver misses one."""
        if (self._settings.state / NEEDED).exists():
            return True
        with self._catalog.read() as connection:
            return instances.any_released(connection)

    def _end_overtime(self) -> None:
        """Kills workers whose job takes too long; that counts as an attempt."""
        with self._catalog.read() as connection:
            late = {row.worker: row for row in self._overtime.overdue(job_rows.running(connection))}
        for worker in self._workers:
            if worker.name not in late:
                continue
            row, sentence = late[worker.name], f"It took longer than {self._settings.worker.timeout:g} seconds."
            with self._catalog.write() as connection:
                said = ledger.blame(connection, row.id, worker.name, sentence)
            if said:
                extra = {"event": "job.timeout", "job": row.id, "worker": worker.name, "series": short(row.series_instance_uid)}
                log.error("job %d took too long; its worker is ended", row.id, extra=extra)
                worker.kill()

    def _listen(self) -> None:
        node = self._settings.node
        self._listener = listen(node.host, node.port)
        port = int(self._listener.getsockname()[1])
        self._settings = self._settings.model_copy(update={"node": node.model_copy(update={"port": port})})
        for receiver in self._receivers:
            receiver.socket = self._listener.fileno()

    def _start_receiver(self, receiver: Supervised) -> None:
        if "port" not in receiver.start(self._settings):
            raise ConfigError("The receiver ended before it listened.", hint="The messages above say why.")

    def _restart_receiver(self, receiver: Supervised) -> None:
        try:
            self._start_receiver(receiver)
        except HexdicomError:
            log.exception("the receiver could not be started", extra={"event": "process.died"})

    def _end_receivers(self) -> None:
        """Nobody listens any more; associations get time to end."""
        if self._listener is not None:
            self._listener.close()
        for receiver in self._receivers:
            receiver.stop()
        for receiver in self._receivers:
            receiver.wait(_GRACE)

    def _say_ready(self, place: Path) -> None:
        node = self._settings.node
        entry = {"pid": os.getpid(), "host": node.host, "port": node.port, "ae_title": node.ae_title}
        durable.write(place, json.dumps({**entry, "started_at": time.time()}).encode())
        extra = {"event": "node.ready", "port": node.port, "ae_title": node.ae_title}
        log.info("%s listens on %s port %d", node.ae_title, node.host, node.port, extra=extra)

    def _stop(self) -> None:
        for process in [*self._receivers, self._restorer, *self._workers, *self._others]:
            process.stop()
        self._end_receivers()
        for process in [self._restorer, *self._workers, *self._others]:
            process.wait(_GRACE)


@contextmanager
def _lock(state: Path) -> Iterator[None]:
    """Only one node per state folder. Raises ConfigError where another one has it."""
    try:
        state.mkdir(parents=True, exist_ok=True)
        state.chmod(0o700)
        handle: Any = (state / "node.lock").open("w")
    except OSError as error:
        raise StoreError(f"{state} cannot be used: {error.strerror}.", hint="Set state_dir in [node].") from error
    with handle:
        until = time.monotonic() + _LOCK_PATIENCE
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() > until:
                    raise ConfigError(f"Another node uses {state}.", hint="Stop it, or set another state_dir.") from error
                time.sleep(0.1)
        yield
