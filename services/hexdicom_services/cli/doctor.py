"""`hexdicom node doctor`: does this PACS keep archive objects?"""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING

import click

from hexdicom.errors import VerificationError
from hexdicom_services import doctor as service
from hexdicom_services import settings as configuration
from hexdicom_services.cli.output import emit, json_option, messages, screen, table
from hexdicom_services.cli.peers import config_option, resolve
from hexdicom_services.jobs.forward import move_destination

if TYPE_CHECKING:
    from pathlib import Path

_SIZES = (1, 16, 64)  # MiB


@click.command()
@click.option("--pacs", metavar="NAME", required=True, help="A name from [peers], or AET@HOST:PORT.")
@config_option
@click.option("--up-to", metavar="MIB", type=click.IntRange(1, 256), default=16, show_default=True, help="Largest probe.")
@click.option("--move", is_flag=True, help="Fetch by C-MOVE too, to move_ae_title and move_port of [forward].")
@json_option
def doctor(pacs: str, config: Path | None, up_to: int, move: bool, as_json: bool) -> int:
    """Try whether a PACS keeps archive objects, and say what it does to them.

    Stores probes of a made-up patient (HEXDICOM-PROBE), fetches them back and compares. They stay there: delete that patient
    afterwards. Exit code 5: this PACS does not keep them.
    """
    peer = resolve(pacs, config)
    settings = configuration.load(config) if move or "@" not in pacs else None
    by_move = settings is not None and (move or settings.forward.read_back == "move")
    destination = move_destination(settings) if settings is not None and by_move else None
    sizes = [size << 20 for size in sorted({*(one for one in _SIZES if one < up_to), up_to})]
    with messages().status(f"examining {peer}"):
        found = service.examine(peer, sizes, datetime.now().astimezone(), destination=destination)
    if as_json:
        emit({**asdict(found), "verdict": found.verdict})
    else:
        marks = {True: "ok", False: "FAILED", None: "-"}
        rows = table("", "", "")
        rows.show_header = False
        for one in found.findings:
            rows.add_row(marks[one.ok], one.name, one.message)
        screen().print(rows)
        screen().print(found.verdict)
    return 0 if found.keeps else VerificationError.exit_code
