"""What the bench measures on: the 4-D series of DICOM files and folders, and arrays (.npy, .npz, .nii), each with a name."""

from __future__ import annotations

import os
import zipfile
from collections import Counter
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hexdicom.dicom.assemble import assemble
from hexdicom.dicom.series import plan_files
from hexdicom.errors import NotFound, VolumeError
from hexdicom.volume import CineVolume
from hexdicom_services.cli import array_file

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from hexdicom.dicom.plan import SeriesPlan

_ENDINGS = (".npy", ".npz", ".nii", ".nii.gz")


def find(sources: Sequence[Path]) -> list[tuple[str, Callable[[], NDArray[Any]]]]:
    """Names, each its own, and what reads the values (T, Z, Y, X): one at a time is in memory.

    Raises NotFound where there is nothing. Reading raises VolumeError, SeriesError.
    """
    arrays = [path for path in sources if path.name.lower().endswith(_ENDINGS)]
    others = [path for path in sources if path not in arrays]
    plans = plan_files(others).groups if others else ()
    if not arrays and not plans:
        raise NotFound("There is no 4-D series and no array among the sources.", hint="`hexdicom explain` says why not.")
    taken: Counter[str] = Counter()
    found: list[tuple[str, Callable[[], NDArray[Any]]]] = [(_own(_stem(path), taken), partial(_array, path)) for path in arrays]
    return found + [(_own(name, taken), partial(_values, plan)) for plan, name in zip(plans, _names(plans), strict=True)]


def _stem(path: Path) -> str:
    ending = max((ending for ending in _ENDINGS if path.name.lower().endswith(ending)), key=len)
    return path.name[: -len(ending)]


def _values(plan: SeriesPlan) -> NDArray[Any]:
    return assemble(plan).values


def _array(path: Path) -> NDArray[Any]:
    if not path.name.lower().endswith(".npz"):
        return array_file.read(path)[0].values
    try:
        with np.load(path, allow_pickle=False) as file:
            return CineVolume(np.ascontiguousarray(file["stored_values"])).values
    except KeyError as error:
        raise VolumeError(f"{path.name} has no array `stored_values`.", hint="Its axes: time, slice, row, column.") from error
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise VolumeError(f"{path} cannot be read: {error}.") from error


def _names(plans: Sequence[SeriesPlan]) -> list[str]:
    """The last two parts of the folder where a series lies, as people know their data; its description where two lie in one."""
    folders = [
        "/".join(Path(os.path.commonpath([source.resolve().parent for source in plan.sources])).parts[-2:]) for plan in plans
    ]
    shared = Counter(folders)
    return [
        (plan.series_description or plan.component or folder) if shared[folder] > 1 else folder
        for folder, plan in zip(folders, plans, strict=True)
    ]


def _own(name: str, taken: Counter[str]) -> str:
    """The name, with a number from its second time on."""
    taken[name] += 1
    return name if taken[name] == 1 else f"{name} ({taken[name]})"
