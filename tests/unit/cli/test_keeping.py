"""`hexdicom node hold, release, recall` as an administrator uses them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hexdicom_services import cli
from hexdicom_services.catalog import ledger, pauses
from hexdicom_services.catalog.session import open_catalog
from hexdicom_services.sections import NodeSection, RetentionSection
from hexdicom_services.settings import Settings
from hexdicom_services.toml import render_toml
from tests.faults.node_process import NodeProcess

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def configured(folder: Path) -> Path:
    settings = Settings(node=NodeSection(port=0, state_dir=folder / "state"), retention=RetentionSection(enabled=True))
    settings.state.mkdir()
    open_catalog(settings.database).close()
    config = folder / "hexdicom.toml"
    config.write_text(render_toml(settings))
    return config


def said(capsys: pytest.CaptureFixture[str], config: Path, *words: str, code: int = 0) -> str:
    assert cli.run(["node", *words, "--config", str(config)]) == code
    both = capsys.readouterr()
    return both.out + both.err


def test_studies_on_hold_are_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = configured(tmp_path)
    assert "No study is on hold" in said(capsys, config, "hold", "--list")
    assert "on hold" in said(capsys, config, "hold", "1.2.3", "--reason", "court")
    listed = said(capsys, config, "hold", "--list")
    assert "1.2.3" in listed
    assert "court" in listed
    assert "`hexdicom node hold --list` lists those that are" in said(capsys, config, "unhold", "1.2.4", code=3)
    assert "Name a study" in said(capsys, config, "hold", "", code=2)
    assert "no longer" in said(capsys, config, "unhold", "1.2.3")
    assert "No study is on hold" in said(capsys, config, "hold", "--list")


def test_a_node_without_originals_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "No series has originals in the spool" in said(capsys, configured(tmp_path), "release", "--dry-run")


def test_a_drain_says_what_it_has_left(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    node = NodeProcess(tmp_path / "node")
    node.start()
    try:
        catalog = open_catalog(node.settings.database)
        with catalog.write() as connection:
            ledger.add_forward(connection, "1.2.3", "away", 1, 1e10)
            pauses.pause(connection, ("forward",), 0.0)
        catalog.close()
        assert "drained; 1 jobs are left: they are paused" in said(capsys, node.folder / "node.toml", "drain")
    finally:
        node.stop()
