"""The network predictor compiled by numba: one call codes a whole slice, on one thread, without the interpreter lock.

The integers are those of `walk`, which is the readable form and runs on any device; tests hold the two together bit for bit.
Integers that float32 carries stay below 2^24 (`weights.Network` proves it) and those that float64 carries below 2^53, so that fused
or reordered sums, which `fastmath` allows, change nothing.
"""

from hexdicom.codec.compiled.coder import DONE, TRUNCATED, code_slice, rans_encode
from hexdicom.codec.compiled.fronts import zeros
from hexdicom.codec.compiled.training import UNKNOWN, examples, history
from hexdicom.codec.compiled.vectors import LANES, ROWS

__all__ = ["DONE", "LANES", "ROWS", "TRUNCATED", "UNKNOWN", "code_slice", "examples", "history", "rans_encode", "zeros"]
