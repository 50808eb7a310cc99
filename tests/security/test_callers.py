"""Who may call: titles and addresses, what a caller that is refused is answered, and how many may come at once."""

from __future__ import annotations

import contextlib
import socket
import time
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client import REGISTRY
from pynetdicom import AE, build_context
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from hexdicom.errors import ConfigError, PeerError
from hexdicom_services import scu
from hexdicom_services.callers import Caller, is_loopback
from hexdicom_services.scp.admission import UNKNOWN_CALLER, WRONG_CALLED, Admission
from hexdicom_services.scp.rate import Rate
from hexdicom_services.scu.association import associate
from hexdicom_services.sections import NodeSection, ReceiverSection
from hexdicom_services.settings import Settings

from .conftest import peer, receiving

if TYPE_CHECKING:
    from pathlib import Path


def admission(host: str = "0.0.0.0", *callers: str, check_called: bool | None = None, **peers: str) -> Admission:
    receiver = ReceiverSection(calling_ae_titles=callers, check_called_ae_title=check_called)
    return Admission(Settings(node=NodeSection(host=host), receiver=receiver, peers=peers))


@pytest.mark.parametrize(
    ("callers", "title", "address", "known"),
    [
        ((), "SCANNER", "10.0.0.7", False),
        (("*",), "SCANNER", "10.0.0.7", True),
        (("SCANNER",), "SCANNER", "10.9.9.9", True),
        (("SCANNER",), "scanner", "10.0.0.7", False),
        (("SCANNER@10.0.0.7",), "SCANNER", "10.0.0.7", True),
        (("SCANNER@10.0.0.7",), "SCANNER", "10.0.0.8", False),
        (("SCANNER@10.0.0.0/24",), "SCANNER", "::ffff:10.0.0.8", True),
        (("*@10.0.0.0/24",), "ANY", "10.0.0.8", True),
        (("*@10.0.0.0/24",), "ANY", "10.0.1.8", False),
        (("MR@fd00::/8",), "MR", "fd12::1", True),
    ],
)
def test_callers(callers: tuple[str, ...], title: str, address: str, known: bool) -> None:
    assert admission("0.0.0.0", *callers).judge(title, "HEXDICOM", address) is (None if known else UNKNOWN_CALLER)


def test_a_peer_may_call_from_its_host() -> None:
    guard = admission("0.0.0.0", "SCANNER", pacs="PACS@localhost:104", away="AWAY@host.invalid:104")
    assert guard.judge("PACS", "HEXDICOM", "127.0.0.1") is None
    assert guard.judge("PACS", "HEXDICOM", "10.0.0.9") is UNKNOWN_CALLER
    assert guard.judge("AWAY", "HEXDICOM", "127.0.0.1") is UNKNOWN_CALLER


def test_the_called_title_counts_unless_on_loopback_or_told_otherwise() -> None:
    assert admission("0.0.0.0", "*").judge("X", "OTHER", "10.0.0.1") is WRONG_CALLED
    assert admission("0.0.0.0", "*", check_called=False).judge("X", "OTHER", "10.0.0.1") is None
    assert admission("127.0.0.1").judge("X", "OTHER", "127.0.0.1") is None
    assert admission("127.0.0.1", check_called=True).judge("X", "OTHER", "127.0.0.1") is WRONG_CALLED


def test_loopback() -> None:
    assert [is_loopback(host) for host in ("127.0.0.1", "127.9.9.9", "::1", "localhost")] == [True] * 4
    assert [is_loopback(host) for host in ("0.0.0.0", "::", "10.0.0.1", "archive.example")] == [False] * 4


@pytest.mark.parametrize("text", ["", "A TITLE THAT IS TOO LONG", "SCANNER@host.example", "SCANNER@10.0.0.0/99", "@10.0.0.1"])
def test_what_is_no_caller_is_said(text: str) -> None:
    with pytest.raises(ConfigError):
        Caller.parse(text)
    with pytest.raises(ValueError, match="calling_ae_titles"):
        ReceiverSection(calling_ae_titles=(text,))


def rejection(port: int, calling: str, called: str = "HEXDICOM") -> tuple[Any, ...] | None:
    """Result, source and reason of the rejection; None where the association was accepted."""
    ae = AE(ae_title=calling)
    association = ae.associate("127.0.0.1", port, contexts=[build_context(Verification)], ae_title=called)
    if association.is_established:
        association.release()
        return None
    answer = association.acceptor.primitive
    return answer.result, answer.result_source, answer.diagnostic


def test_who_is_not_known_is_rejected_with_the_reason(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    receiver = {"calling_ae_titles": ("SCANNER@127.0.0.0/8", "FAR@10.0.0.1"), "check_called_ae_title": True}
    with receiving(tmp_path, receiver=receiver) as (running, _):
        assert rejection(running.port, "SCANNER") is None
        assert rejection(running.port, "STRANGER") == (1, 1, 3)
        assert rejection(running.port, "FAR") == (1, 1, 3)
        assert rejection(running.port, "SCANNER", "OTHER") == (1, 1, 7)
        assert scu.echo(peer(running)) < 5
    refused = [record for record in caplog.records if getattr(record, "event", "") == "association.refused"]
    assert [record.calling for record in refused] == ["STRANGER", "FAR", "SCANNER"]


def test_a_node_that_turns_itself_away_says_how_to_be_let_in(tmp_path: Path) -> None:
    hint = "add HEXDICOM@127.0.0.1 to calling_ae_titles"
    with receiving(tmp_path, receiver={"calling_ae_titles": ("SCANNER",)}) as (running, _), pytest.raises(PeerError, match=hint):
        scu.echo(peer(running, calling="HEXDICOM"))


def test_associations_are_counted_in_all_and_by_address(tmp_path: Path) -> None:
    for limits in ({"max_associations": 2}, {"max_associations_per_address": 2}):
        with receiving(tmp_path / next(iter(limits)), receiver=limits) as (running, _), contextlib.ExitStack() as stack:
            for _ in range(2):
                stack.enter_context(associate(peer(running), [build_context(Verification)]))
            assert rejection(running.port, "THIRD") == (2, 3, 2)
            stack.close()
            until = time.monotonic() + 5
            while rejection(running.port, "THIRD") is not None:
                assert time.monotonic() < until
                time.sleep(0.1)


def test_who_calls_too_often_is_refused_for_now_and_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    before = counted_as("throttled")
    with receiving(tmp_path, receiver={"max_associations_per_minute": 4}) as (running, _):
        answers = [rejection(running.port, f"CALLER{number % 2}") for number in range(10)]
        assert answers[:4] == [None] * 4
        assert answers[-1] == (2, 3, 2)
        assert answers.count((2, 3, 2)) >= 5  # a slow machine has won one back meanwhile
    refused = [record for record in caplog.records if getattr(record, "event", "") == "association.refused"]
    assert ["too many associations a minute" in record.message for record in refused] == [True]
    assert counted_as("throttled") - before == answers.count((2, 3, 2))


def counted_as(result: str) -> float:
    return REGISTRY.get_sample_value("hexdicom_associations_total", {"result": result}) or 0.0


def test_a_rate_is_of_one_address_and_comes_back_with_time() -> None:
    now = [1000.0]
    rate = Rate(60, lambda: now[0])
    assert [rate.takes("10.0.0.7") for _ in range(61)] == [True] * 60 + [False]
    assert rate.takes("10.0.0.8")
    assert [rate.is_news("10.0.0.7") for _ in range(3)] == [True, False, False]
    now[0] += 2
    assert [rate.takes("10.0.0.7") for _ in range(3)] == [True, True, False]
    now[0] += 3600
    assert [rate.takes("10.0.0.7") for _ in range(61)] == [True] * 60 + [False]
    assert rate.is_news("10.0.0.7")
    assert all(Rate(0).takes("10.0.0.7") for _ in range(1000))


def test_a_thousand_addresses_take_no_memory_for_ever() -> None:
    now = [1000.0]
    rate = Rate(1, lambda: now[0])
    for number in range(20_000):
        now[0] += 0.1
        assert rate.takes(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
    assert len(rate._known) <= 4096


def test_connections_without_an_association_are_bounded_and_closed_in_time(tmp_path: Path) -> None:
    with receiving(tmp_path, receiver={"max_pending": 6, "request_timeout": 1.0}) as (running, _):
        lines = [socket.create_connection(("127.0.0.1", running.port)) for _ in range(30)]
        time.sleep(0.3)
        alive = running._server.active_associations
        assert len(alive) <= 3  # of one address half as many as there may be
        ends = 0
        for line in lines:
            line.settimeout(5)
            with contextlib.suppress(ConnectionError):
                assert line.recv(1) == b""
            ends += 1
            line.close()
        assert ends == 30
        until = time.monotonic() + 10
        while running._server.active_associations and time.monotonic() < until:
            time.sleep(0.01)  # a thread ends a moment after its connection
        assert scu.echo(peer(running)) < 5


@pytest.mark.parametrize("said", [b"", b"GET / HTTP/1.1\r\n\r\n", b"\x01\x00\xff\xff\xff\xff"])
def test_who_comes_and_goes_takes_no_place(tmp_path: Path, said: bytes) -> None:
    """A port scanner, or a load balancer that looks whether the port answers, must not lock out who is behind the same address."""
    with receiving(tmp_path, receiver={"max_pending": 8, "request_timeout": 60.0}) as (running, _):
        lines = [socket.create_connection(("127.0.0.1", running.port)) for _ in range(4)]
        time.sleep(0.3)  # they have their places, and are waited for
        for line in lines:
            line.sendall(said)
            line.close()
        until, took = time.monotonic() + 10, 0.0
        while not took and time.monotonic() < until:
            with contextlib.suppress(PeerError):  # the last ones may be just leaving
                took = scu.echo(peer(running))
        assert took, "connections that have gone still count"


def test_a_request_that_drips_is_cut(tmp_path: Path) -> None:
    with receiving(tmp_path, receiver={"request_timeout": 1.0}) as (running, _):
        with socket.create_connection(("127.0.0.1", running.port)) as line:
            line.sendall(b"\x01\x00\x00\x00\x00\xce")
            started = time.monotonic()
            with contextlib.suppress(ConnectionError):
                while time.monotonic() - started < 10:
                    line.sendall(b"\x00")
                    line.settimeout(0.1)
                    with contextlib.suppress(TimeoutError):
                        if line.recv(1) == b"":
                            break
            assert time.monotonic() - started < 4
        assert scu.echo(peer(running)) < 5


def test_an_association_that_falls_silent_is_ended(tmp_path: Path) -> None:
    with receiving(tmp_path, receiver={"network_timeout": 1.0}) as (running, _):
        with associate(peer(running), [build_context(Verification)]) as association:
            until = time.monotonic() + 8
            while association.is_established and time.monotonic() < until:
                time.sleep(0.05)
            assert not association.is_established
        assert not [one for one in running._server.active_associations if one.is_established]
