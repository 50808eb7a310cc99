"""Encoding on a dask cluster: `[worker] cluster`, the address of a scheduler that somebody else runs.

A task of dask is an invitation and nothing else: whoever runs it claims a job from the catalog, holds its lease and finishes
its row, exactly as a worker process does. So a worker, a scheduler or this process may die at any moment: what is lost is an
invitation, and a new one follows; a job in hand goes back when its lease runs out. One worker of the cluster works on one job at
a time, where the cluster says so: `dask worker --nthreads 1 --resources "hexdicom=1"`, one per GPU.

Every machine of the cluster needs the same state folder, store and catalog URL under the same paths.
"""

from __future__ import annotations

import importlib
import json
import logging
import os
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

from hexdicom.errors import ConfigError, StoreError
from hexdicom_services import child
from hexdicom_services.catalog import ledger
from hexdicom_services.catalog.session import Catalog, open_catalog
from hexdicom_services.jobs.archiver import PipelineArchiver
from hexdicom_services.settings import Settings
from hexdicom_services.shipped import load_profile
from hexdicom_services.vitals import Pulse
from hexdicom_services.worker import Worker

if TYPE_CHECKING:
    from pathlib import Path

log = logging.getLogger(__name__)

RESOURCE = "hexdicom"  # what a worker of the cluster offers one of, for each job that it may do at once
_POLL = 0.5  # seconds between looks for work
_PAUSE = 5.0  # seconds before a scheduler that is away is called again
_TIMEOUT = 10.0


def take_one(settings_json: str) -> bool:
    """Runs on a worker of the cluster: does the next job that is due; False where there is none."""
    settings = Settings(**json.loads(settings_json))
    catalog = open_catalog(settings.database)
    name = f"{socket.gethostname()}-{os.getpid()}-{threading.get_ident()}"
    worker = Worker(settings, catalog, PipelineArchiver(load_profile(settings.archive.profile), settings.worker.device), name)
    done = threading.Event()
    holder = threading.Thread(target=_hold, args=(worker, done), name="lease", daemon=True)
    holder.start()
    try:
        return worker.run_next()
    finally:
        done.set()
        holder.join()
        catalog.close()


def _hold(worker: Worker, done: threading.Event) -> None:
    """Holds the lease; ends the whole process where the job takes too long, as the supervisor does with its workers."""
    until = time.monotonic() + worker.settings.worker.timeout
    while not done.wait(min(1.0, worker.settings.worker.lease / 4)):
        try:
            worker.hold()
            job = worker.job
            if job is not None and time.monotonic() > until:
                sentence = f"It took longer than {worker.settings.worker.timeout:g} seconds."
                with worker.catalog.write() as connection:
                    ledger.blame(connection, job.id, worker.name, sentence)
                    ledger.release_worker(connection, worker.name, worker.clock())
                log.error("job %d took too long; its worker is ended", job.id, extra={"event": "job.timeout", "job": job.id})
                os._exit(1)  # nothing else stops an encoding; the nanny of dask starts another worker
        except StoreError as error:  # the catalog is away: that may pass before the lease runs out
            log.warning("the lease could not be renewed: %s", error, extra={"event": "loop.error"})


def invite(settings: Settings, catalog: Catalog, stop: threading.Event, pulse: Pulse) -> None:
    """Keeps as many invitations with the scheduler as there are jobs to do, up to `processes`. Raises OSError where it is away."""
    distributed: Any = importlib.import_module("distributed")
    text = settings.model_dump_json()
    client = distributed.Client(
        settings.worker.cluster, timeout=_TIMEOUT, set_as_default=False, security=_security(settings, distributed)
    )
    with client:
        open_ones: list[Any] = []
        while not stop.wait(_POLL):
            pulse.beat()
            if client.status != "running":
                raise OSError("the scheduler is gone")
            open_ones = [one for one in open_ones if not _ended(one)]
            with catalog.read() as connection:
                wanted = min(settings.worker.processes, ledger.open_jobs(connection, time.time()))
            for _ in range(wanted - len(open_ones)):
                # pure=False: each invitation is one of its own; no retry by dask, since the row knows what was tried
                one = client.submit(take_one, text, pure=False, retries=0, resources={RESOURCE: 1})
                open_ones.append(one)


def _ended(one: Any) -> bool:
    """Whether an invitation was taken; says why where it failed. What it had claimed is in the catalog in any case."""
    if not one.done():
        return False
    if one.status == "error":
        log.error("a worker of the cluster failed: %s", one.exception(), extra={"event": "loop.error"})
    one.release()
    return True


def _security(settings: Settings, distributed: Any) -> Any:
    section = settings.worker
    if not str(section.cluster).startswith("tls://"):
        return None
    files: dict[str, Path | None] = {
        "tls_ca_file": section.cluster_ca,
        "tls_client_cert": section.cluster_certificate,
        "tls_client_key": section.cluster_key,
    }
    return distributed.Security(require_encryption=True, **{name: str(file) for name, file in files.items() if file})


def main(name: str) -> None:
    """The process that invites (see child.py); it takes the place of the workers."""
    settings, stop = child.begin()
    try:
        importlib.import_module("distributed")
    except ImportError:
        error = ConfigError("dask is not installed.", hint="pip install 'hexdicom[cluster]'")
        log.error("%s", error, extra={"event": "loop.error"})  # noqa: TRY400 - it says it all
        return
    catalog, pulse = open_catalog(settings.database), Pulse(settings.vitals, name)
    while not stop.is_set():
        pulse.beat()
        try:
            invite(settings, catalog, stop, pulse)
        except Exception:  # the scheduler or the catalog is away: rows wait
            log.exception("the cluster cannot be used now", extra={"event": "loop.error"})
            stop.wait(_PAUSE)
    os._exit(0)  # what runs on the cluster goes on there, and finishes its rows
