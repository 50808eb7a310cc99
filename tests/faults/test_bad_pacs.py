"""A PACS that goes away, refuses, is slow, strips, changes or damages: nothing is taken for safe there that is not."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pytest

from hexdicom.dicom.phantom import beating_heart
from hexdicom_services.status import status
from tests.faults.site import Site
from tests.peers.odd_pacs import OddPacs, as_unknown, coerce, damage, rename_series, strip_private, truncate

if TYPE_CHECKING:
    from pathlib import Path

    from pydicom.dataset import Dataset

    from tests.faults.conftest import Tally

pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("stored_codec"),
    # pynetdicom leaves the sockets of broken associations to the garbage collector
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture
def cine() -> list[Dataset]:
    """A series whose archive object is larger than 64 kB, and one instance that is stored untouched."""
    series = list(beating_heart(slices=2, phases=3, rows=128, columns=128))
    odd = next(iter(beating_heart(slices=1, phases=1, rows=20, columns=16)))
    odd.SOPInstanceUID = odd.file_meta.MediaStorageSOPInstanceUID = "1.2.3.4.5"
    odd.SeriesInstanceUID = series[0].SeriesInstanceUID
    odd.ImageType = ["DERIVED", "SECONDARY"]
    return [*series, odd]


def archived(folder: Path, pacs: OddPacs, cine: list[Dataset]) -> tuple[Site, set[str]]:
    site = Site(folder / "state", str(pacs.peer))
    acknowledged = site.receive(cine)
    site.intake()
    site.work()
    return site, acknowledged


def kept_safe(site: Site, acknowledged: set[str], tally: Tally, what: str) -> None:
    """Nothing is released, nothing is lost."""
    site.release()
    assert site.states("select count(*) from instance where released_at != 0") == [(0,)]
    lost = site.missing(acknowledged)
    tally.tried[f"PACS: {what}"] += 1
    tally.instances, tally.lost = tally.instances + len(acknowledged), tally.lost + len(lost)
    assert not lost


@pytest.mark.parametrize("mangle", [strip_private, truncate, damage, rename_series])
def test_a_pacs_that_changes_what_it_must_not(memory_disk: Path, cine: list[Dataset], mangle: Any, tally: Tally) -> None:
    with OddPacs(memory_disk / "pacs", mangle) as pacs:
        site, acknowledged = archived(memory_disk, pacs, cine)
        site.work(most=3)
        assert "FAILED" in {state for (state,) in site.states("select state from delivery")}
        (failure,) = status(site.settings).failures
        assert (failure.kind, bool(failure.reason)) == ("forward", True)
        kept_safe(site, acknowledged, tally, mangle.__name__)


@pytest.mark.parametrize("mangle", [None, as_unknown, coerce])
def test_a_pacs_that_does_what_it_may(memory_disk: Path, cine: list[Dataset], mangle: Any, tally: Tally) -> None:
    with OddPacs(memory_disk / "pacs", mangle) as pacs:
        site, acknowledged = archived(memory_disk, pacs, cine)
        site.work(most=3)
        assert {state for (state,) in site.states("select state from delivery")} == {"VERIFIED"}
        site.release()
        assert site.states("select count(*) from instance where released_at = 0") == [(0,)]
        assert not site.missing(acknowledged)
        tally.tried[f"PACS: {mangle.__name__ if mangle else 'sound'}"] += 1
        tally.instances += len(acknowledged)


@pytest.mark.parametrize("trouble", ["gone", "vanishes", "vanishes giving", "refuses", "full", "forgets", "slow"])
def test_a_pacs_in_trouble_and_well_again(memory_disk: Path, cine: list[Dataset], trouble: str, tally: Tally) -> None:
    with OddPacs(memory_disk / "pacs") as pacs:
        site, acknowledged = archived(memory_disk, pacs, cine)
        troubles: dict[str, dict[str, Any]] = {
            "gone": {}, "vanishes": {"vanish_after": 1}, "refuses": {"refuse": 0xA900}, "full": {"refuse": 0xA700},
            "forgets": {"forgets": True}, "slow": {"slow": 0.5}, "vanishes giving": {"vanish_giving": True},
        }  # fmt: skip
        for name, value in troubles[trouble].items():
            setattr(pacs, name, value)
        if trouble == "gone":
            away = Site(site.folder, "ODD@127.0.0.1:9")
            away.now = site.now
            away.work()
            site.now = away.now
        else:
            site.work()
        states = {state for (state,) in site.states("select state from delivery")}
        if trouble == "slow":
            assert states == {"VERIFIED"}
            tally.tried["PACS: slow"] += 1
            return
        assert "VERIFIED" not in states or trouble == "vanishes"
        kept_safe(site, acknowledged, tally, trouble)
        if trouble in ("refuses", "forgets"):
            return  # it has been given up, and status says so: nothing helps but what the operator does
        pacs.vanish_after, pacs.vanish_giving, pacs.refuse = 1 << 40, False, 0
        site.work(most=5)
        assert {state for (state,) in site.states("select state from delivery")} == {"VERIFIED"}
        assert len(pacs.stored) == 2


def test_an_archive_that_is_lost_after_the_originals_were_released_comes_back_from_the_pacs(
    memory_disk: Path, cine: list[Dataset], tally: Tally
) -> None:
    from hexdicom_services.scrub import Scrubber

    with OddPacs(memory_disk / "pacs") as pacs:
        site, acknowledged = archived(memory_disk, pacs, cine)
        site.work(most=3)
        site.release()
        shutil.rmtree(site.settings.store)
        site.start_again()
        assert len(site.missing(acknowledged)) == len(acknowledged)
        site.now += 10_000
        ticks = iter(range(1, 1000))
        with site.catalog() as catalog:
            looks = list(Scrubber(catalog, site.settings, lambda: site.now + next(ticks), 1.0).everything())
        assert {look.fate for look in looks} == {"fetched"}
        assert not site.missing(acknowledged)
        tally.tried["PACS: store lost, fetched back"] += 1
        tally.instances += len(acknowledged)
        site.check()
