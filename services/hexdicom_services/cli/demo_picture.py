"""The picture of the demo: what was sent and what the six planes show of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hexdicom.dicom.assemble import assemble
from hexdicom.dicom.series import plan_files
from hexdicom_services import picture
from hexdicom_services.cli.archive_file import bitstream
from hexdicom_services.cli.files import write_whole
from hexdicom_services.cli.output import size

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any


def draw(files: Sequence[Path], archives: Sequence[dict[str, Any]], out: Path, device: str) -> bool:
    """Draw the largest archive; False where its sources are not found again."""
    from hexdicom import codec

    archive = max(archives, key=lambda one: int(one["pixel_bytes"]))
    wanted = (archive["series_instance_uid"], tuple(archive["shape"]))
    plan = next((one for one in plan_files(files).groups if (one.series_instance_uid, one.shape) == wanted), None)
    if plan is None:
        return False
    original = assemble(plan).values
    z = picture.moving_slice(original)
    phases = picture.two_phases(original[:, z])
    planes = codec.open(bitstream(Path(archive["file"])), preview=True, device=device).values(phases, [z])[:, 0]
    t, depth = original.shape[:2]
    sheet = picture.comparison(
        original[list(phases), z],
        planes,
        title=f"{plan.series_description or 'Series'}, slice {z + 1} of {depth}",
        cost=size(next((layer["bytes"] for layer in archive["layers"] if layer["name"] == "planes"), 0)),
        names=[f"time {phase + 1} of {t}" for phase in phases],
    )
    write_whole(out, lambda path: sheet.save(path, format="PNG", optimize=True))
    return True
