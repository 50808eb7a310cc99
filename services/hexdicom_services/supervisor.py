"""A child process of the node, started again when it dies by itself; each time a little later."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hexdicom.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hexdicom_services.settings import Settings

log = logging.getLogger(__name__)

_FIRST_DELAY, _LONGEST_DELAY = 0.25, 30.0  # seconds
_HEALTHY = 60.0  # seconds of life after which a death is the first again


@dataclass(slots=True)
class Supervised:
    """`module.main(name)`, or `module.main(name, socket)`, in a process of its own (see child.py).

    Settings go in by stdin, which stays open as long as the process may live.
    """

    module: str
    name: str
    speaks: bool = False  # whether it says one line when it is ready
    socket: int = -1  # descriptor of a listening socket that it inherits
    environment: Mapping[str, str] = field(default_factory=dict)  # beside that of this process
    process: subprocess.Popen[str] | None = None
    longest_delay: float = _LONGEST_DELAY
    delay: float = _FIRST_DELAY
    started_at: float = 0.0
    start_at: float = field(default=0.0)

    def start(self, settings: Settings) -> dict[str, Any]:
        """Starts it; returns what it said when it was ready. Raises ConfigError where it says why it cannot run."""
        inherited = [str(self.socket)] if self.socket >= 0 else []
        self.process = subprocess.Popen(
            [sys.executable, "-m", "hexdicom_services.child", self.module, self.name, *inherited],
            pass_fds=[int(number) for number in inherited],
            env={**os.environ, **self.environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE if self.speaks else subprocess.DEVNULL,
            text=True,
        )
        self.started_at = time.monotonic()
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(settings.model_dump_json() + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            return {}
        if self.process.stdout is None:
            return {}
        line = self.process.stdout.readline()
        said: dict[str, Any] = json.loads(line) if line.strip() else {}
        if "error" in said:
            raise ConfigError(said["error"], hint=said["hint"])
        return said

    def died(self) -> bool:
        """Whether it has just been found dead; then `start_at` says when to start it again."""
        if self.process is None or self.process.poll() is None:
            return False
        lived = time.monotonic() - self.started_at
        self.delay = _FIRST_DELAY if lived > _HEALTHY else min(self.longest_delay, self.delay * 2)
        self.start_at = time.monotonic() + self.delay
        extra = {"event": "process.died", "worker": self.name, "status": self.process.returncode}
        log.error("%s ended by itself (%s); it starts again in %.1f s", self.name, extra["status"], self.delay, extra=extra)
        self._close()
        return True

    def is_due(self) -> bool:
        """Whether it is time to start it again."""
        return self.process is None and time.monotonic() >= self.start_at

    def kill(self) -> None:
        """Ends it in the middle of what it does; `died` then finds it dead."""
        if self.process is not None:
            self.process.kill()

    def stop(self) -> None:
        """Asks it to end."""
        if self.process is not None and self.process.stdin is not None and not self.process.stdin.closed:
            self.process.stdin.close()

    def wait(self, seconds: float) -> None:
        """Waits for its end; kills it when it takes too long."""
        if self.process is None:
            return
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._close()

    def _close(self) -> None:
        if self.process is not None:
            self.stop()
            if self.process.stdout is not None:
                self.process.stdout.close()
            self.process = None
