"""Hours in minutes: mixed series from several senders while encoding goes on. No instance is lost and the receiver does not grow.

HEXDICOM_SOAK_INSTANCES says how many (default 2000):

    HEXDICOM_SOAK_INSTANCES=20000 python -m pytest tests/faults/test_soak.py -s
"""

from __future__ import annotations

import os
import sys
import time
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pydicom.uid import generate_uid

from hexdicom.dicom.phantom import beating_heart
from hexdicom_services.sections import ReceiverSection

from .node_process import NodeProcess, Sender
from .test_node_killed import RECEIVER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydicom.dataset import Dataset

NUMBER = int(os.environ.get("HEXDICOM_SOAK_INSTANCES", "2000"))  # read when collected: a fixture takes such names away later
SENDERS, MOST_GROWTH = 4, 48 << 20  # bytes, after the first fifth

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600 + NUMBER),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


def load(sender: int, number: int) -> Iterator[Dataset]:
    """A sender's share: small cine series, single images of another size, and now and then something it has sent before."""
    cine = list(beating_heart(slices=1, phases=4, rows=24, columns=24, seed=sender))
    (still,) = beating_heart(slices=1, phases=1, rows=256, columns=256, seed=sender)
    made = series = 0
    earlier: Dataset | None = None
    while made < number:
        series += 1
        uid = generate_uid(entropy_srcs=[str(sender), str(series)])
        for template in cine if series % 3 else [still] * 12:
            ds = deepcopy(template)
            ds.SeriesInstanceUID = uid
            ds.SOPInstanceUID = generate_uid(entropy_srcs=[uid, str(made)])
            made += 1
            yield ds
            if made >= number:
                return
        if series % 5 == 0 and earlier is not None:
            yield earlier
        earlier = ds


def resident(pids: list[int]) -> int:
    """Resident memory of processes together, bytes."""
    return sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids) * os.sysconf("SC_PAGE_SIZE")


class Lazy(Sender):
    """A sender that makes its instances as it goes."""

    def __init__(self, port: int, share: Iterator[Dataset]) -> None:
        super().__init__(port, share)  # type: ignore[arg-type]


def test_a_soak(tmp_path: Path) -> None:
    node = NodeProcess(tmp_path / "node", silence=5.0, more={"receiver": ReceiverSection(processes=2, disk_reserve_mb=0)})
    try:
        port = node.start()
        senders = [Lazy(port, load(number, NUMBER // SENDERS)) for number in range(SENDERS)]
        started, memory = time.monotonic(), []
        for sender in senders:
            sender.start()
        while any(sender.is_alive() for sender in senders):
            time.sleep(0.5)
            done = sum(len(sender.acknowledged) for sender in senders)
            memory.append((done, resident(node.children(RECEIVER))))
        took = time.monotonic() - started
        acknowledged = {uid for sender in senders for uid in sender.acknowledged}
        now = node.status()
        assert all(answer.Status == 0x0000 for sender in senders for answer in sender.answers)
        assert len(acknowledged) == NUMBER // SENDERS * SENDERS
        assert now.instances_received == len(acknowledged)
        assert now.archives, "encoding went on meanwhile"
        settled = [size for done, size in memory if done > NUMBER / 5]
        sys.stdout.write(
            f"\n{len(acknowledged)} instances in {took:.0f} s, {now.archives} archives meanwhile; receivers "
            f"{settled[0] >> 20} MiB after a fifth, {max(settled) >> 20} at most, {settled[-1] >> 20} at the end\n"
        )
        assert max(settled) - settled[0] < MOST_GROWTH
        assert not now.failures
        node.stop()  # in the middle of encoding
        rows = {row[0] for row in node.rows("select sop_instance_uid from instance")}
        assert rows == acknowledged
        files = sum(1 for _ in node.settings.spool.rglob("*.dcm"))
        assert files == len(rows)
    finally:
        node.stop()
