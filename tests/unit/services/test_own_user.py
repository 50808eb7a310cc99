"""Root does not leave files in the folders of a node of another user: the node could not read them."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest

from hexdicom_services import cli, own_user
from hexdicom_services.checks import check
from hexdicom_services.sections import NodeSection
from hexdicom_services.settings import Settings
from tests.unit.cli.test_keeping import configured

if TYPE_CHECKING:
    from pathlib import Path

STUDY = "1.2.3.4"
WRITING = [["release"], ["recall", "--study", STUDY], ["hold", STUDY], ["unhold", STUDY], ["scrub"], ["check"], ["run"]]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return configured(tmp_path)


@pytest.mark.parametrize("words", WRITING, ids=lambda words: words[0])
def test_root_is_told_whose_node_it_is(words: list[str], config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if os.geteuid():
        pytest.skip("needs root, to give the folder to somebody else")
    state = config.parent / "state"
    before = sorted(state.rglob("*"))
    os.chown(state, 31337, 31337)
    assert cli.run(["node", *words, "--config", str(config)]) == 7
    said = "".join(capsys.readouterr())
    assert "#31337" in said
    assert "sudo -u #31337" in " ".join(said.split())
    assert sorted(state.rglob("*")) == before


def test_status_changes_nothing_and_anybody_may_ask(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if os.geteuid():
        pytest.skip("needs root, to give the folder to somebody else")
    os.chown(config.parent / "state", 31337, 31337)
    assert cli.run(["node", "status", "--config", str(config)]) == 0
    assert "not running" in capsys.readouterr().out


def test_what_a_command_writes_is_for_nobody_else(config: Path) -> None:
    before = os.umask(0o022)
    try:
        assert cli.run(["node", "hold", STUDY, "--config", str(config)]) == 0
    finally:
        os.umask(before)
    (file,) = (config.parent / "state" / "holds").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def test_a_node_that_never_ran_has_no_owner(tmp_path: Path) -> None:
    own_user.act_for(tmp_path / "state")
    assert check(Settings(node=NodeSection(port=0, state_dir=tmp_path / "state")))[0].ok
