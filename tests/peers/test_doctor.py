"""The doctor before real PACS and before crafted ones: what each does to archive objects is said, and nothing else."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest

from hexdicom.errors import PeerError
from hexdicom_services import cli, scu
from hexdicom_services.doctor import Diagnosis, examine
from hexdicom_services.peer import Peer
from hexdicom_services.scu.association import Patience
from tests.peers.conftest import DESTINATION, RunningPeer, port
from tests.peers.odd_pacs import IMPLICIT, OddPacs, as_unknown, coerce, damage, strip_private, truncate

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
NOW = datetime(2026, 1, 2, 3, 4, 5)
SMALL, LARGE = 1 << 16, 1 << 20
QUICK = Patience(connect=5, negotiate=5, respond=2, attempts=1, delay=0.05)


def diagnose(pacs: OddPacs, *sizes: int, **more: Any) -> Diagnosis:
    return examine(pacs.peer, sizes or (LARGE,), NOW, patience=QUICK, **more)


def said(found: Diagnosis, name: str) -> str:
    return "; ".join(one.message for one in found.findings if one.name.startswith(name))


@pytest.mark.parametrize(
    ("mangle", "keeps", "words"),
    [
        (None, True, "unchanged, byte for byte"),
        (strip_private, False, "private attributes are removed"),
        (as_unknown, True, "come back as UN, which hexdicom reads"),
        (truncate, False, "values are cut off"),
        (damage, False, "the private block is damaged"),
        (coerce, True, "other attributes are changed or missing: AccessionNumber, PatientName"),
    ],
)
def test_what_a_pacs_does_is_said(tmp_path: Path, mangle: Any, keeps: bool, words: str) -> None:
    with OddPacs(tmp_path / "odd", mangle) as pacs:
        found = diagnose(pacs)
    assert words in said(found, "C-GET 1 MiB"), found
    assert found.keeps == keeps
    assert ("keeps archive objects." in found.verdict) == keeps


def test_a_size_limit_is_found(tmp_path: Path) -> None:
    with OddPacs(tmp_path / "odd", refuse_above=LARGE // 2) as pacs:
        found = diagnose(pacs, SMALL, LARGE)
    assert not found.keeps
    assert found.largest == SMALL
    assert "0xA700" in said(found, "store 1 MiB")
    assert found.verdict == "This PACS keeps archive objects of 64 KiB, not larger ones."


def test_a_pacs_that_takes_and_forgets_is_found_out(tmp_path: Path) -> None:
    with OddPacs(tmp_path / "odd", forgets=True) as pacs:
        found = diagnose(pacs, SMALL)
    assert not found.keeps
    assert "not found by C-FIND" in said(found, "find")


def test_a_pacs_that_refuses_everything(tmp_path: Path) -> None:
    with OddPacs(tmp_path / "odd", refuse=0xA900) as pacs:
        found = diagnose(pacs, SMALL)
    assert not found.keeps
    assert "0xA900" in said(found, "store")


def test_a_pacs_that_takes_implicit_vr_only_keeps_them(tmp_path: Path) -> None:
    with OddPacs(tmp_path / "odd", syntaxes=(IMPLICIT,)) as pacs:
        found = diagnose(pacs)
    assert found.keeps, found
    assert said(found, "Raw Data Storage") == "accepted in Implicit VR"
    assert "another transfer syntax" in said(found, "C-GET 1 MiB")


def test_by_c_move_where_there_is_no_c_get(tmp_path: Path) -> None:
    number = port()
    with OddPacs(tmp_path / "odd", gets=False, destinations={"BACK": number}) as pacs:
        found = diagnose(pacs, SMALL, destination=scu.Destination("BACK", "127.0.0.1", number))
        assert found.keeps, found
        assert not diagnose(pacs, SMALL).keeps
        unknown = diagnose(pacs, SMALL, destination=scu.Destination("OTHER", "127.0.0.1", number))
    assert not unknown.keeps
    assert "must know OTHER as a C-MOVE destination" in said(unknown, "C-MOVE 64")


def test_nobody_there() -> None:
    with pytest.raises(PeerError, match="Nothing answers"):
        examine(Peer("NOBODY", "127.0.0.1", port()), [SMALL], NOW, patience=QUICK)


@pytest.mark.peer
def test_orthanc_keeps_them(orthanc: RunningPeer) -> None:
    destination = scu.Destination(DESTINATION, "127.0.0.1", orthanc.destination_port)
    found = examine(orthanc.peer, [SMALL, 16 << 20], NOW, destination=destination)
    assert found.keeps, found
    assert {one.name for one in found.findings} >= {"C-GET 16 MiB", "C-MOVE 16 MiB", "find 16 MiB"}
    assert all(one.ok is not False for one in found.findings), found


@pytest.mark.peer
def test_dcmqrscp_keeps_them(dcmqrscp: RunningPeer) -> None:
    found = examine(dcmqrscp.peer, [SMALL, LARGE], NOW)
    assert found.keeps, found


@pytest.mark.peer
def test_a_store_that_nobody_can_query_is_no_pacs(storescp: RunningPeer) -> None:
    found = examine(storescp.peer, [SMALL], NOW)
    assert not found.keeps
    assert "no way to fetch it back" in said(found, "fetch")


@pytest.mark.parametrize(("mangle", "code"), [(None, 0), (strip_private, 5)])
def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str], mangle: Any, code: int) -> None:
    with OddPacs(tmp_path / "odd", mangle) as pacs:
        assert cli.run(["node", "doctor", "--pacs", str(pacs.peer), "--up-to", "1", "--json"]) == code
        document = json.loads(capsys.readouterr().out)
        assert cli.run(["node", "doctor", "--pacs", str(pacs.peer), "--up-to", "1"]) == code
    assert document["keeps"] == (code == 0)
    assert document["verdict"] in capsys.readouterr().out
    assert {"peer", "largest", "study_instance_uid", "findings"} <= set(document)
