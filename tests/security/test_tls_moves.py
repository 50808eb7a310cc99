"""TLS where we are both ends: C-MOVE to a peer with TLS, reading back by C-MOVE, C-GET, and our own node by its own certificate."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from hexdicom.errors import PeerError
from hexdicom_services import scu
from hexdicom_services.audit import occasions
from hexdicom_services.catalog import audit_rows
from hexdicom_services.catalog.session import open_catalog
from hexdicom_services.cli.peers import local
from hexdicom_services.sections import NodeSection, TlsSection

from .conftest import Authority, Pair, peer, receiving

if TYPE_CHECKING:
    from pathlib import Path

    from hexdicom_services.settings import Settings


def tls(authority: Authority, pair: Pair) -> TlsSection:
    return TlsSection(enabled=True, certificate=pair.certificate, key=pair.key, ca=authority.ca)


def wanted(paths: list[Path]) -> list[Dataset]:
    found = []
    for path in paths:
        ds, item = dcmread(path), Dataset()
        for keyword in ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID"):
            setattr(item, keyword, ds[keyword].value)
        found.append(item)
    return found


def test_move_get_and_reading_back_go_through_tls(
    tmp_path: Path, authority: Authority, node_pair: Pair, scanner_pair: Pair, phantom_files: list[Path], free_port: int
) -> None:
    files = authority.files(scanner_pair)
    with receiving(tmp_path / "dest", tls=tls(authority, scanner_pair)) as (there, its):
        peers = {"dest": f"DEST@127.0.0.1:{there.port}+tls", "us": f"BACK@127.0.0.1:{free_port}+tls"}
        with receiving(tmp_path / "node", tls=tls(authority, node_pair), peers=peers) as (running, settings):
            sent = scu.store(peer(running, files), phantom_files)
            assert all(one.state == "sent" for one in sent)
            asked, study = wanted(phantom_files), Dataset()
            study.StudyInstanceUID = asked[0].StudyInstanceUID
            assert scu.move(peer(running, files), study, "DEST").completed == 3
            assert len(list(its.spool.rglob("*.dcm"))) == 3
            got = scu.get(peer(running, files), asked, tmp_path / "got")
            assert [one.state for one in got] == ["received"] * 3
            destination = scu.Destination("BACK", "127.0.0.1", free_port, files)
            back = scu.get_by_move(peer(running, files), asked, tmp_path / "back", destination)
            assert [one.state for one in back] == ["received"] * 3
        with_transfers = [row for row in trail(settings) if row.event == "110104"]
        assert len(with_transfers) == 4  # received, moved, fetched, moved back
        assert all('NumberOfInstances="3"' in row.message and asked[0].PatientID in row.message for row in with_transfers)


def trail(settings: Settings) -> list[audit_rows.Row]:

    catalog = open_catalog(settings.database)
    with catalog.read() as connection:
        found = audit_rows.unshipped(connection, 1000)
    catalog.close()
    return found


def test_our_own_node_is_known_by_its_own_certificate(tmp_path: Path, authority: Authority) -> None:
    elsewhere = authority.issue("elsewhere", hosts="DNS:archive.example")  # which 127.0.0.1 is not
    with receiving(tmp_path, tls=tls(authority, elsewhere)) as (running, settings):
        node = NodeSection(port=running.port, state_dir=settings.node.state_dir)
        assert scu.echo(local(settings.model_copy(update={"node": node}))) < 5
        impostor = authority.issue("impostor")
        other = settings.model_copy(update={"node": node, "tls": tls(authority, impostor)})
        with pytest.raises(PeerError, match="TLS"):
            scu.echo(local(other))


def test_occasions_are_told_apart() -> None:
    one, two = occasions.Party("A"), occasions.Party("A")
    study = occasions.Study("1", "P", {})
    sent = occasions.transferred(one, two, study, 0.0, action="R", requestor=two)
    assert [participant.is_requestor for participant in sent.participants] == [False, True]
