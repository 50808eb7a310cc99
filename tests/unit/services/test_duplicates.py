"""What comes twice: the same, other content under the same UID, from two scanners at once, after its file was lost."""

from __future__ import annotations

import threading
from copy import deepcopy
from typing import TYPE_CHECKING

import pytest

from hexdicom_services import cli, intake
from hexdicom_services.part10 import read_head
from hexdicom_services.scp.desk import Delivery
from hexdicom_services.status import status
from hexdicom_services.toml import render_toml

from .conftest import EXPLICIT, Bench, encoded
from .test_retention import archive, original_files, settle

if TYPE_CHECKING:
    from pathlib import Path

    from pydicom.dataset import Dataset

pytestmark = pytest.mark.usefixtures("stored_codec")


def from_many_scanners(bench: Bench, data_sets: list[Dataset]) -> list[str]:
    """Each data set from a scanner of its own, all at the same time."""
    outcomes: list[str] = []
    ready = threading.Barrier(len(data_sets))

    def send(ds: Dataset, title: str) -> None:
        delivery = Delivery(str(ds.SOPClassUID), str(ds.SOPInstanceUID), EXPLICIT, title, encoded(ds))
        ready.wait()
        outcomes.append(bench.desk.receive(delivery))

    scanners = [threading.Thread(target=send, args=(ds, f"SCANNER{number}")) for number, ds in enumerate(data_sets)]
    for scanner in scanners:
        scanner.start()
    for scanner in scanners:
        scanner.join()
    return sorted(outcomes)


def test_the_same_instance_from_many_scanners_at_once_is_there_once(bench: Bench, cine: list[Dataset]) -> None:
    for ds in cine:
        assert from_many_scanners(bench, [ds] * 6) == ["duplicate"] * 5 + ["new"]
    assert bench.value("select count(*) from instance") == len(cine)
    assert bench.value("select instances from series") == len(cine)
    assert len(original_files(bench)) == len(cine)
    settle(bench)
    assert bench.rows("select kind, source_instances from stored") == [("archive", len(cine))]


def test_other_contents_from_many_scanners_at_once_are_all_kept_and_counted(bench: Bench, cine: list[Dataset]) -> None:
    versions = []
    for number in range(5):
        version = deepcopy(cine[0])
        version.PatientComments = f"number {number}"
        versions.append(version)
    assert from_many_scanners(bench, versions) == ["new"] + ["version"] * 4
    assert bench.rows("select version from instance order by version") == [(1,), (2,), (3,), (4,), (5,)]
    kept = {file.read_bytes()[read_head(file).offset :] for file in original_files(bench)}
    assert kept == {encoded(ds) for ds in versions}
    now = status(bench.settings)
    assert now.instances_versioned == 4
    said = f"{cine[0].SeriesInstanceUID}: 4 instances came again with other content under the same UID; all are kept."
    assert ("warning", said) in [(line.severity, line.what) for line in now.attention]


def test_the_status_says_that_other_content_came(
    bench: Bench, cine: list[Dataset], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bench.receive(cine[0])
    cine[0].PatientComments = "again"
    assert bench.receive(cine[0]) == "version"
    config = tmp_path / "node.toml"
    config.write_text(render_toml(bench.settings))
    assert cli.run(["node", "status", "--config", str(config)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "instances came again with other content under the same UID" in said


@pytest.mark.parametrize("archived", [True, False])
def test_a_duplicate_repairs_a_file_that_was_lost(bench: Bench, cine: list[Dataset], archived: bool) -> None:
    for ds in cine:
        bench.receive(ds)
    if archived:
        settle(bench)
    before = {file: file.read_bytes() for file in original_files(bench)}
    for file in before:
        file.unlink()
    for ds in cine:
        assert bench.receive(ds) == "duplicate"
    assert {file: file.read_bytes() for file in original_files(bench)} == before


def test_a_series_with_a_lost_file_holds_up_no_other(bench: Bench, cine: list[Dataset]) -> None:
    for ds in cine:
        bench.receive(ds)
    original_files(bench)[0].unlink()
    other = deepcopy(cine[0])
    other.SOPInstanceUID, other.SeriesInstanceUID = "1.2.3.4", "1.2.3.5"
    bench.receive(other)
    bench.clock.now += 2
    intake.close_due(bench.catalog, bench.settings.spool, bench.settings.series, bench.clock())
    archive(bench, [])
    assert bench.rows("select distinct state from series") == [("ARCHIVED",)]
    assert status(bench.settings).instances_lost == 1
