"""Restoring while somebody waits: what is on disk is bounded, what is held stays, and who hangs up costs nothing more."""

from __future__ import annotations

import socket
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hexdicom import pipeline
from hexdicom.access import Access
from hexdicom.codec import Profile
from hexdicom.dicom.phantom import beating_heart
from hexdicom.dicom.received import data_set_sha256
from hexdicom.errors import StoreError
from hexdicom_services.part10 import read_head
from hexdicom_services.restoration.cache import Cache
from hexdicom_services.restoration.client import restore
from hexdicom_services.restoration.place import FILES, SOCKET, connect, file_name, listen
from hexdicom_services.restoration.server import Restorer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hexdicom.dicom.restore import Restored


def test_the_least_recently_used_goes(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "files", 250)
    for name in "abc":
        if name == "c":
            assert cache.hold("a") == 100  # used just now
            cache.release("a")
        cache.put(name, bytes(100), held=False)
    assert sorted(path.name for path in (tmp_path / "files").iterdir()) == ["a", "c"]
    assert cache.hold("b") == 0


def test_what_is_held_stays(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "files", 150)
    cache.put("a", bytes(100), held=True)
    cache.put("b", bytes(100), held=True)
    assert sorted(path.name for path in (tmp_path / "files").iterdir()) == ["a", "b"]
    cache.release("a")
    assert [path.name for path in (tmp_path / "files").iterdir()] == ["b"]


def test_a_file_is_written_once(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "files", 1000)
    cache.put("a", b"one", held=True)
    cache.put("a", b"two", held=True)
    assert (tmp_path / "files" / "a").read_bytes() == b"one"
    cache.release("a")
    cache.release("a")


def test_an_earlier_process_leaves_nothing(tmp_path: Path) -> None:
    Cache(tmp_path / "files", 1000).put("a", b"one", held=True)
    assert Cache(tmp_path / "files", 1000).hold("a") == 0
    assert not list((tmp_path / "files").iterdir())


def test_a_disk_that_fails_is_said(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "files", 1000)
    (tmp_path / "files").rmdir()
    with pytest.raises(StoreError, match="cannot be written"):
        cache.put("a", b"one", held=False)


def test_a_long_state_folder_is_no_obstacle(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 120)
    folder.mkdir()
    with listen(folder), connect(folder):
        assert (folder / SOCKET).is_socket()


def test_no_uid_becomes_a_file_name() -> None:
    name = file_name("../../etc/passwd", "0" * 64)
    assert Path(name).name == name
    assert "passwd" not in name


@pytest.fixture(scope="module")
def archived(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str], dict[str, str]]:
    """A store, the keys of an archive in it, and the SHA-256 of its originals by SOP Instance UID."""
    folder = tmp_path_factory.mktemp("archived")
    for number, ds in enumerate(beating_heart(slices=4, phases=4, rows=48, columns=40)):
        ds.save_as(folder / f"{number}.dcm", enforce_file_format=True)
    report = pipeline.compress([folder], folder / "out", Profile(steps=5, adapt_steps=5), now=datetime(2026, 1, 6, tzinfo=UTC))
    originals = {read_head(path).sop_instance_uid: data_set_sha256(path.read_bytes()) for path in folder.glob("*.dcm")}
    return folder / "out", [path.name for path in report.series[0].archives], originals


@dataclass
class Service:
    """The restore process as threads of this one."""

    state: Path
    restorer: Restorer
    listener: socket.socket
    decoded: list[int]

    def run(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.restorer.serve, args=(connection,), daemon=True).start()

    def files(self) -> int:
        return len(list((self.state / FILES).glob("*.dcm")))


@pytest.fixture
def service(tmp_path: Path, archived: tuple[Path, list[str], dict[str, str]], monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    decoded: list[int] = []
    plain = Access.restore

    def restore(archive: Access, slices: list[int]) -> Iterator[Restored]:
        decoded.extend(slices)
        return plain(archive, slices)

    monkeypatch.setattr(Access, "restore", restore)
    restorer = Restorer(archived[0], tmp_path / FILES, cache_bytes=1)
    restorer._threads = 1
    listener = listen(tmp_path)
    one = Service(tmp_path, restorer, listener, decoded)
    thread = threading.Thread(target=one.run, daemon=True)
    thread.start()
    yield one
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()


def test_no_more_is_decoded_than_is_being_sent(service: Service, archived: tuple[Path, list[str], dict[str, str]]) -> None:
    _, keys, wanted = archived
    came = {}
    for ready in restore(service.state, keys, wanted):
        assert ready.path is not None
        came[ready.sop_instance_uid] = data_set_sha256(ready.path.read_bytes())
        assert service.files() <= 4  # one slice: the cache has no room at all
        assert len(service.decoded) <= len(came) // 4 + 1
    assert came == wanted
    assert service.decoded == [0, 1, 2, 3]


def test_who_hangs_up_is_not_served_any_more(service: Service, archived: tuple[Path, list[str], dict[str, str]]) -> None:
    _, keys, wanted = archived
    coming = restore(service.state, keys, wanted)
    next(coming)
    coming.close()
    until = time.monotonic() + 20
    while service.files() and time.monotonic() < until:
        time.sleep(0.05)
    assert service.files() == 0
    assert service.decoded == [0]


def test_a_cancel_ends_it(service: Service, archived: tuple[Path, list[str], dict[str, str]]) -> None:
    _, keys, wanted = archived
    came: list[str] = []
    for ready in restore(service.state, keys, wanted, cancelled=lambda: len(came) >= 5):
        came.append(ready.sop_instance_uid)
    assert len(came) == 5


def test_what_no_archive_holds_is_said(service: Service, archived: tuple[Path, list[str], dict[str, str]]) -> None:
    _, keys, wanted = archived
    uid = next(iter(wanted))
    (other,) = restore(service.state, keys, {uid: "0" * 64})  # the archive holds another version
    assert (other.path, other.problem) == (None, "No archive object holds this instance.")
    (lost,) = restore(service.state, ["nowhere.dcm"], {uid: wanted[uid]})
    assert lost.path is None
    assert "cannot be read" in lost.problem
    assert service.decoded == []
