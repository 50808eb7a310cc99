"""Threads that meet rarely."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
import torch

from hexdicom.codec import parallel

if TYPE_CHECKING:
    from collections.abc import Iterator

CPU = torch.device("cpu")


@pytest.fixture
def two() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("two")
def test_torch_has_one_thread_within_and_all_of_them_afterwards() -> None:
    with parallel.threads(CPU) as outer:
        with parallel.threads(CPU) as inner:
            assert (torch.get_num_threads(), parallel.count(), inner.count) == (1, 2, 2)
            assert inner.map(lambda _: torch.get_num_threads(), [0, 1, 2]) == [1, 1, 1]
        assert (torch.get_num_threads(), parallel.count(), outer.count) == (1, 2, 2)
    assert (torch.get_num_threads(), parallel.count()) == (2, 2)


@pytest.mark.usefixtures("two")
def test_what_is_started_runs_beside_what_follows() -> None:
    goes_on = threading.Event()
    with parallel.threads(CPU) as workers:
        started = workers.start(lambda: goes_on.wait(30))
        goes_on.set()
        assert started.result()


@pytest.mark.usefixtures("two")
def test_on_one_core_it_has_ended_before_what_follows() -> None:
    torch.set_num_threads(1)
    with parallel.threads(CPU) as workers:
        assert workers.start(threading.get_ident).result() == threading.get_ident()


@pytest.mark.usefixtures("two")
def test_an_error_within_leaves_torch_as_it_was() -> None:
    with pytest.raises(ValueError, match="within"), parallel.threads(CPU):
        raise ValueError("within")
    assert torch.get_num_threads() == 2
