"""The node: builds every part from the settings, starts the processes, keeps them running, and stops them.

This process holds no image: it watches the others, closes series, and owns the lock of the state folder.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import signal
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from hexdicom import durable
from hexdicom.errors import ConfigError, HexdicomError, NotFound, StoreError
from hexdicom_services import intake, logs
from hexdicom_services.catalog import instances, ledger
from hexdicom_services.catalog.session import Catalog, open_catalog
from hexdicom_services.checks import CheckResult, check
from hexdicom_services.jobs.listing import list_some
from hexdicom_services.recover import recover
from hexdicom_services.restoration.place import NEEDED
from hexdicom_services.shipped import load_profile
from hexdicom_services.status import NodeStatus, status
from hexdicom_services.supervisor import Supervised

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from hexdicom_services.settings import Settings

__all__ = ["CheckResult", "NodeStatus", "check", "drain", "run", "status"]

log = logging.getLogger(__name__)

_TICK = 0.1  # seconds
_LOCK_PATIENCE = 5.0  # seconds: a node that was killed may have processes that are just ending
_GRACE = 15.0  # seconds for each process to end


def run(settings: Settings, stop: threading.Event | None = None) -> None:
    """Runs a node until SIGTERM, SIGINT, `stop`, or a drain that is done. Raises ConfigError, StoreError.

    state_dir/node.json says where it listens, from the moment it does until it ends.
    """
    logs.configure(settings.logging)
    stop = stop or threading.Event()
    load_profile(settings.archive.profile)
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
    with _lock(settings.state):
        (settings.state / "drain").unlink(missing_ok=True)
        catalog = open_catalog(settings.catalog)
        try:
            recover(settings, catalog)
            _Node(settings, catalog).run(stop)
        finally:
            catalog.close()


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
        self._receiver = Supervised("hexdicom_services.scp.server", "receiver", speaks=True)
        names = [f"worker-{number}" for number in range(1, settings.worker.processes + 1)]
        self._workers = [Supervised("hexdicom_services.worker", name) for name in names]
        self._courier = Supervised("hexdicom_services.commitment.courier", "courier")
        self._restorer = Supervised("hexdicom_services.restoration.server", "restorer")
        self._draining = False

    def run(self, stop: threading.Event) -> None:
        place = self._settings.state / "node.json"
        try:
            self._start_receiver()
            for worker in self._workers:
                worker.start(self._settings)
            self._say_ready(place)
            while not stop.wait(_TICK):
                try:
                    if self._tick():
                        break
                except Exception:  # a full disk, a locked catalog: the processes go on, and so does this
                    log.exception("the node had a problem", extra={"event": "loop.error"})
        finally:
            log.info("the node stops", extra={"event": "node.stopping"})
            self._stop()
            place.unlink(missing_ok=True)
            log.info("the node has stopped", extra={"event": "node.stopped"})

    def _tick(self) -> bool:
        """One look at everything; True when a drain is done."""
        if not self._draining and (self._settings.state / "drain").exists():
            self._draining = True
            self._receiver.stop()
            self._receiver.wait(_GRACE)
            intake.close_all(self._catalog, time.time())
        if not self._draining:
            if self._receiver.died() or self._receiver.is_due():
                self._restart_receiver()
            intake.close_due(self._catalog, self._settings.spool, self._settings.series, time.time())
            list_some(self._catalog, self._settings.spool, time.time())
        self._courier.died()
        if self._courier.is_due() and self._settings.peers:
            self._courier.start(self._settings)
        self._restorer.died()
        if self._restorer.is_due() and self._restores():
            self._restorer.start(self._settings)
        for worker in self._workers:
            if worker.died():
                with self._catalog.write() as connection:
                    ledger.release_worker(connection, worker.name, time.time())
            if worker.is_due():
                worker.start(self._settings)
        if not self._draining:
            return False
        with self._catalog.read() as connection:
            return ledger.open_jobs(connection, time.time()) == 0

    def _restores(self) -> bool:
        """Whether originals may have to be restored: some have left the spool, or the receiver misses one."""
        if (self._settings.state / NEEDED).exists():
            return True
        with self._catalog.read() as connection:
            return instances.any_released(connection)

    def _start_receiver(self) -> None:
        said = self._receiver.start(self._settings)
        if "port" not in said:
            raise ConfigError("The receiver ended before it listened.", hint="The messages above say why.")
        section = self._settings.node.model_copy(update={"port": said["port"]})
        self._settings = self._settings.model_copy(update={"node": section})  # a restart takes the same port

    def _restart_receiver(self) -> None:
        if not self._receiver.is_due():
            return
        try:
            self._start_receiver()
        except HexdicomError:
            log.exception("the receiver could not be started", extra={"event": "process.died"})

    def _say_ready(self, place: Path) -> None:
        node = self._settings.node
        entry = {"pid": os.getpid(), "host": node.host, "port": node.port, "ae_title": node.ae_title}
        durable.write(place, json.dumps({**entry, "started_at": time.time()}).encode())
        extra = {"event": "node.ready", "port": node.port, "ae_title": node.ae_title}
        log.info("%s listens on %s port %d", node.ae_title, node.host, node.port, extra=extra)

    def _stop(self) -> None:
        everything: list[Supervised] = [self._receiver, self._courier, self._restorer, *self._workers]
        for process in everything:
            process.stop()
        for process in everything:
            process.wait(_GRACE)


@contextmanager
def _lock(state: Path) -> Iterator[None]:
    """Only one node per state folder. Raises ConfigError where another one has it."""
    try:
        state.mkdir(parents=True, exist_ok=True)
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
