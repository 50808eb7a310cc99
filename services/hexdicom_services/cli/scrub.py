"""`hexdicom node scrub`: is everything that the node keeps still what it was?"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from hexdicom.errors import VerificationError
from hexdicom_services import settings as configuration
from hexdicom_services.catalog.session import existing_catalog
from hexdicom_services.cli.output import emit, json_option, messages, screen, table
from hexdicom_services.cli.peers import config_option
from hexdicom_services.own_user import act_for
from hexdicom_services.scrub import Scrubber

if TYPE_CHECKING:
    from pathlib import Path

_WORDS = {
    "sound": "sound",
    "recalled": "damaged; replaced out of the archive",
    "queued": "damaged; archived again by the node that runs, or that is started next",
    "fetched": "damaged; fetched back from a PACS",
    "quarantined": "damaged; nothing replaces it now: see `hexdicom node status`",
    "lost": "damaged; nothing replaces it now: see `hexdicom node status`",
}


@click.command()
@config_option
@click.option(
    "--decode", metavar="SHARE", type=click.FloatRange(0, 1), help="Share of archives to decode.  [default: as configured]"
)
@json_option
def scrub(config: Path | None, decode: float | None, as_json: bool) -> int:
    """Read every file of store and spool now, and repair what is damaged.

    The node does this by itself, a file at a time, as [scrub] says. Exit code 5: something is damaged that nothing replaces.
    """
    settings = configuration.load(config)
    act_for(settings.state)
    share = settings.scrub.decode_share if decode is None else decode
    files: Counter[str] = Counter()
    damaged = []
    with existing_catalog(settings.database, settings.state) as catalog, messages().status("reading") as line:
        for look in Scrubber(catalog, settings, time.time, share).everything():
            files[look.fate] += look.files
            if look.fate != "sound":
                damaged.append(look)
            line.update(f"reading: {files.total()} files, {len(damaged)} damaged")
    if as_json:
        emit({"files": files.total(), "damaged": [asdict(one) for one in damaged]})
    else:
        rows = table("", "", "")
        rows.show_header = False
        for look in damaged:
            rows.add_row(look.kind, look.name, _WORDS[look.fate])
        screen().print(rows)
        screen().print(f"{files.total()} files read, {len(damaged)} damaged")
    beyond = {"quarantined", "lost"} & set(files)
    return VerificationError.exit_code if beyond else 0
