"""Plans of the real series, made once."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import pytest

from hexdicom.dicom.series import plan_files

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from hexdicom.dicom.plan import Assembly


@pytest.fixture(scope="session")
def planned(real_data: Path) -> Callable[[str], Assembly]:
    """The assembly of a folder, by its name below the data."""

    @cache
    def of(folder: str) -> Assembly:
        return plan_files([real_data / folder])

    return of
