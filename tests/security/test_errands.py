"""What commands on the node's machine do with patients' images is in the audit trail of the node, with who did it and how much."""

from __future__ import annotations

import base64
import shutil
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from pydicom import dcmread

from hexdicom import pipeline
from hexdicom.codec import Profile
from hexdicom.dicom.phantom import beating_heart
from hexdicom_services import cli, scu
from hexdicom_services.audit.errand import operator
from hexdicom_services.catalog.session import open_catalog
from hexdicom_services.settings import Settings
from hexdicom_services.toml import render_toml

from .conftest import MR, peer, receiving
from .test_audit import check_structure, event_of, rows

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from xml.etree import ElementTree

    from hexdicom_services.scp.server import Receiver

NEVER_MADE = "1.2.3.4"


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive object of six instances, in a folder."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("archive")
    for number, ds in enumerate(beating_heart(slices=2, phases=3, rows=16, columns=16)):
        ds.save_as(source / f"{number}.dcm", enforce_file_format=True)
    pipeline.compress(
        [source], out, Profile(steps=20, adapt_steps=0, channels=4, hidden=6), now=datetime(2026, 1, 1, tzinfo=UTC), device="cpu"
    )
    return out


class Site:
    """A node with state and configuration, and another receiver that it knows as `pacs`."""

    def __init__(self, folder: Path, there: Receiver) -> None:
        self.settings = Settings(
            node={"port": 1, "state_dir": folder / "node", "ae_title": "HEXDICOM"}, peers={"pacs": str(peer(there))}
        )
        self.settings.state.mkdir()
        open_catalog(self.settings.database).close()
        self.config = folder / "node.toml"
        self.config.write_text(render_toml(self.settings))

    def run(self, *words: object, code: int = 0) -> None:
        assert cli.run([*map(str, words), "--config", str(self.config)]) == code

    def trail(self) -> list[ElementTree.Element]:
        return [check_structure(row.message) for row in rows(self.settings)]


@pytest.fixture
def site(tmp_path: Path, archive: Path) -> Iterator[Site]:
    with receiving(tmp_path / "pacs", node={"ae_title": "PACS"}, receiver={"check_called_ae_title": False}) as (there, _):
        scu.store(peer(there), sorted(archive.glob("*.dcm")))
        yield Site(tmp_path, there)


def who(root: ElementTree.Element) -> dict[str, bool]:
    return {one.attrib["UserID"]: one.attrib["UserIsRequestor"] == "true" for one in root.findall("ActiveParticipant")}


def number(root: ElementTree.Element) -> dict[str, int]:
    return {one.attrib["UID"]: int(one.attrib["NumberOfInstances"]) for one in root.iter("SOPClass")}


def about(root: ElementTree.Element) -> list[str]:
    return [one.attrib["ParticipantObjectID"] for one in root.findall("ParticipantObjectIdentification")]


def test_what_a_person_fetches_from_a_pacs_and_writes_is_told(site: Site, archive: Path, tmp_path: Path) -> None:
    head = dcmread(next(archive.glob("*.dcm")))
    out = tmp_path / "out"
    site.run("restore", "--from", "pacs", "--study", head.StudyInstanceUID, "--out", out)
    asked, came, written = site.trail()
    person = operator().ae_title
    assert event_of(asked) == ("110112", "E", "0")
    (question,) = asked.iter("ParticipantObjectQuery")
    assert str(head.StudyInstanceUID).encode() in base64.b64decode(question.text or "")
    assert who(asked)[person]
    assert event_of(came) == ("110104", "R", "0")
    assert number(came) == {str(head.SOPClassUID): 1}
    assert event_of(written) == ("110106", "R", "0")
    assert who(written) == {"HEXDICOM": False, person: True, out.as_uri(): False}
    assert number(written) == {MR: 6}
    assert about(came) == about(written) == [head.StudyInstanceUID, head.PatientID]


def test_who_asked_is_told_even_where_nothing_came(site: Site, tmp_path: Path) -> None:
    site.run("restore", "--from", "pacs", "--study", NEVER_MADE, "--out", tmp_path / "out", code=3)
    site.run("find", "--from", "pacs", "--patient", "DOE*", code=3)
    questions = [base64.b64decode(one.text or "") for root in site.trail() for one in root.iter("ParticipantObjectQuery")]
    assert [NEVER_MADE.encode() in one for one in questions] == [True, False]
    assert b"DOE*" in questions[1]


def test_what_is_sent_on_is_told_and_nothing_is_said_to_be_written(site: Site, archive: Path, tmp_path: Path) -> None:
    head = dcmread(next(archive.glob("*.dcm")))
    with receiving(tmp_path / "viewer") as (viewer, _):
        destination = str(peer(viewer))
        site.run("restore", "--from", "pacs", "--study", head.StudyInstanceUID, "--to", destination)
    assert [event_of(root)[0] for root in site.trail()] == ["110112", "110104", "110104"]
    assert number(site.trail()[2]) == {MR: 6}


def test_files_of_the_store_are_the_nodes_and_loose_ones_nobodys(site: Site, archive: Path, tmp_path: Path) -> None:
    site.run("restore", archive, "--out", tmp_path / "loose")
    assert not site.trail()
    kept = site.settings.store / "ab"
    shutil.copytree(archive, kept)
    site.run("restore", kept, "--out", tmp_path / "out")
    opened, written = site.trail()
    assert event_of(opened) == ("110103", "R", "0")
    assert event_of(written) == ("110106", "R", "0")
    assert number(written) == {MR: 6}
    assert who(opened)[operator().ae_title]


def test_a_picture_of_the_nodes_store_is_told(site: Site, archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(archive, site.settings.store)
    monkeypatch.setenv("HEXDICOM_CONFIG", str(site.config))
    assert cli.run(["preview", str(site.settings.store), "--out", str(tmp_path / "heart.png")]) == 0
    (opened,) = site.trail()
    assert event_of(opened) == ("110103", "R", "0")


def test_a_frame_of_the_nodes_store_is_told(site: Site, archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(archive, site.settings.store)
    monkeypatch.setenv("HEXDICOM_CONFIG", str(site.config))
    frame = ["frame", str(site.settings.store), "--time", "0", "--slice", "1", "--out"]
    assert cli.run([*frame, str(tmp_path / "heart.npy")]) == 0
    assert cli.run([*frame, str(tmp_path / "heart.dcm")]) == 0
    seen, opened, written = site.trail()
    assert event_of(seen) == event_of(opened) == ("110103", "R", "0")
    assert event_of(written) == ("110106", "R", "0")
    assert number(written) == {MR: 1}


def test_a_machine_without_a_node_restores_as_before(site: Site, archive: Path, tmp_path: Path) -> None:
    shutil.rmtree(site.settings.state)
    head = dcmread(next(archive.glob("*.dcm")))
    site.run("restore", "--from", "pacs", "--study", head.StudyInstanceUID, "--out", tmp_path / "out")
    assert len(list((tmp_path / "out").rglob("*.dcm"))) == 6
    site.run("restore", "--from", "pacs", "--study", NEVER_MADE, "--out", tmp_path / "out", code=3)
    assert not site.settings.state.exists()


def test_a_trail_that_cannot_be_left_keeps_no_images_back(
    site: Site, archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site.settings.database.file.write_bytes(b"no catalog" * 1000)  # type: ignore[union-attr]
    head = dcmread(next(archive.glob("*.dcm")))
    site.run("restore", "--from", "pacs", "--study", head.StudyInstanceUID, "--out", tmp_path / "out")
    assert len(list((tmp_path / "out").rglob("*.dcm"))) == 6
    assert capsys.readouterr().err.count("The audit trail of the node does not tell of this") == 1
    site.run("restore", "--from", "pacs", "--study", NEVER_MADE, "--out", tmp_path / "out", code=3)


def test_a_legal_hold_and_its_end_are_told(site: Site) -> None:
    site.run("node", "hold", "1.2.3", "--reason", "court")
    site.run("node", "unhold", "1.2.3")
    site.run("node", "unhold", "1.2.3", code=3)
    told = site.trail()
    assert [event_of(root) for root in told] == [("110113", "E", "0")] * 2
    said = [root.findtext("EventIdentification/EventOutcomeDescription") for root in told]
    assert said == ["put on legal hold: court", "legal hold ended"]
    assert all(who(root)[operator().ae_title] and about(root)[0] == "1.2.3" for root in told)
