"""A node of our own for as long as a command runs: a real process, on a free loopback port, gone afterwards."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from hexdicom.errors import HexdicomError, NotFound
from hexdicom_services.catalog.models import stored
from hexdicom_services.catalog.session import open_catalog
from hexdicom_services.peer import Peer
from hexdicom_services.sections import (
    ArchiveSection,
    LoggingSection,
    NodeSection,
    ReceiverSection,
    SeriesSection,
    WorkerSection,
)
from hexdicom_services.settings import Settings
from hexdicom_services.status import NodeStatus, status
from hexdicom_services.toml import render_toml

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_START = 60.0  # seconds
_GRACE = 30.0


@dataclass(frozen=True, slots=True)
class OwnNode:
    """A running node: where it listens, and the settings that it runs with."""

    peer: Peer
    settings: Settings
    log: Path
    pid: int = 0

    def wait_until_archived(self, instances: int, poll: Callable[[NodeStatus], None]) -> NodeStatus:
        """Until so many instances came and everything is worked through. Raises HexdicomError if a series failed."""
        while True:
            now = status(self.settings)
            poll(now)
            if now.failures:
                raise HexdicomError(f"The node failed: {now.failures[0].reason}", hint=tail(self.log))
            if not now.running:
                raise HexdicomError("The node ended by itself.", hint=tail(self.log))
            if now.idle and now.instances_received >= instances:
                return now
            time.sleep(0.2)

    def archives(self) -> list[dict[str, Any]]:
        """The report of every archive, as `hexdicom compress --json` has it, with `file`, `archive_bytes` and source counts."""
        catalog = open_catalog(self.settings.database)
        try:
            with catalog.read() as connection:
                wanted = select(stored.c.key, stored.c.report).where(stored.c.current == 1, stored.c.kind == "archive")
                rows = connection.execute(wanted.order_by(stored.c.id)).all()
        finally:
            catalog.close()
        return [{**row.report, "file": self.settings.store / row.key} for row in rows if row.report]


@contextmanager
def own_node(state: Path, archive: Path, *, device: str = "auto", encode: bool = True, receivers: int = 1) -> Iterator[OwnNode]:
    """Start `hexdicom node run` and stop it in any case. Raises HexdicomError if it does not come up.

    encode: False leaves every series waiting, for measuring the receiver alone.
    """
    settings = Settings(
        node=NodeSection(port=0, state_dir=state),
        receiver=ReceiverSection(disk_reserve_mb=0, processes=receivers),
        series=SeriesSection(silence=3.0, settle=0.5) if encode else SeriesSection(silence=86400, settle=86400, force=86400),
        archive=ArchiveSection(folder=archive),
        worker=WorkerSection(device=device),
        logging=LoggingSection(format="text"),
    )
    state.mkdir(parents=True, exist_ok=True)
    config, log = state / "hexdicom.toml", state / "node.log"
    config.write_text(render_toml(settings))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HEXDICOM_")}
    command = [sys.executable, "-m", "hexdicom_services", "node", "run", "--config", str(config)]
    with log.open("wb") as out:
        # A session of its own, so that Ctrl-C reaches us first and we stop it in order.
        process = subprocess.Popen(command, stdout=out, stderr=out, env=environment, start_new_session=True)
    try:
        yield OwnNode(_listening(process, settings, log), settings, log, process.pid)
    finally:
        _stop(process)


def tail(log: Path, lines: int = 8) -> str:
    """The end of a log, for an error."""
    text = log.read_text(errors="replace").strip().splitlines() if log.is_file() else []
    return "\n".join(["Its log ends:", *text[-lines:]]) if text else "Its log is empty."


def _listening(process: subprocess.Popen[bytes], settings: Settings, log: Path) -> Peer:
    until = time.monotonic() + _START
    while time.monotonic() < until:
        if process.poll() is not None:
            raise HexdicomError(f"The node ended at once, with exit code {process.returncode}.", hint=tail(log))
        try:
            now = status(settings)
        except NotFound:
            now = None
        if now is not None and now.running:
            return Peer(now.ae_title, now.host, now.port)
        time.sleep(0.1)
    raise HexdicomError(f"The node does not listen after {_START:.0f} seconds.", hint=tail(log))


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_GRACE)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
