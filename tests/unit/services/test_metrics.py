"""Figures, health and readiness: true, without a UID or a name, and there while the catalog is not."""

from __future__ import annotations

import gc
import json
import signal
import threading
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from prometheus_client.parser import text_string_to_metric_families

from hexdicom.errors import StoreError
from hexdicom_services import intake
from hexdicom_services.attention import Situation, attention, expected
from hexdicom_services.catalog.models import delivery, instance
from hexdicom_services.metrics.server import MetricsServer
from hexdicom_services.sections import MetricsSection, ReceiverSection
from hexdicom_services.vitals import Pulse, begin, look

from .test_worker import Counting, deliver, worker

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydicom.dataset import Dataset

    from hexdicom_services.settings import Settings

    from ...postgres import Server
    from .conftest import Bench

pytestmark = pytest.mark.usefixtures("stored_codec")


@contextmanager
def serving(settings: Settings, port: int) -> Iterator[MetricsServer]:
    settings = settings.model_copy(update={"metrics": MetricsSection(port=port)})
    server = MetricsServer(settings)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def get(server: MetricsServer, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}{path}", timeout=20) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def samples(text: str) -> dict[tuple[str, ...], float]:
    return {
        (one.name, *one.labels.values()): one.value for family in text_string_to_metric_families(text) for one in family.samples
    }


def test_the_figures(bench: Bench, cine: list[Dataset], free_port: int) -> None:
    deliver(bench, cine)
    worker(bench, Counting()).run_next()
    cine[0].PatientComments = "corrected"
    cine[0].SeriesInstanceUID = "1.2.3.4"
    deliver(bench, cine[:1])
    bench.clock.now += 5
    with bench.catalog.write() as connection:
        committed = {"stored_id": 1, "target": "pacs", "state": "VERIFIED", "commitment": "COMMITTED"}
        connection.execute(delivery.insert().values(committed))
        connection.execute(instance.update().where(instance.c.id == 1).values(released_at=1.0))
        connection.execute(instance.update().where(instance.c.id == 2).values(lost_at=1.0))
    Pulse(bench.settings.vitals, "receiver-1").beat(3)
    with serving(bench.settings, free_port) as server:
        status, text = get(server, "/metrics")
    assert status == 200
    found = samples(text)
    assert found["hexdicom_received_instances_total",] == 9
    assert found["hexdicom_instance_conflicts_total",] == 1
    assert found["hexdicom_series", "ARCHIVED"] == 1
    assert found["hexdicom_commitments", "COMMITTED", "pacs"] == 1
    assert (found["hexdicom_released_instances",], found["hexdicom_lost_instances",]) == (1, 1)
    assert found["hexdicom_quarantined_files",] == 0
    assert (found["hexdicom_jobs", "archive", "DONE"], found["hexdicom_jobs", "archive", "READY"]) == (1, 1)
    assert found["hexdicom_oldest_job_seconds", "archive"] >= 0
    assert found["hexdicom_archived_instances",] == 8
    assert found["hexdicom_archived_source_bytes",] > found["hexdicom_archive_bytes",] > 0
    assert found["hexdicom_open_associations", "receiver-1"] == 3
    assert found["hexdicom_catalog_up",] == 1
    assert found["hexdicom_disk_free_bytes",] > 0
    for secret in ("1.2.3.4", str(cine[1].SOPInstanceUID), str(cine[0].PatientID), str(cine[0].PatientName)):
        assert secret not in text
    for family in text_string_to_metric_families(text):
        assert family.name.startswith("hexdicom_")
        assert family.documentation


def test_ready_when_an_instance_would_be_kept(bench: Bench, free_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    pulse = Pulse(bench.settings.vitals, "receiver-1")
    Pulse(bench.settings.vitals, "node").beat()
    with serving(bench.settings, free_port) as server:
        pulse.beat()
        assert get(server, "/readyz")[0] == 200
        assert get(server, "/healthz")[0] == 200
        assert get(server, "/")[0] == 404
        monkeypatch.setattr("time.monotonic", lambda real=time.monotonic: real() + 60)
        status, text = get(server, "/readyz")
        assert (status, json.loads(text)["checks"]["catalog"]) == (503, "ok")
        assert "no sign of life" in json.loads(text)["checks"]["receiver-1"]
        assert get(server, "/healthz")[0] == 503
        pulse.beat()
        assert get(server, "/readyz")[0] == 200
    scarce = bench.settings.model_copy(update={"receiver": ReceiverSection(disk_reserve_mb=1 << 40)})
    with serving(scarce, free_port) as server:
        assert "reserved" in get(server, "/readyz")[1]


def test_while_the_catalog_is_away(bench: Bench, free_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def away() -> None:
        raise StoreError("The catalog failed.")

    with serving(bench.settings, free_port) as server:
        monkeypatch.setattr(server._catalog, "read", away)
        found = samples(get(server, "/metrics")[1])
        assert found["hexdicom_catalog_up",] == 0
        assert "hexdicom_disk_free_bytes" in {key[0] for key in found}
        status, text = get(server, "/readyz")
        assert (status, json.loads(text)["checks"]["catalog"]) == (503, "The catalog failed.")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # psycopg forgets a connection that it gave up
def test_a_database_server_that_hangs_holds_up_no_answer(bench: Bench, postgres: Server, free_port: int) -> None:
    if bench.settings.catalog.url is None:
        pytest.skip("a file of SQLite does not hang")
    Pulse(bench.settings.vitals, "receiver-1").beat()
    Pulse(bench.settings.vitals, "node").beat()
    with serving(bench.settings, free_port) as server:
        assert get(server, "/readyz")[0] == 200
        postgres.signal(signal.SIGSTOP)
        try:
            started = time.monotonic()
            scraping = threading.Thread(target=get, args=(server, "/metrics"))
            scraping.start()  # it has the connection that is open, and hangs there
            while not any(thread.name == "bounded" for thread in threading.enumerate()):
                time.sleep(0.01)
            for _ in range(2):
                status, text = get(server, "/readyz")
                assert (status, json.loads(text)["checks"]["catalog"]) == (503, "The catalog does not answer.")
            assert get(server, "/healthz")[0] == 200
            assert time.monotonic() - started < 6
            found = samples(get(server, "/metrics")[1])
            assert found["hexdicom_catalog_up",] == 0
            assert time.monotonic() - started < 15
            scraping.join()
            assert sum(thread.name == "bounded" for thread in threading.enumerate()) <= 2  # one for each, however many ask
        finally:
            postgres.signal(signal.SIGCONT)
        until = time.monotonic() + 20
        while get(server, "/readyz")[0] != 200 or any(thread.name == "bounded" for thread in threading.enumerate()):
            assert time.monotonic() < until
            time.sleep(0.1)
    del server, scraping
    gc.collect()


def test_a_process_that_has_ended_is_said(bench: Bench) -> None:
    for name in ("node", "metrics"):
        begin(bench.settings.vitals, name)
    (bench.settings.state / "drain").touch()  # then receivers have ended, and are to
    with bench.catalog.read() as connection:
        situation = Situation(bench.settings, connection, bench.clock(), running=True)
        (line,) = [line for line in attention(situation) if "Process" in line.what]
    assert line.what.startswith("Process worker-1 has ended.")
    with_everything = bench.settings.model_copy(update={"peers": {"a": "A@127.0.0.1:1"}, "metrics": MetricsSection(port=1)})
    assert expected(with_everything) == {"node", "receiver-1", "worker-1", "courier", "metrics"}


def test_what_waits_for_a_node_that_is_down_is_said(bench: Bench, cine: list[Dataset]) -> None:
    def said() -> list[tuple[str, str]]:
        with bench.catalog.read() as connection:
            lines = attention(Situation(bench.settings, connection, bench.clock(), running=False))
        return [(line.what, line.command) for line in lines]

    assert not said()
    bench.receive(cine[0])
    assert said() == [("The node is not running, and 1 series wait until they are complete.", "hexdicom node run")]
    bench.clock.now += 11
    intake.close_due(bench.catalog, bench.settings.spool, bench.settings.series, bench.clock())
    assert said() == [("The node is not running, and 1 jobs wait.", "hexdicom node run")]


def test_a_process_that_has_just_ended_hides_no_other(bench: Bench) -> None:
    for name in ("receiver-1", "receiver-3"):
        Pulse(bench.settings.vitals, name).beat()
    (bench.settings.vitals / "receiver-2").symlink_to("gone")
    assert set(look(bench.settings.vitals)) == {"receiver-1", "receiver-3"}


def test_a_torn_sign_of_life_is_none(bench: Bench) -> None:
    Pulse(bench.settings.vitals, "receiver-1").beat(2)
    (bench.settings.vitals / "receiver-2").write_bytes(b"\0" * 3)
    assert {name: vital.associations for name, vital in look(bench.settings.vitals).items()} == {"receiver-1": 2}
