"""Storage commitment over real sockets, the node as SCU: a PACS answers on the same association, on another, late, or refuses."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from pynetdicom import AE, ALL_TRANSFER_SYNTAXES, build_context, build_role, evt
from pynetdicom.sop_class import StorageCommitmentPushModel

from hexdicom.dicom.phantom import beating_heart
from hexdicom_services import scu
from hexdicom_services.peer import Peer
from hexdicom_services.scu.association import associate
from hexdicom_services.scu.commitment import INSTANCE
from hexdicom_services.sections import ForwardSection

from .conftest import RunningPeer, port
from .test_commitment_peers import SOON, kill, rows, send
from .test_node_peers import make_settings, save, start

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pynetdicom.association import Association

    from hexdicom_services.settings import Settings

pytestmark = pytest.mark.peer


def committing(tmp_path: Path, peer: Peer, **more: Any) -> Settings:
    folder = tmp_path / "node"
    folder.mkdir()
    forward = ForwardSection(targets=("pacs",), retry_delay=0.5, commitment=True, **more)
    return make_settings(folder, peers={"pacs": str(peer)}, forward=forward, commitment=SOON)


def wait_for(settings: Settings, sql: str, expected: Any, seconds: float = 90) -> None:
    until = time.monotonic() + seconds
    while (found := rows(settings, sql)) != expected and time.monotonic() < until:
        time.sleep(0.1)
    assert found == expected, (found, rows(settings, "select * from delivery"), rows(settings, "select * from commitment"))


@pytest.mark.slow
def test_orthanc_commits_itself_to_what_was_forwarded(orthanc: RunningPeer, phantom: list[Path], tmp_path: Path) -> None:
    settings = committing(tmp_path, orthanc.peer)
    process, number = start(settings, settings.state.parent)
    try:
        body = {"AET": "HEXDICOM", "Host": "127.0.0.1", "Port": number}
        send(f"http://127.0.0.1:{orthanc.http_port}/modalities/hexdicom", body, "PUT")
        scu.store(Peer("HEXDICOM", "127.0.0.1", number), phantom)
        wait_for(settings, "select state, commitment, committed_at > 0 from delivery", [("VERIFIED", "COMMITTED", 1)])
    finally:
        process.terminate()
        process.wait(30)


class Pacs:
    """A PACS that stores, and commits itself as a test wants it: on the same association, on another, never, or refusing."""

    def __init__(self, own: int) -> None:
        self.port, self.how, self.questions = own, "same", list[Dataset]()
        self.node = Peer("HEXDICOM", "127.0.0.1", own, "PACS")
        self.refuse = False

    @property
    def peer(self) -> Peer:
        return Peer("PACS", "127.0.0.1", self.port)

    def on_action(self, event: evt.Event) -> tuple[int, None]:
        question = event.action_information
        self.questions.append(question)
        if self.how == "same":
            threading.Thread(target=self._answer, args=(event.assoc, question)).start()
        return 0x0000, None

    def _answer(self, association: Association, question: Dataset) -> None:
        """On the association of the question, a little later."""
        time.sleep(0.2)
        report, kind = self.said(question)
        association.send_n_event_report(report, kind, StorageCommitmentPushModel, INSTANCE)

    def said(self, question: Dataset) -> tuple[Dataset, int]:
        report = Dataset()
        report.TransactionUID = question.TransactionUID
        items = list(question.ReferencedSOPSequence)
        if self.refuse:
            for item in items:
                item.FailureReason = 0x0213
            report.FailedSOPSequence = items
            return report, 2
        report.ReferencedSOPSequence = items
        return report, 1

    def report(self, question: Dataset, calling: str = "PACS") -> int:
        """On an association of its own."""
        peer = Peer("HEXDICOM", "127.0.0.1", self.node.port, calling)
        roles = [build_role(StorageCommitmentPushModel, scp_role=True)]
        with associate(peer, [build_context(StorageCommitmentPushModel)], roles=roles) as association:
            report, kind = self.said(question)
            status, _ = association.send_n_event_report(report, kind, StorageCommitmentPushModel, INSTANCE)
        return int(status.Status)


@pytest.fixture
def pacs() -> Iterator[Pacs]:
    one = Pacs(port())
    ae = AE(ae_title="PACS")
    ae.add_supported_context(StorageCommitmentPushModel)
    ae.add_supported_context("1.2.840.10008.5.1.4.1.1.66", ALL_TRANSFER_SYNTAXES)
    ae.add_supported_context("1.2.840.10008.5.1.4.1.1.4", ALL_TRANSFER_SYNTAXES)
    handlers = [(evt.EVT_N_ACTION, one.on_action), (evt.EVT_C_STORE, lambda _: 0x0000)]
    server = ae.start_server(("127.0.0.1", one.port), block=False, evt_handlers=handlers)
    yield one
    server.shutdown()


@pytest.mark.slow
def test_a_pacs_may_answer_on_the_association_of_the_question(pacs: Pacs, tmp_path: Path) -> None:
    settings = committing(tmp_path, pacs.peer, read_back="off")
    paths = save(list(beating_heart(slices=1, phases=1, rows=40, columns=40)), tmp_path / "one")
    process, number = start(settings, settings.state.parent)
    try:
        scu.store(Peer("HEXDICOM", "127.0.0.1", number), paths)
        wait_for(settings, "select commitment, committed_at > 0 from delivery", [("COMMITTED", 1)])
    finally:
        process.terminate()
        process.wait(30)


@pytest.mark.slow
def test_a_pacs_may_answer_late_and_after_the_node_was_killed(pacs: Pacs, tmp_path: Path) -> None:
    settings = committing(tmp_path, pacs.peer, read_back="off")
    paths = save(list(beating_heart(slices=1, phases=1, rows=40, columns=40)), tmp_path / "one")
    process, number = start(settings, settings.state.parent)
    pacs.node = Peer("HEXDICOM", "127.0.0.1", number)
    pacs.how = "later"
    try:
        scu.store(Peer("HEXDICOM", "127.0.0.1", number), paths)
        until = time.monotonic() + 60
        while len(pacs.questions) < 2 and time.monotonic() < until:  # no answer in time: it asks anew
            time.sleep(0.1)
        assert len(pacs.questions) >= 2
        assert pacs.questions[0].TransactionUID != pacs.questions[1].TransactionUID
        kill(process, settings)
        process, number = start(settings, settings.state.parent)
        pacs.node = Peer("HEXDICOM", "127.0.0.1", number)

        assert pacs.report(pacs.questions[0], calling="STRANGER") == 0x0115
        strange = Dataset()
        strange.TransactionUID, strange.ReferencedSOPSequence = generate_uid(), []
        assert pacs.report(strange) == 0x0115
        assert rows(settings, "select committed_at from delivery") == [(0.0,)]

        pacs.refuse = True
        assert pacs.report(pacs.questions[1]) == 0x0000
        assert rows(settings, "select commitment, committed_at from delivery") == [("FAILED", 0.0)]
        pacs.refuse = False
        assert pacs.report(pacs.questions[0]) == 0x0000
        assert rows(settings, "select commitment, committed_at > 0 from delivery") == [("COMMITTED", 1)]
        assert dcmread(paths[0]).SOPInstanceUID == pacs.questions[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID
        asked = len(pacs.questions)
        time.sleep(3)
        assert len(pacs.questions) == asked  # nothing is left to ask for
    finally:
        process.terminate()
        process.wait(30)


@pytest.mark.slow
def test_two_nodes_ask_each_other(tmp_path: Path, phantom: list[Path]) -> None:
    """The SCU against the SCP: the second node is the PACS of the first."""
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    own = port()
    theirs = make_settings(second, peers={"first": f"HEXDICOM@127.0.0.1:{own}"}, commitment=SOON)
    theirs = theirs.model_copy(update={"node": theirs.node.model_copy(update={"ae_title": "SECOND"})})
    pacs, pacs_port = start(theirs, second)
    forward = ForwardSection(targets=("pacs",), retry_delay=0.5, commitment=True)
    ours = make_settings(first, peers={"pacs": f"SECOND@127.0.0.1:{pacs_port}"}, forward=forward, commitment=SOON)
    ours = ours.model_copy(update={"node": ours.node.model_copy(update={"port": own})})
    node, _ = start(ours, first)
    try:
        scu.store(Peer("HEXDICOM", "127.0.0.1", own), phantom)
        wait_for(ours, "select state, commitment from delivery", [("VERIFIED", "COMMITTED")])
        wait_for(theirs, "select distinct state from commitment where role = 'scp'", [("DONE",)])
    finally:
        for process in (node, pacs):
            process.terminate()
        for process in (node, pacs):
            process.wait(30)
