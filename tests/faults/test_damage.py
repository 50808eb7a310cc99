"""Files that are damaged behind the node's back: catalog, spool, store. What can be repaired is; the rest is named."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from hexdicom.errors import StoreError
from hexdicom_services import holds
from hexdicom_services.salvage import salvage
from hexdicom_services.scrub import Scrubber
from hexdicom_services.status import status
from tests.faults.crash import Fault, run
from tests.faults.site import Site
from tests.faults.test_every_step import cine, prepared

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pydicom.dataset import Dataset

    from tests.faults.conftest import Tally

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("stored_codec")]
__all__ = ["cine"]
PAGE = 4096


def copies(site: Site) -> Iterator[None]:
    """The same state again and again."""
    before = site.folder.with_name("before")
    shutil.copytree(site.folder, before)
    while True:
        yield
        shutil.rmtree(site.folder)
        shutil.copytree(before, site.folder)


def looked_for(site: Site, acknowledged: set[str], tally: Tally, what: str) -> set[str]:
    """Acknowledged data sets that are gone, counted."""
    lost = site.missing(acknowledged)
    tally.tried[what] += 1
    tally.instances, tally.lost = tally.instances + len(acknowledged), tally.lost + len(lost)
    return lost


@pytest.mark.parametrize("stage", ["receive", "work", "recall"])
@pytest.mark.parametrize("harm", ["random", "zero"])
def test_every_page_of_the_catalog(memory_disk: Path, cine: list[Dataset], stage: str, harm: str, tally: Tally) -> None:
    """Before it is archived, archived, released: after each page in turn was overwritten."""
    site = Site(memory_disk / "state")
    acknowledged = prepared(site, cine, stage) or site.receive(cine)
    if stage == "work":
        site.work(most=5)
    catalog = site.database_file
    pages = catalog.stat().st_size // PAGE
    assert pages > 20
    for page, _ in zip(range(pages), copies(site), strict=False):
        with catalog.open("r+b") as file:
            file.seek(page * PAGE)
            file.write(bytes(PAGE) if harm == "zero" else bytes((7 * page + i * i) % 251 for i in range(PAGE)))
        site.start_again()
        assert not looked_for(site, acknowledged, tally, f"catalog page, {harm}: {stage}"), page
        site.finish()
        assert not site.missing(acknowledged), page
        if stage != "recall":
            site.check()


@pytest.mark.parametrize("stage", ["work", "recall"])
def test_a_salvage_that_is_killed_at_every_step(memory_disk: Path, cine: list[Dataset], stage: str, tally: Tally) -> None:
    site = Site(memory_disk / "state")
    acknowledged = prepared(site, cine, stage)
    with site.database_file.open("r+b") as file:
        file.write(bytes(PAGE))  # nothing can be read of it any more
    for step, _ in enumerate(copies(site), 1):
        ended = run(site.start_again, site.folder, Fault("kill", step))
        if not ended.struck:
            assert step > 10
            return
        site.start_again()
        assert not looked_for(site, acknowledged, tally, f"salvage: kill ({stage})"), (step, ended.struck)
        site.check_spool()


def test_a_hold_outlives_the_catalog(memory_disk: Path, cine: list[Dataset]) -> None:
    site, study = Site(memory_disk / "state"), str(cine[0].StudyInstanceUID)
    acknowledged = prepared(site, cine, "release")
    with site.catalog() as catalog:
        assert holds.put(catalog, site.folder, study, "case 17", site.now)
        assert holds.put(catalog, site.folder, "1.2.3", "", site.now)
        assert holds.end(catalog, site.folder, "1.2.3", "", site.now)
    with site.database_file.open("r+b") as file:
        file.write(bytes(PAGE))
    site.start_again()
    site.finish()
    site.release()
    assert site.states("select study_instance_uid, reason from hold") == [(study, "case 17")]
    assert site.states("select count(*) from instance where released_at != 0") == [(0,)]
    assert not site.missing(acknowledged)


def test_a_catalog_that_cannot_be_read_now_is_not_replaced(memory_disk: Path, cine: list[Dataset]) -> None:
    site = Site(memory_disk / "state")
    prepared(site, cine, "intake")
    catalog = site.database_file
    before = catalog.read_bytes()
    aside = catalog.with_name("elsewhere")
    catalog.rename(aside)
    catalog.mkdir()
    with pytest.raises(StoreError, match="cannot be read"):
        salvage(catalog, site.now)
    catalog.rmdir()
    aside.rename(catalog)
    assert catalog.read_bytes() == before
    assert salvage(catalog, site.now) is None


@pytest.mark.parametrize("size", [0, 100, 5000])
def test_a_catalog_that_was_cut_off(memory_disk: Path, cine: list[Dataset], size: int, tally: Tally) -> None:
    site = Site(memory_disk / "state")
    acknowledged = prepared(site, cine, "recall")
    with site.database_file.open("r+b") as file:
        file.truncate(size)
    site.start_again()
    lost = looked_for(site, acknowledged, tally, "catalog cut off")
    assert not lost
    site.receive(cine)
    site.finish()
    site.check()


def test_every_file_of_the_spool(memory_disk: Path, cine: list[Dataset], tally: Tally) -> None:
    """Of an archived series: each is replaced. Before that: it is lost, set aside and named, and the others are archived."""
    for archived in (True, False):
        site = Site(memory_disk / f"state-{archived}")
        acknowledged = site.receive(cine)
        site.intake()
        if archived:
            site.work(most=5)
        files = [path.relative_to(site.folder) for path in sorted(site.settings.spool.rglob("received/*/*.dcm"))]
        for name, _ in zip(files, copies(site), strict=False):
            data = bytearray((site.folder / name).read_bytes())
            data[-20] ^= 1
            (site.folder / name).write_bytes(data)
            site.start_again()
            site.now += 10_000
            if archived:
                with site.catalog() as catalog:
                    ticks = iter(range(1, 10_000))
                    list(Scrubber(catalog, site.settings, lambda: site.now + next(ticks), 1.0).everything())  # noqa: B023
                assert not looked_for(site, acknowledged, tally, "spool file: archived")
                site.check()
            else:
                site.finish()
                tally.tried["spool file: not archived yet"] += 1
                assert len(site.missing(acknowledged)) == 1
                assert status(site.settings).instances_lost == 1
                assert len(list((site.settings.spool / "quarantine").iterdir())) == 1
                site.receive(cine)
                site.finish()
                assert not site.missing(acknowledged)
                site.check()
        shutil.rmtree(memory_disk / "before")


def test_every_file_of_the_store(memory_disk: Path, cine: list[Dataset], tally: Tally) -> None:
    site = Site(memory_disk / "state")
    acknowledged = site.receive(cine)
    site.intake()
    site.work(most=5)
    files = [path.relative_to(site.folder) for path in sorted(site.settings.store.rglob("*.dcm"))]
    assert len(files) == 2
    for name, _ in zip(files, copies(site), strict=False):
        data = bytearray((site.folder / name).read_bytes())
        data[len(data) // 2] ^= 1
        (site.folder / name).write_bytes(data)
        site.start_again()
        site.now += 10_000
        with site.catalog() as catalog:
            ticks = iter(range(1, 10_000))
            list(Scrubber(catalog, site.settings, lambda: site.now + next(ticks), 0).everything())  # noqa: B023
        assert not looked_for(site, acknowledged, tally, "store file")
        site.now += 10_000
        site.finish()
        site.check()


@pytest.mark.parametrize("jump", [-400 * 86400.0, -3600.0, 3600.0, 400 * 86400.0])
def test_a_clock_that_jumps(memory_disk: Path, cine: list[Dataset], jump: float, tally: Tally) -> None:
    """Between any two stages: timers may run out at once or later, but everything comes to its end."""
    for number in range(4):
        site = Site(memory_disk / f"state-{number}")
        stages = [lambda s=site: s.receive(cine), site.intake, site.work, site.release]
        for index, stage in enumerate(stages):
            if index == number:
                site.now += jump
            stage()
        site.start_again()
        site.now += abs(jump) + 10_000
        site.receive(cine)
        site.finish()
        acknowledged = {row[0] for row in site.states("select sha256 from instance")}
        assert len(acknowledged) == len(cine)
        assert not looked_for(site, acknowledged, tally, "clock jumps")  # type: ignore[arg-type]
        site.check()
