"""Fitting a model: Adam on the squared error (eq. 4) over random voxels, for so many steps or so many seconds."""

from __future__ import annotations

import math
import time
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import numpy as np
import torch

from hexdicom.bench.fitted.model import PEAK, from_bytes, to_bytes
from hexdicom.bench.fitted.network import Nerf, Siren
from hexdicom.bench.fitted.published import Published
from hexdicom.codec.hexplane import resolve
from hexdicom.errors import HexdicomError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from hexdicom.bench.coder import Layout, Values
    from hexdicom.bench.fitted.model import Model

MODELS: Final[Mapping[str, Callable[..., Model]]] = MappingProxyType({"planes": Published, "nerf": Nerf, "siren": Siren})
_VOXELS: Final = 1 << 12  # of a step on a processor
_GPU_VOXELS: Final = 1 << 20  # as in the code that the paper's NeRF and SIREN come from
_WARM_UP: Final = 20  # steps
_LONGEST_GRADIENT: Final = 10.0
_LAST_RATE: Final = 0.01  # of the first learning rate: the cosine ends here
_SEED = 0


def encode(name: str, values: Values, layout: Layout, ratio: float, steps: int, seconds: float, device: str) -> tuple[bytes, int]:
    """-> the bitstream, and how many steps were done. seconds: stop after so many of them; 0: never.

    Learning rates go down with the share of steps or seconds that is spent, whichever is more: a bounded fit ends cool too.
    Raises HexdicomError where the parameters come out as no numbers.
    """
    on = resolve(device)
    model = _model(name, layout, ratio, on)
    gain = PEAK / max(1, layout.highest - layout.lowest)
    target = (torch.from_numpy(values.astype(np.float32)).to(on) - layout.lowest) * gain
    optimiser = torch.optim.Adam(model.groups())
    first = [group["lr"] for group in optimiser.param_groups]
    generator = torch.Generator().manual_seed(_SEED)
    voxels = _GPU_VOXELS if on.type == "cuda" else _VOXELS
    began, done = time.monotonic(), 0
    while done < steps:
        share = max(done / steps, (time.monotonic() - began) / seconds if seconds else 0)
        if share >= 1:
            break
        for group, rate in zip(optimiser.param_groups, first, strict=True):
            group["lr"] = (
                rate * min(1, (done + 1) / _WARM_UP) * (_LAST_RATE + (1 - _LAST_RATE) * (0.5 + 0.5 * math.cos(math.pi * share)))
            )
        said, wanted = model.drawn(target, voxels, generator)
        loss = (said - wanted).square().mean()
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(model.clipped(), _LONGEST_GRADIENT)
        optimiser.step()
        done += 1
    if not all(bool(parameter.isfinite().all()) for parameter in model.parameters()):
        raise HexdicomError(f"The fit diverged: after {done} steps a parameter is not a number.")
    return to_bytes(model), done


def decode(name: str, data: bytes, layout: Layout, ratio: float, device: str) -> Values:
    """Stored values, (T, Z, Y, X): rounded, within the range of the series."""
    on = resolve(device)
    model = _model(name, layout, ratio, on)
    from_bytes(model, data)
    gain = (layout.highest - layout.lowest) / PEAK
    values = np.empty(layout.shape, layout.dtype)
    with torch.inference_mode():
        for t in range(layout.shape[0]):
            grey = (model.frame(t) * gain + layout.lowest).clamp(layout.lowest, layout.highest)
            values[t] = grey.round().to(torch.int32).cpu().numpy()
    return values


def _model(name: str, layout: Layout, ratio: float, device: torch.device) -> Model:
    source_bytes = layout.voxels * np.dtype(layout.dtype).itemsize
    return MODELS[name](layout.shape, source_bytes, ratio, _SEED).to(device)
