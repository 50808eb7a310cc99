"""A run as one HTML page that needs no other file and no network."""

from __future__ import annotations

import re
from html import escape
from typing import TYPE_CHECKING, Final

from hexdicom.bench import charts
from hexdicom.bench.findings import findings, method, setting, title
from hexdicom.bench.tables import tables

if TYPE_CHECKING:
    from hexdicom.bench.result import Run
    from hexdicom.bench.table import Cell, Table

_CAPTIONS: Final = {
    "bits-per-voxel": "Lossless, bits per voxel: shorter is better. Every panel has its own scale from 0; codecs are ordered "
    "by their mean.",
    "rate-distortion": "Rate and quality of what was decoded: the best place is the upper left. Bits per voxel have a logarithmic "
    "axis. The dashed line is the mean over time, shown at every time: below it a codec has not shown what moves.",
    "rate-and-time": "What a smaller file costs. Large dots: geometric means over the series; small dots: single series. The best "
    "place is the lower left. Time has a logarithmic axis.",
}
_STYLE: Final = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, -apple-system, "Segoe UI", "Helvetica Neue", Arial, sans-serif; color: #1d2733; background: #fff;
  max-width: 66rem; margin: 3rem auto 5rem; padding: 0 1.5rem; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0; letter-spacing: -0.01em; }
h2 { font-size: 1.15rem; margin: 3rem 0 0.3rem; }
p, li { max-width: 50rem; }
.lead { color: #66717e; margin: 0.4rem 0 1.4rem; }
.findings { padding: 0.9rem 1.3rem; margin: 1.2rem 0; background: #eef6f5; border-left: 4px solid #0b6e69;
  list-style: none; max-width: none; }
.findings li { margin: 0.2rem 0; max-width: none; }
.warning { padding: 0.9rem 1.3rem; background: #fdf1ee; border-left: 4px solid #b3402a; }
figure { margin: 2.2rem 0; } figure svg { width: 100%; height: auto; display: block; }
figcaption, .note { color: #66717e; font-size: 0.88rem; max-width: 50rem; margin: 0 0 0.7rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: 0.86rem; font-variant-numeric: tabular-nums; }
th { text-align: right; font-weight: 500; color: #66717e; vertical-align: bottom;
  padding: 0.3rem 0.7rem; border-bottom: 2px solid #dde2e8; }
td { text-align: right; padding: 0.28rem 0.7rem; border-bottom: 1px solid #edf0f3; white-space: nowrap; }
th.word, td.word { text-align: left; } td.word { white-space: normal; } th:first-child, td:first-child { padding-left: 0; }
td:first-child { white-space: nowrap; }
td.ours { color: #0b6e69; font-weight: 500; } td.strong { font-weight: 700; }
details { margin-top: 3rem; } summary { font-size: 1.15rem; font-weight: 700; cursor: pointer; margin-bottom: 0.3rem; }
dl { display: grid; grid-template-columns: 7rem 1fr; gap: 0.2rem 1rem; font-size: 0.88rem; }
dt { color: #66717e; } dd { margin: 0; overflow-wrap: anywhere; }
@media print { body { margin: 0; } h2, figure { break-inside: avoid; } }
"""


def html(run: Run) -> str:
    """The whole page. Raises ConfigError without matplotlib."""
    measured = {(one.codec, one.series) for one in run.results} | {(one.codec, one.series) for one in run.points}
    codecs, series = {codec for codec, _ in measured}, {name for _, name in measured}
    lead = f"{len(codecs)} codecs on {len(series)} series, {run.date[:10]}, {run.machine.cpu}, {run.machine.cores} cores"
    body = [f"<h1>{escape(title(run))}</h1><p class=lead>{escape(lead)}</p>", _findings(run), _warning(run)]
    body += [_figure(name, svg) for name, svg in charts.draw(run).items()]
    body += [_section(table) for table in tables(run)]
    body += ["<h2>How it was measured</h2>", *(f"<p>{escape(paragraph)}</p>" for paragraph in method(run))]
    body.append("<dl>" + "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in setting(run)) + "</dl>")
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{escape(lead)}</title>'
    content = "\n".join(part for part in body if part)
    return f'<!DOCTYPE html>\n<html lang="en"><head>{head}<style>{_STYLE}</style></head>\n<body>\n{content}\n</body></html>\n'


def _findings(run: Run) -> str:
    said = findings(run)
    return f"<ul class=findings>{''.join(f'<li>{escape(one)}</li>' for one in said)}</ul>" if said else ""


def _warning(run: Run) -> str:
    """Failures and missing codecs are seen before any chart is."""
    missing = ", ".join(one.codec for one in run.skipped if not one.series)
    said = []
    if run.failures:
        said.append(
            f"Failed: {len(run.failures)} of {len(run.failures) + len(run.results) + len(run.points)} measurements; see below."
        )
    if missing:
        said.append(f"Not installed, so not compared: {missing}.")
    return f"<p class=warning>{escape(' '.join(said))}</p>" if said else ""


def _figure(name: str, svg: str) -> str:
    caption = (
        _CAPTIONS.get(name) or f"Near-lossless, every value within ±{name.rpartition('-')[2]}, bits per voxel: shorter is better."
    )
    own = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", svg)  # one page, many charts: no name twice
    return f"<figure><figcaption>{escape(caption)}</figcaption>{own}</figure>"


def _section(table: Table) -> str:
    head = "".join(f"<th{_class(column < table.words)}>{escape(name)}</th>" for column, name in enumerate(table.head))
    rows = "".join(
        f"<tr>{''.join(_cell(cell, column < table.words) for column, cell in enumerate(row))}</tr>" for row in table.rows
    )
    note = f"<p class=note>{escape(table.note)}</p>" if table.note else ""
    shown = f"{note}<div class=wide><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
    if table.long:
        return f"<details><summary>{escape(table.title)}</summary>{shown}</details>"
    return f"<h2>{escape(table.title)}</h2>{shown}"


def _cell(cell: Cell, word: bool) -> str:
    return f"<td{_class(word, cell.strong, cell.ours)}>{escape(cell.text)}</td>"


def _class(word: bool, strong: bool = False, ours: bool = False) -> str:
    names = [name for name, there in (("word", word), ("strong", strong), ("ours", ours)) if there]
    return f' class="{" ".join(names)}"' if names else ""
