"""Bringing what is archived of a series to a PACS, and proving that it is there unchanged."""

from __future__ import annotations

import logging
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from hexdicom_services import scu
from hexdicom_services.audit.occasions import Party, Study, transferred
from hexdicom_services.audit.trail import Trail
from hexdicom_services.catalog import audit_rows, holdings
from hexdicom_services.logs import short
from hexdicom_services.stores import pacs
from hexdicom_services.stores.folder import FolderStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from hexdicom.codec.interface import Progress
    from hexdicom_services.catalog.ledger import Job
    from hexdicom_services.catalog.session import Catalog
    from hexdicom_services.peer import Peer
    from hexdicom_services.settings import Settings

log = logging.getLogger(__name__)


def forward_series(catalog: Catalog, settings: Settings, job: Job, clock: Callable[[], float], progress: Progress) -> str:
    """Sends what the target has not yet; returns what it refused or changed, in words, "" where nothing.

    Raises PeerError where the target is away: then everything is tried again later, and what is proved is not sent again.
    """
    peer, store = settings.peer(job.target), FolderStore(settings.store)
    with catalog.read() as connection:
        rows = holdings.undelivered(connection, job.series_instance_uid, job.target)
    files = [file for _, file in rows]
    if not files:
        return ""
    progress("send", 0.0)
    problems = pacs.send(peer, store, files)
    _note(catalog, job, rows, clock(), problems, "SENT")
    _leave(catalog, settings, peer, files, problems, clock())
    if settings.forward.read_back != "off":
        progress("read back", 0.5)
        sent = [file for file in files if file.sop_instance_uid not in problems]
        work = settings.state / "work"  # swept when the node starts
        work.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="returned-", dir=work) as folder:
            returned = pacs.fetch_back(peer, sent, Path(folder), read_back_destination(settings)) if sent else {}
            for file in sent:
                back = returned.get(file.sop_instance_uid)
                change = pacs.changed(store.path(file.key), back) if back else "it did not come back"
                if change:
                    problems[file.sop_instance_uid] = change
        _note(catalog, job, rows, clock(), problems, "VERIFIED")
    if problems:
        uid, reason = next(iter(problems.items()))
        return f"{len(problems)} of {len(files)} objects are not safe at {job.target}; {uid}: {reason}"
    where = {"series": short(job.series_instance_uid), "target": job.target}
    if settings.forward.read_back == "off":
        log.info("%d objects were sent to %s, not read back", len(files), job.target, extra={"event": "forward.sent", **where})
    else:
        log.info("%d objects are at %s, unchanged", len(files), job.target, extra={"event": "forward.verified", **where})
    return ""


def read_back_destination(settings: Settings) -> scu.Destination | None:
    """Where a PACS sends by C-MOVE what is read back; None where it is read back by C-GET."""
    return move_destination(settings) if settings.forward.read_back == "move" else None


def move_destination(settings: Settings) -> scu.Destination:
    """Who we are to a PACS that sends to us by C-MOVE."""
    forward, node = settings.forward, settings.node
    tls = settings.tls_files if settings.tls.enabled else None
    title = forward.move_ae_title or node.ae_title
    return scu.Destination(title, node.host, forward.move_port, tls, settings.tls.client_certificates)


def _leave(
    catalog: Catalog, settings: Settings, peer: Peer, files: list[holdings.Holding], problems: dict[str, str], now: float
) -> None:
    """What was sent, in the audit trail (PS3.15 A.5.3.7)."""
    trail, there = Trail.of(settings, catalog), Party(peer.ae_title, peer.host)
    with catalog.write() as connection:
        counts: dict[tuple[str, str], Counter[str]] = {}
        for file in files:
            if file.sop_instance_uid not in problems:
                counts.setdefault(audit_rows.study_of(connection, file.sop_instance_uid), Counter())[file.sop_class_uid] += 1
        for key, number in counts.items():
            study = Study(*key, number)
            message = transferred(trail.node, there, study, now, action="R", requestor=trail.node)
            trail.leave_in(connection, message)


def _note(
    catalog: Catalog,
    job: Job,
    rows: list[tuple[int, holdings.Holding]],
    now: float,
    problems: dict[str, str],
    state: str,
) -> None:
    with catalog.write() as connection:
        for stored_id, file in rows:
            problem = problems.get(file.sop_instance_uid, "")
            holdings.delivered(connection, stored_id, job.target, "FAILED" if problem else state, now, problem)
