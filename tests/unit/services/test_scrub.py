"""Damage is found and repaired from what there is: the archive, the originals, a PACS. What is beyond repair is named."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import update

from hexdicom.errors import PeerError
from hexdicom_services import custody
from hexdicom_services.attention import Situation, attention
from hexdicom_services.catalog import holdings, originals
from hexdicom_services.catalog.models import stored
from hexdicom_services.catalog.scrubs import take_turn
from hexdicom_services.chores import Chores
from hexdicom_services.scrub import DAY, Look, Scrubber
from hexdicom_services.sections import ScrubSection
from hexdicom_services.settings import Settings
from hexdicom_services.spool import Spool
from hexdicom_services.status import status
from hexdicom_services.stores import pacs

from .test_retention import archive, archive_file, damage, release, ruled, settle, spooled

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

    from .conftest import Bench

pytestmark = pytest.mark.usefixtures("stored_codec")


def kept_lines(bench: Bench) -> list[str]:
    """What the status says of files that are damaged or gone."""
    return [line.what for line in status(bench.settings).attention if "damaged" in line.what]


def scrubbed(bench: Bench, settings: Settings | None = None, share: float = 1.0) -> list[Look]:
    """Everything that is not sound."""

    def later() -> float:
        bench.clock.now += 1
        return bench.clock.now

    bench.clock.now += 7200
    looks = list(Scrubber(bench.catalog, settings or bench.settings, later, share).everything())
    assert looks
    return [look for look in looks if look.fate != "sound"]


def original(bench: Bench, number: int = 0) -> Path:
    return sorted(bench.settings.spool.rglob("received/*/*.dcm"))[number]


@pytest.mark.parametrize("harm", [damage, Path.unlink])
def test_a_damaged_original_is_replaced_out_of_its_archive(bench: Bench, cine: list[Dataset], harm: Any) -> None:
    archive(bench, cine)
    before = spooled(bench)
    assert not scrubbed(bench)
    harm(original(bench))
    (look,) = scrubbed(bench)
    assert (look.kind, look.fate) == ("original", "recalled")
    assert spooled(bench) == before
    assert not scrubbed(bench)
    assert len(list((bench.settings.spool / "quarantine").glob("*"))) == (harm is damage)


@pytest.mark.parametrize("harm", [damage, Path.unlink])
def test_a_damaged_archive_is_made_again_from_its_originals(bench: Bench, cine: list[Dataset], harm: Any) -> None:
    archive(bench, cine)
    sound, key = archive_file(bench).read_bytes(), archive_file(bench)
    harm(key)
    (look,) = scrubbed(bench)
    assert (look.kind, look.fate) == ("archive", "queued")
    assert not key.exists()
    settle(bench)
    assert key.read_bytes()[-64:] == sound[-64:]
    assert bench.rows("select state, current from stored") == [("STORED", 1)]
    assert not scrubbed(bench)
    assert not kept_lines(bench)


def test_an_archive_that_does_not_decode_is_found_though_its_hash_is_right(bench: Bench, cine: list[Dataset]) -> None:
    archive(bench, cine)
    damage(archive_file(bench))
    sha256 = custody.digest(archive_file(bench)).sha256
    with bench.catalog.write() as connection:
        connection.execute(update(stored).values(sha256=sha256))
    assert not scrubbed(bench, share=0)
    assert [look.fate for look in scrubbed(bench, share=1)] == ["queued"]


def test_what_nothing_replaces_is_quarantined_named_and_back_when_it_is_put_back(bench: Bench, cine: list[Dataset]) -> None:
    archive(bench, cine)
    release(bench, ruled(bench))
    file = archive_file(bench)
    backup = file.read_bytes()
    damage(file)
    (look,) = scrubbed(bench)
    assert look.fate == "quarantined"
    now = status(bench.settings)
    assert (now.quarantined, now.instances_released) == (1, 8)
    assert [(line.severity, line.command) for line in now.attention if look.name in line.what] == [("error", "hexdicom node scrub")]
    assert len(list((bench.settings.store / ".quarantine").iterdir())) == 1
    assert [look.fate for look in scrubbed(bench)] == ["quarantined"]
    file.write_bytes(backup)
    assert not scrubbed(bench)
    assert not status(bench.settings).quarantined


def test_what_nothing_replaces_is_repaired_by_sending_it_again(bench: Bench, cine: list[Dataset]) -> None:
    archive(bench, cine)
    release(bench, ruled(bench))
    archive_file(bench).unlink()
    assert [look.fate for look in scrubbed(bench)] == ["quarantined"]
    archive(bench, cine)
    assert not scrubbed(bench)
    assert not kept_lines(bench)


@pytest.mark.parametrize("honest", [True, False])
def test_a_damaged_archive_is_fetched_back_from_a_pacs_that_has_it(
    bench: Bench, cine: list[Dataset], honest: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    archive(bench, cine)
    settings = ruled(bench, targets=("pacs",))
    with bench.catalog.write() as connection:
        holdings.delivered(connection, bench.value("select id from stored"), "pacs", "VERIFIED", bench.clock())
    assert release(bench, settings)[0].released
    there = tmp_path / "there.dcm"
    there.write_bytes(archive_file(bench).read_bytes())
    damage(archive_file(bench))
    if not honest:
        damage(there)

    def fetch_back(peer: Any, files: Any, into: Path, destination: Any) -> dict[str, Path]:
        assert peer.ae_title == "PACS"
        return {files[0].sop_instance_uid: there}

    monkeypatch.setattr(pacs, "fetch_back", fetch_back)
    (look,) = scrubbed(bench, settings)
    assert look.fate == ("fetched" if honest else "quarantined")
    assert archive_file(bench).exists() == honest
    assert status(bench.settings).quarantined == (not honest)
    if honest:
        assert not scrubbed(bench, settings)


def test_a_pacs_that_is_away_leaves_it_quarantined(bench: Bench, cine: list[Dataset], monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: Any) -> None:
        raise PeerError("Nothing answers.")

    archive(bench, cine)
    settings = ruled(bench, targets=("pacs",))
    with bench.catalog.write() as connection:
        holdings.delivered(connection, bench.value("select id from stored"), "pacs", "VERIFIED", bench.clock())
    release(bench, settings)
    archive_file(bench).unlink()
    monkeypatch.setattr(pacs, "fetch_back", away)
    assert [look.fate for look in scrubbed(bench, settings)] == ["quarantined"]


def test_an_original_that_is_damaged_before_it_was_archived_is_lost_and_said_and_sending_it_again_repairs(
    bench: Bench, cine: list[Dataset]
) -> None:
    for ds in cine:
        bench.receive(ds)
    damage(original(bench))
    settle(bench)
    now = status(bench.settings)
    assert now.instances_lost == 1
    assert any("1 originals are damaged or gone" in line.what for line in now.attention)
    assert bench.value("select sum(source_instances) from stored where current = 1") == 7
    archive(bench, cine)
    assert not kept_lines(bench)
    assert bench.value("select sum(source_instances) from stored where current = 1") == 8
    assert [row[0] for row in bench.rows("select kind from stored where current = 1")] == ["archive"]


def test_an_original_that_was_sent_again_meanwhile_is_not_set_aside(bench: Bench, cine: list[Dataset]) -> None:
    bench.receive(cine[0])
    damage(original(bench))
    with bench.catalog.read() as connection:
        (one,) = originals.of_series(connection, str(cine[0].SeriesInstanceUID))
    spool = Spool(bench.settings.spool)
    assert not custody.is_sound(spool, one)
    assert bench.receive(cine[0]) == "duplicate"  # it wrote the file anew
    assert not custody.set_aside(bench.catalog, spool, one, bench.clock())
    assert bench.value("select lost_at from instance") == 0


def test_chores_look_at_a_file_at_a_time_and_only_when_it_is_due(bench: Bench, cine: list[Dataset]) -> None:
    archive(bench, cine)
    rules = ScrubSection(interval_days=10, decode_share=1)
    settings = Settings(**bench.settings.model_dump(exclude={"scrub"}), scrub=rules)
    chores = Chores(bench.catalog, settings, "w", bench.clock)
    assert not chores.run_next()  # all of it is new
    bench.clock.now += 11 * DAY
    assert chores.run_next()
    assert bench.value("select count(*) from stored where scrubbed_at != 0") == 1
    assert bench.value("select count(*) from instance where scrubbed_at != 0") == 0
    other = Chores(bench.catalog, settings, "other", bench.clock)
    assert not other.run_next()
    assert chores.run_next()
    assert bench.value("select count(*) from instance where scrubbed_at != 0") == 8
    assert not chores.run_next()
    assert status(bench.settings).scrubbed_since == bench.clock.now
    bench.clock.now -= 20 * DAY  # the clock was wrong, and is put right
    assert chores.run_next()


def test_files_that_nobody_looks_at_are_said(bench: Bench, cine: list[Dataset]) -> None:
    def late() -> list[str]:
        with bench.catalog.read() as connection:
            situation = Situation(bench.settings, connection, bench.clock.now, running=True)
            return [line.what for line in attention(situation) if "compared with their hash" in line.what]

    archive(bench, cine)
    assert not late()
    bench.clock.now += 59 * DAY
    assert not late()
    bench.clock.now += 2 * DAY
    assert late() == ["9 files were not compared with their hash for 60 days: the workers do not come to it."]
    bench.settings = bench.settings.model_copy(update={"scrub": ScrubSection(enabled=False)})
    assert not late()
    bench.settings = bench.settings.model_copy(update={"scrub": ScrubSection()})
    scrubbed(bench)
    assert not late()


def test_chores_release_when_nothing_is_to_be_scrubbed(bench: Bench, cine: list[Dataset]) -> None:
    archive(bench, cine)
    chores = Chores(bench.catalog, ruled(bench), "w", bench.clock)
    assert chores.run_next()
    assert not spooled(bench)
    assert not chores.run_next()


def test_a_turn_runs_out_whatever_the_clock_does(bench: Bench) -> None:
    with bench.catalog.write() as connection:
        assert take_turn(connection, "x", "a", 1000, 60)
        assert take_turn(connection, "x", "a", 1010, 60)
        assert not take_turn(connection, "x", "b", 1020, 60)
        assert take_turn(connection, "x", "b", 1071, 60)
        assert take_turn(connection, "x", "a", 10, 60)  # the clock was put back: nobody has a turn of years
