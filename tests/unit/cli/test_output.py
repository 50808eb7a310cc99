"""Text goes out as it is, on every terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hexdicom_services.cli.output import messages, screen, table

if TYPE_CHECKING:
    import pytest


def test_brackets_and_colons_are_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    rows = table("", "")
    rows.add_row("FAILED", "Set certificate in [tls] to a PEM file.")
    rows.add_row("MR", "SAX [bold] :heart: [/]")
    screen().print(rows)
    messages().print("[receiver]")
    said = capsys.readouterr()
    assert "certificate in [tls] to" in said.out
    assert "SAX [bold] :heart: [/]" in said.out
    assert said.err == "[receiver]\n"
