"""The law of assembly: whatever the layout, the volume is the pixels in order, and leads back to every byte of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hexdicom.dicom.assemble import assemble, disassemble, geometry_of
from hexdicom.dicom.pixels import locate_pixel_data, pixel_value
from hexdicom.dicom.series import plan_files

if TYPE_CHECKING:
    from pathlib import Path


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    shape=st.tuples(st.integers(2, 4), st.integers(1, 5), st.integers(1, 5), st.integers(2, 5)),
    dtype=st.sampled_from(["uint8", "int8", "uint16", "int16"]),
    layout=st.sampled_from(["cine", "one volume per file", "one file", "mosaic"]),
    syntax=st.integers(0, 3),
    order=st.randoms(use_true_random=False),
)
def test_disassemble_inverts_assemble(
    series: Any, tmp_path: Path, shape: tuple[int, ...], dtype: str, layout: str, syntax: int, order: Any
) -> None:
    values = series.noise(shape, dtype)
    data_sets = {
        "cine": lambda: series.cine(values),
        "one volume per file": lambda: [series.enhanced(values[t : t + 1], t + 1, first_time=t + 1) for t in range(shape[0])],
        "one file": lambda: [series.enhanced(values, 1)],
        "mosaic": lambda: [series.mosaic(volume, t + 1) for t, volume in enumerate(values)],
    }[layout]()
    order.shuffle(data_sets)
    paths = []
    for count, ds in enumerate(data_sets):
        paths.append(tmp_path / f"{count}.dcm")
        paths[-1].write_bytes(series.part10(ds, series.syntaxes[syntax]))
    assembly = plan_files(paths)
    (group,) = assembly.groups
    assert not assembly.passed_through
    volume = assemble(group)
    np.testing.assert_array_equal(volume.values, values)
    back = disassemble(geometry_of(group), volume.values)
    assert back == [pixel_value(path, locate_pixel_data(path)) for path in group.sources]
