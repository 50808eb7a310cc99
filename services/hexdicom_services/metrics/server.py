"""The process that answers Prometheus and those who ask for health: GET /metrics, /healthz, /readyz.

However many ask, the catalog is read by one of them, and all get an answer in seconds, also while the catalog gives none.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
import time
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.multiprocess import MultiProcessCollector

from hexdicom.errors import HexdicomError
from hexdicom_services import child
from hexdicom_services.attention import Situation
from hexdicom_services.catalog.session import Catalog, open_catalog
from hexdicom_services.metrics import figures, health
from hexdicom_services.metrics.bounded import Bounded
from hexdicom_services.vitals import keep_beating

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.core import Metric

    from hexdicom_services.metrics.health import Health
    from hexdicom_services.settings import Settings

log = logging.getLogger(__name__)

_PATIENCE = 10.0  # seconds for a request to arrive
_FIGURES = 8.0  # seconds for the figures of the catalog: Prometheus waits 10
_READY = 2.0  # seconds for a sign that the catalog answers


class Collector:
    """Everything that is not counted by the receivers, for a registry of prometheus_client."""

    def __init__(self, settings: Settings, catalog: Catalog) -> None:
        self._settings, self._catalog = settings, catalog
        self._remembered = Bounded(self._read, _FIGURES, "The catalog does not answer.")

    def _read(self) -> list[Metric]:
        with self._catalog.read() as connection:
            situation = Situation(self._settings, connection, time.time(), running=True)
            return [metric for source in figures.SOURCES for metric in source(situation)]

    def collect(self) -> Iterator[Metric]:
        yield from figures.machine(self._settings)
        found: list[Metric] = []
        try:
            found = self._remembered()
        except HexdicomError as error:
            log.warning("the catalog could not be read for the metrics: %s", error, extra={"event": "loop.error"})
        yield GaugeMetricFamily("hexdicom_catalog_up", "1 where the catalog answers.", float(bool(found)))
        yield from found


class MetricsServer(ThreadingHTTPServer):
    """Listens when it is made. `port` is the one it got."""

    daemon_threads = True
    request_queue_size = 16

    def __init__(self, settings: Settings) -> None:
        super().__init__((settings.metrics.host, settings.metrics.port or 0), _Handler)
        self._settings, self._turn = settings, threading.Lock()
        self._registry = CollectorRegistry()
        try:
            settings.counters.mkdir(exist_ok=True)
            MultiProcessCollector(self._registry, path=str(settings.counters))  # type: ignore[no-untyped-call]
            self._catalog = open_catalog(settings.database)
        except BaseException:
            super().server_close()
            raise
        self._registry.register(Collector(settings, self._catalog))
        self._catalog_answers = Bounded(partial(health.catalog, self._catalog), _READY, "The catalog does not answer.")

    def answer(self, path: str) -> tuple[int, str, bytes]:
        """Status, content type and body."""
        if path == "/metrics":
            with self._turn:
                return 200, CONTENT_TYPE_LATEST, generate_latest(self._registry)
        if path == "/healthz":
            return _said(health.health(self._settings))
        if path == "/readyz":
            return _said(health.readiness(self._settings, self._catalog_answers))
        return 404, "text/plain", b"There is /metrics, /healthz and /readyz.\n"

    def server_close(self) -> None:
        super().server_close()
        self._catalog.close()

    def handle_error(self, request: object, client_address: object) -> None:
        log.debug("a request broke: %s", sys.exc_info()[1])


class _Handler(BaseHTTPRequestHandler):
    server: MetricsServer
    timeout = _PATIENCE
    server_version, sys_version = "hexdicom", ""

    def do_GET(self) -> None:
        try:
            status, kind, body = self.server.answer(self.path.partition("?")[0])
        except Exception:
            log.exception("a figure could not be had", extra={"event": "loop.error"})
            status, kind, body = 500, "text/plain", b"The log says what happened.\n"
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        """Nothing: a request every few seconds is no news."""


def _said(found: Health) -> tuple[int, str, bytes]:
    document = {"ok": found.ok, "checks": {name: sentence or "ok" for name, sentence in found.checks.items()}}
    return (200 if found.ok else 503), "application/json", json.dumps(document).encode() + b"\n"


def main(name: str) -> None:
    """The process (see child.py)."""
    settings, stop = child.begin()
    try:
        server = MetricsServer(settings)
    except (OSError, HexdicomError) as error:
        log.error("figures cannot be offered: %s", error, extra={"event": "loop.error"})  # noqa: TRY400 - it says it all
        return
    keep_beating(settings.vitals, name, stop)
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    stop.wait()
    server.shutdown()
    server.server_close()
