"""`hexdicom node release, recall, hold, unhold`: how long originals stay, and bringing them back."""

from __future__ import annotations

import time
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING

import click

from hexdicom.errors import ConfigError, NotFound
from hexdicom_services import custody, holds, retention
from hexdicom_services import settings as configuration
from hexdicom_services.audit.errand import operator
from hexdicom_services.audit.occasions import Study, protection_changed
from hexdicom_services.audit.trail import Trail
from hexdicom_services.catalog import audit_rows, originals
from hexdicom_services.catalog.session import existing_catalog
from hexdicom_services.cli.output import PARTLY_DONE, emit, json_option, messages, screen, size, table
from hexdicom_services.cli.peers import config_option
from hexdicom_services.own_user import act_for
from hexdicom_services.spool import Spool
from hexdicom_services.stores.folder import FolderStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sqlalchemy import Connection

    from hexdicom_services.catalog.session import Catalog
    from hexdicom_services.settings import Settings

study_option = click.option("--study", metavar="UID", default="", help="Only this study.")
reason_option = click.option("--reason", metavar="TEXT", default="", help="Why; kept with the event. No patient's name, please.")


@click.command()
@config_option
@click.option("--dry-run", is_flag=True, help="Show what would go and why the rest stays; change nothing.")
@study_option
@json_option
def release(config: Path | None, dry_run: bool, study: str, as_json: bool) -> None:
    """Delete originals from the spool that [retention] allows to go.

    Every archive is read back, decoded and compared with each original right before. `hexdicom node recall` brings them back.
    """
    settings = configuration.load(config)
    act_for(settings.state)
    if not dry_run and not settings.retention.enabled:
        raise ConfigError("Releasing is off: every original is kept.", hint="Set enabled in [retention], or add --dry-run.")
    with existing_catalog(settings.database, settings.state) as catalog, messages().status("weighing" if dry_run else "releasing"):
        if dry_run:
            verdicts = list(retention.weigh(catalog, settings, time.time(), study=study))
        else:
            now, device = time.time, settings.worker.device
            verdicts = list(retention.release(catalog, settings, now, study=study, device=device, operator=operator()))
    if as_json:
        emit({"enabled": settings.retention.enabled, "dry_run": dry_run, "series": [asdict(one) for one in verdicts]})
        return
    rows = table("series", "instances", "size", "", right=("instances", "size"))
    for one in verdicts:
        fate = "released" if one.released else "; ".join(one.stays) or "would go"
        rows.add_row(one.series_instance_uid, str(one.instances), size(one.bytes), fate)
    screen().print(rows if verdicts else "No series has originals in the spool.")


@click.command()
@config_option
@study_option
@click.option("--series", metavar="UID", default="", help="Only this series.")
@json_option
def recall(config: Path | None, study: str, series: str, as_json: bool) -> int:
    """Bring released or lost originals back to the spool, byte for byte.

    They stay for keep_days of [retention] from now; `hexdicom node hold` keeps them longer.
    """
    if not study and not series:
        raise click.UsageError("Name a --study or a --series.")
    settings = configuration.load(config)
    act_for(settings.state)
    spool = Spool(settings.spool, settings.receiver.disk_reserve_mb << 20)
    back, left = 0, 0
    with existing_catalog(settings.database, settings.state) as catalog, messages().status("recalling"):
        with catalog.read() as connection:
            away = originals.with_originals_away(connection, study=study, series_uid=series)
        if not away:
            raise NotFound("No original of this was released or lost.", hint="`hexdicom node status` counts them.")
        for uid in away:
            with catalog.write() as connection:
                originals.stays_from(connection, uid, time.time())  # first: retention must not take at once what comes
            got, missing = custody.recall(catalog, spool, FolderStore(settings.store), uid, time.time(), settings.worker.device)
            back, left = back + len(got), left + len(missing)
    if as_json:
        emit({"recalled": back, "missing": left})
    else:
        screen().print(f"{back} originals are in the spool again" + (f", {left} could not be brought back" if left else ""))
    return PARTLY_DONE if left else 0


@click.command()
@click.argument("study", metavar="[STUDY_UID]", default="")
@config_option
@reason_option
@click.option("--list", "listing", is_flag=True, help="List the studies that are on hold.")
def hold(study: str, config: Path | None, reason: str, listing: bool) -> None:
    """Put a study on legal hold: none of its originals is released."""
    if listing == bool(study):  # an empty name in a script must not look like a hold
        raise click.UsageError("Name a study, or give --list.")
    settings = configuration.load(config)
    act_for(settings.state)
    with existing_catalog(settings.database, settings.state) as catalog:
        if listing:
            _list_holds(catalog)
            return
        told = _tell(settings, catalog, study, f"put on legal hold: {reason}" if reason else "put on legal hold")
        fresh = holds.put(catalog, settings.state, study, reason, time.time(), told)
    screen().print("on hold" if fresh else "was on hold; the reason was changed")


def _tell(settings: Settings, catalog: Catalog, study: str, what: str) -> Callable[[Connection], None]:
    """Leaves in the audit trail what this user does to the protection of a study."""
    trail = Trail.of(settings, catalog)

    def told(connection: Connection) -> None:
        about = Study(study, audit_rows.patient_of(connection, study), {})
        trail.leave_in(connection, protection_changed(trail.node, operator(), about, what, time.time()))

    return told


def _list_holds(catalog: Catalog) -> None:
    with catalog.read() as connection:
        held = originals.holds(connection)
    rows = table("study", "since", "reason")
    for uid, reason, since in held:
        rows.add_row(uid, datetime.fromtimestamp(since).astimezone().strftime("%Y-%m-%d %H:%M"), reason)
    screen().print(rows if held else "No study is on hold.")


@click.command()
@click.argument("study", metavar="STUDY_UID")
@config_option
@reason_option
def unhold(study: str, config: Path | None, reason: str) -> None:
    """End the legal hold of a study."""
    settings = configuration.load(config)
    act_for(settings.state)
    with existing_catalog(settings.database, settings.state) as catalog:
        told = _tell(settings, catalog, study, f"legal hold ended: {reason}" if reason else "legal hold ended")
        done = holds.end(catalog, settings.state, study, reason, time.time(), told)
    if not done:
        raise NotFound("This study is not on hold.", hint="`hexdicom node hold --list` lists those that are.")
    screen().print("no longer on hold")
