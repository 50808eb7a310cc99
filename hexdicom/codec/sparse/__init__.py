"""The planes of the lossy profile: one xy for each slice and channel, as wavelet coefficients, mostly 0, and time functions.

    series (T, Z, Y, X) ─► time functions, by singular values ─► maps (Z, R, Y, X) ─► wavelets, rounded by what bits cost ─► stream

What became of the six: docs/decisions/0009. A decoder needs integers alone.
"""
