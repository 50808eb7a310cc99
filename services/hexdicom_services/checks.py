"""Whether a node could run with these settings: tried out, and said in one line each."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from hexdicom.errors import HexdicomError, NotFound
from hexdicom_services import scu
from hexdicom_services.audit.syslog import Wire
from hexdicom_services.catalog.session import open_catalog
from hexdicom_services.certificates import tls_checks
from hexdicom_services.collector import Collector
from hexdicom_services.own_user import act_for
from hexdicom_services.scp.admission import explain
from hexdicom_services.shipped import load_profile
from hexdicom_services.status import status
from hexdicom_services.stores import mark

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from hexdicom_services.settings import Settings

_GPU_PROBE = "import torch; print(torch.cuda.get_device_name(0) if torch.cuda.is_available() else '')"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One thing that was tried. ok None: not needed, said for information."""

    name: str
    ok: bool | None
    message: str


def check(settings: Settings) -> list[CheckResult]:
    """Everything that a node needs. Never raises for what it finds. As the wrong user it tries nothing, and leaves nothing."""
    user = _tried("user", partial(_user, settings))
    if user.ok is False:
        return [user]
    checks: list[tuple[str, Callable[[], tuple[bool | None, str]]]] = [
        ("state folder", partial(_writable, settings.state)),
        ("store folder", partial(_store, settings)),
        ("disk", partial(_disk, settings)),
        ("catalog", partial(_catalog, settings)),
        ("port", partial(_port, settings)),
        ("callers", partial(explain, settings)),
        ("profile", partial(_profile, settings)),
        ("device", partial(_device, settings)),
    ]
    checks += [(name, partial(attempt, settings)) for name, attempt in tls_checks(settings)]
    if settings.forward.read_back == "move":
        checks.append(("move port", partial(_move_port, settings)))
    if settings.metrics.port is not None:
        checks.append(("metrics port", partial(_metrics_port, settings)))
    if settings.audit.collector is not None:
        checks.append(("audit collector", partial(_collector, settings, settings.audit.collector)))
    if settings.retention.enabled:
        checks.append(("retention", partial(_retention, settings)))
    checks += [(f"peer {name}", partial(_peer, settings, name)) for name in settings.peers]
    return [_tried(name, attempt) for name, attempt in checks]


def _tried(name: str, attempt: Callable[[], tuple[bool | None, str]]) -> CheckResult:
    try:
        ok, message = attempt()
    except HexdicomError as error:
        ok, message = False, str(error)
    except OSError as error:
        ok, message = False, f"{error.strerror}."
    return CheckResult(name, ok, message)


def _user(settings: Settings) -> tuple[bool, str]:
    act_for(settings.state)
    return True, ""


def _writable(folder: Path) -> tuple[bool, str]:
    folder.mkdir(parents=True, exist_ok=True)
    probe = folder / ".hexdicom-check"
    try:
        probe.write_bytes(b"x")
    finally:
        probe.unlink(missing_ok=True)
    return True, f"{folder} can be written."


def _store(settings: Settings) -> tuple[bool, str]:
    mark.check(settings)
    return _writable(settings.store)


def _disk(settings: Settings) -> tuple[bool, str]:
    free, reserve = shutil.disk_usage(settings.state).free >> 20, settings.receiver.disk_reserve_mb
    return free > reserve, f"{free} MiB free, {reserve} MiB reserved."


def _catalog(settings: Settings) -> tuple[bool, str]:
    open_catalog(settings.database).close()
    return True, f"{settings.database} opens."


def _port(settings: Settings) -> tuple[bool | None, str]:
    running = _running(settings)
    return (None, running) if running else _bindable(settings.node.host, settings.node.port)


def _move_port(settings: Settings) -> tuple[bool | None, str]:
    """Of the C-MOVE destination, which a node opens only while it reads back."""
    free, message = _bindable(settings.node.host, settings.forward.move_port)
    if not free and _running(settings):
        return None, f"{message} The node that is running may be reading back."
    return free, message


def _metrics_port(settings: Settings) -> tuple[bool | None, str]:
    assert settings.metrics.port is not None
    running = _running(settings)
    return (None, running) if running else _bindable(settings.metrics.host, settings.metrics.port)


def _collector(settings: Settings, address: str) -> tuple[bool | None, str]:
    collector = Collector.parse(address)
    wire = Wire(collector, settings.tls_files)
    try:
        wire.open()
    finally:
        wire.close()
    if collector.transport == "udp":
        return None, f"{collector} is where messages go; by UDP nobody says whether they arrive."
    return True, f"{collector} answers."


def _retention(settings: Settings) -> tuple[bool | None, str]:
    """Whether the rules can ever be met together."""
    rules, forward = settings.retention, settings.forward
    never = "Nothing is ever released: "
    if rules.require_commitment and not forward.targets:
        return False, f"{never}require_commitment needs a PACS in targets in [forward]."
    if rules.require_commitment and not forward.commitment:
        return False, f"{never}require_commitment needs commitment = true in [forward]."
    if forward.targets and forward.read_back == "off":
        return False, f"{never}it has to be proved that each PACS has it, and read_back in [forward] is off."
    return True, f"Originals leave the spool {rules.keep_days:g} days after their series was archived, once that is proved."


def _running(settings: Settings) -> str:
    try:
        now = status(settings)
    except NotFound:
        return ""
    return f"A node is running, process {now.pid}, port {now.port}." if now.running else ""


def _bindable(host: str, port: int) -> tuple[bool, str]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            hint = " Ports below 1024 need a privilege." if 0 < port < 1024 and os.geteuid() else ""
            return False, f"{host} port {port}: {error.strerror}.{hint}"
    return True, f"{host} port {port or 'of its own choice'} is free."


def _profile(settings: Settings) -> tuple[bool, str]:
    profile = load_profile(settings.archive.profile)
    return True, f"{profile.name} ({profile.kind})."


def _device(settings: Settings) -> tuple[bool | None, str]:
    """In a process of its own: torch takes seconds and memory, and a broken driver must not end this one."""
    if settings.worker.device == "cpu":
        return None, "The CPU, as configured."
    probe = subprocess.run([sys.executable, "-c", _GPU_PROBE], capture_output=True, text=True, timeout=120, check=False)
    gpu = probe.stdout.strip()
    if gpu:
        return True, f"{gpu}."
    if settings.worker.device == "cuda":
        return False, "There is no CUDA device; set device in [worker] to auto or cpu."
    return None, "No CUDA device: the CPU encodes, slower; what is restored is the same."


def _peer(settings: Settings, name: str) -> tuple[bool, str]:
    peer = settings.peer(name)
    return True, f"{peer} answers in {scu.echo(peer) * 1000:.0f} ms."
