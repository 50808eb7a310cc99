"""A throw-away PostgreSQL server for tests: a real one, on a free loopback port, with a password, as a user that is not root."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from hexdicom_services.sections import CatalogSection

if TYPE_CHECKING:
    from collections.abc import Iterator

PASSWORD = "secret of the tests"


@dataclass
class Server:
    """A cluster in a folder; `kill` is SIGKILL for all its processes, and `start` may follow."""

    folder: Path
    programs: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def section(self) -> CatalogSection:
        """The settings of a catalog there."""
        url = f"postgresql+psycopg://hexdicom@127.0.0.1:{self.port}/postgres"
        return CatalogSection(url=url, password_file=self.folder / "password")

    def start(self) -> None:
        (self.folder / "data" / "postmaster.pid").unlink(missing_ok=True)
        options = ["-D", self.folder / "data", "-p", str(self.port), "-k", self.folder, "-c", "listen_addresses=127.0.0.1"]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [self.programs / "postgres", *options], stdout=log, stderr=log, start_new_session=True, **_as_user()
            )
        for _ in range(300):
            if self.process.poll() is not None:
                break
            try:
                self.execute("select 1")
            except Exception:
                time.sleep(0.1)
            else:
                return
        pytest.fail((self.folder / "log").read_text()[-2000:])

    def signal(self, number: signal.Signals) -> None:
        """Every process of it gets this signal; one that is stopped (SIGSTOP) takes connections and answers nothing."""
        assert self.process is not None
        own = self.process.pid
        for pid in [own, *map(int, Path(f"/proc/{own}/task/{own}/children").read_text().split())]:
            os.kill(pid, number)

    def kill(self) -> None:
        assert self.process is not None
        self.signal(signal.SIGKILL)
        self.process.wait()
        self.process = None

    def stop(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(30)
            self.process = None

    def empty(self) -> None:
        """No table is left."""
        self.execute("drop schema public cascade")
        self.execute("create schema public")

    def execute(self, sql: str) -> list[tuple[Any, ...]]:
        import psycopg

        place = {"host": "127.0.0.1", "port": self.port, "user": "hexdicom", "dbname": "postgres", "password": PASSWORD}
        with psycopg.connect(**place, autocommit=True, connect_timeout=5) as connection:  # type: ignore[arg-type]
            cursor = connection.execute(sql)
            return cursor.fetchall() if cursor.description else []


@contextmanager
def server() -> Iterator[Server]:
    """A running server. Skips the test, with the reason, where there can be none."""
    pytest.importorskip("psycopg", reason="the driver is not installed (pip install 'hexdicom[postgres]')")
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        pytest.skip("PostgreSQL is not installed (apt install postgresql)")
    with tempfile.TemporaryDirectory(prefix="hexdicom-postgres-") as name, socket.socket() as probe:
        folder = Path(name)
        password = folder / "password"
        password.write_text(PASSWORD + "\n")
        if os.geteuid() == 0:
            for path in (folder, password):
                shutil.chown(path, _user())
        command = [found[-1], "-D", folder / "data", "-U", "hexdicom", "-A", "scram-sha-256", "--pwfile", password, "-E", "UTF8"]
        done = subprocess.run([*command, "--locale=C"], capture_output=True, text=True, check=False, cwd="/", **_as_user())
        if done.returncode:
            pytest.fail(done.stderr)
        probe.bind(("127.0.0.1", 0))
        made = Server(folder, found[-1].parent, int(probe.getsockname()[1]))
        probe.close()
        made.start()
        try:
            yield made
        finally:
            made.stop()


def _user() -> str:
    try:
        return pwd.getpwnam("postgres").pw_name
    except KeyError:
        return "nobody"


def _as_user() -> dict[str, Any]:
    return {"user": _user(), "group": pwd.getpwnam(_user()).pw_gid, "extra_groups": []} if os.geteuid() == 0 else {}
