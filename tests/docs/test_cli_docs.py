"""The documentation of the command line is what the command line says. WRITE_DOCS=1 writes docs/cli.md anew."""

from __future__ import annotations

import os
import re
from pathlib import Path

import click
import pytest

from hexdicom import errors
from hexdicom_services import cli

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "cli.md"
WRITE = "WRITE_DOCS" in os.environ


def commands() -> list[tuple[str, ...]]:
    """Every command line that has a help text."""
    found: list[tuple[str, ...]] = [()]
    for name in cli.COMMANDS:
        found.append((name,))
        command = cli.root.get_command(click.Context(cli.root), name)
        if isinstance(command, click.Group):
            found += [(name, inner) for inner in command.list_commands(click.Context(command))]
    return found


def help_text(names: tuple[str, ...]) -> str:
    """What `hexdicom NAMES --help` prints at a width of 100."""
    command: click.Command = cli.root
    # as it is really called: the settings of a command count, and click remembers the help option of its first context
    context = click.Context(command, info_name="hexdicom", terminal_width=100, **command.context_settings)
    for name in names:
        assert isinstance(command, click.Group)
        inner = command.get_command(context, name)
        assert inner is not None
        command = inner
        context = click.Context(command, parent=context, info_name=name, terminal_width=100)
    return command.get_help(context).rstrip()


def section(names: tuple[str, ...]) -> str:
    return f"## `{' '.join(('hexdicom', *names))}`\n\n```text\n{help_text(names)}\n```\n"


def test_every_help_text_is_documented() -> None:
    sections = [section(names) for names in commands()]
    text = PAGE.read_text("utf-8") if PAGE.exists() else "# Command line\n"
    if WRITE:
        head = text.partition("\n## `hexdicom`")[0].rstrip()
        PAGE.write_text("\n\n".join([head, *(one.rstrip() for one in sections)]) + "\n", "utf-8")
        text = PAGE.read_text("utf-8")
    for one in sections:
        assert one in text, f"docs/cli.md is out of date; write it anew with WRITE_DOCS=1. Expected:\n{one}"


def test_exit_codes_are_documented() -> None:
    table = dict(re.findall(r"^\| (\d+) \| (.+) \|$", PAGE.read_text("utf-8"), re.MULTILINE))
    classes = {name: one for name, one in vars(errors).items() if isinstance(one, type) and issubclass(one, errors.HexdicomError)}
    for name, one in classes.items():
        assert f"`{name}`" in table[str(one.exit_code)], f"{name} has exit code {one.exit_code}"
    for code in (0, 2, 4, cli.INTERRUPTED, cli.TERMINATED):
        assert str(code) in table


@pytest.mark.parametrize("page", ["README.md", "docs/cli-json.md"])
def test_commands_that_are_shown_exist(page: str) -> None:
    known = {" ".join(names) for names in commands()}
    shown = re.findall(r"^\$? ?hexdicom ((?:[a-z]+ ?){1,2})", (ROOT / page).read_text("utf-8"), re.MULTILINE)
    for words in shown:
        first, *rest = words.split()
        assert first in known, f"hexdicom {first} in {page}"
        group = cli.root.get_command(click.Context(cli.root), first)
        if rest and isinstance(group, click.Group):
            assert f"{first} {rest[0]}" in known, f"hexdicom {first} {rest[0]} in {page}"
