"""rANS, the probability tables and the integers coded with them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hexdicom.codec import logistic, rans, symbols
from hexdicom.errors import BitstreamError, Truncated


def _model(rng: np.random.Generator, n: int) -> symbols.Model:
    return symbols.Model(
        rng.integers(0, logistic.TOP_LEVEL + 1, n),
        rng.integers(0, logistic.SHAPES, n),
        rng.integers(-8, 8, n),
        -rng.integers(0, 70_000, n) * rng.integers(0, 2, n),
        rng.integers(0, 70_000, n) * rng.integers(0, 2, n),
    )


def _written(groups: list[np.ndarray], models: list[symbols.Model]) -> bytes:
    writer = symbols.Writer()
    for q, model in zip(groups, models, strict=True):
        writer.write(q, model)
    return writer.finish()


@given(seed=st.integers(0, 2**32), sizes=st.lists(st.integers(0, 300), min_size=1, max_size=6))
def test_any_integers_under_any_model_come_back(seed: int, sizes: list[int]) -> None:
    rng = np.random.default_rng(seed)
    models = [_model(rng, n) for n in sizes]
    # mostly what the model expects, now and then anything that its bounds allow
    groups = [
        np.clip(np.rint(rng.logistic(0, 1, n) * 2.0 ** ((m.level - 16) / 4) * rng.choice([1, 50], n)), m.low, m.high).astype(
            np.int64
        )
        for n, m in zip(sizes, models, strict=True)
    ]
    source = symbols.Source(_written(groups, models), sum(sizes))
    for q, model in zip(groups, models, strict=True):
        assert np.array_equal(source.read(model), q)
    source.end()


def test_tables_are_probability_tables() -> None:
    cumulative = logistic.cumulative()
    assert (cumulative[:, 0] == 0).all()
    assert (cumulative[:, -1] == rans.TOTAL).all()
    frequency = np.diff(cumulative, axis=1).reshape(logistic.LEVELS, -1, logistic.SYMBOLS)
    distance = np.abs(np.arange(logistic.SYMBOLS) - logistic.CENTRE)
    for level, reach in enumerate(logistic.reach()):
        assert (frequency[level][:, distance <= reach + 1] >= 1).all()
        assert (frequency[level][:, distance > reach + 1] == 0).all()


def test_tables_never_change() -> None:
    """Every archive depends on these integers: a new value here means a new table set under a new name."""
    import hashlib

    digest = hashlib.sha256(logistic.cumulative().astype("<i4").tobytes()).hexdigest()
    assert digest == "9684e5a6a780eb6d229a3c7f7fd2d1d49c013e502c3475c929c0bce696245478"


def test_means_follow_the_offset() -> None:
    symbol = np.arange(logistic.SYMBOLS) - logistic.CENTRE
    for level in (12, 16, 24):
        for offset in (-8, 0, 7):
            row = int(logistic.row(np.int64(level), np.int64(0), np.int64(offset)))
            frequency = np.diff(logistic.cumulative()[row])
            assert frequency @ symbol / rans.TOTAL == pytest.approx(offset / 16, abs=0.03)


def test_cost_is_close_to_the_entropy() -> None:
    rng = np.random.default_rng(1)
    q = np.rint(rng.logistic(0, 1.7, 400_000)).astype(np.int64)
    zero = np.zeros_like(q)
    level, shape = symbols.best_tables([(q, zero, zero)], 1)
    model = symbols.Model(level[zero], shape[zero], zero, zero - 40, zero + 40)
    share = np.bincount(q - q.min()) / len(q)
    entropy = -(share[share > 0] * np.log2(share[share > 0])).sum()
    assert 8 * len(_written([q], [model])) / len(q) < 1.005 * entropy


def test_certainty_costs_nothing() -> None:
    n = 100_000
    zero = np.zeros(n, np.int64)
    stream = _written([zero], [symbols.Model(zero + 20, zero, zero, zero, zero)])
    assert len(stream) < 16 + 5 * rans.lanes_for(n)


def test_truncated_words() -> None:
    rng = np.random.default_rng(2)
    q = np.rint(rng.logistic(0, 3, 5000)).astype(np.int64)
    zero = np.zeros_like(q)
    model = symbols.Model(zero + 22, zero, zero, zero - 100, zero + 100)
    stream = _written([q], [model])
    with pytest.raises(Truncated):
        symbols.Source(stream[:-10], 5000)


def test_wrong_number_of_lanes() -> None:
    zero = np.zeros(10, np.int64)
    stream = bytearray(_written([zero], [symbols.Model(zero, zero, zero, zero, zero)]))
    stream[:4] = (1 << 31).to_bytes(4, "little")
    with pytest.raises(BitstreamError, match="lanes"):
        symbols.Source(bytes(stream), 10)
