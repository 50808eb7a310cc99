"""Whether the TLS files of a node would do, and for how long: looked at before anybody is turned away because of them."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Final, Literal

from hexdicom_services import revocation
from hexdicom_services.collector import Collector
from hexdicom_services.tls import Certificate, authorities, client_context, day, own_certificate, server_context

if TYPE_CHECKING:
    from collections.abc import Callable

    from hexdicom_services.settings import Settings

_SOON_LIST: Final = 86400.0  # seconds before the end of a revocation list; the next one is published before
_SOON: Final = 30 * 86400.0  # seconds before its end in which a certificate is to be renewed


def tls_checks(settings: Settings) -> list[tuple[str, Callable[[Settings], tuple[bool | None, str]]]]:
    """What there is to look at with these settings, by name; each check says whether it is good (None: but not for long)."""
    calls = any(settings.peer(name).tls for name in settings.peers) or _ships_by_tls(settings)
    checks: list[tuple[str, Callable[[Settings], tuple[bool | None, str]]]] = []
    if settings.tls.enabled:
        checks.append(("TLS listener", _listener))
    if calls and settings.tls.certificate is not None:
        checks.append(("TLS client", _client))
    if settings.tls.ca is not None and (calls or settings.tls.enabled):
        checks.append(("TLS authorities", _authorities))
    if settings.tls.crl is not None and (calls or settings.tls.enabled):
        checks.append(("TLS revocation", _revocation))
    return checks


def _listener(settings: Settings) -> tuple[bool | None, str]:
    server_context(settings.tls_files, settings.tls.client_certificates)
    return _judge(settings, "server")


def _client(settings: Settings) -> tuple[bool | None, str]:
    client_context(settings.tls_files)
    return _judge(settings, "client")


def _authorities(settings: Settings) -> tuple[bool | None, str]:
    assert settings.tls.ca is not None
    found = authorities(settings.tls.ca)
    if not found:
        return False, f"{settings.tls.ca} holds no certificate of an authority; set ca in [tls] to the file of yours."
    return _time_left(min(found, key=lambda one: one.not_after), time.time())


def _revocation(settings: Settings) -> tuple[bool | None, str]:
    assert settings.tls.crl is not None
    due, now = min(one.due for one in revocation.read(settings.tls.crl)), time.time()
    if due <= now:
        return False, revocation.ended(settings.tls.crl, due)
    if due == math.inf:
        return True, f"The revocation list {settings.tls.crl} says no date on which it ends."
    return (None if due - now < _SOON_LIST else True), f"The revocation list {settings.tls.crl} is good until {day(due)}."


def _judge(settings: Settings, side: Literal["server", "client"]) -> tuple[bool | None, str]:
    return _time_left(own_certificate(settings.tls_files, side), time.time())


def _time_left(certificate: Certificate, now: float) -> tuple[bool | None, str]:
    name, end = certificate.subject, day(certificate.not_after)
    if now > certificate.not_after:
        return False, f"The certificate of {name} ended on {end}: peers refuse it. Have it renewed."
    if now < certificate.not_before:
        return False, f"The certificate of {name} begins on {day(certificate.not_before)}: peers refuse it. Is the clock right?"
    days = int((certificate.not_after - now) // 86400)
    if certificate.not_after - now < _SOON:
        return None, f"The certificate of {name} ends in {days} days, on {end}: have it renewed now."
    return True, f"The certificate of {name} is good until {end}."


def _ships_by_tls(settings: Settings) -> bool:
    return settings.audit.collector is not None and Collector.parse(settings.audit.collector).transport == "tls"
