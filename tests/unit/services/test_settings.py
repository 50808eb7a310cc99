"""Settings: where they come from, what is refused, and the shipped file."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING

import pytest
from pydantic import ValidationError

from hexdicom.errors import ConfigError
from hexdicom_services import settings, shipped
from hexdicom_services.settings import WorkerSection
from hexdicom_services.toml import default_toml, render_toml

if TYPE_CHECKING:
    from pathlib import Path


def write(folder: Path, text: str) -> Path:
    file = folder / "hexdicom.toml"
    file.write_text(text)
    return file


def test_the_environment_wins_over_the_file_and_the_file_over_the_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(tmp_path, '[node]\nport = 104\nae_title = "ARCHIVE"\n')
    monkeypatch.setenv("HEXDICOM_NODE__PORT", "11113")
    got = settings.load(file)
    assert (got.node.port, got.node.ae_title, got.node.host) == (11113, "ARCHIVE", "127.0.0.1")


def test_the_file_is_found_by_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEXDICOM_CONFIG", str(write(tmp_path, "[series]\nsilence = 5\n")))
    assert settings.load().series.silence == 5


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[node]\nprot = 104\n", "Did you mean 'port'?"),
        ("[nod]\nport = 104\n", "Did you mean 'node'?"),
        ("[node]\nport = 99999\n", "node.port"),
        ('[node]\nae_title = "A TITLE THAT IS TOO LONG"\n', "16"),
        ('[peers]\npacs = "10.0.0.5"\n', "AET@HOST:PORT"),
        ('[forward]\ntargets = ["pacs"]\n', "no peer 'pacs'"),
        ('[forward]\nread_back = "move"\nmove_port = 11112\n', "move_port"),
        ('[forward]\nmove_ae_title = "A TITLE THAT IS TOO LONG"\n', "16"),
        ("[metrics]\nport = 11112\n", "port in [metrics] must not be the port of [node]"),
        ('[retrieve]\narchive_ae_title = "HEXDICOM"\n', "must not be the AE title of [node]"),
        ("[node\n", "not TOML"),
    ],
)
def test_what_is_wrong_is_named_with_what_to_do(tmp_path: Path, text: str, expected: str) -> None:
    with pytest.raises(ConfigError, match=r"(?s).+") as caught:
        settings.load(write(tmp_path, text))
    assert expected in str(caught.value)


def test_a_missing_file_is_an_error_only_when_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no configuration file"):
        settings.load(tmp_path / "absent.toml")


def test_the_shipped_file_is_the_defaults() -> None:
    assert (shipped.config_folder() / "hexdicom.toml").read_text() == default_toml()


def test_what_is_written_is_read_back_the_same(tmp_path: Path) -> None:
    given = settings.Settings(
        node=settings.NodeSection(ae_title="ARCHIVE", port=104, state_dir=tmp_path / 'with "quotes" and \\'),
        forward=settings.ForwardSection(targets=("pacs",), read_back="move", move_ae_title="BACK"),
        peers={"pacs": "PACS@10.0.0.5:104"},
    )
    assert settings.load(write(tmp_path, render_toml(given))) == given
    assert set(tomllib.loads(default_toml())) == set(settings.Settings.model_fields)


@pytest.mark.parametrize("name", ["lossless", "near-lossless", "lossy"])
def test_shipped_profiles_are_what_their_names_say(name: str) -> None:
    profile = shipped.load_profile(name)
    assert (profile.name, profile.kind) == (name, name)


def test_an_unknown_profile_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="near-lossless"):
        shipped.load_profile("best")


@pytest.mark.parametrize(
    "cluster", ["tcp://10.0.0.1:8786", "tcp://node:8786", "tls://node:8786", "http://127.0.0.1:1", "tcp://127.0.0.1"]
)
def test_a_cluster_that_others_could_reach_is_refused(cluster: str) -> None:
    with pytest.raises(ValidationError, match="cluster"):
        WorkerSection(cluster=cluster)


def test_a_cluster_on_loopback_or_with_tls_is_taken(tmp_path: Path) -> None:
    assert WorkerSection(cluster="tcp://127.0.0.1:8786").cluster
    file = tmp_path / "pem"
    assert WorkerSection(cluster="tls://node:8786", cluster_ca=file, cluster_certificate=file, cluster_key=file).cluster
