"""Archiving one received series: plan it, encode each 4-D group, pass the rest through.

Nothing here depends on having been done only once (see jobs/filing.py).
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from hexdicom.dicom.series import plan_files
from hexdicom.errors import SeriesError, VolumeError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hexdicom.codec.interface import Progress
    from hexdicom.dicom.plan import SeriesPlan
    from hexdicom_services.catalog.instances import Known
    from hexdicom_services.catalog.ledger import Job
    from hexdicom_services.jobs.archiver import Archiver
    from hexdicom_services.jobs.filing import Filing

EARLIER = "An earlier version of this instance: its UID came again with other content."


def archive_series(filing: Filing, job: Job, archiver: Archiver, work: Path, progress: Progress) -> None:
    """Files everything that was received of a series. Raises what the archiver, store or catalog raises."""
    _keep_earlier(filing)
    assembly = plan_files(filing.newest.values())
    for number, group in enumerate(assembly.groups):
        try:
            _archive_group(filing, job, group, archiver, work, _share(progress, number, len(assembly.groups)))
        except (SeriesError, VolumeError) as error:  # found only now that the pixels were looked at
            for path in group.sources:
                filing.pass_through(path, error.message)
    for passed in assembly.passed_through:
        filing.pass_through(passed.path, passed.reason)


def keep_untouched(filing: Filing, reason: str) -> None:
    """Files every instance of a series as it came: the way out where a series cannot be encoded."""
    _keep_earlier(filing)
    for path in filing.newest.values():
        filing.pass_through(path, reason)


def _keep_earlier(filing: Filing) -> None:
    """Versions of an instance that a later one replaced: kept, but not what peers get."""
    for path, member in filing.members.items():
        if filing.newest[member.sop_instance_uid] != path:
            filing.pass_through(path, EARLIER, current=False)


def _archive_group(filing: Filing, job: Job, group: SeriesPlan, archiver: Archiver, work: Path, progress: Progress) -> None:
    digest = _sources_digest(archiver.name, [filing.members[path] for path in group.sources])
    if filing.has_archive(digest):
        return
    folder = Path(tempfile.mkdtemp(prefix=f"job-{job.id}-", dir=work))
    try:
        # The time of the job and not of this attempt: done again, it gives the same bytes.
        created = datetime.fromtimestamp(job.created_at, UTC)
        filing.archive(archiver(group, folder, now=created, progress=progress), group.sources, digest)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _sources_digest(archiver: str, members: Sequence[Known]) -> str:
    lines = sorted(f"{member.sop_instance_uid} {member.sha256}" for member in members)
    return hashlib.sha256("\n".join([archiver, *lines]).encode()).hexdigest()


def _share(progress: Progress, number: int, total: int) -> Progress:
    """The progress of one group among several, of the whole."""

    def of_all(step: str, fraction: float) -> None:
        progress(step, (number + fraction) / total)

    return of_all
