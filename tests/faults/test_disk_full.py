"""A disk that fills up: a clear refusal, nothing acknowledged that is not there, and work again once there is space."""

from __future__ import annotations

import subprocess
from copy import deepcopy
from typing import TYPE_CHECKING

import pytest
from pydicom.uid import generate_uid

from hexdicom.dicom.phantom import beating_heart
from hexdicom_services import scu
from hexdicom_services.peer import Peer

from .node_process import NodeProcess, Sender

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pydicom.dataset import Dataset

# pynetdicom, as the sender, leaves the socket of a broken association to the garbage collector.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 8 MiB, which can be made larger by `remount`."""
    folder = tmp_path / "disk"
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", folder], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def remount(folder: Path, size: str) -> None:
    subprocess.run(["mount", "-o", f"remount,size={size}", folder], check=True)


def instances(number: int) -> list[Dataset]:
    template = next(iter(beating_heart(slices=1, phases=1, rows=256, columns=256)))
    made = []
    for index in range(number):
        ds = deepcopy(template)
        ds.SOPInstanceUID, ds.InstanceNumber = generate_uid(entropy_srcs=[str(index)]), index
        made.append(ds)
    return made


@pytest.mark.parametrize("reserve_mb", [0, 2])
def test_a_full_disk_is_told_and_nothing_is_lost(small_disk: Path, reserve_mb: int) -> None:
    node = NodeProcess(small_disk / "node", silence=3600, reserve_mb=reserve_mb)
    every = instances(100)  # 13 MB
    try:
        port = node.start()
        sender = Sender(port, every)
        sender.start()
        sender.join(120)
        assert len(sender.answers) == len(every), "the association broke"
        assert 5 < len(sender.acknowledged) < len(every)
        refused = [answer for answer in sender.answers if answer.Status != 0x0000]
        assert {int(answer.Status) for answer in refused} == {0xA700}
        assert all(answer.ErrorComment for answer in refused)
        assert scu.echo(Peer("HEXDICOM", "127.0.0.1", port)) < 5
        node.check_consistent(sender.acknowledged, refused=True)
        remount(small_disk, "64m")
        again = Sender(port, every)
        again.start()
        again.join(120)
        assert len(again.acknowledged) == len(every)
        node.check_consistent(again.acknowledged)
        assert node.status().instances_received == len(every)
    finally:
        node.stop()
