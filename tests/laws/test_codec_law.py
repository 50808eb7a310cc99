"""decode(encode(x)) = x, for any shape, any type, any values; and never more than the bound away in the near-lossless profile."""

from __future__ import annotations

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from hexdicom import codec
from hexdicom.codec import Profile
from hexdicom.volume import DTYPES, CineVolume

SHAPES = st.tuples(st.integers(1, 5), st.integers(1, 4), st.integers(1, 40), st.integers(1, 40))
TINY = {"steps": 2, "channels": 2, "hidden": 2}
SLOW = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


@st.composite
def series(draw: st.DrawFn) -> CineVolume:
    shape, dtype = draw(SHAPES), np.dtype(draw(st.sampled_from(DTYPES)))
    limits = np.iinfo(dtype)
    if draw(st.booleans()):
        few = draw(arrays.arrays(dtype, draw(arrays.array_shapes(min_dims=4, max_dims=4, max_side=4))))
        return CineVolume(np.ascontiguousarray(np.resize(few, shape)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    smooth = np.add.outer(
        np.add.outer(rng.normal(0, 9, shape[0]).cumsum(), rng.normal(0, 9, shape[1])), rng.normal(0, 9, shape[2:])
    )
    spread = draw(st.sampled_from([0, 0.3, 4, 300, 20_000]))
    noisy = (
        smooth * draw(st.sampled_from([0, 1, 100])) + rng.normal(0, 1, shape) * spread + draw(st.integers(limits.min, limits.max))
    )
    return CineVolume(np.clip(np.rint(noisy), limits.min, limits.max).astype(dtype))


@SLOW
@given(series())
def test_lossless(volume: CineVolume) -> None:
    encoded = codec.encode(volume, Profile(**TINY))
    decoded = codec.decode(encoded.bitstream).values
    assert decoded.dtype == volume.values.dtype
    assert np.array_equal(decoded, volume.values)
    assert encoded.report.bytes == len(encoded.bitstream)


@SLOW
@given(series(), st.integers(1, 40))
def test_near_lossless(volume: CineVolume, bound: int) -> None:
    encoded = codec.encode(volume, Profile(kind="near-lossless", max_error=bound, **TINY))
    decoded = codec.decode(encoded.bitstream).values
    assert np.abs(decoded.astype(int) - volume.values).max() <= bound
