"""The cache of restored files: bounded, least recently used goes first, and what somebody holds stays."""

from __future__ import annotations

from pathlib import Path

import pytest

from hexdicom.errors import StoreError
from hexdicom_services.restoration.cache import Cache
from hexdicom_services.restoration.place import SOCKET, connect, file_name, listen


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
