"""What `hexdicom node check` says of certificates and callers, before a scanner is turned away."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import pytest

from hexdicom_services import certificates
from hexdicom_services.checks import check
from hexdicom_services.scp.admission import explain
from hexdicom_services.sections import NodeSection, ReceiverSection, TlsSection
from hexdicom_services.settings import Settings
from hexdicom_services.tls import own_certificate

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Authority, Pair


def said(settings: Settings, name: str) -> tuple[bool | None, str]:
    found = {one.name: (one.ok, one.message) for one in check(settings)}
    return found[name]


def with_tls(folder: Path, authority: Authority, pair: Pair, **more: Any) -> Settings:
    section = TlsSection(enabled=True, certificate=pair.certificate, key=pair.key, ca=authority.ca, **more)
    return Settings(node=NodeSection(port=0, state_dir=folder / "state"), tls=section, worker={"device": "cpu"})


def test_a_good_certificate_is_good(tmp_path: Path, authority: Authority, node_pair: Pair) -> None:
    settings = with_tls(tmp_path, authority, node_pair)
    good, message = said(settings, "TLS listener")
    assert good is True
    assert message.startswith("The certificate of node is good until 2")
    assert said(settings, "TLS authorities")[0] is True


def test_one_that_ends_soon_is_a_warning_and_one_that_has_ended_an_error(tmp_path: Path, authority: Authority) -> None:
    soon = with_tls(tmp_path, authority, authority.issue("soon", days=12))
    good, message = said(soon, "TLS listener")
    assert good is None
    assert "ends in 11 days" in message
    assert "have it renewed now" in message
    ended = with_tls(tmp_path, authority, authority.issue("ended", days=-1))
    good, message = said(ended, "TLS listener")
    assert good is False
    assert "ended on" in message


def test_a_damaged_file_is_named(tmp_path: Path, authority: Authority, node_pair: Pair, scanner_pair: Pair) -> None:
    settings = with_tls(tmp_path, authority, node_pair)
    wrong = settings.model_copy(update={"tls": settings.tls.model_copy(update={"key": scanner_pair.key})})
    good, message = said(wrong, "TLS listener")
    assert good is False
    assert str(scanner_pair.key) in message


def test_a_peer_with_tls_has_our_certificate_looked_at_as_a_client(authority: Authority, node_pair: Pair) -> None:
    tls = TlsSection(certificate=node_pair.certificate, key=node_pair.key, ca=authority.ca)
    settings = Settings(tls=tls, peers={"pacs": "PACS@127.0.0.1:2762+tls"})
    names = [name for name, _ in certificates.tls_checks(settings)]
    assert names == ["TLS client", "TLS authorities"]
    assert own_certificate(settings.tls_files, "client").subject == "node"
    assert not certificates.tls_checks(Settings())


def test_the_collector_of_the_audit_trail_is_called(tmp_path: Path) -> None:
    def found(collector: str) -> tuple[bool | None, str]:
        node = NodeSection(port=0, state_dir=tmp_path / "state")
        return said(Settings(node=node, worker={"device": "cpu"}, audit={"collector": collector}), "audit collector")

    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    good, message = found(f"tls://127.0.0.1:{port}")
    assert good is False
    assert f"tls://127.0.0.1:{port} cannot be reached" in message
    assert found(f"udp://127.0.0.1:{port}")[0] is None


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # of the peer that is not there
@pytest.mark.parametrize(
    ("rules", "forward", "good", "text"),
    [
        ({}, {}, True, "Originals leave the spool 30 days after"),
        ({"require_commitment": True}, {}, False, "needs a PACS in targets"),
        ({"require_commitment": True}, {"targets": ["pacs"]}, False, "needs commitment = true"),
        ({"require_commitment": True}, {"targets": ["pacs"], "commitment": True}, True, "Originals leave"),
        ({}, {"targets": ["pacs"], "read_back": "off"}, False, "read_back in [forward] is off"),
    ],
)
def test_rules_of_retention_that_never_meet_are_said(
    tmp_path: Path, rules: dict[str, Any], forward: dict[str, Any], good: bool, text: str
) -> None:
    node = NodeSection(port=0, state_dir=tmp_path / "state")
    peers = {"pacs": "PACS@127.0.0.1:1"}
    settings = Settings(node=node, worker={"device": "cpu"}, retention={"enabled": True, **rules}, forward=forward, peers=peers)
    found = said(settings, "retention")
    assert found[0] is good
    assert text in found[1]


def test_the_port_of_the_figures_is_tried(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings = Settings(
            node=NodeSection(port=0, state_dir=tmp_path / "state"),
            worker={"device": "cpu"},
            metrics={"port": taken.getsockname()[1]},
        )
        good, message = said(settings, "metrics port")
    assert good is False
    assert "Address already in use" in message


@pytest.mark.parametrize(
    ("host", "callers", "peers", "good", "text"),
    [
        ("127.0.0.1", (), {}, None, "Everybody on this machine may call."),
        ("0.0.0.0", (), {}, False, "Nobody may call"),
        ("0.0.0.0", (), {"pacs": "PACS@10.0.0.5:104"}, None, "Only the 1 peers"),
        ("0.0.0.0", ("*",), {}, None, "Everybody who reaches"),
        ("0.0.0.0", ("SCANNER@10.0.0.7",), {}, True, "Callers that are known: 1"),
        ("127.0.0.1", ("SCANNER",), {}, True, "Callers that are known: 1"),
    ],
)
def test_who_may_call_is_said(host: str, callers: tuple[str, ...], peers: dict[str, str], good: bool | None, text: str) -> None:
    settings = Settings(node=NodeSection(host=host), receiver=ReceiverSection(calling_ae_titles=callers), peers=peers)
    assert explain(settings)[0] is good
    assert text in explain(settings)[1]
