"""`hexdicom verify`: decode archives and prove every data set."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from hexdicom import pipeline
from hexdicom.errors import VerificationError
from hexdicom_services.cli.output import emit, json_option, messages, screen, steps
from hexdicom_services.cli.profile_options import device_option

if TYPE_CHECKING:
    from hexdicom.report import VerifiedArchive


@click.command()
@click.argument("archives", metavar="ARCHIVE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--against", metavar="DIR", type=click.Path(path_type=Path), help="Originals to compare with, byte for byte.")
@device_option
@json_option
def verify(archives: tuple[Path, ...], against: Path | None, device: str, as_json: bool) -> int:
    """Prove that archives restore what went in.

    Decodes every ARCHIVE (a file or a folder) and compares every data set with the SHA-256 taken when it was received.
    """
    with steps() as progress:
        report = pipeline.verify(archives, against, device=device, progress=progress)
    if as_json:
        emit(report.to_json())
        return 0 if report.ok else VerificationError.exit_code
    for one in report.archives:
        for problem in one.problems:
            messages().print(f"{one.archives[0]}: {problem}", soft_wrap=True)
        screen().print(f"{one.archives[0].name}: {_sentence(one)}", soft_wrap=True)
    return 0 if report.ok else VerificationError.exit_code


def _sentence(one: VerifiedArchive) -> str:
    if one.problems:
        return f"{len(one.problems)} problems in {one.instances} instances"
    kind = "identical by SHA-256" if one.lossless else "derived images, as archived"
    compared = f", {one.compared} compared with their originals" if one.compared else ""
    return f"{one.instances} instances, {kind}{compared}"
