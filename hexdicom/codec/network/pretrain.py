"""Training of the shipped prior: from series that are named, varied so that it does not learn one scanner."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

from hexdicom.codec.network import references, sampling
from hexdicom.codec.network.model import CausalNetwork, load, no_field
from hexdicom.codec.network.soap import Soap
from hexdicom.codec.parallel import threads

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from hexdicom.codec.network.model import Examples

_POOL, _EXAMPLES, _PARTS, _BATCH = 40, 40_000, 8, 8192
_RENEW = 20  # steps between one new series in the pool
_RATE = 6e-3


@threads(torch.device("cpu"))
def train(
    series: Sequence[NDArray[np.int32]],
    hidden: Sequence[int],
    steps: int,
    seed: int,
    say: Callable[[str], None],
    start: NDArray[np.float64] | None = None,
    variety: float = 1.0,
) -> CausalNetwork:
    """series: (T, Z, Y, X) each. say gets a line of the training log now and then.

    start: weights to go on from, as `flat` gives them. variety: 0 to 1, how often a series is made into another than it is; flips
    and turns come always.
    """
    generator = np.random.default_rng(seed)
    torch.manual_seed(seed)
    network = CausalNetwork(hidden)
    rate = _RATE
    if start is not None:
        load(network, start)
        rate = _RATE / 2
    optimiser = Soap(list(network.parameters()))
    pool: list[Examples] = []
    started, smoothed = time.perf_counter(), 0.0
    for step in range(steps):
        if step % _RENEW == 0:
            fresh = _POOL if step == 0 else 1
            pool += [_varied_examples(series[int(generator.integers(len(series)))], variety, generator) for _ in range(fresh)]
            del pool[:-_POOL]
        loss = torch.zeros(())
        for choice in generator.integers(0, len(pool), _PARTS):
            part = pool[int(choice)]
            part = part.part(torch.from_numpy(generator.integers(0, len(part), _BATCH // _PARTS)))
            loss = loss + network.bits(part, no_field(len(part))).mean() / _PARTS
        network.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step(rate * (0.5 * (1 + math.cos(math.pi * step / steps)) + 0.003) * min(1.0, (step + 1) / 100))
        network.project()
        smoothed = float(loss.detach()) if step == 0 else 0.99 * smoothed + 0.01 * float(loss.detach())
        if (step + 1) % 250 == 0:
            say(f"step {step + 1} of {steps}: {smoothed:.4f} bits per voxel, {time.perf_counter() - started:.0f} s")
    return network


def _varied_examples(values: NDArray[np.int32], variety: float, generator: np.random.Generator) -> Examples:
    varied = vary(values, variety, generator)
    order = references.choose(varied) if generator.random() < 0.7 else references.in_sequence(len(varied))
    return sampling.sample(sampling.describe(varied, varied, order, generator), _EXAMPLES, 0, generator)


def vary(values: NDArray[np.int32], variety: float, generator: np.random.Generator) -> NDArray[np.int32]:
    """(T, Z, Y, X) -> another series that some scanner might have made of it, of at most 24 times and 4 slices"""

    def chance(probability: float) -> bool:
        return bool(generator.random() < probability * variety)

    times, slices = values.shape[:2]
    span, first = min(times, 24), int(generator.integers(0, max(1, times - 24 + 1)))
    chosen = np.sort(generator.choice(slices, min(4, slices), replace=False))
    x = torch.from_numpy(values[first : first + span][:, chosen].astype(np.float32))  # (T, Z, Y, X)
    top = float(x.quantile(0.999)) if x.numel() < 1 << 24 else float(x.max())
    x = x / max(top, 1.0)
    for axis in (0, 2, 3):
        if generator.random() < 0.5:
            x = x.flip(axis)
    if generator.random() < 0.5:
        x = x.transpose(2, 3)
    if chance(0.35):
        x = _beating(x[int(generator.integers(span))], int(generator.integers(10, 25)), generator)
        x = _noisy(x, float(np.exp(generator.uniform(-6.2, -3.2))), generator)
    elif chance(0.3):
        x = _noisy(x, float(np.exp(generator.uniform(-6.2, -3.5))), generator)
    if chance(0.3):
        x = torch.cat((x[:1], (x[1:] + x[:-1]) / 2))  # shared views between frames
    if chance(0.4):
        x = _zero_filled(x, float(generator.uniform(1.2, 2.0)))
    elif chance(0.2):
        kernel = torch.tensor([generator.uniform(0.05, 0.25)] * 2).float()
        kernel = torch.stack((kernel[0], 1 - kernel.sum(), kernel[1]))
        for view in ((1, 1, 3, 1), (1, 1, 1, 3)):
            flat = x.reshape(-1, 1, *x.shape[2:])
            x = functional.conv2d(flat, kernel.view(view), padding=(view[2] // 2, view[3] // 2)).reshape(x.shape)
    if chance(0.3):
        x = x.clamp(min=0) ** float(generator.uniform(0.7, 1.4))
    gain = generator.uniform(np.log(80), np.log(6000)) if chance(1.0) else np.log(top) + generator.uniform(-0.2, 0.2)
    x = x * float(np.exp(gain))
    if chance(0.1):
        x = x + float(generator.uniform(0, 200))
    elif chance(0.15):
        x = torch.where(x < float(x.mean()) * 0.3, torch.zeros_like(x), x)  # masked air
    if x.shape[3] > 160 or x.shape[2] > 160:
        x = x[:, :, :160, :160]
    return np.ascontiguousarray(x.round().clamp(0, 65535).numpy().astype(np.int32))


def _beating(frame: torch.Tensor, times: int, generator: np.random.Generator) -> torch.Tensor:
    """(Z, Y, X) -> (T, Z, Y, X): moved by a smooth field that comes back after T"""
    slices, height, width = frame.shape
    amplitude = float(generator.uniform(0.2, 3.0))
    phases = 2 * np.pi * np.arange(times) / times
    modes = [(np.sin(phases + generator.uniform(0, 6)), generator.normal(size=(1, 2, 5, 5))) for _ in range(2)]
    ys, xs = torch.meshgrid(torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij")
    moved = []
    for t in range(times):
        field = sum(torch.from_numpy(mode).float() * float(course[t]) for course, mode in modes)
        shift = functional.interpolate(torch.as_tensor(field), (height, width), mode="bicubic")[0] * amplitude  # (2, Y, X)
        grid = torch.stack((xs + shift[0] * 2 / width, ys + shift[1] * 2 / height), -1)[None].expand(slices, -1, -1, -1)
        moved.append(functional.grid_sample(frame[:, None], grid, mode="bicubic", padding_mode="border", align_corners=True)[:, 0])
    return torch.stack(moved).clamp(min=0)


def _noisy(x: torch.Tensor, sigma: float, generator: np.random.Generator) -> torch.Tensor:
    """Rician noise"""
    real, imaginary = (torch.from_numpy(generator.normal(size=x.shape).astype(np.float32)) * sigma for _ in range(2))
    return torch.hypot(x + real, imaginary)


def _zero_filled(x: torch.Tensor, factor: float) -> torch.Tensor:
    """In-plane interpolation as scanners do it: by zeros around k-space"""
    height, width = (min(256, int(size * factor) // 2 * 2) for size in x.shape[2:])
    spectrum = torch.fft.fftshift(torch.fft.fft2(x), dim=(2, 3))
    top, left = (height - x.shape[2]) // 2, (width - x.shape[3]) // 2
    padded = functional.pad(spectrum, (left, width - x.shape[3] - left, top, height - x.shape[2] - top))
    scale = height * width / (x.shape[2] * x.shape[3])
    result: torch.Tensor = torch.fft.ifft2(torch.fft.ifftshift(padded, dim=(2, 3))).abs() * scale
    return result


def flat(network: CausalNetwork) -> NDArray[np.float64]:
    """Weights in units of 1.0, in the order of `weights.Network.flat`"""
    return torch.nn.utils.parameters_to_vector(network.parameters()).detach().double().numpy()
