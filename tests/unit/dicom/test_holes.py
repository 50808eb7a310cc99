"""Where missing frames would lie."""

from __future__ import annotations

import pytest

from hexdicom.dicom.holes import holes
from hexdicom.dicom.plan import Hole

FULL = [(10.0,), (41.0,), (73.0,), (104.0,), (136.0,)]


@pytest.mark.parametrize("gone", range(5))
def test_a_value_that_other_slices_have(gone: int) -> None:
    short = [order for at, order in enumerate(FULL) if at != gone]
    assert holes([FULL, short, FULL]) == (Hole(gone, 1),)


@pytest.mark.parametrize("gone", range(5))
def test_times_that_differ_a_little_per_slice(gone: int) -> None:
    short = [(order[0] * 1.04 + 1,) for at, order in enumerate(FULL) if at != gone]
    assert holes([FULL, short]) == (Hole(gone, 1),)


@pytest.mark.parametrize("gone", [1, 2, 3])
def test_instance_numbers_that_go_on_from_slice_to_slice(gone: int) -> None:
    short = [(float(at),) for at in range(21, 26) if at != 21 + gone]
    assert holes([[(float(at),) for at in range(1, 6)], short]) == (Hole(gone, 1),)


def test_clocks_across_midnight() -> None:
    full = [(20260105.0, 86390.0), (20260105.0, 86395.0), (20260106.0, 1.0)]
    assert holes([full, [full[0], full[2]]]) == (Hole(1, 1),)
