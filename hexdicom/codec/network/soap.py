"""SOAP (Vyas et al. 2024, arXiv 2409.11321): Adam in the eigenbasis of Shampoo's preconditioner.

The matrices of the network have at most 112 rows or columns, so all of it costs a seventh of the gradient, and a thousand steps of
SOAP come as far as four thousand of Adam. Encoder only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

_DECAY = 0.95  # of the mean gradient, of its square and of the preconditioners
_EVERY = 10  # steps between one renewal of the eigenbases
_LEAST = 1e-8


@dataclass(slots=True)
class _Sides:
    """A matrix' preconditioners G·Gᵀ and Gᵀ·G, decaying, and their eigenvectors in columns, the greatest eigenvalue first."""

    left: torch.Tensor
    right: torch.Tensor
    left_basis: torch.Tensor
    right_basis: torch.Tensor


class Soap:
    """parameters: matrices, and vectors, which get plain Adam. `step` takes the gradients that they hold."""

    def __init__(self, parameters: Sequence[torch.Tensor]) -> None:
        self._parameters = list(parameters)
        self._means = [torch.zeros_like(parameter) for parameter in self._parameters]
        self._squares = [torch.zeros_like(parameter) for parameter in self._parameters]  # in the eigenbases
        self._sides: list[_Sides | None] = []
        self._steps = 0

    @torch.no_grad()
    def step(self, rate: float) -> None:
        if not self._sides:
            self._sides = [_sides(_gradient(parameter)) for parameter in self._parameters]
        self._steps += 1
        unbiased = 1 - _DECAY**self._steps
        for number, (parameter, mean, sides) in enumerate(zip(self._parameters, self._means, self._sides, strict=True)):
            gradient = _gradient(parameter)
            mean.lerp_(gradient, 1 - _DECAY)
            if sides is None:
                turned, turned_mean = gradient, mean
            else:
                turned, turned_mean = (sides.left_basis.T @ matrix @ sides.right_basis for matrix in (gradient, mean))
            square = self._squares[number].lerp_(turned.square(), 1 - _DECAY)
            change = turned_mean / unbiased / ((square / unbiased).sqrt() + _LEAST)
            if sides is not None:
                change = sides.left_basis @ change @ sides.right_basis.T
                sides.left.lerp_(gradient @ gradient.T, 1 - _DECAY)
                sides.right.lerp_(gradient.T @ gradient, 1 - _DECAY)
                if self._steps % _EVERY == 0:
                    self._squares[number] = _renew(sides, square)
            parameter -= rate * change


def _gradient(parameter: torch.Tensor) -> torch.Tensor:
    return torch.zeros_like(parameter) if parameter.grad is None else parameter.grad


def _sides(gradient: torch.Tensor) -> _Sides | None:
    if gradient.dim() != 2:
        return None
    left, right = gradient @ gradient.T, gradient.T @ gradient
    return _Sides(left, right, _eigenbasis(left), _eigenbasis(right))


def _eigenbasis(side: torch.Tensor) -> torch.Tensor:
    """The strongest first. In doubles: LAPACK's solver for floats fails on one in a thousand matrices of low rank."""
    vectors: torch.Tensor = torch.linalg.eigh(side.double()).eigenvectors
    return vectors.flip(1).to(side.dtype)


def _renew(sides: _Sides, square: torch.Tensor) -> torch.Tensor:
    """One step of power iteration for each eigenbasis. -> the squares with their rows and columns in the order of the new bases"""
    order = (sides.left_basis * (sides.left @ sides.left_basis)).sum(0).argsort(descending=True)
    sides.left_basis, square = torch.linalg.qr(sides.left @ sides.left_basis[:, order]).Q, square[order]
    order = (sides.right_basis * (sides.right @ sides.right_basis)).sum(0).argsort(descending=True)
    sides.right_basis, square = torch.linalg.qr(sides.right @ sides.right_basis[:, order]).Q, square[:, order]
    return square
