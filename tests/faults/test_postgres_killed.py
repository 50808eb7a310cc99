"""The catalog on PostgreSQL, and its server killed in the middle: nothing acknowledged is lost, and the node comes back."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from hexdicom.dicom.phantom import beating_heart

from ..postgres import PASSWORD, Server, server
from .node_process import NodeProcess, Sender
from .test_node_killed import check_restores, deliver, instances

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# pynetdicom, as the sender, leaves the socket of a broken association to the garbage collector.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")]


@pytest.fixture
def database() -> Iterator[Server]:
    """A server of its own: this one dies."""
    with server() as made:
        yield made


@pytest.fixture
def node(tmp_path: Path, database: Server) -> Iterator[NodeProcess]:
    made = NodeProcess(tmp_path / "node", more={"catalog": database.section})
    yield made
    made.stop()


def test_the_server_killed_while_receiving(node: NodeProcess, database: Server) -> None:
    node.silence = 3600  # no worker in this test
    node.__post_init__()
    port = node.start()
    (receiver,) = node.children("hexdicom_services.scp.server")
    every, acknowledged, refused = instances(400), set(), 0
    for moment in (0.3, 0.6):
        sender = Sender(port, [ds for ds in every if str(ds.SOPInstanceUID) not in acknowledged])
        sender.start()
        time.sleep(moment)
        database.kill()
        time.sleep(1.0)
        database.start()
        sender.join(60)
        acknowledged |= set(sender.acknowledged)
        assert {answer.Status for answer in sender.answers} <= {0x0000, 0xA700}
        refused += sum(answer.Status == 0xA700 for answer in sender.answers)
    assert refused
    assert acknowledged
    assert node.children("hexdicom_services.scp.server") == [receiver], "the receiver should live while the catalog is away"
    rest = [ds for ds in every if str(ds.SOPInstanceUID) not in acknowledged]
    sender = Sender(port, rest)
    sender.start()
    sender.join(60)
    assert len(sender.acknowledged) == len(rest)
    assert node.status().instances_received == len(every)
    node.check_consistent(str(ds.SOPInstanceUID) for ds in every)
    assert PASSWORD not in node.log.read_text()


def test_the_server_killed_while_archiving(node: NodeProcess, database: Server) -> None:
    node.start()
    series = list(beating_heart(slices=2, phases=6, rows=48, columns=48))
    deliver(node, series)
    node.wait_for(lambda now: now.jobs.get("RUNNING"), 60)
    time.sleep(1.0)
    database.kill()
    time.sleep(3.0)
    database.start()
    now = node.wait_for(lambda now: now.idle)
    assert now.series == {"ARCHIVED": 1}
    node.check_consistent(str(ds.SOPInstanceUID) for ds in series)
    check_restores(node)
