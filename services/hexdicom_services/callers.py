"""Who may call: AE titles and addresses as an administrator writes them. Knows nothing of associations."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from hexdicom.errors import ConfigError
from hexdicom_services.peer import check_ae_title

ANYBODY = "*"
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_HINT = 'Expected AET, AET@10.0.0.7, AET@10.0.0.0/24, *@10.0.0.0/24, or "*" for everybody.'


@dataclass(frozen=True, slots=True)
class Caller:
    """An AE title, or "*" for any, and the network that it calls from; None: from anywhere.

    >>> Caller.parse("SCANNER@10.0.0.0/24").admits("SCANNER", "10.0.0.7")
    True
    >>> Caller.parse("*@10.0.0.0/24").admits("SCANNER", "10.0.1.7")
    False
    """

    ae_title: str
    network: Network | None = None

    @classmethod
    def parse(cls, text: str) -> Caller:
        """The caller written as AET[@ADDRESS[/BITS]]. Raises ConfigError."""
        title, at, address = text.strip().rpartition("@") if "@" in text else (text.strip(), "", "")
        if title != ANYBODY:
            title = check_ae_title(title)
        if not at:
            return cls(title)
        try:
            return cls(title, ipaddress.ip_network(address.strip("[]"), strict=False))
        except ValueError as error:
            raise ConfigError(f"{text!r} is not a caller: {address!r} is not an IP address or network.", hint=_HINT) from error

    def admits(self, ae_title: str, address: str) -> bool:
        """Whether who calls itself so, from that IP address, is meant."""
        if self.ae_title not in (ANYBODY, ae_title):
            return False
        return self.network is None or plain(address) in self.network

    @property
    def is_anybody(self) -> bool:
        return self.ae_title == ANYBODY and self.network is None


def plain(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """An IP address; one of IPv4 that came through an IPv6 socket as what it is. Raises ValueError."""
    found = ipaddress.ip_address(address.partition("%")[0])
    return found.ipv4_mapped or found if isinstance(found, ipaddress.IPv6Address) else found


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach what listens there."""
    try:
        return plain(host).is_loopback
    except ValueError:
        return host == "localhost"
