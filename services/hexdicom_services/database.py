"""Where the catalog is: a file of SQLite, or a database of PostgreSQL by URL."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from hexdicom.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

_POSTGRES = "postgresql+psycopg"
_HINT = "Expected postgresql+psycopg://USER@HOST:PORT/NAME, with the password in password_file."


@dataclass(frozen=True, slots=True)
class Database:
    """file: of SQLite; url: of PostgreSQL, without a password. Exactly one of them. Raises ConfigError.

    password_file: read anew for each connection, so that a password may change.
    """

    file: Path | None = None
    url: str = ""
    password_file: Path | None = None

    def __post_init__(self) -> None:
        if (self.file is None) != bool(self.url):
            raise ConfigError("A catalog is either a file or a URL.")
        if self.url:
            check_url(self.url)

    def __str__(self) -> str:
        return str(self.file or self.url)

    def exists(self) -> bool:
        """Whether there may be a catalog; of a server only opening it tells."""
        return self.file is None or self.file.exists()

    def password(self) -> str:
        """The password, "" where the server wants none from us. Raises ConfigError."""
        if self.password_file is None:
            return ""
        try:
            return self.password_file.read_text("utf-8").strip()
        except OSError as error:
            raise ConfigError(f"The password file {self.password_file} cannot be read: {error.strerror}.") from error


def check_url(url: str) -> str:
    """The URL. Raises ConfigError where it is not one of PostgreSQL, or holds a password; never repeats it, since it may."""
    try:
        parts = urlsplit(url)
        password = parts.password
    except ValueError as error:
        raise ConfigError("The URL of the catalog cannot be read.", hint=_HINT) from error
    if parts.scheme != _POSTGRES:
        raise ConfigError("The catalog is on PostgreSQL or in a file.", hint=_HINT)
    if password is not None or "password" in parts.query:
        raise ConfigError("The URL of the catalog holds a password.", hint="Put it into a file: password_file.")
    return url
