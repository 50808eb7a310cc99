"""A power cut: files and folders that were flushed are there, and of the catalog all but its newest rows of received instances.

SQLite keeps those in its write-ahead log, which no receipt flushes; so any part of its end may be missing.
"""

from __future__ import annotations

import copy
import os
import signal
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text
from sqlalchemy.engine.default import DefaultDialect

from hexdicom.dicom.phantom import beating_heart
from hexdicom_services.catalog.session import open_catalog
from tests.faults.crash import run
from tests.faults.site import Site
from tests.faults.test_damage import copies, looked_for
from tests.faults.test_every_step import cine, prepared

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pydicom.dataset import Dataset

    from tests.faults.conftest import Tally

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("stored_codec")]
__all__ = ["cine"]
HEADER, FRAME = 32, 24 + 4096  # of SQLite's log, and of each page in it


def cuts(size: int) -> Iterator[int]:
    """How much of a log may be left: nothing, less than its header, every number of frames, and half of the next."""
    yield from (0, HEADER // 2)
    for end in range(HEADER, size, FRAME):
        yield from (end, end + FRAME // 2)


def everything(cine: list[Dataset]) -> list[Dataset]:
    """What was there before, once more; two later versions of one of them; and another series."""
    corrected = [copy.deepcopy(cine[0]) for _ in range(2)]
    for number, ds in enumerate(corrected):
        ds.PatientComments = f"corrected {number}"
    return [*cine, *corrected, *beating_heart(slices=1, phases=3, rows=20, columns=16)]


def catalogued(site: Site) -> tuple[list[tuple[object, ...]], ...]:
    return (
        site.states(
            "select sop_instance_uid, sop_class_uid, transfer_syntax_uid, study_instance_uid, series_instance_uid, sha256, size,"
            " path, version, calling_ae_title, released_at, lost_at from instance order by sop_instance_uid, version"
        ),
        site.states("select series_instance_uid, study_instance_uid, state, instances, bytes from series order by 1"),
    )


@pytest.mark.parametrize("stage", ["receive", "intake", "recall"])
def test_rows_that_a_power_cut_has_taken_are_made_again(memory_disk: Path, cine: list[Dataset], stage: str, tally: Tally) -> None:
    """Before anything has come; while a series waits; after it was archived and its originals were released."""
    site = Site(memory_disk / "state")
    with site.catalog():
        acknowledged = prepared(site, cine, stage)
    coming, log = everything(cine), site.database_file.with_name(f"{site.database_file.name}-wal")

    def received(tell: Callable[[str], None]) -> None:
        answered = 0

        def told(line: str) -> None:
            nonlocal answered
            tell(line)
            answered += 1
            if answered == len(coming):
                os.kill(os.getpid(), signal.SIGKILL)

        site.receive(coming, told)

    ended = run(received, site.folder, None)
    acknowledged |= {line.removeprefix("ack ") for line in ended.lines}
    assert (ended.code, len(ended.lines)) == (-signal.SIGKILL, len(coming))
    size = log.stat().st_size
    assert size > HEADER + 10 * FRAME
    whole = None
    for left, _ in zip((size, *cuts(size)), copies(site), strict=False):
        os.truncate(log, left)
        log.with_name(log.name.replace("-wal", "-shm")).unlink(missing_ok=True)  # memory, not disk
        site.start_again()
        assert not looked_for(site, acknowledged, tally, f"power cut: {stage}"), left
        site.check_spool()
        whole = whole or catalogued(site)  # the first time nothing is missing
        assert catalogued(site) == whole, left
    site.finish()
    site.check()
    assert not site.missing(acknowledged)


def test_only_rows_of_received_instances_may_be_taken_back(tmp_path: Path) -> None:
    site = Site(tmp_path / "state")
    catalog = open_catalog(site.settings.database)
    writer = catalog.writer()
    flushes = text("PRAGMA synchronous")  # 1: NORMAL, at a checkpoint; 2: FULL, at every commit
    with writer.write() as connection:
        assert connection.scalar(flushes) == 1
    with pytest.raises(ZeroDivisionError), writer.write() as connection:
        raise ZeroDivisionError
    with writer.write() as connection:
        assert connection.scalar(flushes) == 1
    refused = pytest.MonkeyPatch()
    refused.setattr(DefaultDialect, "do_commit", lambda *_: 1 // 0)
    with pytest.raises(ZeroDivisionError) as kept, writer.write() as connection:  # keeps all that the error was raised in
        connection.execute(text("delete from meta"))
    refused.undo()
    with closing(sqlite3.connect(site.database_file, timeout=0)) as other:  # nothing holds the right to write
        other.execute("begin immediate")
    assert kept.tb is not None
    writer.close()
    with catalog.write() as connection, catalog.read() as another:  # two, whichever the pool has
        assert (connection.scalar(flushes), another.scalar(flushes)) == (2, 2)
    catalog.close()
