"""Pictures for people: original, six-plane preview and difference side by side; a beating stack. Arrays in, images out."""

from __future__ import annotations

import math
import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from hexdicom.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    Values = NDArray[Any]

GROUND, TEXT, QUIET = (16, 18, 22), (235, 238, 242), (140, 148, 158)
PANEL, GAP, MARGIN = 400, 14, 24  # pixels


@dataclass(frozen=True, slots=True)
class Window:
    """The stored values that are shown as black and as white."""

    low: float
    high: float

    @classmethod
    def of(cls, values: Values) -> Window:
        """Covers all but the darkest percent and the brightest half percent."""
        low, high = np.percentile(values, (1, 99.5))
        return cls(float(low), float(max(high, low + 1)))

    def grey(self, image: Values) -> NDArray[np.uint8]:
        """(Y, X) values to (Y, X) grey levels."""
        scaled = (image.astype(np.float64) - self.low) / (self.high - self.low)
        return np.rint(np.clip(scaled, 0, 1) * 255).astype(np.uint8)


def moving_slice(values: Values) -> int:
    """Of (T, Z, Y, X) the slice that changes most in time: the one with the heart in it."""
    return int(np.argmax(values.astype(np.float32).var(axis=0).mean(axis=(1, 2))))


def two_phases(stack: Values) -> tuple[int, int]:
    """Of (T, Y, X) the first phase and the one that differs most from it."""
    still = stack[0].astype(np.float32)
    distance = np.abs(stack.astype(np.float32) - still).mean(axis=(1, 2))
    return 0, int(distance.argmax())


def comparison(original: Values, preview: Values, *, title: str, names: Sequence[str], cost: str = "") -> Image.Image:
    """Phases below each other, each as original, preview and signed difference with its scale.

    original, preview: (P, Y, X) stored values of one slice in P phases. names: their labels. cost: of the preview, for people.
    """
    window = Window.of(original)
    chosen = [(a.astype(np.float64), b.astype(np.float64)) for a, b in zip(original, preview, strict=True)]
    reach = max(1.0, float(np.percentile(np.abs([a - b for a, b in chosen]), 99.8)))
    height, width = original.shape[1:]
    zoom = PANEL / max(height, width)
    size = (max(1, round(width * zoom)), max(1, round(height * zoom)))

    left, top, foot = 34, 86, 62
    sheet = Image.new("RGB", (2 * MARGIN + left + 3 * size[0] + 2 * GAP, top + len(chosen) * (size[1] + GAP) + foot), GROUND)
    draw = ImageDraw.Draw(sheet)
    columns = [MARGIN + left + i * (size[0] + GAP) for i in range(3)]
    draw.text((MARGIN, 16), title, TEXT, _font(22))
    for x, name in zip(columns, ("original", f"six planes alone{cost and ', ' + cost}", "original - six planes"), strict=True):
        draw.text((x, top - 28), name, QUIET, _font(17))
    for row, ((a, b), name) in enumerate(zip(chosen, names, strict=True)):
        y = top + row * (size[1] + GAP)
        panels = (window.grey(a), window.grey(b), _diverging((a - b) / reach))
        for x, panel in zip(columns, panels, strict=True):
            sheet.paste(Image.fromarray(panel).convert("RGB").resize(size, Image.Resampling.BICUBIC), (x, y))
        sheet.paste(_upright(name, size[1]), (MARGIN - 6, y))
    y = top + len(chosen) * (size[1] + GAP) + 6
    _scale(draw, sheet, columns[0], y, 2 * size[0] + GAP, f"{window.low:.0f}", f"{window.high:.0f}", _grey_ramp())
    _scale(draw, sheet, columns[2], y, size[0], f"-{reach:.0f}", f"+{reach:.0f}", _diverging(np.linspace(-1, 1, 256)))
    return sheet


def montage(frames: Sequence[Values], window: Window, *, labels: Sequence[str] = (), side: int = 256) -> Image.Image:
    """(Y, X) frames in a grid that is about square; `side` is the longer side of a frame in pixels."""
    height, width = frames[0].shape
    zoom = side / max(height, width)
    size = (max(1, round(width * zoom)), max(1, round(height * zoom)))
    across = math.ceil(math.sqrt(len(frames) * size[1] / size[0]))
    down = math.ceil(len(frames) / across)
    sheet = Image.new("RGB", (across * (size[0] + 2), down * (size[1] + 2)), GROUND)
    draw = ImageDraw.Draw(sheet)
    for i, frame in enumerate(frames):
        place = (i % across * (size[0] + 2), i // across * (size[1] + 2))
        sheet.paste(Image.fromarray(window.grey(frame)).resize(size, Image.Resampling.BICUBIC).convert("RGB"), place)
        if i < len(labels):
            draw.text((place[0] + 6, place[1] + 4), labels[i], TEXT, _font(14))
    return sheet


def beating(values: Values, *, slices: int = 12) -> list[Image.Image]:
    """One image per time point of (T, Z, Y, X), each with up to `slices` slices spread over the stack."""
    depth = values.shape[1]
    shown = np.unique(np.linspace(0, depth - 1, min(slices, depth)).round().astype(int))
    window = Window.of(values[:, shown])
    labels = [f"slice {z + 1}" for z in shown]
    return [montage([volume[z] for z in shown], window, labels=labels) for volume in values]


def check_ending(path: Path) -> None:
    """Raises ConfigError unless `save` can write such a file."""
    if path.suffix.lower() not in (".png", ".gif", ".mp4"):
        raise ConfigError(f"{path.name} has no known ending.", hint="Give a file that ends in .png, .gif or .mp4.")


def save(images: Sequence[Image.Image], path: Path, *, milliseconds: float) -> None:
    """Write .png (the first image), .gif or .mp4, by the ending of `path`. Raises ConfigError for any other ending."""
    check_ending(path)
    ending = path.suffix.lower()
    if ending == ".png":
        images[0].save(path, optimize=True)
    elif ending == ".gif":
        grey = [image.convert("L") for image in images]
        grey[0].save(path, save_all=True, append_images=grey[1:], duration=milliseconds, loop=0, optimize=True)
    else:
        _save_mp4(images, path, milliseconds)


def _save_mp4(images: Sequence[Image.Image], path: Path, milliseconds: float) -> None:
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None:
        raise ConfigError("Writing .mp4 needs ffmpeg, which is not installed.", hint="Install it, or write a .gif.")
    width, height = images[0].width // 2 * 2, images[0].height // 2 * 2  # yuv420p needs even sides
    command = [ffmpeg, "-loglevel", "error", "-y", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}"]
    command += ["-r", f"{1000 / milliseconds:.3f}", "-i", "-", "-pix_fmt", "yuv420p", "-movflags", "+faststart", str(path)]
    beats = max(1, round(3000 / (milliseconds * len(images))))  # about three seconds
    raw = b"".join(image.crop((0, 0, width, height)).tobytes() for image in images)
    done = subprocess.run(command, input=raw * beats, capture_output=True, check=False)
    if done.returncode != 0:
        raise ConfigError(f"ffmpeg could not write {path.name}: {done.stderr.decode(errors='replace').strip()[-200:]}")


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _upright(text: str, height: int) -> Image.Image:
    """Text that reads from bottom to top, centred."""
    strip = Image.new("RGB", (height, 30), GROUND)
    ImageDraw.Draw(strip).text((height / 2, 14), text, QUIET, _font(17), anchor="mm")
    return strip.transpose(Image.Transpose.ROTATE_90)


def _grey_ramp() -> NDArray[np.uint8]:
    return np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)


def _scale(
    draw: ImageDraw.ImageDraw, sheet: Image.Image, x: int, y: int, width: int, low: str, high: str, ramp: NDArray[np.uint8]
) -> None:
    """A colour bar with its ends written below; ramp: (256, 3)."""
    sheet.paste(Image.fromarray(ramp[None]).resize((width, 10)), (x, y))
    draw.text((x, y + 14), low, QUIET, _font(15))
    draw.text((x + width, y + 14), high, QUIET, _font(15), anchor="ra")
    draw.text((x + width / 2, y + 14), "stored values", QUIET, _font(15), anchor="ma")


def _diverging(share: Values) -> NDArray[np.uint8]:
    """Signed shares of the scale, -1..1, as (..., 3): blue below zero, black at zero, orange above."""
    amount = np.clip(np.abs(share), 0, 1)[..., None]
    colour = np.where(share[..., None] < 0, np.array([90, 170, 255]), np.array([255, 160, 60]))
    levels: NDArray[np.uint8] = np.rint(amount * colour).astype(np.uint8)
    return levels
