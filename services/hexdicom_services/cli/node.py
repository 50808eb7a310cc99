"""`hexdicom node`: set up, check, run, look at and drain a node."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
import platformdirs

from hexdicom.errors import ConfigError
from hexdicom_services import node as service
from hexdicom_services import settings as configuration
from hexdicom_services.cli import keeping, node_jobs
from hexdicom_services.cli.doctor import doctor
from hexdicom_services.cli.files import write_whole
from hexdicom_services.cli.output import emit, json_option, messages, screen, size, table
from hexdicom_services.cli.peers import config_option
from hexdicom_services.cli.scrub import scrub
from hexdicom_services.peer import OUR_AE_TITLE, Peer, check_ae_title
from hexdicom_services.sections import ArchiveSection, ForwardSection, NodeSection
from hexdicom_services.settings import Settings
from hexdicom_services.toml import render_toml

if TYPE_CHECKING:
    from hexdicom_services.status import NodeStatus


@click.group()
def node() -> None:
    """Set up, check and run a node."""


@node.command()
@config_option
@click.option("--ae-title", "-aet", metavar="AET", help=f"AE title of the node.  [default: {OUR_AE_TITLE}]")
@click.option("--host", metavar="ADDRESS", help="Address to listen on; 0.0.0.0 for all.  [default: 127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65535), help="Port of the DICOM services.  [default: 11112]")
@click.option("--state-dir", metavar="DIR", type=click.Path(path_type=Path), help="Folder of spool and catalog.")
@click.option("--archive", metavar="DIR", type=click.Path(path_type=Path), help="Folder of the archive objects.")
@click.option("--pacs", metavar="AET@HOST:PORT", help="A PACS that also gets what is archived.")
@click.option("--force", is_flag=True, help="Overwrite a configuration that is there.")
def init(
    config: Path | None, ae_title: str | None, host: str | None, port: int | None, state_dir: Path | None,
    archive: Path | None, pacs: str | None, force: bool,
) -> None:  # fmt: skip
    """Write a commented configuration.

    Asks for what no option gives; away from a terminal it takes the defaults instead.
    """
    place = config or _default_place()
    if place.exists() and not force:
        raise ConfigError(f"{place} is there already.", hint="Edit it, or give --force to overwrite it.")
    ae_title = check_ae_title(ae_title or _ask("AE title of the node", OUR_AE_TITLE))
    host = host or _ask("Address to listen on (0.0.0.0 for all)", "127.0.0.1")
    port = port if port is not None else int(_ask("Port", "11112", click.IntRange(0, 65535)))
    state_dir = (state_dir or Path(_ask("Folder of spool and catalog", str(configuration.default_state_dir())))).resolve()
    archive = (archive or Path(_ask("Folder of the archive objects", str(state_dir / "store")))).resolve()
    pacs = pacs if pacs is not None else _ask("PACS that also gets them, AET@HOST:PORT (empty for none)", "")
    made = Settings(
        node=NodeSection(ae_title=ae_title, host=host, port=port, state_dir=state_dir),
        archive=ArchiveSection(folder=archive),
        forward=ForwardSection(targets=("pacs",) if pacs else ()),
        peers={"pacs": str(Peer.parse(pacs))} if pacs else {},
    )
    write_whole(place, render_toml(made).encode())
    screen().print(f"{place} written. Next: hexdicom node check --config {place}", soft_wrap=True)


@node.command()
@config_option
@json_option
def check(config: Path | None, as_json: bool) -> int:
    """Prove a configuration: folders, disk, port, callers, certificates, peers by C-ECHO, GPU."""
    settings = configuration.load(config)
    with messages().status("checking"):
        results = service.check(settings)
    good = all(result.ok is not False for result in results)
    if as_json:
        emit({"ok": good, "checks": [{"name": one.name, "ok": one.ok, "message": one.message} for one in results]})
    else:
        marks = {True: "ok", False: "FAILED", None: "-"}
        rows = table("", "", "")
        rows.show_header = False
        for one in results:
            rows.add_row(marks[one.ok], one.name, one.message)
        screen().print(rows)
    return 0 if good else ConfigError.exit_code


@node.command()
@config_option
def run(config: Path | None) -> None:
    """Run the node until Ctrl-C, SIGTERM or `hexdicom node drain`."""
    service.run(configuration.load(config))


@node.command()
@config_option
@json_option
def status(config: Path | None, as_json: bool) -> None:
    """Show what the node has received, archived and still has to do."""
    now = service.status(configuration.load(config))
    if as_json:
        emit(now.to_json())
        return
    rows = table("", "")
    rows.show_header = False
    rows.add_row("node", f"{now.ae_title} on {now.host} port {now.port}" if now.running else "not running")
    if now.processes:
        rows.add_row("processes", ", ".join(sorted(now.processes.keys() - {"node"})))
    rows.add_row("received", f"{now.instances_received} instances, {size(now.bytes_received)}")
    rows.add_row("archived", _archived(now))
    rows.add_row("untouched", f"{now.passed_through} instances, {size(now.passed_through_bytes)}")
    rows.add_row("series", _states(now.series))
    rows.add_row("jobs", _states(now.jobs))
    for target, states in now.deliveries.items():
        committed = now.commitments.get(target)
        rows.add_row(f"to {target}", _states(states) + (f"; commitment: {_states(committed)}" if committed else ""))
    for work in now.working:
        doing = f"{work.step or 'begun'} {work.fraction:.0%}" if work.state == "RUNNING" else f"waits: {work.error}"
        rows.add_row(work.kind, f"{work.series_instance_uid}: {doing}")
    rows.add_row(
        "released", f"{now.instances_released} originals, {size(now.bytes_released)}; {now.studies_on_hold} studies on hold"
    )
    for failed in now.failures:
        rows.add_row("failed", f"{failed.kind} of {failed.series_instance_uid}: {failed.reason}")
    for line in now.attention:
        rows.add_row(line.severity, f"{line.what} → {line.command}" if line.command else line.what)
    rows.add_row("disk", f"{size(now.disk_free)} free in {now.state_dir}")
    screen().print(rows)


@node.command()
@config_option
def drain(config: Path | None) -> None:
    """Have the node refuse new work, finish what it has, and end."""
    settings = configuration.load(config)
    with messages().status("draining") as line:
        service.drain(settings, poll=lambda now: line.update(f"draining: jobs {_states(now.jobs)}"))
    left = sum(service.status(settings).jobs.get(state, 0) for state in ("READY", "RUNNING"))
    why = "they are paused, or wait for a PACS that is away: hexdicom node jobs"
    screen().print(f"drained; {left} jobs are left: {why}" if left else "drained")


for _command in (*node_jobs.COMMANDS, keeping.release, keeping.recall, keeping.hold, keeping.unhold, scrub, doctor):
    node.add_command(_command)


def _archived(now: NodeStatus) -> str:
    text = f"{now.archived_instances} instances in {now.archives} archives"
    return f"{text}, {size(now.source_bytes)} in {size(now.archive_bytes)}, ratio {now.ratio:.2f}" if now.archives else text


def _states(counts: dict[str, int]) -> str:
    return ", ".join(f"{number} {state.lower()}" for state, number in counts.items()) or "none"


def _default_place() -> Path:
    return configuration.SYSTEM_FILE if os.geteuid() == 0 else platformdirs.user_config_path("hexdicom") / "hexdicom.toml"


def _ask(question: str, default: str, kind: click.IntRange | None = None) -> str:
    if not sys.stdin.isatty():
        return default
    return str(click.prompt(question, default=default, type=kind, show_default=bool(default), err=True))
