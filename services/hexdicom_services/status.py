"""How a node is doing, read from its catalog: works while the node is down, and changes nothing."""

from __future__ import annotations

import fcntl
import json
import shutil
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, func, select

from hexdicom_services import attention, vitals
from hexdicom_services.attention import Attention, Situation
from hexdicom_services.catalog.models import delivery, instance, job, series, stored
from hexdicom_services.catalog.scrubs import oldest_look
from hexdicom_services.catalog.session import existing_catalog
from hexdicom_services.notices import keeping

if TYPE_CHECKING:
    from hexdicom_services.settings import Settings


@dataclass(frozen=True, slots=True)
class Work:
    """A job in hand, or one that waits to be tried again."""

    kind: str
    series_instance_uid: str
    target: str
    state: str
    step: str
    fraction: float
    attempts: int
    error: str


@dataclass(frozen=True, slots=True)
class Failure:
    """A series for which something failed, and why; `attention` says what helps."""

    series_instance_uid: str
    kind: str
    reason: str


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """series, jobs: how many are in each state. Bytes and counts are of what peers get now.

    source_bytes: what the archives were made from; ratio: that over archive_bytes, 0 where there is none.
    deliveries, commitments: for each PACS, how many objects are in each state. processes: of the node, seconds since
    the last sign of life. scrubbed_since: every file was compared with its hash since
    then, seconds since 1970; 0 where one never was.
    """

    running: bool
    pid: int
    host: str
    port: int
    ae_title: str
    state_dir: str
    instances_received: int
    bytes_received: int
    series: dict[str, int]
    jobs: dict[str, int]
    archives: int
    archived_instances: int
    source_bytes: int
    archive_bytes: int
    passed_through: int
    passed_through_bytes: int
    deliveries: dict[str, dict[str, int]]
    working: tuple[Work, ...]
    failures: tuple[Failure, ...]
    disk_free: int
    attention: tuple[Attention, ...]
    instances_released: int
    bytes_released: int
    instances_lost: int
    instances_versioned: int
    quarantined: int
    studies_on_hold: int
    scrubbed_since: float
    commitments: dict[str, dict[str, int]]
    processes: dict[str, float]

    @property
    def ratio(self) -> float:
        return self.source_bytes / self.archive_bytes if self.archive_bytes else 0.0

    @property
    def idle(self) -> bool:
        """Whether nothing arrives, waits or is being worked on."""
        return not any(self.series.get(s) for s in ("RECEIVING", "QUEUED", "ARCHIVING")) and not any(
            self.jobs.get(s) for s in ("READY", "RUNNING")
        )

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "ratio": self.ratio, "idle": self.idle}


def status(settings: Settings) -> NodeStatus:
    """The state of the node with these settings. Raises NotFound where there never was one, StoreError."""
    place = _place(settings)
    with existing_catalog(settings.database, settings.state) as catalog, catalog.read() as connection:
        counts = _counts(connection)
        lines = attention.attention(Situation(settings, connection, time.time(), running=bool(place)))
    return NodeStatus(
        running=bool(place),
        pid=place.get("pid", 0),
        host=place.get("host", settings.node.host),
        port=place.get("port", settings.node.port),
        ae_title=settings.node.ae_title,
        state_dir=str(settings.state),
        disk_free=shutil.disk_usage(settings.state).free,
        attention=lines,
        processes={name: vital.age for name, vital in vitals.look(settings.vitals).items()} if place else {},
        **counts,
    )


def _place(settings: Settings) -> dict[str, Any]:
    """Where the node listens; empty where none runs. The lock tells, since a killed node leaves its file."""
    try:
        with (settings.state / "node.lock").open() as handle:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return {}
    except BlockingIOError:
        try:
            found: dict[str, Any] = json.loads((settings.state / "node.json").read_text())
        except (OSError, ValueError):
            return {}  # it is just starting or ending
        return found
    except OSError:
        return {}


def _counts(connection: Connection) -> dict[str, Any]:
    current = stored.c.current == 1
    archive, passed = current & (stored.c.kind == "archive"), current & (stored.c.kind == "passed-through")
    sums = (func.count(), func.sum(stored.c.size), func.sum(stored.c.source_bytes), func.sum(stored.c.source_instances))
    received = connection.execute(select(func.count(), func.sum(instance.c.size)).select_from(instance)).one()
    archives = connection.execute(select(*sums).where(archive)).one()
    untouched = connection.execute(select(*sums).where(passed)).one()
    return {
        "instances_received": received[0],
        "bytes_received": int(received[1] or 0),
        "series": _by_state(connection, series),
        "jobs": _by_state(connection, job),
        "archives": archives[0],
        "archive_bytes": int(archives[1] or 0),
        "source_bytes": int(archives[2] or 0),
        "archived_instances": int(archives[3] or 0),
        "passed_through": untouched[0],
        "passed_through_bytes": int(untouched[1] or 0),
        "deliveries": _deliveries(connection, delivery.c.state),
        "commitments": _deliveries(connection, delivery.c.commitment),
        "working": _working(connection),
        "failures": _failures(connection),
        "scrubbed_since": oldest_look(connection),
        **asdict(keeping(connection)),
    }


def _by_state(connection: Connection, table: Any) -> dict[str, int]:
    rows = connection.execute(select(table.c.state, func.count()).group_by(table.c.state).order_by(table.c.state))
    return {row[0]: row[1] for row in rows}


def _deliveries(connection: Connection, states: Any) -> dict[str, dict[str, int]]:
    grouped = select(delivery.c.target, states, func.count()).where(states != "").group_by(delivery.c.target, states)
    found: dict[str, dict[str, int]] = {}
    for target, state, number in connection.execute(grouped):
        found.setdefault(target, {})[state] = number
    return found


def _working(connection: Connection) -> tuple[Work, ...]:
    columns = [job.c[name] for name in Work.__slots__]
    wanted = select(*columns).where((job.c.state == "RUNNING") | ((job.c.state == "READY") & (job.c.error != "")))
    return tuple(Work(*row) for row in connection.execute(wanted.order_by(job.c.id)))


def _failures(connection: Connection) -> tuple[Failure, ...]:
    kept = select(series.c.series_instance_uid, series.c.reason).where(series.c.state == "FAILED")
    found = [Failure(uid, "archive", reason) for uid, reason in connection.execute(kept)]
    lost = select(job.c.series_instance_uid, job.c.error).where(job.c.state == "FAILED", job.c.kind == "forward")
    found += [Failure(uid, "forward", error) for uid, error in connection.execute(lost)]
    refused = select(stored.c.source_series_uid, delivery.c.target).join(stored, stored.c.id == delivery.c.stored_id)
    refused = refused.where(delivery.c.commitment == "FAILED").distinct()
    found += [Failure(uid, "commitment", f"{target} does not commit itself to it.") for uid, target in connection.execute(refused)]
    return tuple(found)
