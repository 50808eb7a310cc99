"""Originals leave the spool only when every rule is met and the archive has just been proved; and they come back."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import pytest
from sqlalchemy import select

from hexdicom.codec.profile import Profile
from hexdicom_services import custody, intake, retention
from hexdicom_services.audit.occasions import Party
from hexdicom_services.catalog import holdings, originals
from hexdicom_services.catalog.models import event
from hexdicom_services.jobs.archiver import PipelineArchiver
from hexdicom_services.part10 import read_head
from hexdicom_services.recover import recover
from hexdicom_services.scp.desk import Desk
from hexdicom_services.sections import ForwardSection, RetentionSection
from hexdicom_services.settings import Settings
from hexdicom_services.spool import Spool
from hexdicom_services.stores.folder import FolderStore
from hexdicom_services.worker import Worker

from .conftest import Bench, encoded

if TYPE_CHECKING:
    from pathlib import Path

    from pydicom.dataset import Dataset

pytestmark = pytest.mark.usefixtures("stored_codec")

STUDY = "select study_instance_uid from series"


def ruled(bench: Bench, *, targets: tuple[str, ...] = (), **rules: Any) -> Settings:
    peers = {name: f"{name.upper()}@127.0.0.1:104" for name in targets}
    return Settings(
        **bench.settings.model_dump(exclude={"retention", "forward", "peers"}),
        retention=RetentionSection(**{"enabled": True, "keep_days": 0, **rules}),
        forward=ForwardSection(targets=targets),
        peers=peers,
    )


def archive(bench: Bench, data_sets: list[Dataset], profile: Profile | None = None) -> None:
    for ds in data_sets:
        bench.receive(ds)
    settle(bench, profile)


def settle(bench: Bench, profile: Profile | None = None) -> None:
    bench.clock.now += 11
    intake.close_due(bench.catalog, bench.settings.spool, bench.settings.series, bench.clock())
    while Worker(bench.settings, bench.catalog, PipelineArchiver(profile or Profile(), "cpu"), "w", bench.clock).run_next():
        pass


def release(bench: Bench, settings: Settings) -> list[retention.Verdict]:
    return list(retention.release(bench.catalog, settings, bench.clock))


def recall(bench: Bench) -> tuple[int, int]:
    with bench.catalog.read() as connection:
        (uid,) = originals.with_originals_away(connection)
    spool, store = Spool(bench.settings.spool), FolderStore(bench.settings.store)
    back, missing = custody.recall(bench.catalog, spool, store, uid, bench.clock())
    return len(back), len(missing)


def original_files(bench: Bench) -> list[Path]:
    return sorted(bench.settings.spool.rglob("received/*/*.dcm"))


def spooled(bench: Bench) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(bench.settings.spool.rglob("received/*/*.dcm"))}


def archive_file(bench: Bench) -> Path:
    return bench.settings.store / bench.value("select key from stored where current = 1")


def damage(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 0x55
    file.write_bytes(data)


def test_released_originals_come_back_byte_for_byte(bench: Bench, cine: list[Dataset]) -> None:
    archive(bench, cine)
    before = spooled(bench)
    assert len(before) == len(cine)
    (verdict,) = release(bench, ruled(bench))
    assert (verdict.released, verdict.instances, verdict.stays) == (True, len(cine), ())
    assert not spooled(bench)
    with bench.catalog.read() as connection:
        details = connection.scalars(select(event.c.detail).where(event.c.name == "series.released")).all()
    assert [detail["instances"] for detail in details] == [len(cine)]
    (message,) = bench.rows("select message from audit where event = '110103'")[0]
    assert str(cine[0].StudyInstanceUID) in message
    assert 'EventActionCode="D"' in message
    assert recall(bench) == (len(cine), 0)
    assert spooled(bench) == before
    assert bench.rows("select distinct released_at, lost_at from instance") == [(0, 0)]


def test_who_wanted_a_release_now_is_in_the_audit_trail(bench: Bench, cine: list[Dataset]) -> None:
    archive(bench, cine)
    operator = Party("alice", "archive.example")
    assert [one.released for one in retention.release(bench.catalog, ruled(bench), bench.clock, operator=operator)] == [True]
    ((message,),) = bench.rows("select message from audit where event = '110103'")
    people = {
        one.attrib["UserID"]: one.attrib["UserIsRequestor"] for one in ElementTree.fromstring(message).iter("ActiveParticipant")
    }
    assert people == {"HEXDICOM": "false", "alice": "true"}


@pytest.mark.parametrize(
    ("rules", "why"),
    [
        ({"keep_days": 3}, "archived 2.0 days ago, kept 3 days"),
        ({"require_commitment": True}, "no PACS in"),
        ({"targets": ("pacs",)}, "1 objects are not proved to be at pacs"),
    ],
)
def test_what_a_rule_keeps_stays_and_says_why(bench: Bench, cine: list[Dataset], rules: dict[str, Any], why: str) -> None:
    archive(bench, cine)
    bench.clock.now += 2 * retention.DAY
    (verdict,) = release(bench, ruled(bench, **rules))
    assert not verdict.released
    assert any(why in reason for reason in verdict.stays), verdict.stays
    assert len(spooled(bench)) == len(cine)
    assert list(retention.weigh(bench.catalog, ruled(bench, **rules), bench.clock())) == [verdict]


def test_what_was_recalled_stays_as_long_as_what_was_archived(bench: Bench, cine: list[Dataset]) -> None:
    settings = ruled(bench, keep_days=3)
    archive(bench, cine)
    bench.clock.now += 4 * retention.DAY
    assert release(bench, settings)[0].released
    with bench.catalog.write() as connection:
        (uid,) = originals.with_originals_away(connection)
        originals.stays_from(connection, uid, bench.clock())  # as `hexdicom node recall` does
    assert recall(bench) == (len(cine), 0)
    bench.clock.now += retention.DAY
    (verdict,) = release(bench, settings)
    assert (verdict.released, verdict.stays) == (False, ("recalled 1.0 days ago, kept 3 days",))
    assert retention.release_next(bench.catalog, settings, bench.clock) is None
    bench.clock.now += 3 * retention.DAY
    assert release(bench, settings)[0].released


def test_a_clock_that_went_back_releases_nothing(bench: Bench, cine: list[Dataset]) -> None:
    archive(bench, cine)
    bench.clock.now -= 100 * retention.DAY
    (verdict,) = release(bench, ruled(bench, keep_days=1))
    assert not verdict.released


def test_every_target_must_have_proved_it_and_committed_itself(bench: Bench, cine: list[Dataset]) -> None:
    archive(bench, cine)
    settings = ruled(bench, targets=("one", "two"), require_commitment=True)
    stored_id = bench.value("select id from stored")

    def stays() -> str:
        return "; ".join(release(bench, settings)[0].stays)

    for target, state in (("one", "VERIFIED"), ("two", "SENT")):
        with bench.catalog.write() as connection:
            holdings.delivered(connection, stored_id, target, state, bench.clock())
    assert "not proved to be at two" in stays()
    assert "not proved to be at one" not in stays()
    with bench.catalog.write() as connection:
        holdings.delivered(connection, stored_id, "two", "VERIFIED", bench.clock())
        connection.exec_driver_sql("update delivery set committed_at = 1, commitment = 'x' where target = 'one'")
    assert stays() == "two has not committed itself to 1 objects"
    with bench.catalog.write() as connection:
        connection.exec_driver_sql("update delivery set committed_at = 1")
    assert release(bench, settings)[0].released


def test_a_study_on_hold_never_goes(bench: Bench, cine: list[Dataset]) -> None:
    archive(bench, cine)
    study = bench.value(STUDY)
    with bench.catalog.write() as connection:
        assert originals.put_on_hold(connection, study, "case 17", bench.clock())
        assert not originals.put_on_hold(connection, study, "case 18", bench.clock())
    assert release(bench, ruled(bench))[0].stays == ("the study is on hold: case 18",)
    with bench.catalog.write() as connection:
        assert originals.take_off_hold(connection, study, "", bench.clock())
        assert not originals.take_off_hold(connection, study, "", bench.clock())
    assert release(bench, ruled(bench))[0].released


def test_a_hold_that_comes_while_files_are_being_deleted_stops_it(
    bench: Bench, cine: list[Dataset], monkeypatch: pytest.MonkeyPatch
) -> None:
    archive(bench, cine)
    real, study = originals.still_marked, bench.value(STUDY)

    def first_hold(connection: Any, members: Any, marked_at: float) -> Any:
        if members[0].id > 4:
            originals.put_on_hold(connection, study, "", bench.clock())
        return real(connection, members, marked_at)

    monkeypatch.setattr(retention, "_BATCH", 4)
    monkeypatch.setattr(originals, "still_marked", first_hold)
    release(bench, ruled(bench))
    assert len(spooled(bench)) == 4
    assert bench.value("select count(*) from instance where released_at = 0") == 4


def test_a_damaged_archive_keeps_the_originals(bench: Bench, cine: list[Dataset]) -> None:
    archive(bench, cine)
    damage(archive_file(bench))
    (verdict,) = release(bench, ruled(bench))
    assert "not what was stored" in verdict.stays[0]
    archive_file(bench).unlink()
    (verdict,) = release(bench, ruled(bench))
    assert "No such file" in verdict.stays[0]
    assert len(spooled(bench)) == len(cine)


def test_an_archive_of_other_bytes_keeps_the_originals_even_if_its_file_is_sound(bench: Bench, cine: list[Dataset]) -> None:
    archive(bench, cine)
    with bench.catalog.write() as connection:
        connection.exec_driver_sql("update instance set sha256 = 'f' || substr(sha256, 2) where id = 3")
    (verdict,) = release(bench, ruled(bench))
    assert verdict.stays == ("the store does not hold 1 of them",)


def test_lossy_archives_release_only_if_that_is_said(bench: Bench, cine: list[Dataset]) -> None:
    archive(bench, cine, Profile("near-lossless", "near-lossless", max_error=2))
    (verdict,) = release(bench, ruled(bench))
    assert verdict.stays == ("the archive gives them back derived, and accept is 'identical'",)
    assert not release(bench, ruled(bench, accept="equal"))[0].released
    assert release(bench, ruled(bench, accept="lossy"))[0].released
    assert recall(bench) == (0, len(cine))


def test_a_late_instance_brings_the_released_ones_back_and_makes_a_new_version(bench: Bench, cine: list[Dataset]) -> None:
    archive(bench, cine[:4])
    assert release(bench, ruled(bench))[0].released
    archive(bench, cine[4:])
    assert bench.rows("select source_instances, current from stored order by id") == [(4, 0), (8, 1)]
    assert len(spooled(bench)) == 8
    assert release(bench, ruled(bench))[0].released


def test_a_late_instance_of_a_series_that_was_released_with_loss_is_archived_beside_it(bench: Bench, cine: list[Dataset]) -> None:
    archive(bench, cine[:7], Profile("near-lossless", "near-lossless", max_error=2))
    release(bench, ruled(bench, accept="lossy"))
    archive(bench, cine[7:])
    assert bench.value("select sum(source_instances) from stored where current = 1") == 8


def test_storing_a_released_instance_again_is_a_success_and_keeps_it(bench: Bench, cine: list[Dataset]) -> None:
    archive(bench, cine)
    release(bench, ruled(bench))
    assert bench.receive(cine[0]) == "returned"
    assert bench.receive(cine[0]) == "duplicate"
    assert bench.rows("select state from series") == [("ARCHIVED",)]
    ((path,),) = bench.rows("select path from instance where released_at = 0")
    file = bench.settings.spool / path
    assert file.read_bytes()[read_head(file).offset :] == encoded(cine[0])
    assert release(bench, ruled(bench))[0].instances == 1


def test_storing_a_released_series_again_repairs_a_lost_archive(bench: Bench, cine: list[Dataset]) -> None:
    archive(bench, cine)
    release(bench, ruled(bench))
    archive_file(bench).unlink()
    with bench.catalog.write() as connection:
        connection.exec_driver_sql("update stored set state = 'QUARANTINED', current = 0")
    archive(bench, cine)
    assert bench.rows("select state, current, source_instances from stored") == [("STORED", 1, 8)]
    assert archive_file(bench).is_file()


def test_an_instance_that_is_sent_again_between_mark_and_deletion_stays(
    bench: Bench, cine: list[Dataset], monkeypatch: pytest.MonkeyPatch
) -> None:
    archive(bench, cine)
    real = retention.__dict__["_delete"]

    def sent_between(*arguments: Any) -> None:
        assert bench.receive(cine[0]) == "returned"
        real(*arguments)

    monkeypatch.setattr(retention, "_delete", sent_between)
    release(bench, ruled(bench))
    assert len(spooled(bench)) == 1
    assert bench.value("select count(*) from instance where released_at = 0") == 1


def test_an_instance_whose_file_is_deleted_before_its_row_is_committed_is_written_again(
    bench: Bench, cine: list[Dataset], monkeypatch: pytest.MonkeyPatch
) -> None:
    archive(bench, cine)
    real = Desk.__dict__["_settle"]

    def released_between(self: Desk, batch: Any) -> None:
        monkeypatch.setattr(Desk, "_settle", real)
        assert release(bench, ruled(bench))[0].released
        assert not spooled(bench)
        real(self, batch)

    monkeypatch.setattr(Desk, "_settle", released_between)
    assert bench.receive(cine[0]) == "returned"
    ((path,),) = bench.rows("select path from instance where released_at = 0")
    file = bench.settings.spool / path
    assert file.read_bytes()[read_head(file).offset :] == encoded(cine[0])


def test_a_release_that_was_broken_off_is_undone_for_the_files_that_are_there(bench: Bench, cine: list[Dataset]) -> None:
    archive(bench, cine)
    before = spooled(bench)
    with bench.catalog.write() as connection:
        members = originals.of_series(connection, bench.value("select series_instance_uid from series"))
        originals.mark(connection, members, bench.clock())
    for one in members[:3]:
        (bench.settings.spool / one.path).unlink()
    recover(bench.settings, bench.catalog)
    assert bench.value("select count(*) from instance where released_at != 0") == 3
    assert len(spooled(bench)) == 5
    assert recall(bench) == (3, 0)
    assert spooled(bench) == before


def test_versions_of_an_instance_are_all_released_and_all_come_back(bench: Bench, cine: list[Dataset]) -> None:
    archive(bench, cine)
    corrected = deepcopy(cine[0])
    corrected.PatientComments = "corrected"
    archive(bench, [corrected])
    before = spooled(bench)
    assert release(bench, ruled(bench))[0].instances == 9
    assert recall(bench) == (9, 0)
    assert spooled(bench) == before


def test_release_next_takes_one_series_and_looks_again_only_after_a_while(bench: Bench, cine: list[Dataset]) -> None:
    archive(bench, cine)
    settings = ruled(bench, interval_hours=1)
    damage(archive_file(bench))
    assert retention.release_next(bench.catalog, settings, bench.clock) is None
    with bench.catalog.write() as connection:
        connection.exec_driver_sql("update stored set state = 'STORED'")
    key = archive_file(bench)
    data = bytearray(key.read_bytes())
    data[len(data) // 2] ^= 0x55
    key.write_bytes(data)  # sound again
    assert retention.release_next(bench.catalog, settings, bench.clock) is None
    bench.clock.now += 3601
    verdict = retention.release_next(bench.catalog, settings, bench.clock)
    assert verdict is not None
    assert verdict.released
