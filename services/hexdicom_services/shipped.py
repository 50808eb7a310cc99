"""Where the shipped `config` folder is: inside the wheel, or beside the packages in a checkout. Reads nothing else."""

from __future__ import annotations

import tomllib
from pathlib import Path

from hexdicom.codec.profile import Profile
from hexdicom.errors import ConfigError, ProfileError

_HERE = Path(__file__).resolve().parent


def config_folder() -> Path:
    """The folder with hexdicom.toml and profiles/."""
    packaged = _HERE / "_config"
    return packaged if packaged.is_dir() else _HERE.parents[1] / "config"


def profile_names() -> tuple[str, ...]:
    """The profiles that come with hexdicom."""
    return tuple(sorted(file.stem for file in (config_folder() / "profiles").glob("*.toml")))


def load_profile(name: str) -> Profile:
    """A shipped profile by its name, or any profile by the path of its TOML file.

    Raises ConfigError where there is no such file, ProfileError where its content contradicts itself.
    """
    file = Path(name) if name.endswith(".toml") else config_folder() / "profiles" / f"{name}.toml"
    if not file.is_file():
        hint = f"Shipped profiles: {', '.join(profile_names())}; or give the path of a .toml file."
        raise ConfigError(f"There is no profile {name!r}.", hint=hint)
    try:
        return Profile(**{"name": file.stem, **tomllib.loads(file.read_text("utf-8"))})
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} is not TOML: {error}.") from error
    except TypeError as error:
        known = ", ".join(Profile.__dataclass_fields__)
        raise ProfileError(f"Profile {name!r} is not understood: {error}.", hint=f"Its keys: {known}.") from error
