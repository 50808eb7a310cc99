"""When a series is complete: by a procedure step or its attributes where they say so, else by silence, in any case by force.

The timers are two times in the catalog (first and last instance), so a restart changes nothing. Rule for late instances:
the whole series is planned again, with the originals that were released brought back out of the archive; a group whose sources
did not change keeps its archive, any other gets a new one, which takes the place of the old one in the catalog. The old one
stays in the store. Where released originals cannot be brought back byte for byte (they were accepted with loss), the late
instances are archived beside what is there.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from pydicom import dcmread
from pydicom.errors import InvalidDicomError

from hexdicom.dicom.series import plan_files
from hexdicom_services.catalog import instances, procedure_steps, series_rows
from hexdicom_services.catalog.procedure_steps import DISCONTINUED
from hexdicom_services.logs import short

if TYPE_CHECKING:
    from pathlib import Path

    from hexdicom_services.catalog.series_rows import SeriesRow
    from hexdicom_services.catalog.session import Catalog
    from hexdicom_services.sections import SeriesSection

log = logging.getLogger(__name__)

_TAGS = ["ImagesInAcquisition", "NumberOfTemporalPositions", "NumberOfSlices"]


def close_due(catalog: Catalog, spool: Path, timers: SeriesSection, now: float) -> int:
    """Queues every series that is complete; returns how many. Raises StoreError."""
    with catalog.read() as connection:
        rows = series_rows.receiving(connection)
    closed = 0
    for row in rows:
        reason = _reason(catalog, spool, row, timers, now)
        if not reason:
            continue
        with catalog.write() as connection:
            done = series_rows.close(connection, row, now, reason)
        if done:
            closed += 1
            extra = {"event": "series.queued", "series": short(row.series_instance_uid)}
            log.info("series %s has %d instances (%s)", extra["series"], row.instances, reason, extra=extra)
    return closed


def close_all(catalog: Catalog, now: float) -> int:
    """Queues every series that instances still arrive for: the node is being drained."""
    with catalog.write() as connection:
        rows = series_rows.receiving(connection)
        return sum(series_rows.close(connection, row, now, "drain") for row in rows)


def _reason(catalog: Catalog, spool: Path, row: SeriesRow, timers: SeriesSection, now: float) -> str:
    """Why a series is complete now; "" where it is not."""
    if now - row.last_at >= timers.silence:
        return "silence"
    if now - row.opened_at >= timers.force:
        return "force"
    if now - row.last_at >= timers.settle and (reason := _said(catalog, row)):
        return reason
    if row.judged != row.generation and now - row.last_at >= timers.settle:
        if _is_complete(catalog, spool, row):
            return "complete"
        with catalog.write() as connection:
            series_rows.judged(connection, row)
    return ""


def _said(catalog: Catalog, row: SeriesRow) -> str:
    """What a performed procedure step says: that all is here that it lists, or that no more will come; "" where neither."""
    with catalog.read() as connection:
        performed = procedure_steps.performed(connection, row.series_instance_uid)
    if performed is None:
        return ""
    if performed.state == DISCONTINUED:
        return "discontinued"
    return "performed" if performed.listed and not performed.missing else ""


def _is_complete(catalog: Catalog, spool: Path, row: SeriesRow) -> bool:
    """Whether the attributes say how many images there are to be, and so many are here, without a hole."""
    with catalog.read() as connection:
        files = [spool / member.path for member in instances.of_series(connection, row.series_instance_uid)]
    expected = _announced_images(files[0]) if files else 0
    if expected < 2:
        return False
    if not all(file.is_file() for file in files):  # one is gone: its series waits for the timer, and no other waits for it
        return False
    assembly = plan_files(files)
    frames = sum(len(group.frames) for group in assembly.groups)
    return frames == expected and not any(passed.holes for passed in assembly.passed_through)


def _announced_images(file: Path) -> int:
    """How many images the acquisition has by its attributes; 0 where they do not say.

    CardiacNumberOfImages is no evidence: it counts the images of one cycle, and says nothing of the slices.
    """
    try:
        header = dcmread(file, specific_tags=_TAGS, stop_before_pixels=True)
        images = int(header.get("ImagesInAcquisition") or 0)
        times, slices = int(header.get("NumberOfTemporalPositions") or 0), int(header.get("NumberOfSlices") or 0)
    except (InvalidDicomError, OSError, ValueError, TypeError, AttributeError, KeyError, EOFError):
        return 0
    return images or times * slices
