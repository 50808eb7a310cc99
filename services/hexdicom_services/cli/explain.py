"""`hexdicom explain`: what the assembler makes of files, in words or as JSON."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hexdicom.dicom.series import plan_files
from hexdicom_services.cli.output import emit, json_option, many, messages, screen, table

if TYPE_CHECKING:
    from hexdicom.dicom.plan import Assembly, PassedThrough, SeriesPlan


@click.command()
@click.argument("sources", metavar="SRC...", nargs=-1, required=True, type=click.Path(path_type=Path))
@json_option
def explain(sources: tuple[Path, ...], as_json: bool) -> None:
    """Say how files would be assembled to 4-D series, and why not.

    SRC are DICOM files or folders. No pixel is read and nothing is written.
    """
    with messages().status("reading headers"):
        assembly = plan_files(sources)
    if as_json:
        emit(document(assembly))
        return
    out = screen()
    for plan in assembly.groups:
        _describe(plan)
    reasons: dict[str, list[PassedThrough]] = {}
    for item in assembly.passed_through:
        reasons.setdefault(item.reason, []).append(item)
    if reasons:
        rows = table("files", "archived untouched, because", "for example", right=["files"])
        for reason, items in reasons.items():
            rows.add_row(str(len(items)), reason, items[0].path.name)
        out.print(rows)
    total = sum(len(plan.sources) for plan in assembly.groups)
    out.print(f"{many(len(assembly.groups), '4-D group')} of {many(total, 'file')}; "
              f"{many(len(assembly.passed_through), 'file')} archived untouched.")  # fmt: skip


def document(assembly: Assembly) -> dict[str, Any]:
    """The fields of docs/cli-json.md."""
    series = [
        {
            "study_instance_uid": plan.study_instance_uid,
            "series_instance_uid": plan.series_instance_uid,
            "series_description": plan.series_description,
            "modality": plan.modality,
            "component": plan.component,
            "layout": plan.layout,
            "shape": plan.shape,
            "instances": len(plan.sources),
            "time_key": plan.time_key,
            "time_values": plan.time_values,
            "spacing": plan.spacing,
            "notes": plan.notes,
        }
        for plan in assembly.groups
    ]
    passed = [
        {
            "path": item.path,
            "reason": item.reason,
            "series_instance_uid": item.series_instance_uid,
            "sop_instance_uid": item.sop_instance_uid,
            "holes": [asdict(hole) for hole in item.holes],
        }
        for item in assembly.passed_through
    ]
    return {"series": series, "passed_through": passed}


def _describe(plan: SeriesPlan) -> None:
    t, z, y, x = plan.shape
    rows = table("", "", title=plan.series_description or "(series without a description)")
    rows.show_header = False
    rows.add_row("series", plan.series_instance_uid)
    rows.add_row("stored values", f"{many(t, 'time point')} × {many(z, 'slice')} × {y} rows × {x} columns")
    rows.add_row("files", f"{len(plan.sources)}, {plan.layout}" + (f", {plan.component}" if plan.component else ""))
    if plan.time_key:
        shown = plan.time_values if t <= 6 else (*plan.time_values[:3], "…", plan.time_values[-1])
        rows.add_row("time", f"by {plan.time_key}: {', '.join(shown)}")
    if plan.spacing:
        rows.add_row("spacing", " × ".join(f"{value:g}" for value in plan.spacing) + " mm (slice, row, column)")
    for note in plan.notes:
        rows.add_row("note", note)
    screen().print(rows, "")
