"""Nobody is named in logs, file names, command lines and status: a whole node works, and fails, with marked data."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pydicom.dataset import Dataset
from pynetdicom import build_context

from hexdicom.dicom.phantom import beating_heart
from hexdicom_services import scu
from hexdicom_services.peer import Peer
from hexdicom_services.scu.association import associate
from hexdicom_services.settings import (
    ForwardSection,
    LoggingSection,
    NodeSection,
    ReceiverSection,
    SeriesSection,
    Settings,
    WorkerSection,
)
from hexdicom_services.status import status
from hexdicom_services.toml import render_toml

from .conftest import STORAGE

if TYPE_CHECKING:
    from collections.abc import Iterator

MARK = "ZZQXW"  # in no word, no hash and no base 64 by chance more often than once in a million runs
MARKED = {
    "PatientName": f"{MARK}NAME^Anna",
    "PatientID": f"{MARK}ID7",
    "PatientBirthDate": "19010203",
    "PatientComments": f"{MARK} comment",
    "AccessionNumber": f"{MARK}ACC",
    "StudyDescription": f"{MARK} study",
    "SeriesDescription": f"{MARK} series",
    "ReferringPhysicianName": f"{MARK}DOC^Bo",
    "StudyID": f"{MARK}ST",
    "OtherPatientIDs": f"{MARK}OTHER",
}


def marked(ds: Dataset) -> Dataset:
    for keyword, value in MARKED.items():
        setattr(ds, keyword, value)
    return ds


@pytest.fixture
def node(tmp_path: Path, free_port: int) -> Iterator[tuple[Settings, Peer, Path]]:
    settings = Settings(
        node=NodeSection(port=0, state_dir=tmp_path / "state"),
        receiver=ReceiverSection(disk_reserve_mb=0, max_object_mb=1),
        series=SeriesSection(silence=0.6, settle=0.5),
        worker=WorkerSection(device="cpu", attempts=1, retry_delay=0.1),
        forward=ForwardSection(targets=("pacs",), retry_delay=0.2, max_delay=0.5),
        logging=LoggingSection(level="debug", pynetdicom="debug", format="json"),
        peers={"pacs": f"PACS@127.0.0.1:{free_port}"},  # nothing listens there, so forwarding fails
    )
    config, log = tmp_path / "node.toml", tmp_path / "node.log"
    config.write_text(render_toml(settings))
    command = [sys.executable, "-m", "hexdicom_services", "node", "run", "--config", str(config)]
    old = os.umask(0o000)  # the node does not rely on that of its starter
    try:
        with log.open("wb") as out:
            process = subprocess.Popen(command, stdout=out, stderr=out)
    finally:
        os.umask(old)
    place = settings.state / "node.json"
    until = time.monotonic() + 60
    while not place.is_file():
        assert process.poll() is None, log.read_text()[-3000:]
        assert time.monotonic() < until
        time.sleep(0.1)
    yield settings, Peer("HEXDICOM", "127.0.0.1", json.loads(place.read_text())["port"]), log
    process.terminate()
    process.wait(40)


def command_lines() -> str:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                found.append((entry / "cmdline").read_text(errors="replace"))
            except OSError:
                continue
    return "\n".join(found)


def make_trouble(there: Peer) -> None:
    """Everything that an association can do wrong, with marked data."""
    series = [marked(ds) for ds in beating_heart(slices=1, phases=4, rows=16, columns=16)]
    with associate(there, [STORAGE]) as association:
        for ds in series:
            assert association.send_c_store(ds).Status == 0
        changed = series[0]
        changed.PatientComments = f"{MARK} changed"
        assert association.send_c_store(changed).Status == 0  # another version
        large = series[1]
        large.add_new(0x00091001, "OB", bytes(3 << 20))
        assert association.send_c_store(large).Status == 0xA700
        bad = series[2]
        bad.PixelData = b"\0" * 3
        association.send_c_store(bad)
    query = Dataset()
    query.PatientName, query.PatientID, query.StudyInstanceUID = f"{MARK}*", "", ""
    scu.find(there, query, "STUDY")
    with associate(there, [build_context("1.2.840.10008.5.1.4.1.2.2.1")]) as association:
        query.QueryRetrieveLevel = MARK
        for _ in association.send_c_find(query, "1.2.840.10008.5.1.4.1.2.2.1"):
            pass
    with associate(there, [build_context("1.2.840.10008.5.1.4.1.2.2.3"), STORAGE]) as association:
        query.QueryRetrieveLevel = "STUDY"
        for _ in association.send_c_get(query, "1.2.840.10008.5.1.4.1.2.2.3"):
            pass


@pytest.mark.slow
def test_no_patient_data_where_it_need_not_be(node: tuple[Settings, Peer, Path]) -> None:
    settings, there, log = node
    make_trouble(there)
    until = time.monotonic() + 90
    lines = ""
    while time.monotonic() < until:
        lines += command_lines()
        now = status(settings)
        settled = not any(now.series.get(state) for state in ("RECEIVING", "QUEUED", "ARCHIVING"))
        if settled and any(work.kind == "forward" and work.error for work in now.working):
            break
        time.sleep(0.3)
    else:
        pytest.fail(f"{now}\n{log.read_text()[-2000:]}")
    shown = json.dumps(status(settings).to_json())
    written = log.read_text(errors="replace")
    assert len(written) > 1000
    names = "\n".join(str(path) for path in settings.state.rglob("*"))
    for what, text in (("log", written), ("file names", names), ("command lines", lines), ("status", shown)):
        assert MARK not in text, f"{what}: {text[max(0, text.index(MARK) - 200) :][:400]}"
        assert "19010203" not in text, what
    check_modes(settings)


def check_modes(settings: Settings) -> None:
    """Nothing that the node keeps can be read by anybody else."""
    assert stat.S_IMODE(settings.state.stat().st_mode) == 0o700
    for path in settings.state.rglob("*"):
        if path.is_file():
            assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
        elif path.is_dir():
            assert stat.S_IMODE(path.stat().st_mode) & 0o022 == 0, path
