"""Below the disk reserve: who only stores is refused for now, C-STORE is answered 0xA700, everything else goes on."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest
from pydicom.dataset import Dataset
from pynetdicom import build_context, build_role
from pynetdicom.sop_class import (
    StorageCommitmentPushModel,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    Verification,
)

from hexdicom.dicom.phantom import beating_heart
from hexdicom.errors import PeerError
from hexdicom_services import scu
from hexdicom_services.peer import Peer
from hexdicom_services.scu.association import associate
from hexdicom_services.status import status
from tests.faults.node_process import NodeProcess
from tests.peers.conftest import tool

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
MR, EXPLICIT = "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.1.2.1"


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    """A node that reserves more than any disk has."""
    node = NodeProcess(tmp_path_factory.mktemp("full") / "node", reserve_mb=1 << 40)
    node.start()
    yield node
    node.stop()


@pytest.fixture
def peer(full: NodeProcess) -> Peer:
    return Peer("HEXDICOM", "127.0.0.1", full.status().port)


@pytest.mark.parametrize("more", [[], [build_context(Verification)]])
def test_who_only_stores_is_refused(peer: Peer, more: list[object]) -> None:
    contexts = [build_context(MR, EXPLICIT), *more]
    with pytest.raises(PeerError, match=r"(?i)local limit exceeded"), associate(peer, contexts):  # type: ignore[arg-type]
        pass


def test_echo_and_query_go_on(peer: Peer) -> None:
    assert scu.echo(peer) < 10
    key = Dataset()
    key.StudyInstanceUID = "1.2.3"
    assert scu.find_instances(peer, key) == []


def test_who_retrieves_is_let_in(peer: Peer) -> None:
    contexts = [build_context(StudyRootQueryRetrieveInformationModelGet), build_context(MR, EXPLICIT)]
    with associate(peer, contexts, roles=[build_role(MR, scp_role=True)]) as association:
        assert len(association.accepted_contexts) == 2


def test_who_asks_for_commitment_is_let_in(peer: Peer) -> None:
    with associate(peer, [build_context(StorageCommitmentPushModel)]) as association:
        assert len(association.accepted_contexts) == 1


def test_a_c_store_beside_a_query_is_answered_with_the_reason(peer: Peer) -> None:
    contexts = [build_context(StudyRootQueryRetrieveInformationModelFind), build_context(MR, EXPLICIT)]
    with associate(peer, contexts) as association:
        answer = association.send_c_store(next(iter(beating_heart(slices=1, phases=1, rows=16, columns=16))))
    assert answer.Status == 0xA700
    assert answer.ErrorComment == "Disk is below its reserve."


def test_the_status_says_so(full: NodeProcess) -> None:
    (line,) = status(full.settings).attention
    assert (line.severity, line.command) == ("error", "hexdicom node release --dry-run")
    assert "nothing is received, query and retrieve go on" in line.what


@pytest.mark.peer
def test_a_real_sender_is_told(peer: Peer, tmp_path: Path) -> None:
    file = tmp_path / "one.dcm"
    next(iter(beating_heart(slices=1, phases=1, rows=16, columns=16))).save_as(file, enforce_file_format=True)
    command = [tool("storescu"), "-aec", "HEXDICOM", "127.0.0.1", str(peer.port), str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode != 0
    assert "Local Limit Exceeded" in done.stdout + done.stderr
