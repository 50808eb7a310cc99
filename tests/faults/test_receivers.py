"""Several receivers on one port: one limit for all of them, and one that dies takes only its own associations with it."""

from __future__ import annotations

import os
import signal
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import build_context

from hexdicom.errors import PeerError
from hexdicom_services import vitals
from hexdicom_services.peer import Peer
from hexdicom_services.scu.association import associate
from hexdicom_services.sections import ReceiverSection

from .node_process import MR, NodeProcess, Sender
from .test_node_killed import RECEIVER, instances

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")]


@pytest.fixture
def node(tmp_path: Path) -> Iterator[NodeProcess]:
    receiver = ReceiverSection(processes=3, max_associations=5, disk_reserve_mb=0)
    made = NodeProcess(tmp_path / "node", silence=3600, more={"receiver": receiver})
    yield made
    made.stop()


def test_one_limit_for_all(node: NodeProcess) -> None:
    peer = Peer("HEXDICOM", "127.0.0.1", node.start())
    context = build_context(MR, ExplicitVRLittleEndian)
    assert len(node.children(RECEIVER)) == 3
    with ExitStack() as stack:
        for _ in range(5):
            stack.enter_context(associate(peer, [context]))
        counts = {name: one.associations for name, one in vitals.look(node.settings.vitals).items() if name.startswith("receiver")}
        assert sum(counts.values()) == 5
        with pytest.raises(PeerError, match=r"limit|rejected|refused"), associate(peer, [context]):
            pass
    until = time.monotonic() + 10
    while time.monotonic() < until and any(one.associations for one in vitals.look(node.settings.vitals).values()):
        time.sleep(0.05)
    with associate(peer, [context]) as again:
        assert again.is_established


def test_one_that_dies_while_all_receive(node: NodeProcess) -> None:
    port, every = node.start(), instances(600)
    senders = [Sender(port, every[start::4]) for start in range(4)]
    for sender in senders:
        sender.start()
    time.sleep(0.5)
    os.kill(node.children(RECEIVER)[0], signal.SIGKILL)
    for sender in senders:
        sender.join(60)
    acknowledged = {uid for sender in senders for uid in sender.acknowledged}
    assert acknowledged
    again = Sender(port, [ds for ds in every if str(ds.SOPInstanceUID) not in acknowledged])
    again.start()  # the port has never been closed
    again.join(60)
    assert acknowledged | set(again.acknowledged) == {str(ds.SOPInstanceUID) for ds in every}
    until = time.monotonic() + 30
    while len(node.children(RECEIVER)) < 3 and time.monotonic() < until:
        time.sleep(0.1)
    assert len(node.children(RECEIVER)) == 3
    node.stop()
    node.start()
    node.check_consistent(str(ds.SOPInstanceUID) for ds in every)
