"""`hexdicom node jobs|requeue|pause|resume|prioritize`: the work that a node has, and what an operator may do with it.

All of it is said to the catalog, so it works while the node is down, and a node that runs sees it at its next look.
"""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path  # noqa: TC003 - click reads it

import click

from hexdicom_services import settings as configuration
from hexdicom_services.catalog import job_rows, pauses
from hexdicom_services.catalog.lifecycle import JOB
from hexdicom_services.catalog.session import existing_catalog
from hexdicom_services.cli.output import PARTLY_DONE, emit, json_option, messages, screen, table
from hexdicom_services.cli.peers import config_option

_KIND = click.Choice(pauses.KINDS)


@click.command()
@config_option
@click.option("--state", "states", multiple=True, type=click.Choice(list(JOB)), help="Only these; default: all but finished ones.")
@click.option("--kind", "kinds", multiple=True, type=_KIND, help="Only these.")
@click.option("--most", default=1000, show_default=True, type=click.IntRange(1), help="How many to list.")
@json_option
def jobs(config: Path | None, states: tuple[str, ...], kinds: tuple[str, ...], most: int, as_json: bool) -> None:
    """List the jobs in hand, those that wait, and those that were given up (FAILED)."""
    settings = configuration.load(config)
    with existing_catalog(settings.database, settings.state) as catalog, catalog.read() as connection:
        rows = job_rows.jobs(connection, states or job_rows.OPEN, kinds, most)
        paused = pauses.paused(connection)
    if as_json:
        emit({"paused": paused, "jobs": [asdict(row) for row in rows]})
        return
    shown = table("job", "kind", "series", "state", "tried", "", right=["job", "tried"])
    for row in rows:
        doing = f"{row.step or 'begun'} {row.fraction:.0%}" if row.state == "RUNNING" else row.error
        kind = f"{row.kind} to {row.target}" if row.target else row.kind
        state = "paused" if row.kind in paused and row.state == "READY" else row.state.lower()
        shown.add_row(str(row.id), kind, row.series_instance_uid, state, str(row.attempts), doing)
    screen().print(shown if rows else "There are no such jobs.")


@click.command()
@config_option
@click.argument("numbers", metavar="[JOB]...", nargs=-1, type=int)
@click.option("--all-failed", is_flag=True, help="Every job that was given up.")
def requeue(config: Path | None, numbers: tuple[int, ...], all_failed: bool) -> int:
    """Have jobs tried again at once, with all their attempts: given up ones, or ones that wait for their next attempt."""
    if bool(numbers) == all_failed:
        raise click.UsageError("Give the numbers of jobs, or --all-failed.")
    refused = {}
    settings = configuration.load(config)
    with existing_catalog(settings.database, settings.state) as catalog, catalog.write() as connection:
        wanted = job_rows.failed(connection) if all_failed else list(dict.fromkeys(numbers))
        for number in wanted:
            reason = job_rows.requeue(connection, number, time.time())
            if reason:
                refused[number] = reason
    for number, reason in refused.items():
        messages().print(f"Job {number} was left as it is: {reason}.")
    screen().print(f"{len(wanted) - len(refused)} jobs are tried again.")
    return PARTLY_DONE if refused and not all_failed else 0


@click.command()
@config_option
@click.argument("kinds", metavar="[KIND]...", nargs=-1, type=_KIND)
def pause(config: Path | None, kinds: tuple[str, ...]) -> None:
    """Begin no job any more, or none of these kinds (archive, forward). What is in hand goes on; instances are received."""
    settings = configuration.load(config)
    with existing_catalog(settings.database, settings.state) as catalog, catalog.write() as connection:
        pauses.pause(connection, kinds or pauses.KINDS, time.time())
    screen().print(f"Paused: {', '.join(kinds or pauses.KINDS)}.")


@click.command()
@config_option
@click.argument("kinds", metavar="[KIND]...", nargs=-1, type=_KIND)
def resume(config: Path | None, kinds: tuple[str, ...]) -> None:
    """Go on with jobs, or with these kinds (archive, forward)."""
    settings = configuration.load(config)
    with existing_catalog(settings.database, settings.state) as catalog, catalog.write() as connection:
        pauses.resume(connection, kinds or pauses.KINDS)
    screen().print(f"Resumed: {', '.join(kinds or pauses.KINDS)}.")


@click.command()
@config_option
@click.argument("series_instance_uid", metavar="SERIES")
def prioritize(config: Path | None, series_instance_uid: str) -> None:
    """Bring the jobs of a series, given by its Series Instance UID, before all others."""
    settings = configuration.load(config)
    with existing_catalog(settings.database, settings.state) as catalog, catalog.write() as connection:
        priority = job_rows.prioritize(connection, series_instance_uid)
    screen().print(f"The series goes first (priority {priority}).")


COMMANDS = (jobs, requeue, pause, resume, prioritize)
