"""What an operator must act on: one line each, with the command that helps. A part of the node adds its function to SOURCES.

Nothing here names a patient; a UID appears only where the command needs it.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from sqlalchemy import func, select

from hexdicom.errors import ConfigError
from hexdicom_services import revocation, vitals
from hexdicom_services.catalog import audit_rows, pauses, scrubs
from hexdicom_services.catalog.models import commitment, delivery, job, series
from hexdicom_services.notices import notices
from hexdicom_services.stores import mark

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Connection

    from hexdicom_services.settings import Settings

_LATE = 6 * 3600.0  # seconds: a job that waits longer is said
_STUBBORN = 5  # attempts after which a PACS that is away is said


@dataclass(frozen=True, slots=True)
class Attention:
    """error: something is lost to its users until somebody acts; warning: it will be. command: "" where nothing helps or has to."""

    severity: Literal["error", "warning"]
    what: str
    command: str


@dataclass(frozen=True, slots=True)
class Situation:
    """What a source may look at. now: seconds since 1970; running: whether the node is up."""

    settings: Settings
    connection: Connection
    now: float
    running: bool


def attention(situation: Situation) -> tuple[Attention, ...]:
    """Every line, errors first."""
    lines = [line for source in SOURCES for line in source(situation)]
    return tuple(sorted(lines, key=lambda line: line.severity))


def _disk(situation: Situation) -> Iterator[Attention]:
    reserve, state = situation.settings.receiver.disk_reserve_mb << 20, situation.settings.state
    free = shutil.disk_usage(state).free
    if free < 2 * reserve:
        what = f"The disk has {free >> 20} MiB left; below {reserve >> 20} nothing is received, query and retrieve go on."
        yield Attention("error" if free < reserve else "warning", what, "hexdicom node release --dry-run")


def _store(situation: Situation) -> Iterator[Attention]:
    why = mark.missing(situation.settings)
    if why:
        yield Attention("error", f"{why} Nothing is archived until it is.", "hexdicom node check")


def _processes(situation: Situation) -> Iterator[Attention]:
    if not situation.running:
        waiting = _count(situation.connection, job.c.state.in_(("READY", "RUNNING")))
        coming = situation.connection.scalar(select(func.count()).select_from(series).where(series.c.state == "RECEIVING"))
        if waiting or coming:
            what = f"{waiting} jobs wait" if waiting else f"{coming} series wait until they are complete"
            yield Attention("error", f"The node is not running, and {what}.", "hexdicom node run")
        return
    seen = vitals.look(situation.settings.vitals)
    if "node" in seen:
        draining = (situation.settings.state / "drain").exists()
        for name in sorted(expected(situation.settings) - seen.keys()):
            if draining and name.startswith("receiver"):
                continue
            yield Attention("warning", f"Process {name} has ended. It is started again; the log of the node says why it ended.", "")
    for name, vital in seen.items():
        if vital.age > vitals.STALE:
            what = f"Process {name} has given no sign of life for {vital.age:.0f} seconds."
            yield Attention("error", what, "hexdicom node drain, then hexdicom node run")


def expected(settings: Settings) -> set[str]:
    """The processes that a running node always has; the restorer comes when it is needed."""
    names = {"node", *(f"receiver-{number}" for number in range(1, settings.receiver.processes + 1))}
    if settings.worker.cluster is not None:
        names.add("cluster")
    else:
        names |= {f"worker-{number}" for number in range(1, settings.worker.processes + 1)}
    return names | ({"metrics"} if settings.metrics.port else set()) | ({"courier"} if settings.peers else set())


def _jobs(situation: Situation) -> Iterator[Attention]:
    connection = situation.connection
    lost = _count(connection, job.c.state == "FAILED", job.c.kind != "archive")
    if lost:
        yield Attention("error", f"{lost} jobs were given up.", "hexdicom node jobs, then hexdicom node requeue --all-failed")
    untouched = connection.scalar(select(func.count()).select_from(series).where(series.c.state == "FAILED"))
    if untouched:
        what = f"{untouched} series could not be encoded and are archived untouched."
        yield Attention("warning", what, "hexdicom node jobs, then hexdicom node requeue --all-failed")
    for kind in pauses.paused(connection):
        waiting = _count(connection, job.c.kind == kind, job.c.state == "READY")
        yield Attention("warning", f"Jobs of kind {kind} are paused; {waiting} wait.", f"hexdicom node resume {kind}")
    away = select(job.c.target, func.max(job.c.attempts)).where(job.c.kind == "forward", job.c.state == "READY")
    for target, attempts in connection.execute(away.group_by(job.c.target)):
        if attempts >= _STUBBORN:
            yield Attention("warning", f"{target} did not take what is forwarded, {attempts} times.", "hexdicom node check")
    since = connection.scalar(select(func.min(job.c.created_at)).where(job.c.state.in_(("READY", "RUNNING"))))
    if since and situation.now - since > _LATE:
        what = f"A job has not been finished for {(situation.now - since) / 3600:.0f} hours."
        yield Attention("warning", what, "hexdicom node jobs")


def _kept(situation: Situation) -> Iterator[Attention]:
    for notice in notices(situation.connection):
        severity: Literal["error", "warning"] = "warning" if notice.kind == "versions" else "error"
        yield Attention(severity, f"{notice.subject}: {notice.message}.", notice.command)


def _scrub(situation: Situation) -> Iterator[Attention]:
    rules = situation.settings.scrub
    late = scrubs.overdue(situation.connection, situation.now - 2 * rules.interval_days * 86400.0) if rules.enabled else 0
    if late:
        days = 2 * rules.interval_days
        what = f"{late} files were not compared with their hash for {days:g} days: the workers do not come to it."
        yield Attention("warning", what, "hexdicom node scrub")


def _commitments(situation: Situation) -> Iterator[Attention]:
    refused = select(delivery.c.target, func.count()).where(delivery.c.commitment == "FAILED").group_by(delivery.c.target)
    for target, number in situation.connection.execute(refused):
        yield Attention("error", f"{target} does not commit itself to {number} objects.", f"hexdicom node doctor --pacs {target}")
    waits = (delivery.c.commitment == "REQUESTED") & (delivery.c.commitment_attempts >= _STUBBORN)
    for target, number in situation.connection.execute(
        select(delivery.c.target, func.count()).where(waits).group_by(delivery.c.target)
    ):
        what = f"{target} has not committed itself to {number} objects, asked {_STUBBORN} times and more; the log says why."
        yield Attention("warning", what, "hexdicom node check, then whether it offers Storage Commitment to our AE title")
    silent = select(commitment.c.peer, func.count(), func.max(commitment.c.error)).where(
        commitment.c.state == "FAILED", commitment.c.role == "scp"
    )
    for peer, number, why in situation.connection.execute(silent.group_by(commitment.c.peer)):
        what = f"{number} commitments were never reported to {peer}, which may ask again: {why.rstrip('.')}."
        yield Attention("error", what, "hexdicom node check")


def _audit(situation: Situation) -> Iterator[Attention]:
    waiting = audit_rows.waiting(situation.connection) if situation.settings.audit.collector else 0
    if waiting:
        what = f"{waiting} messages of the audit trail wait for their collector."
        yield Attention("warning", what, "hexdicom node check, and [audit] in the configuration")


def _revocation(situation: Situation) -> Iterator[Attention]:
    if situation.settings.tls.crl is None:
        return
    try:
        due = min(one.due for one in revocation.read(situation.settings.tls.crl))
    except ConfigError as error:
        yield Attention("error", error.message, "hexdicom node check")
        return
    if due <= situation.now:
        yield Attention("error", revocation.ended(situation.settings.tls.crl, due), "hexdicom node check")


def _count(connection: Connection, *conditions: object) -> int:
    return connection.scalar(select(func.count()).select_from(job).where(*conditions)) or 0  # type: ignore[arg-type]


SOURCES: Final[tuple[Callable[[Situation], Iterator[Attention]], ...]] = (
    _disk, _store, _processes, _jobs, _kept, _scrub, _commitments, _audit, _revocation,
)  # fmt: skip
