from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from hexdicom import durable
from hexdicom.errors import StoreError

if TYPE_CHECKING:
    from pathlib import Path


def test_a_file_is_written_or_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file.dcm"
    durable.write(path, b"one")
    durable.write(path, b"two")
    assert path.read_bytes() == b"two"
    assert list(path.parent.iterdir()) == [path]


def test_nothing_is_left_of_a_write_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match="No space left"):
        durable.write(tmp_path / "file", b"data")
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_placed_beside_what_is_there(tmp_path: Path) -> None:
    places = [durable.place(tmp_path, "a.dcm", data) for data in (b"1", b"2", b"1", b"2", b"33")]
    assert [path.name for path in places] == ["a.dcm", "a-2.dcm", "a.dcm", "a-2.dcm", "a-3.dcm"]
    places = [durable.place(tmp_path, "plain", data) for data in (b"1", b"2")]
    assert [path.name for path in places] == ["plain", "plain-2"]


def test_a_folder_that_is_a_file_is_an_error_in_words(tmp_path: Path) -> None:
    (tmp_path / "folder").write_text("a file")
    with pytest.raises(StoreError):
        durable.write(tmp_path / "folder" / "file", b"data")
