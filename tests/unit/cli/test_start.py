"""The command starts quickly, and every error is a sentence with an exit code."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from click import Group

from hexdicom_services import cli
from hexdicom_services.cli.lazy import LazyGroup

HEAVY = ("torch", "pydicom", "highdicom", "pynetdicom", "nibabel", "numpy", "sqlalchemy", "rich", "pydantic")


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys, json\nfrom hexdicom_services.cli import run\ncode = run(['--help'])\n"
        f"print(json.dumps([m for m in {HEAVY!r} if m in sys.modules]), file=sys.stderr)\nsys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stderr) == []
    assert "compress" in done.stdout


@pytest.mark.parametrize("name", list(cli.COMMANDS))
def test_listed_help_is_what_the_command_says(name: str) -> None:
    assert isinstance(cli.root, LazyGroup)
    command = cli.root.get_command(None, name)  # type: ignore[arg-type]
    assert command is not None
    first_line = (command.help or "").splitlines()[0]
    assert first_line == cli.COMMANDS[name][1]


def test_every_option_has_a_help_text() -> None:
    assert isinstance(cli.root, LazyGroup)
    commands = [cli.root.get_command(None, name) for name in cli.COMMANDS]  # type: ignore[arg-type]
    for command in commands:
        assert command is not None
        inner = list(command.commands.values()) if isinstance(command, Group) else [command]
        for one in inner:
            assert one.help, one.name
            for parameter in one.params:
                if parameter.param_type_name == "option":
                    assert parameter.help, f"{one.name} {parameter.name}"  # type: ignore[attr-defined]


def test_unknown_command_and_option_are_usage_errors(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["nonsense"]) == 2
    assert cli.run(["explain"]) == 2
    assert "nonsense" in capsys.readouterr().err


def test_an_explained_error_is_printed_with_its_hint(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["preview", "a.hxd", "--out", "a.txt"]) == 7
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines() == [
        "hexdicom: a.txt has no known ending.",
        "          Give a file that ends in .png, .gif or .mp4.",
    ]


def test_missing_files_have_their_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["explain", "no/such/folder"]) == 3
    assert cli.run(["inspect", "no/such/file"]) == 3
    assert "no/such/file" in capsys.readouterr().err


def test_interrupt_is_130_and_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(*args: object, **kwargs: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli.root, "main", interrupted)
    assert cli.run(["explain", "."]) == 130
    assert capsys.readouterr().err.count("\n") == 1


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["--version"]) == 0
    assert capsys.readouterr().out.startswith("hexdicom 0.")


def test_a_lack_of_memory_is_a_sentence(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def short(*_: object, **__: object) -> None:
        raise MemoryError("There was no memory for one.dcm.")

    monkeypatch.setattr(cli.root, "main", short)
    assert cli.run(["verify", "archive"]) == 1
    assert capsys.readouterr().err == "hexdicom: There is not enough memory. There was no memory for one.dcm.\n"
