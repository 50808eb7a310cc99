"""The two innermost loops in LLVM's own vectors: what numba makes of them takes twice to ten times as long.

LLVM splits a vector that is wider than the machine's, and fuses product and sum where the machine can.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llvmlite import ir
from numba import types
from numba.core import cgutils

from hexdicom.codec.compiled.jit import intrinsic

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

LANES = 16
ROWS = 8  # of weights that are worked on at once

_FLOAT, _INTEGER, _INDEX = ir.FloatType(), ir.IntType(32), ir.IntType(64)
_FUSED = ("contract",)


@intrinsic
def tile(_context: Any, weights: Any, row: Any, source: Any, column: Any, bias: Any, target: Any) -> Any:
    """target[h, b] = bias[h] + sum of weights[h, i] source[i, b], for ROWS rows h from `row` and LANES columns b from `column`.

    weights: (H, I), source: (I, B), bias: (H,), target: (H, B): float32, C order.
    """
    return types.void(weights, types.intp, source, types.intp, bias, target), _tile


@intrinsic
def differences(
    _context: Any, source: Any, start: Any, steps: Any, bits: Any, centre: Any, target: Any, row: Any, column: Any, total: Any
) -> Any:
    """target[row + i, b] = (source[start + steps[i] + j] << bits) − centre[b], and its magnitudes are added to total[b].

    For all i, and for the LANES columns b = column + j. source, centre, total: int32 in one dimension; steps: (n,) int64, n > 0;
    target: (rows, columns) int32, C order.
    """
    return types.void(source, types.intp, steps, types.intc, centre, target, types.intp, types.intp, total), _differences


def _tile(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Sequence[ir.Value]) -> ir.Value:
    weights, source, bias, target = (_array(context, builder, signature, arguments, k) for k in (0, 2, 4, 5))
    row, column = arguments[1], arguments[3]
    _, inputs = cgutils.unpack_tuple(builder, weights.shape)
    _, width = cgutils.unpack_tuple(builder, source.shape)
    rows = [builder.add(row, _constant(h)) for h in range(ROWS)]
    starts = [builder.mul(one, inputs) for one in rows]
    biases = [_spread(builder, builder.load(builder.gep(bias.data, [one]))) for one in rows]

    def step(i: ir.Value, sums: Sequence[ir.Value]) -> list[ir.Value]:
        values = _load(builder, source, builder.add(builder.mul(i, width), column))
        weighed = (_spread(builder, builder.load(builder.gep(weights.data, [builder.add(start, i)]))) for start in starts)
        products = (builder.fmul(one, values, flags=_FUSED) for one in weighed)
        return [builder.fadd(before, product, flags=_FUSED) for before, product in zip(sums, products, strict=True)]

    sums = _loop(builder, inputs, biases, step)
    for one, result in zip(rows, sums, strict=True):
        _store(builder, target, builder.add(builder.mul(one, width), column), result)
    return context.get_dummy_value()


def _differences(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Sequence[ir.Value]) -> ir.Value:
    source, steps, centre, target, total = (_array(context, builder, signature, arguments, k) for k in (0, 2, 4, 5, 8))
    start, bits, row, column = (arguments[k] for k in (1, 3, 6, 7))
    (count,) = cgutils.unpack_tuple(builder, steps.shape)
    _, width = cgutils.unpack_tuple(builder, target.shape)
    middle, shift = _load(builder, centre, column), _spread(builder, bits)
    nothing = ir.Constant(middle.type, None)

    def step(i: ir.Value, sums: Sequence[ir.Value]) -> list[ir.Value]:
        place = builder.add(start, builder.load(builder.gep(steps.data, [i])))
        difference = builder.sub(builder.shl(_load(builder, source, place), shift), middle)
        _store(builder, target, builder.add(builder.mul(builder.add(row, i), width), column), difference)
        negative = builder.icmp_signed("<", difference, nothing)
        return [builder.add(sums[0], builder.select(negative, builder.neg(difference), difference))]

    (magnitude,) = _loop(builder, count, [_load(builder, total, column)], step)
    _store(builder, total, column, magnitude)
    return context.get_dummy_value()


def _array(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Sequence[ir.Value], number: int) -> Any:
    return context.make_array(signature.args[number])(context, builder, arguments[number])


def _constant(value: int) -> ir.Constant:
    return ir.Constant(_INDEX, value)


def _vector(array: Any, builder: ir.IRBuilder, place: ir.Value) -> ir.Value:
    element = array.data.type.pointee
    return builder.bitcast(builder.gep(array.data, [place]), ir.VectorType(element, LANES).as_pointer())


def _load(builder: ir.IRBuilder, array: Any, place: ir.Value) -> ir.Value:
    return builder.load(_vector(array, builder, place), align=4)


def _store(builder: ir.IRBuilder, array: Any, place: ir.Value, values: ir.Value) -> None:
    builder.store(values, _vector(array, builder, place), align=4)


def _spread(builder: ir.IRBuilder, value: ir.Value) -> ir.Value:
    unknown = ir.Constant(ir.VectorType(value.type, LANES), ir.Undefined)
    alone = builder.insert_element(unknown, value, ir.Constant(_INTEGER, 0))
    return builder.shuffle_vector(alone, unknown, ir.Constant(ir.VectorType(_INTEGER, LANES), None))


def _loop(
    builder: ir.IRBuilder,
    count: ir.Value,
    first: Sequence[ir.Value],
    step: Callable[[ir.Value, Sequence[ir.Value]], Sequence[ir.Value]],
) -> list[ir.Value]:
    """state = first; for i in range(count): state = step(i, state); -> state. count: at least 1."""
    before, inside, after = builder.block, builder.append_basic_block("step"), builder.append_basic_block("end")
    builder.branch(inside)
    builder.position_at_end(inside)
    i, state = builder.phi(_INDEX), [builder.phi(one.type) for one in first]
    results = list(step(i, state))
    following = builder.add(i, _constant(1))
    for phi, start, result in zip((i, *state), (_constant(0), *first), (following, *results), strict=True):
        phi.add_incoming(start, before)
        phi.add_incoming(result, inside)
    builder.cbranch(builder.icmp_signed("<", following, count), inside, after)
    builder.position_at_end(after)
    return results
