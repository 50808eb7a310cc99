"""Dockerfile, compose file and units agree with the code: paths, users, ports, commands, settings and versions."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
import threading
import tomllib
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import click
import pytest
import yaml

from hexdicom_services import cli, settings
from hexdicom_services.metrics.server import MetricsServer

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / "config"
COMPOSE, DOCKERFILE = CONFIG / "compose" / "compose.yaml", CONFIG / "compose" / "Dockerfile"
UNITS = ["hexdicom.service", "hexdicom-check.service"]


@pytest.fixture
def service() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())["services"]["hexdicom"]
    return found


@pytest.fixture
def hardened() -> settings.Settings:
    return settings.load(CONFIG / "examples" / "hardened.toml")


def instructions(name: str) -> list[str]:
    """The arguments of every such instruction of the Dockerfile."""
    text = DOCKERFILE.read_text().replace("\\\n", " ")
    return [line.removeprefix(name).strip() for line in text.splitlines() if line.startswith(f"{name} ")]


def takes(words: list[str]) -> dict[str, Any]:
    """The values of the options of a command line of ours. Raises click.UsageError where there is no such command or option."""
    context, command = click.Context(cli.root), cli.root
    assert words[0] == "hexdicom"
    rest = words[1:]
    while isinstance(command, click.Group):
        name, found, rest = command.resolve_command(context, rest)
        assert found is not None
        command, context = found, click.Context(found, parent=context, info_name=name)
    command.parse_args(context, rest)
    return context.params


def pyproject() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_the_image_runs_a_command_with_the_configuration_that_compose_mounts(service: dict[str, Any]) -> None:
    words = [*yaml.safe_load(instructions("ENTRYPOINT")[0]), *yaml.safe_load(instructions("CMD")[0])]
    mounted = {one["target"] for one in service["volumes"] if isinstance(one, dict)}
    assert takes(words)["config"] == settings.SYSTEM_FILE  # so `compose exec hexdicom hexdicom node status` finds it too
    assert str(settings.SYSTEM_FILE) in mounted
    assert all(one["bind"]["create_host_path"] is False for one in service["volumes"] if isinstance(one, dict))


def test_the_hardened_example_fits_the_container(service: dict[str, Any], hardened: settings.Settings) -> None:
    volumes = dict(one.split(":") for one in service["volumes"] if isinstance(one, str))
    assert volumes == {"state": str(hardened.node.state_dir)}
    assert instructions("VOLUME") == [str(hardened.node.state_dir)]
    assert instructions("EXPOSE") == [str(hardened.node.port)]
    (tls,) = [one["target"] for one in service["volumes"] if isinstance(one, dict) and one["target"] != str(settings.SYSTEM_FILE)]
    files = hardened.tls
    assert {str(path.parent) for path in (files.certificate, files.key, files.ca, files.crl) if path} == {tls}


def test_user_and_folders_agree(service: dict[str, Any], hardened: settings.Settings) -> None:
    (made,) = [line for line in instructions("RUN") if line.startswith("useradd")]
    uid, home = re.search(r"--uid (\d+)", made), re.search(r"--home-dir (\S+)", made)
    assert uid
    assert home
    assert f"owned by user {uid[1]}" in COMPOSE.read_text()
    assert home[1] == str(hardened.node.state_dir)
    assert instructions("USER") == ["hexdicom"]
    (cache,) = [line.partition("=")[2] for line in instructions("ENV") if line.startswith("NUMBA_CACHE_DIR")]
    assert PurePosixPath(cache).is_relative_to(str(hardened.node.state_dir)), "everything else is read-only"
    assert service["read_only"] is True
    assert [one.partition(":")[0] for one in service["tmpfs"]] == ["/tmp"]


def test_what_is_installed_is_what_is_declared() -> None:
    project = pyproject()["project"]
    (base,) = instructions("FROM")
    version = re.match(r"python:(\d+)\.(\d+)-", base)
    assert version
    assert f">={version[1]}.{version[2]}" == project["requires-python"]
    (extras,) = re.findall(r"/src\[(.+?)\]", DOCKERFILE.read_text())
    assert set(extras.split(",")) <= set(project["optional-dependencies"])
    torch = dict(line.split("=", 1) for line in instructions("ARG"))["TORCH"]
    assert f"TORCH  ?= {torch}\n" in (ROOT / "Makefile").read_text()


def test_the_image_gets_what_the_wheel_is_made_of_and_nothing_else() -> None:
    lines = (CONFIG / "compose" / "Dockerfile.dockerignore").read_text().splitlines()
    through = {line[1:] for line in lines if line.startswith("!")}
    build, project = pyproject()["tool"]["hatch"]["build"]["targets"]["wheel"], pyproject()["project"]
    wanted = {path.partition("/")[0] for path in [*build["packages"], *build["force-include"]]}
    assert lines[0] == "*"
    assert through == wanted | {"pyproject.toml", project["readme"], "LICENSE"}
    assert all((ROOT / name).exists() for name in through)


def test_compose_builds_what_is_here_and_lets_the_node_end(service: dict[str, Any]) -> None:
    context = (COMPOSE.parent / service["build"]["context"]).resolve()
    assert context == ROOT
    assert (context / service["build"]["dockerfile"]).resolve() == DOCKERFILE
    unit = (CONFIG / "systemd" / "hexdicom.service").read_text()
    assert service["stop_grace_period"] == f"{re.findall(r'TimeoutStopSec=(.+)', unit)[0]}s"


def test_what_compose_sets_are_settings(service: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in service["environment"].items():
        monkeypatch.setenv(name, value)
    loaded = settings.load(CONFIG / "examples" / "hardened.toml")
    url = urlsplit(re.findall(r"'(http:.+?)'", service["healthcheck"]["test"][-1])[0])
    assert (url.hostname, url.port) == (loaded.metrics.host, loaded.metrics.port)


@pytest.mark.parametrize("alive", [True, False])
def test_the_health_check_sees_whether_the_node_lives(service: dict[str, Any], alive: bool) -> None:
    asked = []

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200 if alive else 503)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Answers) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        kind, program, *words = service["healthcheck"]["test"]
        assert (kind, program) == ("CMD", "python")
        words = [word.replace(":9464", f":{server.server_address[1]}") for word in words]
        done = subprocess.run([sys.executable, *words], capture_output=True, timeout=30, check=False)
    assert (done.returncode == 0) is alive
    assert f'"{asked[0]}"' in Path(sys.modules[MetricsServer.__module__].__file__ or "").read_text()


def test_compose_takes_the_file() -> None:
    docker = shutil.which("docker")
    if docker is None or subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode:
        pytest.skip("docker compose is not installed")
    done = subprocess.run([docker, "compose", "-f", COMPOSE, "config", "--quiet"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("unit", UNITS)
def test_the_units_run_commands_that_there_are(unit: str) -> None:
    (line,) = re.findall(r"^ExecStart=/usr/bin/env (.+)$", (CONFIG / "systemd" / unit).read_text(), re.MULTILINE)
    assert takes(shlex.split(line))["config"] == settings.SYSTEM_FILE


@pytest.mark.parametrize("unit", UNITS)
def test_the_units_may_write_where_the_node_writes(unit: str, hardened: settings.Settings) -> None:
    text = (CONFIG / "systemd" / unit).read_text()
    assert f"/var/lib/{re.findall(r'^StateDirectory=(.+)$', text, re.MULTILINE)[0]}" == str(hardened.node.state_dir)
    cache = re.findall(r"^CacheDirectory=(.+)$", text, re.MULTILINE)[0]
    assert f"Environment=NUMBA_CACHE_DIR=/var/cache/{cache}" in text


def test_systemd_takes_the_unit_with_a_gpu(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not installed (apt install systemd)")
    shutil.copy(CONFIG / "systemd" / "hexdicom.service", tmp_path)
    dropins = tmp_path / "hexdicom.service.d"
    dropins.mkdir()
    shutil.copy(CONFIG / "systemd" / "hexdicom-gpu.conf", dropins / "gpu.conf")
    command = [analyze, "verify", str(tmp_path / "hexdicom.service")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    complaints = [line for line in done.stderr.splitlines() if "hexdicom" in line and "is not executable" not in line]
    assert not complaints
