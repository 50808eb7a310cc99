"""A DICOM peer: who it is and where it listens. Knows nothing of associations."""

from __future__ import annotations

import re
from dataclasses import dataclass

from hexdicom.errors import ConfigError
from hexdicom_services.tls import TlsFiles

OUR_AE_TITLE = "HEXDICOM"
_ADDRESS = re.compile(r"(?P<ae>[^@]+)@(?P<host>\[[0-9A-Fa-f:.]+\]|[^:\[\]@\s]+):(?P<port>\d{1,5})(?P<tls>\+tls)?")
_HINT = "Expected AET@HOST:PORT, for example PACS@10.0.0.5:104, PACS@[::1]:11112, or with TLS PACS@pacs.example:2762+tls."


def check_ae_title(title: str) -> str:
    """The title without spaces around it. Raises ConfigError unless it is a legal AE title (PS3.5 section 6.2)."""
    text = title.strip()
    if not 1 <= len(text) <= 16 or "\\" in text or not (text.isascii() and text.isprintable()):
        raise ConfigError(f"{title!r} is not an AE title.", hint="An AE title has 1 to 16 ASCII characters and no backslash.")
    return text


@dataclass(frozen=True, slots=True)
class Peer:
    """Where to call, whom, and under which name. Raises ConfigError for an AE title or port that cannot be.

    tls: the files to speak TLS with; None: no TLS.

    >>> str(Peer.parse("PACS@10.0.0.5:104"))
    'PACS@10.0.0.5:104'
    """

    ae_title: str
    host: str
    port: int
    calling_ae_title: str = OUR_AE_TITLE
    tls: TlsFiles | None = None

    def __post_init__(self) -> None:
        check_ae_title(self.ae_title)
        check_ae_title(self.calling_ae_title)
        if not self.host or not 1 <= self.port <= 65535:
            raise ConfigError(f"{self.host}:{self.port} is not an address.", hint="A port is a number from 1 to 65535.")

    @classmethod
    def parse(cls, text: str, calling_ae_title: str = OUR_AE_TITLE, tls: TlsFiles | None = None) -> Peer:
        """The peer written as AET@HOST:PORT or AET@HOST:PORT+tls; an IPv6 host stands in brackets. Raises ConfigError.

        tls: the files that count where it says +tls.
        """
        found = _ADDRESS.fullmatch(text.strip())
        if found is None:
            raise ConfigError(f"{text!r} is not a DICOM address.", hint=_HINT)
        host = found["host"].strip("[]")
        secured = (tls or TlsFiles()) if found["tls"] else None
        return cls(found["ae"].strip(), host, int(found["port"]), calling_ae_title, secured)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.ae_title}@{host}:{self.port}" + ("+tls" if self.tls else "")
