"""The options that say what to keep: --profile, --max-error, --ratio, --psnr, --max-bytes, --device. One meaning everywhere."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import click

from hexdicom_services.shipped import load_profile, profile_names

if TYPE_CHECKING:
    from collections.abc import Callable

    from hexdicom.codec.profile import Profile

F = TypeVar("F", bound="Callable[..., Any]")

device_option = click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    show_default=True,
    help="auto takes a GPU where there is one.",
)


def profile_options(command: F) -> F:
    """Adds the options to a command."""
    options = [
        click.option("--profile", "profile_name", metavar="NAME", help=f"{', '.join(profile_names())}, or a .toml file."),
        click.option("--max-error", type=click.IntRange(min=0), help="Bound on the error of a stored value; 0 is lossless."),
        click.option("--ratio", type=float, help="Lossy: uncompressed size over compressed size."),
        click.option("--psnr", type=float, help="Lossy: quality to reach, in dB."),
        click.option("--max-bytes", type=click.IntRange(1), help="Lossy: bytes that the values of a series may take."),
        device_option,
    ]
    for option in reversed(options):
        command = option(command)
    return command


def chosen_profile(
    name: str | None, max_error: int | None, ratio: float | None, psnr: float | None, max_bytes: int | None
) -> Profile:
    """The profile that the options mean. Lossless unless something else is asked for. Raises ProfileError, ConfigError."""
    lossy = {"ratio": ratio, "psnr": psnr, "max_bytes": max_bytes}
    given = {field: value for field, value in lossy.items() if value is not None}
    if max_error is not None and given:
        raise click.UsageError(
            "--max-error bounds every value; --ratio, --psnr and --max-bytes are for the lossy profile. Give one."
        )
    if len(given) > 1:
        raise click.UsageError("--ratio, --psnr and --max-bytes each say how small the result is to be. Give one.")
    if name is None:
        name = "near-lossless" if max_error else "lossy" if given else "lossless"
    profile = load_profile(name)
    if max_error is not None:
        profile = replace(profile, max_error=max_error)
    if given:  # instead of what the profile names
        asked: dict[str, Any] = {"psnr": None, "max_bytes": None} | given
        profile = replace(profile, **asked)
    return profile
