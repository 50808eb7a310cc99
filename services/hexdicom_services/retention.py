"""Releasing originals: when they may leave the spool, and how they leave it so that no crash loses one.

Rules are looked up in the catalog first; then, at the moment of release, every file that answers for a series is read back
from the store, decoded, and the SHA-256 of every instance that would go is compared. Order: proof; mark and event in one
transaction, which looks at the rules once more; then the files, each only while its mark stands (catalog/originals.py). A crash
in between leaves marked files, which the start of the node keeps: it unmarks them, and a later release does it again.
"""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hexdicom_services import custody
from hexdicom_services.audit.occasions import Study, instances_deleted
from hexdicom_services.audit.trail import Trail
from hexdicom_services.catalog import audit_rows, holdings, originals
from hexdicom_services.catalog.holdings import uncommitted, unverified
from hexdicom_services.catalog.ledger import unfinished_of
from hexdicom_services.jobs.listing import list_all
from hexdicom_services.logs import short
from hexdicom_services.spool import Spool
from hexdicom_services.stores.folder import FolderStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sqlalchemy import Connection

    from hexdicom_services.audit.occasions import Party
    from hexdicom_services.catalog.originals import Kept, Original
    from hexdicom_services.catalog.session import Catalog
    from hexdicom_services.settings import Settings

log = logging.getLogger(__name__)

DAY = 86400.0
_BATCH = 64  # files deleted in one transaction: receiving waits as long
_ENOUGH = {"identical": ("restored",), "equal": ("restored", "recoded"), "lossy": ("restored", "recoded", "derived")}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of the originals of a series. stays: every reason why they do; none where they may go.

    instances, bytes: of the originals in the spool. released: whether they have gone now.
    """

    series_instance_uid: str
    study_instance_uid: str
    instances: int
    bytes: int
    stays: tuple[str, ...]
    released: bool = False


def weigh(catalog: Catalog, settings: Settings, now: float, *, study: str = "") -> Iterator[Verdict]:
    """What the rules say of every series with originals in the spool, by the catalog alone. Raises StoreError."""
    with catalog.read() as connection:
        for kept in originals.kept(connection, study=study):
            yield _verdict(kept, _reasons(connection, settings, kept, now))


def release(
    catalog: Catalog,
    settings: Settings,
    clock: Callable[[], float],
    *,
    study: str = "",
    device: str = "auto",
    operator: Party | None = None,
) -> Iterator[Verdict]:
    """Releases every series that may go, one after the other, each proved right before. Raises StoreError.

    operator: who wants it now, for the audit trail; None: the node by its rules.
    """
    with catalog.read() as connection:
        everything = originals.kept(connection, study=study)
    for kept in everything:
        yield release_series(catalog, settings, kept, clock, device, operator)


def release_next(catalog: Catalog, settings: Settings, clock: Callable[[], float]) -> Verdict | None:
    """Releases the oldest series that may go, of those that were not looked at for a while; None where there is none."""
    now = clock()
    with catalog.read() as connection:
        due = originals.kept(connection, weighed_before=now - settings.retention.interval_hours * 3600)
    for kept in due:
        if now - kept.archived_at < settings.retention.keep_days * DAY:
            break  # the oldest come first
        with catalog.write() as connection:
            originals.weighed(connection, kept.series_instance_uid, now)
        verdict = release_series(catalog, settings, kept, clock, settings.worker.device)
        if verdict.released:
            return verdict
    return None


def release_series(
    catalog: Catalog, settings: Settings, kept: Kept, clock: Callable[[], float], device: str, operator: Party | None = None
) -> Verdict:
    """Proves and releases one series, or says why it stays. Raises StoreError."""
    uid = kept.series_instance_uid
    with catalog.read() as connection:
        reasons = _reasons(connection, settings, kept, clock())
        members = [one for one in originals.of_series(connection, uid) if one.here]
        held = holdings.of_source(connection, uid)
        current = holdings.of_source(connection, uid, current=True)
    if reasons or not members:
        return _verdict(kept, reasons)
    list_all(catalog, settings.spool, {"SeriesInstanceUID": uid})  # what peers ask for is read from files that will be gone
    store = FolderStore(settings.store)
    problem = _disproof(store, custody.current_and_earlier(held, current), members, settings.retention.accept, device)
    if problem:
        log.error("originals of series %s stay: %s", short(uid), problem, extra={"event": "release.refused", "series": short(uid)})
        return _verdict(kept, [problem])
    now = clock()
    with catalog.write() as connection:
        again = [one for one in originals.kept(connection, study=kept.study_instance_uid) if one.series_instance_uid == uid]
        reasons = _reasons(connection, settings, again[0], now) if again else ["it is gone"]
        if not reasons and (again[0].generation, again[0].instances) != (kept.generation, len(members)):
            reasons = ["instances came while it was being proved"]
        if reasons:
            return _verdict(kept, reasons)
        _record_release(connection, Trail.of(settings, catalog), members, now, operator)
    _delete(catalog, Spool(settings.spool), members, now, kept.study_instance_uid)
    extra = {"event": "series.released", "series": short(uid)}
    log.info("%d originals of series %s were released: their archive gives them back", len(members), short(uid), extra=extra)
    return replace(_verdict(kept, []), released=True)


def _record_release(connection: Connection, trail: Trail, members: Sequence[Original], now: float, operator: Party | None) -> None:
    """The one place where a release becomes true, and is told of (PS3.15 A.5.3.6)."""
    originals.mark(connection, members, now)
    study = members[0].study_instance_uid
    counts = Counter(one.sop_class_uid for one in members)
    about = Study(study, audit_rows.patient_of(connection, study), counts)
    trail.leave_in(connection, instances_deleted(trail.node, about, "retention: the archive has them", now, operator))


def _delete(catalog: Catalog, spool: Spool, members: Sequence[Original], marked_at: float, study: str) -> None:
    for start in range(0, len(members), _BATCH):
        with catalog.write() as connection:
            going = originals.still_marked(connection, members[start : start + _BATCH], marked_at)
            if originals.on_hold(connection, study) is not None:  # since a moment ago: what is left stays
                originals.unmark(connection, going, marked_at, "release.stopped")
                continue
            for one in going:
                spool.remove(one.path)


def _reasons(connection: Connection, settings: Settings, kept: Kept, now: float) -> list[str]:
    """Why the originals of a series may not go, by the catalog."""
    rules, uid, reasons = settings.retention, kept.series_instance_uid, []
    if not uid:
        reasons.append("their data sets do not say to which series they belong")
    if (why := originals.on_hold(connection, kept.study_instance_uid)) is not None:
        reasons.append(f"the study is on hold{f': {why}' if why else ''}")
    if kept.state != "ARCHIVED":
        reasons.append(f"the series is {kept.state.lower()}, not archived")
        return reasons
    age = now - max(kept.archived_at, kept.last_at)
    if age < rules.keep_days * DAY:
        since = "archived" if kept.archived_at >= kept.last_at else "recalled"
        reasons.append(f"{since} {max(0.0, age) / DAY:.1f} days ago, kept {rules.keep_days:g} days")
    if not holdings.of_source(connection, uid, current=True):
        reasons.append("nothing of it is in the store")
    if quarantined := holdings.quarantined(connection, uid):
        reasons.append(f"{len(quarantined)} of its files in the store are damaged")
    if unfinished_of(connection, uid):
        reasons.append("a job of it is not done")
    for target in settings.forward.targets:
        if number := unverified(connection, uid, target):
            reasons.append(f"{number} objects are not proved to be at {target}")
        if rules.require_commitment and (number := uncommitted(connection, uid, target)):
            reasons.append(f"{target} has not committed itself to {number} objects")
    if rules.require_commitment and not settings.forward.targets:
        reasons.append("a commitment is required, and there is no PACS in [forward] to give it")
    return reasons


def _disproof(store: FolderStore, held: Sequence[holdings.Holding], members: Sequence[Original], accept: str, device: str) -> str:
    """Why the store does not answer for every one of these originals; "" where it does."""
    states: dict[tuple[str, str], str] = {}
    try:
        for source in custody.sources(store, held, device):
            states.setdefault((source.sop_instance_uid, source.received_sha256), source.state)
    except custody.UNSOUND as error:
        return f"the store failed: {error}"
    missing = [one for one in members if (one.sop_instance_uid, one.sha256) not in states]
    if missing:
        return f"the store does not hold {len(missing)} of them"
    short_of = sorted({states[one.sop_instance_uid, one.sha256] for one in members} - set(_ENOUGH[accept]))
    return f"the archive gives them back {' and '.join(short_of)}, and accept is {accept!r}" if short_of else ""


def _verdict(kept: Kept, reasons: Sequence[str]) -> Verdict:
    return Verdict(kept.series_instance_uid, kept.study_instance_uid, kept.instances, kept.bytes, tuple(reasons))
