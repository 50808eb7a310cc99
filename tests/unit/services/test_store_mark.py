"""A store whose disk is not mounted: nothing is written into the empty folder in its place, and nothing is taken for lost."""

from __future__ import annotations

import errno
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from hexdicom import pipeline
from hexdicom.errors import StoreError
from hexdicom_services.checks import check
from hexdicom_services.scrub import Scrubber
from hexdicom_services.status import status
from hexdicom_services.stores import mark
from hexdicom_services.stores.mark import MARK

from .test_retention import archive, settle

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

    from .conftest import Bench

pytestmark = pytest.mark.usefixtures("stored_codec")


def everything(bench: Bench) -> list[str]:
    def later() -> float:
        bench.clock.now += 1
        return bench.clock.now

    bench.clock.now += 7200
    return [look.fate for look in Scrubber(bench.catalog, bench.settings, later, 1.0).everything()]


def unmounted(bench: Bench) -> Path:
    """The store as it is where its disk is missing; returns where the disk is."""
    aside = bench.settings.store.with_name("disk")
    bench.settings.store.rename(aside)
    bench.settings.store.mkdir()
    return aside


def test_a_store_that_is_away_is_said_and_left_alone(bench: Bench, cine: list[Dataset]) -> None:
    mark.leave(bench.settings)
    archive(bench, cine)
    sound = everything(bench)
    disk = unmounted(bench)
    with pytest.raises(StoreError, match="may not be mounted"):
        everything(bench)
    mark.leave(bench.settings)  # a node that starts now does not take the empty folder for its store
    (line,) = [line for line in status(bench.settings).attention if "mounted" in line.what]
    assert line.severity == "error"
    (result,) = [one for one in check(bench.settings) if one.name == "store folder"]
    assert result.ok is False
    assert f"make an empty folder {MARK}" in result.message
    assert not list(bench.settings.store.iterdir())
    bench.settings.store.rmdir()
    disk.rename(bench.settings.store)
    assert everything(bench) == sound == ["sound"] * len(sound)
    assert not [line for line in status(bench.settings).attention if "mounted" in line.what]


def test_a_series_waits_until_the_store_is_back(bench: Bench, cine: list[Dataset]) -> None:
    mark.leave(bench.settings)
    disk = unmounted(bench)
    archive(bench, cine)
    (work,) = status(bench.settings).working
    assert "may not be mounted" in work.error
    assert work.attempts == 0  # no fault of the series
    assert not list(bench.settings.store.rglob("*.dcm"))
    bench.settings.store.rmdir()
    disk.rename(bench.settings.store)
    bench.clock.now += 10_000
    settle(bench)
    assert status(bench.settings).series == {"ARCHIVED": 1}


def test_another_folder_is_marked_anew(bench: Bench) -> None:
    mark.leave(bench.settings)
    other = bench.settings.model_copy(
        update={"archive": bench.settings.archive.model_copy(update={"folder": bench.settings.state / "other"})}
    )
    assert not mark.missing(other)
    mark.leave(other)
    assert (other.store / MARK).is_dir()
    assert not mark.missing(other)


def test_who_restores_a_store_gets_instances_alone(bench: Bench, cine: list[Dataset], tmp_path: Path) -> None:
    mark.leave(bench.settings)
    archive(bench, cine)
    pipeline.restore([bench.settings.store], tmp_path / "back", now=datetime(2026, 1, 1))
    assert len([path for path in (tmp_path / "back").rglob("*") if path.is_file()]) == len(cine)


@pytest.mark.parametrize("number", [errno.EMFILE, errno.EACCES, errno.ESTALE, errno.ENOMEM, errno.ENOTCONN])
@pytest.mark.parametrize("where", ["spool", "store"])
def test_a_file_that_cannot_be_read_for_now_is_not_damaged(
    bench: Bench, cine: list[Dataset], number: int, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive(bench, cine)
    sound, folder, really = everything(bench), getattr(bench.settings, where), Path.open

    def opened(self: Path, *more: Any, **named: Any) -> Any:
        if self.is_relative_to(folder) and self.suffix == ".dcm":
            raise OSError(number, "not now")
        return really(self, *more, **named)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", opened)
        with pytest.raises(StoreError, match="cannot be read: not now"):
            everything(bench)
    assert everything(bench) == sound
    assert not status(bench.settings).attention
    assert not list(bench.settings.state.rglob("*quarantine/*"))
