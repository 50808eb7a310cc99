"""Which earlier frames a frame is predicted from: chosen per time by the encoder, sent in the layer.

The frame before is mostly the best. It is not where labels alternate (ASL), where directions differ (diffusion) or where a heart
comes back to where it was.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hexdicom.codec.network.neighbours import REFERENCES

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SAMPLES = 8000
_CANDIDATES = 8  # times tried beside the four before
_MARGIN = 0.01  # bits per voxel by which other frames must beat the frames just before
_AROUND = ((0, 0), (0, -1), (-1, 0), (0, 1), (1, 0))


def in_sequence(times: int) -> NDArray[np.int64]:
    """(T, 3): the frames just before, -1 where there is none"""
    return np.array([[max(t - k, -1) for k in range(1, REFERENCES + 1)] for t in range(times)], np.int64)


def choose(values: NDArray[np.int32]) -> NDArray[np.int64]:
    """values: (T, Z, Y, X) -> (T, 3) times, all earlier, -1 for none.

    Greedy forward selection: the reference that lowers the error of a least-squares prediction most, then the next.
    """
    times, slices, height, width = values.shape
    best = in_sequence(times)
    if times < 3 or height < 3 or width < 3:
        return best
    generator = np.random.default_rng(0)
    z, y, x = (generator.integers(a, b, _SAMPLES) for a, b in ((0, slices), (1, height - 1), (1, width - 1)))

    def at(t: int, dy: int, dx: int) -> NDArray[np.float64]:
        return np.asarray(values[t, z, y + dy, x + dx], np.float64)

    centres = np.stack([at(t, 0, 0) for t in range(times)])  # (T, n)
    for t in range(2, times):
        distance = np.abs(centres[:t] - centres[t]).mean(1)
        candidates = sorted({*np.argsort(distance, kind="stable")[:_CANDIDATES].tolist(), *range(max(0, t - 4), t)}, reverse=True)
        around = {c: [at(c, dy, dx) for dy, dx in _AROUND] for c in candidates}
        here = [at(t, 0, -1), at(t, -1, 0), at(t, -1, -1)]

        def cost(
            chosen: list[int],
            here: list[NDArray[np.float64]] = here,
            around: dict[int, list[NDArray[np.float64]]] = around,
            t: int = t,
        ) -> float:
            base = around[chosen[0]][0]
            inputs = np.stack([*here, *(part for c in chosen for part in around[c])], 1) - base[:, None]  # (n, i)
            weight = 1 / (np.abs(inputs).mean(1) + 1)
            weighted = inputs * weight[:, None]
            normal = weighted.T @ inputs
            normal[np.diag_indices(len(normal))] += 1e-4 * np.trace(normal) / len(normal) + 1e-3
            error = centres[t] - base - inputs @ np.linalg.solve(normal, weighted.T @ (centres[t] - base))
            return float(np.log2(np.abs(error) + 0.3).mean())

        chosen: list[int] = []
        reached = np.inf
        for _ in range(min(REFERENCES, t)):
            reached, following = min((cost([*chosen, c]), -c) for c in candidates if c not in chosen)
            chosen.append(-following)
        if reached < cost([c for c in best[t].tolist() if c >= 0]) - _MARGIN:
            best[t] = [*chosen, *([-1] * (REFERENCES - len(chosen)))]
    return best
