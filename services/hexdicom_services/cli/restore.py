"""`hexdicom restore`: originals back, from files or from a node, to a folder or to a peer."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hexdicom_services import restorer
from hexdicom_services.cli import witnesses
from hexdicom_services.cli.output import PARTLY_DONE, emit, json_option, messages, screen, steps
from hexdicom_services.cli.peers import config_option, resolve
from hexdicom_services.cli.profile_options import device_option
from hexdicom_services.restorer import Outcome, Request, Work

if TYPE_CHECKING:
    from collections.abc import Callable

_PEER = "AET@HOST:PORT"
_WORDS = {
    "restored": "restored, identical by SHA-256",
    "recoded": "restored, same attributes and pixels, no longer compressed",
    "derived": "restored with loss, as derived images",
    "enhanced": "multi-frame objects made",
    "untouched": "untouched, as they were archived",
    "damaged": "damaged, not written",
}


@click.command()
@click.argument("sources", metavar="[SRC...]", nargs=-1, type=click.Path(path_type=Path))
@click.option("--from", "node", metavar="NODE", help=f"Fetch from a peer: {_PEER}, a name from [peers], or `local`.")
@click.option("--study", metavar="UID", default="", help="With --from: a whole study.")
@click.option("--series", metavar="UID", default="", help="With --from: one series (of the originals).")
@click.option("--patient", metavar="ID", default="", help="With --from: everything of a patient.")
@click.option("--out", metavar="DIR", type=click.Path(path_type=Path, file_okay=False), help="Folder to write to.")
@click.option("--to", "destination", metavar=_PEER, help="Peer to send to, instead of writing.")
@click.option(
    "--as", "form", type=click.Choice(["original", "enhanced"]), default="original", show_default=True,
    help="enhanced: one Legacy Converted Enhanced MR object per archive.",
)  # fmt: skip
@device_option
@config_option
@json_option
def restore(
    sources: tuple[Path, ...], node: str | None, study: str, series: str, patient: str, out: Path | None,
    destination: str | None, form: restorer.Form, device: str, config: Path | None, as_json: bool,
) -> int:  # fmt: skip
    """Give the original instances back.

    SRC are archive objects, or folders of them. With --from they are fetched from a node or any PACS that holds them. Every
    instance is proved by its SHA-256; what is there already with the same bytes is left, so an interrupted run is taken up
    by running it again. What is restored from a node, or from a peer that it names, is in the audit trail of that node.
    """
    if (out is None) == (destination is None):
        raise click.UsageError("Give either --out DIR or --to AET@HOST:PORT.")
    if bool(sources) == bool(node):
        raise click.UsageError("Give either SRC... or --from NODE.")
    if bool(node) != bool(study or series or patient):
        raise click.UsageError("--from goes with --study, --series or --patient.")
    to = resolve(destination, config) if destination else None
    watched = witnesses.of_peer(node, config) if node else witnesses.of_files(sources, config)
    with watched as witness, steps() as progress:
        work = Work(datetime.now(UTC), form, device, progress, witness=witness)
        outcome = _job(sources, node, Request(patient, study, series) if node else None, out, to, config)(work)
    if as_json:
        emit(document(outcome))
    else:
        _show(outcome, out, destination)
    return 0 if outcome.complete else _failure(outcome)


def _job(
    sources: tuple[Path, ...], node: str | None, request: Request | None, out: Path | None, to: Any, config: Path | None
) -> Callable[[Work], Outcome]:
    """What the options ask for, as a function of how to go about it."""
    if node is not None and request is not None:
        peer = resolve(node, config)
        if out is not None:
            return lambda work: restorer.fetch(peer, request, out, work)
        return lambda work: restorer.fetch_and_send(peer, request, to, work)
    if out is not None:
        return lambda work: restorer.restore_files(sources, out, work)
    return lambda work: restorer.restore_and_send(sources, to, work)


def document(outcome: Outcome) -> dict[str, Any]:
    """The fields of docs/cli-json.md."""
    return {
        **outcome.restored.to_json(),
        "missing": [{"sop_instance_uid": one.sop_instance_uid, "reason": one.reason} for one in outcome.missing],
        "sent": [
            {key: value for key, value in asdict(one).items() if key in ("sop_instance_uid", "state", "reason")}
            for one in outcome.sent
        ],
    }


def _show(outcome: Outcome, out: Path | None, destination: str | None) -> None:
    for problem in outcome.restored.problems:
        messages().print(f"problem: {problem}", soft_wrap=True)
    for one in outcome.missing:
        messages().print(f"missing: {one.sop_instance_uid}: {one.reason}", soft_wrap=True)
    for sent in outcome.sent:
        if sent.state != "sent" or sent.reason:
            messages().print(f"{sent.state}: {sent.sop_instance_uid}: {sent.reason}", soft_wrap=True)
    for state, count in Counter(one.state for one in outcome.restored.instances).items():
        screen().print(f"{count:6} {_WORDS[state]}")
    if destination is not None:
        done = sum(one.state == "sent" for one in outcome.sent)
        screen().print(f"{done:6} of {len(outcome.sent)} sent to {destination}")
    else:
        screen().print(f"       in {out}", soft_wrap=True)


def _failure(outcome: Outcome) -> int:
    """4 where something was brought home, 5 where nothing was because it is damaged, else 6: the peer did not give it."""
    if not outcome.empty:
        return PARTLY_DONE
    return 5 if not outcome.restored.ok else 6
