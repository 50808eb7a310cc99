"""Adam (Kingma and Ba 2015, arXiv 1412.6980).

Not torch.optim's: its first use imports torch._dynamo, which takes as long as a small fit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

_LEAST = 1e-8


class Adam:
    """parameters: of which `step` takes the gradients. decays: of the mean gradient, and of the mean of its square."""

    def __init__(self, parameters: Sequence[torch.Tensor], decays: tuple[float, float]) -> None:
        self._parameters, self._decays = list(parameters), decays
        self._means, self._squares = ([torch.zeros_like(one) for one in self._parameters] for _ in range(2))
        self._steps = 0

    @torch.no_grad()
    def step(self, rates: Sequence[float]) -> None:
        """rates: one for each parameter."""
        self._steps += 1
        first, second = (1 - decay**self._steps for decay in self._decays)
        for parameter, mean, square, rate in zip(self._parameters, self._means, self._squares, rates, strict=True):
            if parameter.grad is not None:
                mean.lerp_(parameter.grad, 1 - self._decays[0])
                square.lerp_(parameter.grad.square(), 1 - self._decays[1])
                parameter.addcdiv_(mean, (square / second).sqrt_().add_(_LEAST), value=-rate / first)
