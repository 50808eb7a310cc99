"""What config/ offers to administrators is what the node takes."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from hexdicom.errors import ConfigError
from hexdicom_services import settings
from hexdicom_services.certificates import tls_checks
from hexdicom_services.scp.admission import explain
from hexdicom_services.tls import server_context

from .conftest import Authority

CONFIG = Path(__file__).resolve().parents[2] / "config"


def test_the_hardened_example_is_taken_but_for_its_certificates(tmp_path: Path) -> None:
    loaded = settings.load(CONFIG / "examples" / "hardened.toml")
    assert explain(loaded)[0] is True
    assert loaded.tls.enabled
    assert [name for name, _ in tls_checks(loaded)] == ["TLS listener", "TLS client", "TLS authorities", "TLS revocation"]
    with pytest.raises(ConfigError, match="cannot be read"):
        server_context(loaded.tls_files, loaded.tls.client_certificates)
    authority = Authority(tmp_path)
    pair = authority.issue("node")
    files = {"certificate": pair.certificate, "key": pair.key, "ca": authority.ca, "crl": authority.revoke()}
    complete = loaded.model_copy(update={"tls": loaded.tls.model_copy(update=files)})
    assert [attempt(complete)[0] for _, attempt in tls_checks(complete)] == [True] * 4


def test_the_example_holds_no_secret_and_says_what_to_change() -> None:
    text = (CONFIG / "examples" / "hardened.toml").read_text()
    assert "password" not in text
    assert text.count("CHANGE") >= 6


@pytest.mark.parametrize("unit", ["hexdicom.service", "hexdicom-check.service", "hexdicom-check.timer"])
def test_systemd_takes_the_units(unit: str) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not installed (apt install systemd)")
    done = subprocess.run([analyze, "verify", CONFIG / "systemd" / unit], capture_output=True, text=True, timeout=60, check=False)
    complaints = [line for line in done.stderr.splitlines() if "hexdicom" in line and "is not executable" not in line]
    assert not complaints


def test_the_unit_takes_from_the_node_what_it_does_not_need() -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not installed (apt install systemd)")
    command = [analyze, "security", "--offline=true", "--threshold=20", CONFIG / "systemd" / "hexdicom.service"]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=60, check=False)
    if "unrecognized option" in done.stderr:
        pytest.skip("this systemd-analyze cannot judge a file")
    assert done.returncode == 0, done.stdout[-500:]  # exposure of at most 2.0 of 10
