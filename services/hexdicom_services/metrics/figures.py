"""The figures that are read from the catalog and the disk when Prometheus asks. A part of the node adds its function to SOURCES.

Names follow https://prometheus.io/docs/practices/naming. Labels are states, kinds and configured names: no UID, no patient.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any, Final

from prometheus_client.core import CounterMetricFamily as Counter
from prometheus_client.core import GaugeMetricFamily as Gauge
from sqlalchemy import func, select

from hexdicom import __version__
from hexdicom_services import vitals
from hexdicom_services.attention import Situation, attention
from hexdicom_services.catalog import pauses, scrubs
from hexdicom_services.catalog.lifecycle import JOB, SERIES
from hexdicom_services.catalog.models import delivery, instance, job, series, stored
from hexdicom_services.notices import keeping

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from prometheus_client.core import Metric

    from hexdicom_services.settings import Settings


def machine(settings: Settings) -> Iterator[Metric]:
    """What is known while the catalog is away."""
    yield _labelled(Gauge("hexdicom_info", "Always 1.", labels=["version"]), {(__version__,): 1})
    yield Gauge("hexdicom_disk_free_bytes", "Free on the disk of the state folder.", shutil.disk_usage(settings.state).free)
    yield Gauge("hexdicom_disk_reserve_bytes", "With less free nothing is received.", settings.receiver.disk_reserve_mb << 20)
    seen = vitals.look(settings.vitals)
    ages = Gauge("hexdicom_process_silence_seconds", "Since the last sign of life of a process.", labels=["process"])
    yield _labelled(ages, {(name,): vital.age for name, vital in seen.items()})
    held = Gauge("hexdicom_open_associations", "Associations that a receiver has now.", labels=["process"])
    yield _labelled(held, {(name,): vital.associations for name, vital in seen.items() if name.startswith("receiver")})


def _received(situation: Situation) -> Iterator[Metric]:
    sums = select(func.sum(series.c.instances), func.sum(series.c.bytes))
    instances, size = situation.connection.execute(sums).one()
    yield Counter("hexdicom_received_instances", "Instances received, each content once.", int(instances or 0))
    yield Counter("hexdicom_received_bytes", "Bytes of their data sets.", int(size or 0))
    conflicts = situation.connection.scalar(select(func.count()).select_from(instance).where(instance.c.version > 1))
    yield Counter("hexdicom_instance_conflicts", "Instances that came again with other content; both are kept.", conflicts or 0)


def _series(situation: Situation) -> Iterator[Metric]:
    known = {(state,): 0 for state in SERIES}
    rows = situation.connection.execute(select(series.c.state, func.count()).group_by(series.c.state))
    yield _labelled(Gauge("hexdicom_series", "Series by state.", labels=["state"]), known | {(row[0],): row[1] for row in rows})


def _jobs(situation: Situation) -> Iterator[Metric]:
    connection = situation.connection
    known = {(kind, state): 0 for kind in pauses.KINDS for state in JOB}
    rows = connection.execute(select(job.c.kind, job.c.state, func.count()).group_by(job.c.kind, job.c.state))
    by_state = Gauge("hexdicom_jobs", "Jobs by kind and state.", labels=["kind", "state"])
    yield _labelled(by_state, known | {(row[0], row[1]): row[2] for row in rows})
    oldest = select(job.c.kind, func.min(job.c.created_at)).where(job.c.state.in_(("READY", "RUNNING"))).group_by(job.c.kind)
    ages = {(kind,): max(0.0, situation.now - since) for kind, since in connection.execute(oldest)}
    age = Gauge("hexdicom_oldest_job_seconds", "Age of the oldest job that is not finished.", labels=["kind"])
    yield _labelled(age, {(kind,): 0.0 for kind in pauses.KINDS} | ages)
    held = set(pauses.paused(connection))
    paused = Gauge("hexdicom_jobs_paused", "1 where an operator has paused this kind of job.", labels=["kind"])
    yield _labelled(paused, {(kind,): float(kind in held) for kind in pauses.KINDS})


def _stored(situation: Situation) -> Iterator[Metric]:
    sums = (func.count(), func.sum(stored.c.size), func.sum(stored.c.source_bytes), func.sum(stored.c.source_instances))
    wanted = select(stored.c.kind, *sums).where(stored.c.current == 1).group_by(stored.c.kind)
    found = {row[0]: [int(value or 0) for value in row[1:]] for row in situation.connection.execute(wanted)}
    archives, size, source_bytes, source_instances = found.get("archive", [0, 0, 0, 0])
    untouched, untouched_bytes, *_ = found.get("passed-through", [0, 0, 0, 0])
    yield Gauge("hexdicom_archives", "Archive objects that peers get.", archives)
    yield Gauge("hexdicom_archive_bytes", "Bytes of these archive objects.", size)
    yield Gauge("hexdicom_archived_source_bytes", "Bytes of the originals that they give back.", source_bytes)
    yield Gauge("hexdicom_archived_instances", "Originals that they give back.", source_instances)
    yield Gauge("hexdicom_untouched_instances", "Instances that were passed through.", untouched)
    yield Gauge("hexdicom_untouched_bytes", "Bytes of these instances.", untouched_bytes)


def _deliveries(situation: Situation) -> Iterator[Metric]:
    grouped = select(delivery.c.target, delivery.c.state, func.count()).group_by(delivery.c.target, delivery.c.state)
    rows = {(row[0], row[1]): row[2] for row in situation.connection.execute(grouped)}
    yield _labelled(Gauge("hexdicom_deliveries", "Stored objects by PACS and state.", labels=["target", "state"]), rows)


def _commitments(situation: Situation) -> Iterator[Metric]:
    here = delivery.c.commitment != ""
    grouped = select(delivery.c.target, delivery.c.commitment, func.count()).where(here)
    rows = situation.connection.execute(grouped.group_by(delivery.c.target, delivery.c.commitment))
    asked = Gauge("hexdicom_commitments", "Stored objects by what a PACS says of keeping them.", labels=["target", "state"])
    yield _labelled(asked, {(row[0], row[1]): row[2] for row in rows})


def _originals(situation: Situation) -> Iterator[Metric]:
    kept = keeping(situation.connection)
    yield Gauge("hexdicom_released_instances", "Originals that left the spool.", kept.instances_released)
    yield Gauge("hexdicom_lost_instances", "Originals that are damaged or gone, and that nothing replaces.", kept.instances_lost)
    yield Gauge("hexdicom_quarantined_files", "Damaged files in the store that nothing replaced yet.", kept.quarantined)
    late = scrubs.overdue(situation.connection, situation.now - situation.settings.scrub.interval_days * 86400.0)
    yield Gauge("hexdicom_unscrubbed_files", "Files that were not compared with their hash within interval_days.", late)


def _attention(situation: Situation) -> Iterator[Metric]:
    known = {("error",): 0, ("warning",): 0}
    for line in attention(situation):
        known[(line.severity,)] += 1
    lines = Gauge("hexdicom_attention", "What an operator must act on: lines of `hexdicom node status`.", labels=["severity"])
    yield _labelled(lines, known)


def _labelled(metric: Metric, values: Mapping[Any, float]) -> Metric:
    """The metric with a sample for each tuple of labels."""
    for labels, value in values.items():
        metric.add_metric(labels, value)  # type: ignore[attr-defined]
    return metric


SOURCES: Final[tuple[Callable[[Situation], Iterator[Metric]], ...]] = (
    _received, _series, _jobs, _stored, _deliveries, _commitments, _originals, _attention,
)  # fmt: skip
