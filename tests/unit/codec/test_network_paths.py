"""Predictors 2 and 3: the compiled coder and the readable one give the same bytes, and both refuse the same damage."""

from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from hexdicom.codec.network import field, inputs, layer, references, stream, tables, walk, weights
from hexdicom.codec.network.neighbours import FIELD_CHANNELS, HALO, IN_FRAME, INPUTS, NEIGHBOURS, REFERENCES, VALUES
from hexdicom.codec.network.parameters import Adapted, Parameters
from hexdicom.codec.network.stream import FLOORED, ROUNDED
from hexdicom.codec.planes import PLANES, Size
from hexdicom.codec.reader import Reader
from hexdicom.errors import BitstreamError, Truncated

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Values = NDArray[np.int32]
    Shape = tuple[int, int, int, int]

CPU = torch.device("cpu")
SHAPE = (3, 2, 7, 9)


def silent(step: object = None, fraction: object = None) -> None:
    """Progress that nobody watches"""


def network(rng: np.random.Generator, wild: bool = False) -> weights.Network:
    """Random weights. wild: as large as they may be."""
    hidden = rng.choice([3, 8, 16, 17], 3).tolist()
    sizes = (INPUTS, *hidden, weights.OUTPUTS)
    matrices, biases = [], []
    for number, (width, height) in enumerate(pairwise(sizes)):
        matrix, bias = rng.normal(0, 150, (height, width)), rng.normal(0, 30_000, height)
        if number == weights.LAYERS - 1:
            matrix[:NEIGHBOURS] *= 0.2
            bias[:NEIGHBOURS] = 0
            bias[IN_FRAME.tolist().index([0, -1])] = 0.6 * weights.COMBINATION_UNIT
            bias[IN_FRAME.tolist().index([-1, 0])] = 0.3 * weights.COMBINATION_UNIT
            bias[-3:] = (np.array([-2, 0, 3]) + rng.normal()) * weights.MIXTURE_UNIT
        reach = np.abs(matrix) @ weights.input_limits(number, width) + np.abs(bias)
        factor = weights.EXACT / reach * 0.999 if wild else np.minimum(1, weights.EXACT / reach * 0.999)
        matrices.append(np.trunc(matrix * factor[:, None]).astype(np.int32))
        biases.append(np.trunc(bias * factor).astype(np.int32))
    return weights.Network(tuple(matrices), tuple(biases))


def planes(rng: np.random.Generator, shape: Shape) -> field.Field:
    nodes = tuple(int(rng.integers(1, n + 1)) for n in shape)
    size = Size((nodes[0], nodes[1], nodes[2], nodes[3]), FIELD_CHANNELS, 1)
    return field.Field(size.nodes, tuple(rng.integers(-256, 257, (*size.plane(name), FIELD_CHANNELS)) for name in PLANES))


def parameters(rng: np.random.Generator, values: Values, wild: bool = False, with_field: bool = True) -> Parameters:
    shape = values.shape
    earlier = np.array([rng.integers(-1, t, REFERENCES) if t else [-1] * REFERENCES for t in range(shape[0])], np.int64)
    linear = np.rint(rng.normal(0, 32767 if wild else 300, VALUES)).clip(-32768, 32767)
    one = planes(rng, (shape[0], shape[1], shape[2], shape[3])) if with_field else None
    made = network(rng, wild)
    adapted = Adapted(made, np.zeros(len(made.flat()), np.int64), np.zeros(2 * weights.LAYERS, np.int64), one)
    predictor = int(rng.choice((FLOORED, ROUNDED)))
    return Parameters(predictor, int(values.min()), int(values.max()), earlier, linear, adapted, 1)


def series(rng: np.random.Generator, shape: Shape, low: int, high: int, noise: float) -> Values:
    """A wave that moves, under noise, limited to low..high"""
    t, z, y, x = np.indices(shape)
    wave = np.sin(x / 3 + t / 2 + z) * np.cos(y / 4 - t / 3)
    values = (low + high) / 2 + (high - low) / 2 * wave + rng.standard_t(3, shape) * noise
    return np.asarray(np.rint(values).clip(low, high), np.int32)


def compiled(given: Parameters, values: Values, max_error: int) -> tuple[list[bytes], Values]:
    """What `walk.encode` gives, from the compiled coder"""
    t, z, y, x = values.shape
    coder = layer._Coder(given, (t, z, y, x), max_error)
    every = [coder.encode(one, np.ascontiguousarray(values[:, one])) for one in range(z)]
    return [piece for piece, _ in every], np.stack([decoded for _, decoded in every], 1)


def compiled_decode(given: Parameters, pieces: list[bytes], shape: Shape, max_error: int) -> Values:
    return layer.decode(layer.Stream(shape, given, tuple(pieces)), max_error, CPU, silent)


def compare(given: Parameters, values: Values, max_error: int, device: torch.device = CPU) -> list[bytes]:
    """Both make the same pieces and read them. -> the pieces"""
    t, z, y, x = shape = values.shape
    pieces, decoded = compiled(given, values, max_error)
    walked, walked_decoded = walk.encode(given, values, max_error, device, silent)
    assert walked == pieces
    assert np.array_equal(walked_decoded, decoded)
    assert np.abs(decoded - values).max() <= max_error
    assert np.array_equal(walk.decode(given, pieces, range(z), shape, max_error, device, silent), decoded)
    assert np.array_equal(compiled_decode(given, walked, (t, z, y, x), max_error), decoded)
    return pieces


def raw_bytes(pieces: list[bytes], lanes: int = 1) -> int:
    return sum(len(stream.unpack(piece, z, lanes).raw) for z, piece in enumerate(pieces))


@pytest.mark.parametrize(
    "shape", [(1, 1, 1, 1), (1, 2, 9, 8), (3, 1, 6, 7), (4, 2, 1, 9), (3, 2, 8, 1), (2, 3, 3, 2), (6, 1, 2, 3)]
)
@pytest.mark.parametrize("max_error", [0, 1, 3])
def test_small_axes(shape: Shape, max_error: int) -> None:
    rng = np.random.default_rng(sum(shape) + max_error)
    values = series(rng, shape, -900, 800, 6)
    compare(parameters(rng, values, with_field=max_error != 1), values, max_error)


@pytest.mark.parametrize("max_error", [0, 1, 3])
def test_whole_range_with_raw_bits_and_escapes(max_error: int) -> None:
    rng = np.random.default_rng(max_error)
    for low, high in ((0, 65535), (-32768, 32767)):
        values = series(rng, SHAPE, low, high, 2000)
        values[0, 0, :3] = rng.integers(low, high, values[0, 0, :3].shape)
        given = parameters(rng, values)
        assert raw_bytes(compare(given, values, max_error)) > 0


@pytest.mark.parametrize("wild", [False, True])
@pytest.mark.parametrize("max_error", [0, 2])
def test_voxels_far_from_the_borders_with_three_references(max_error: int, wild: bool) -> None:
    rng = np.random.default_rng(11 + max_error)
    for low, high, noise in ((0, 4000, 40), (-32768, 32767, 3000)):
        values = series(rng, (5, 1, 2 * HALO + 4, 2 * HALO + 5), low, high, noise)
        given = replace(
            parameters(rng, values, wild), references=np.array([[-1] * 3, [0, -1, -1], [1, 0, 0], [0, 2, 1], [3, 0, 2]])
        )
        compare(given, values, max_error)


def test_the_largest_weights() -> None:
    rng = np.random.default_rng(8)
    for seed in range(3):
        values = series(rng, (3, 1, 6, 9), -32768, 32767, 30 + 3000 * seed)
        compare(parameters(rng, values, wild=True), values, 0)


def test_constant_areas_and_a_constant_series() -> None:
    rng = np.random.default_rng(9)
    values = series(rng, SHAPE, 0, 300, 2)
    values[:, :, 2:6, 2:7] = 0
    compare(parameters(rng, values), values, 0)
    values[:] = -7
    compare(parameters(rng, values), values, 0)


@pytest.mark.parametrize("lanes", [2, 4])
def test_lanes_share_the_words_in_their_order(monkeypatch: pytest.MonkeyPatch, lanes: int) -> None:
    monkeypatch.setattr(stream, "lanes", lambda _: lanes)
    rng = np.random.default_rng(lanes)
    values = series(rng, (3, 2, 9, 14), 0, 4095, 60)
    given = parameters(rng, values)
    pieces = compare(given, values, 0)
    # bisection instead of tables
    monkeypatch.setattr(walk, "_MOST_ENTRIES", 0)
    assert np.array_equal(walk.decode(given, pieces, range(2), values.shape, 0, CPU, silent), values)


def test_only_some_slices_and_any_number_of_threads() -> None:
    rng = np.random.default_rng(5)
    values = series(rng, (2, 5, 6, 7), 0, 1000, 9)
    given = parameters(rng, values)
    pieces, _ = compiled(given, values, 0)
    before = torch.get_num_threads()
    reports: list[float] = []
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            assert walk.encode(given, values, 0, CPU, reports.append)[0] == pieces
            some = walk.decode(given, [pieces[3], pieces[1]], [3, 1], values.shape, 0, CPU, silent)
            assert np.array_equal(some, values[:, [3, 1]])
            assert torch.get_num_threads() == count
    finally:
        torch.set_num_threads(before)
    assert max(reports) == 1


def test_the_readable_path_needs_no_compiler() -> None:
    code = "import sys; sys.modules['numba'] = None; from hexdicom.codec.network import parameters, walk"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.gpu
def test_a_gpu_makes_the_same_bytes() -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device on this machine")
    rng = np.random.default_rng(3)
    for low, high, noise in ((0, 4095, 20), (-32768, 32767, 4000)):
        values = series(rng, (4, 3, 40, 50), low, high, noise)
        compare(parameters(rng, values), values, 0, torch.device("cuda"))


def outcome(decode: object) -> Values | type[BaseException]:
    """What it decodes to, or the error that it raises"""
    assert callable(decode)
    try:
        decoded: Values = decode()
    except BitstreamError as error:
        return type(error)
    return decoded


def test_damage_is_refused_alike() -> None:
    rng = np.random.default_rng(6)
    values = series(rng, (2, 1, 4, 6), 0, 65535, 3000)
    given = parameters(rng, values)
    (piece,), _ = compiled(given, values, 0)
    words = int.from_bytes(piece[:4], "little")
    fewer_words = (words - 3).to_bytes(4, "little") + piece[4 : 14 + 2 * (words - 3)] + piece[14 + 2 * words :]
    more_words = (words + 1).to_bytes(4, "little") + piece[4 : 14 + 2 * words] + b"\0\0" + piece[14 + 2 * words :]
    raw = int.from_bytes(piece[4:8], "little")
    assert raw > 2
    fewer_bits = piece[:4] + (raw - 2).to_bytes(4, "little") + piece[8:-2]
    more_bits = piece[:4] + (raw + 1).to_bytes(4, "little") + piece[8:] + b"\0"
    low_state = piece[:8] + b"\1" + bytes(5) + piece[14:]
    damaged = {
        "nothing": b"", "cut": piece[:-1], "longer": piece + b"\0", "fewer words": fewer_words, "more words": more_words,
        "fewer bits": fewer_bits, "more bits": more_bits, "a low state": low_state,
        "huge": b"\xff" * 8 + piece[8:], "random": piece[:8] + rng.bytes(len(piece) - 8),
    }  # fmt: skip
    found: dict[str, object] = {}
    for name, data in damaged.items():
        one = outcome(lambda data=data: walk.decode(given, [data], [0], values.shape, 0, CPU, silent))
        other = outcome(lambda data=data: compiled_decode(given, [data], (2, 1, 4, 6), 0))
        assert one is other, name
        found[name] = one
    expected: dict[str, object] = dict.fromkeys(("nothing", "cut", "fewer words", "fewer bits", "huge"), Truncated)
    expected |= dict.fromkeys(("longer", "more words", "more bits", "a low state"), BitstreamError)
    assert found == {**expected, "random": found["random"]}


@pytest.mark.parametrize("seed", range(6))
def test_changed_bytes_give_the_same_values_or_the_same_error(seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = series(rng, (2, 1, 3, 6), 0, 65535, 3000)
    given = parameters(rng, values)
    (piece,), _ = compiled(given, values, 0)
    changed = bytearray(piece)
    changed[int(rng.integers(8, len(piece)))] ^= int(rng.integers(1, 256))
    one = outcome(lambda: walk.decode(given, [bytes(changed)], [0], values.shape, 0, CPU, silent))
    other = outcome(lambda: compiled_decode(given, [bytes(changed)], (2, 1, 3, 6), 0))
    assert one is other or (isinstance(one, np.ndarray) and isinstance(other, np.ndarray) and np.array_equal(one, other))


def test_tables_are_what_they_say() -> None:
    for table, exact in (
        (tables.scale(), lambda i: 2 ** (i / 16)),
        (tables.inverse_scale(), lambda i: 2 ** (36 - i / 16)),
        (tables.decay(), lambda i: 2 ** (16 - i / 16)),
    ):
        assert len(table) == tables.LEVELS
        assert all(got == exact(i) if i % 16 == 0 else got < exact(i) < got + 1 for i, got in enumerate(table.tolist()))
    assert tables.mantissa_log().tolist() == [math.floor(32 * math.log2((128 + i) / 128)) for i in range(128)]
    assert tables.recency(5).tolist() == [65536, 32768, 21845, 16384, 13107]


def test_the_logarithm_is_that_of_the_leading_bits() -> None:
    rng = np.random.default_rng(0)
    values = np.unique(np.concatenate((np.arange(1, 3000), np.rint(2 ** rng.uniform(0, 45, 3000)).astype(np.int64))))
    expected = []
    for v in values.tolist():
        dropped = max(0, v.bit_length() - 8)
        expected.append(math.floor(32 * math.log2(v >> dropped << dropped) + 1e-9))
    assert inputs.Tables(CPU).log(torch.from_numpy(values)).tolist() == expected


def test_a_network_whose_sums_might_not_be_exact_is_refused() -> None:
    made = network(np.random.default_rng(0))
    for number in range(weights.LAYERS):
        reach = np.abs(made.matrices[number].astype(np.int64)) @ weights.input_limits(number, made.matrices[number].shape[1])
        biases = [bias.copy() for bias in made.biases]
        biases[number][1] = weights.EXACT - 1 - reach[1]
        weights.Network(made.matrices, tuple(biases))
        biases[number][1] += 1
        with pytest.raises(BitstreamError, match="exact"):
            weights.Network(made.matrices, tuple(biases))
    # what 32 bits would wrap to something small
    flat = made.flat().astype(np.int64)
    flat[5] += 1 << 32
    with pytest.raises(BitstreamError, match="exact"):
        weights.from_flat(flat, made.sizes[1:-1])


def test_references_are_earlier_frames() -> None:
    rng = np.random.default_rng(2)
    alternating = series(rng, (9, 2, 12, 13), 0, 500, 3)
    alternating[1::2] += 3000
    for values in (alternating, alternating[:1], alternating[:, :, :2], series(rng, (7, 1, 8, 8), -9, 9, 4)):
        chosen = references.choose(values)
        assert chosen.shape == (len(values), REFERENCES)
        assert (chosen >= -1).all()
        assert (chosen < np.arange(len(values))[:, None]).all()
    behind = np.arange(4, 9) - references.choose(alternating)[4:, 0]
    assert (behind % 2 == 0).sum() >= 4


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (5, 3, 20, 17), (2, 9, 4, 30)])
def test_a_field_comes_back(shape: Shape) -> None:
    one = planes(np.random.default_rng(1), shape)
    back = field.from_reader(Reader(one.to_bytes(), "field"), shape)
    assert back.nodes == one.nodes
    assert all(np.array_equal(a, b) for a, b in zip(back.planes, one.planes, strict=True))
    with pytest.raises(BitstreamError):
        field.from_reader(Reader(one.to_bytes()[:-1], "field"), shape)


def test_groups_and_lanes() -> None:
    sizes = stream.group_sizes((3, 4, 2))
    assert sizes.sum() == 3 * 4 * 2
    assert sizes[:8].tolist() == [1, 1, 0, 0, 0, 0, 1, 1]
    assert [stream.lanes(n) for n in (0, 1, 1 << 14, 1 << 15, (1 << 16) - 1, 1 << 24, 1 << 28)] == [1, 1, 1, 2, 2, 1024, 1024]
