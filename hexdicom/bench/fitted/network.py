"""NeRF and SIREN as the paper uses them: five linear layers from a place in [−1, 1]^4 to a grey value, width by the ratio."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import TYPE_CHECKING, Final

import torch

from hexdicom.bench.fitted.model import BYTES, Model

if TYPE_CHECKING:
    from hexdicom.bench.fitted.model import Shape

LAYERS: Final = 5
FREQUENCIES: Final = 10
W0: Final = 20.0
_RATE: Final = 2e-3
_BLOCK = 1 << 16  # voxels that are evaluated at once


class _Network(Model):
    """tables: what each axis tells the first layer, (samples, inputs) each.

    last_rate: learning rate of the last layer over that of the others.
    """

    last_rate = 1.0

    def __init__(self, shape: Shape, source_bytes: int, ratio: float, seed: int, tables: list[torch.Tensor]) -> None:
        super().__init__(shape)
        inputs = sum(table.shape[1] for table in tables)
        width = widest(inputs, int(source_bytes / ratio / BYTES))
        self.layers = torch.nn.ModuleList(
            torch.nn.Linear(*ends) for ends in ((inputs, width), *((width, width),) * (LAYERS - 2), (width, 1))
        )
        for axis, table in enumerate(tables):
            self.register_buffer(f"table{axis}", table, persistent=False)
        self._start(torch.Generator().manual_seed(seed))

    def drawn(self, target: torch.Tensor, voxels: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        chosen = torch.randint(target.numel(), (voxels,), generator=generator).to(target.device)
        return self._at(chosen), target.view(-1)[chosen]

    def frame(self, t: int) -> torch.Tensor:
        size = math.prod(self.shape[1:])
        places = torch.arange(t * size, (t + 1) * size, device=self.get_buffer("table0").device)
        return torch.cat([self._at(block) for block in torch.split(places, _BLOCK)]).view(self.shape[1:])

    def groups(self) -> list[dict[str, object]]:
        *others, last = self._linear()
        inner = [parameter for layer in others for parameter in layer.parameters()]
        return [{"params": inner, "lr": _RATE}, {"params": list(last.parameters()), "lr": _RATE * self.last_rate}]

    def _at(self, places: torch.Tensor) -> torch.Tensor:
        """Grey values at places of the series in C order, (N,)."""
        told = []
        for axis in (3, 2, 1, 0):
            told.append(self.get_buffer(f"table{axis}")[places % self.shape[axis]])
            places = places // self.shape[axis]
        value = torch.cat(told, 1)
        for layer in self.layers[:-1]:
            value = self._activation(layer(value))
        grey: torch.Tensor = self.layers[-1](value)
        return grey[:, 0]

    @abstractmethod
    def _activation(self, value: torch.Tensor) -> torch.Tensor:
        """Of every layer but the last."""

    @abstractmethod
    def _start(self, generator: torch.Generator) -> None:
        """Give the layers their first parameters."""

    def _linear(self) -> list[torch.nn.Linear]:
        return [layer for layer in self.layers if isinstance(layer, torch.nn.Linear)]


class Nerf(_Network):
    """Mildenhall et al. 2020: ReLU over sines and cosines of ten octaves of each coordinate, and the coordinate itself."""

    def __init__(self, shape: Shape, source_bytes: int, ratio: float, seed: int) -> None:
        octaves = math.pi * 2.0 ** torch.arange(FREQUENCIES)
        lines = [_line(n) for n in shape]
        tables = [torch.cat((line, (line * octaves).sin(), (line * octaves).cos()), 1) for line in lines]
        super().__init__(shape, source_bytes, ratio, seed, tables)

    def _activation(self, value: torch.Tensor) -> torch.Tensor:
        return value.relu()

    def _start(self, generator: torch.Generator) -> None:
        for layer in self._linear():
            torch.nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu", generator=generator)
            torch.nn.init.zeros_(layer.bias)


class Siren(_Network):
    """Sitzmann et al. 2020: sin(w0 · (W x + b)), with the start of their section 3.2."""

    last_rate = 10.0  # sines end at 1 and greys at 100: at the rate of the others it is a thousand steps before they meet

    def __init__(self, shape: Shape, source_bytes: int, ratio: float, seed: int) -> None:
        super().__init__(shape, source_bytes, ratio, seed, [_line(n) for n in shape])

    def _activation(self, value: torch.Tensor) -> torch.Tensor:
        return (W0 * value).sin()

    def _start(self, generator: torch.Generator) -> None:
        for number, layer in enumerate(self._linear()):
            inputs = layer.in_features
            bound = math.sqrt(6 / inputs) / W0 if number else 1 / inputs
            torch.nn.init.uniform_(layer.weight, -bound, bound, generator=generator)
            torch.nn.init.uniform_(layer.bias, -1 / math.sqrt(inputs), 1 / math.sqrt(inputs), generator=generator)


def widest(inputs: int, parameters: int) -> int:
    """Units of each hidden layer of a network with at most so many parameters; at least 1.

    >>> widest(4, 4 * 9 + 9 + 3 * (9 * 9 + 9) + 9 + 1)
    9
    """
    inner = LAYERS - 2
    b = inputs + 1 + inner + 1
    return max(1, int((-b + math.sqrt(b * b + 4 * inner * max(0, parameters - 1))) / (2 * inner)))


def _line(samples: int) -> torch.Tensor:
    """Coordinates of an axis, (samples, 1)."""
    return torch.linspace(-1, 1, samples)[:, None] if samples > 1 else torch.zeros(1, 1)
