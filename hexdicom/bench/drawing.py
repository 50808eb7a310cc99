"""Figures as SVG, drawn by matplotlib, all in the same letters and colours."""

from __future__ import annotations

import importlib
import io
import re
from typing import Any, Final

from hexdicom.errors import ConfigError

INK, SOFT, RULE, BAR = "#1d2733", "#66717e", "#dde2e8", "#b9c2cc"
OURS: Final = ("#0b6e69", "#3fa39b", "#7fc4bd")
OTHERS: Final = ("#8a5a00", "#c2456b", "#4a62b5", "#7d8794", "#9a6fb0", "#b3763b", "#5f8f3e", "#3b3f46", "#2b8fb8")
WIDTH: Final = 10.4  # inches
_RC: Final = {
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same letters everywhere
    "font.size": 9,
    "svg.hashsalt": "hexdicom",
    "axes.edgecolor": RULE,
    "axes.labelcolor": SOFT,
    "text.color": INK,
    "xtick.color": SOFT,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def figure(inches: tuple[float, float], rows: int, columns: int, *, sharey: bool = False) -> tuple[Any, list[Any]]:
    """A figure and its panels, row by row. Raises ConfigError."""
    try:
        matplotlib = importlib.import_module("matplotlib")
        figures = importlib.import_module("matplotlib.figure")
    except ImportError as error:
        hint = "pip install 'hexdicom[bench]'; a report that ends in .md needs none."
        raise ConfigError("Charts are drawn by matplotlib, which is not installed.", hint=hint) from error
    with matplotlib.rc_context(_RC):
        drawn = figures.Figure(figsize=inches, dpi=72, layout="constrained")  # as SVG counts: what is measured is what is drawn
        panels = drawn.subplots(rows, columns, sharey=sharey, squeeze=False)
    drawn.get_layout_engine().set(w_pad=0.08, h_pad=0.1)
    return drawn, [panel for row in panels for panel in row]


def svg(drawn: Any) -> str:
    """The document from <svg on; the same run gives the same bytes."""
    matplotlib = importlib.import_module("matplotlib")
    written = io.StringIO()
    with matplotlib.rc_context(_RC):
        drawn.savefig(written, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = written.getvalue()
    body = text[text.index("<svg") :]
    head = '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="{}" role="img">'
    return re.sub(r'<svg [^>]*?viewBox="([^"]+)"[^>]*>', lambda found: head.format(found[1]), body, count=1)
