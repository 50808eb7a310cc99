"""TLS for DICOM: contexts made from files, and what is wrong with the files, in words. Knows nothing of DICOM messages.

What is negotiated is that of PS3.15 B.12, BCP 195 RFC 8996, 9325 TLS Secure Transport Connection Profile: TLS 1.2 and 1.3, never
less; with TLS 1.2 only cipher suites with ephemeral elliptic curve keys and authenticated encryption (RFC 9325 section 4.2). Suites
with DHE are not offered: RFC 9325 advises against them.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Literal

from hexdicom.errors import ConfigError
from hexdicom_services.revocation import Listening, load

if TYPE_CHECKING:
    from pathlib import Path

Verify = Literal["required", "optional", "off"]

CIPHERS: Final = (  # of TLS 1.2; those of TLS 1.3 are all fit
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-RSA-CHACHA20-POLY1305",
)
_NO_CHECK_TIME: Final = 0x200000  # X509_V_FLAG_NO_CHECK_TIME of OpenSSL, which the ssl module does not name
_VERIFY: Final = {"required": ssl.CERT_REQUIRED, "optional": ssl.CERT_OPTIONAL, "off": ssl.CERT_NONE}


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files. key None: in the file of the certificate; ca None: the authorities that the system trusts.

    crl: revocation lists of all authorities whose certificates peers show; None: nobody asks whether one was revoked.
    own: who answers must show this very certificate, whatever its name: that is how our own node is called.
    """

    certificate: Path | None = None
    key: Path | None = None
    key_password: Path | None = None
    ca: Path | None = None
    minimum: Literal["1.2", "1.3"] = "1.2"
    own: bool = False
    crl: Path | None = None


@dataclass(frozen=True, slots=True)
class Certificate:
    """What a certificate says of itself; times are seconds since 1970 (UTC)."""

    subject: str
    not_before: float
    not_after: float


def server_context(files: TlsFiles, client_certificates: Verify) -> ssl.SSLContext:
    """What a listener speaks. Raises ConfigError that says which file is wrong, and what to do."""
    context = Listening(ssl.PROTOCOL_TLS_SERVER)
    _restrict(context, files)
    if files.certificate is None:
        raise ConfigError("TLS needs a certificate.", hint="Set certificate in [tls] to a PEM file.")
    _load_own(context, files)
    context.num_tickets = 0  # nothing is resumed, so nothing has to be kept secret for it
    context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE | ssl.OP_NO_RENEGOTIATION
    context.verify_mode = _VERIFY[client_certificates]
    if client_certificates != "off":
        if files.ca is None:
            raise ConfigError(
                "Client certificates cannot be checked without the certificate of who issues them.",
                hint='Set ca in [tls] to a PEM file, or client_certificates to "off".',
            )
        _load_ca(context, files.ca)
        if files.crl is not None:
            context.follow(files.crl)
    return context


def client_context(files: TlsFiles) -> ssl.SSLContext:
    """What we speak to a peer, whose certificate and name are always verified. Raises ConfigError."""
    context = _Client(ssl.PROTOCOL_TLS_CLIENT)
    _restrict(context, files)
    if files.certificate is not None:
        _load_own(context, files)
    if files.own:
        context.check_hostname = False
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        _load_ca(context, files.certificate)
    elif files.ca is None:
        context.load_default_certs()
    else:
        _load_ca(context, files.ca)
    if files.crl is not None and not files.own:
        load(context, files.crl)
    return context


def failure_of(context: ssl.SSLContext) -> str:
    """Why the last handshake with a context of `client_context` failed, in words; "" where it did not."""
    return context.failure if isinstance(context, _Client) else ""


def own_certificate(files: TlsFiles, side: Literal["server", "client"]) -> Certificate:
    """Our certificate, proved by a handshake with ourselves in memory. Raises ConfigError where it is not fit for that side."""
    server = server_context(files, "off")
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_mode = ssl.CERT_NONE
    verifier = client if side == "server" else server
    if side == "client":
        _load_own(client, files)
    verifier.verify_mode = ssl.CERT_REQUIRED
    verifier.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | ssl.VerifyFlags(_NO_CHECK_TIME)
    _load_ca(verifier, files.certificate)
    try:
        return _shaken(server, client, side)
    except ssl.SSLError as error:
        raise ConfigError(f"{files.certificate} is no certificate for a TLS {side}: {reason(error)}.") from error


def authorities(ca: Path) -> list[Certificate]:
    """The certificates of a CA file. Raises ConfigError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    _load_ca(context, ca)
    return [_read(entry) for entry in context.get_ca_certs()]


def reason(error: OSError) -> str:
    """Why TLS failed, in words that name no file of ours."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    if isinstance(error, TimeoutError):
        return "no handshake in time"
    if isinstance(error, ssl.SSLError):
        return (error.reason or "the connection ended").replace("_", " ").lower()
    return (error.strerror or "the connection ended").lower()


class _Socket(ssl.SSLSocket):
    def do_handshake(self, block: bool = False) -> None:
        try:
            super().do_handshake(block)
        except OSError as error:
            setattr(self.context, "failure", reason(error))  # noqa: B010 - a context of this module, see _Client
            raise


class _Client(ssl.SSLContext):
    """Remembers why a handshake failed, which pynetdicom does not tell."""

    sslsocket_class = _Socket
    failure = ""


def _restrict(context: ssl.SSLContext, files: TlsFiles) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_3 if files.minimum == "1.3" else ssl.TLSVersion.TLSv1_2
    context.set_ciphers(":".join(CIPHERS))
    context.options |= ssl.OP_NO_COMPRESSION


def _load_own(context: ssl.SSLContext, files: TlsFiles) -> None:
    certificate = _readable(files.certificate, "certificate")
    key = _readable(files.key or certificate, "key")
    if key.stat().st_mode & 0o007:
        raise ConfigError(f"Everybody on this machine can read the key {key}.", hint=f"Run: chmod 600 {key}")

    asked = False

    def password() -> str:
        nonlocal asked
        asked = True
        if files.key_password is None:
            raise ConfigError(f"The key {key} has a password.", hint="Set key_password in [tls] to a file that holds it.")
        return _readable(files.key_password, "key_password").read_text("utf-8").strip()

    try:
        context.load_cert_chain(certificate, key, password)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            said, hint = f"The key {key} does not belong to the certificate {certificate}.", "Set the key that it was made with."
        elif asked:
            said, hint = f"The key {key} does not open with its password.", "Look into the file of key_password in [tls]."
        else:
            said, hint = f"{certificate} and {key} are not a PEM certificate and its key.", "Set certificate and key in [tls]."
        raise ConfigError(said, hint=hint) from error


def _load_ca(context: ssl.SSLContext, ca: Path | None) -> None:
    file = _readable(ca, "ca")
    try:
        context.load_verify_locations(file)
    except ssl.SSLError as error:
        raise ConfigError(f"{file} holds no PEM certificate.", hint="Set ca in [tls] to the file of your authority.") from error


def _readable(file: Path | None, name: str) -> Path:
    if file is None:
        raise ConfigError(f"TLS needs a file for {name}.", hint=f"Set {name} in [tls].")
    try:
        with file.open("rb"):
            return file
    except OSError as error:
        hint = f"Set {name} in [tls], and let the user of the node read it."
        raise ConfigError(f"The TLS file {file} cannot be read: {error.strerror}.", hint=hint) from error


def _shaken(server: ssl.SSLContext, client: ssl.SSLContext, side: str) -> Certificate:
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = {
        "client": client.wrap_bio(down, up),
        "server": server.wrap_bio(up, down, server_side=True),
    }
    waiting = dict(ends)
    while waiting:
        for name, end in list(waiting.items()):
            try:
                end.do_handshake()
                del waiting[name]
            except ssl.SSLWantReadError:
                continue
    found = ends["client" if side == "server" else "server"].getpeercert()
    return _read(found or {})


def _read(found: Any) -> Certificate:
    names = [value for group in found.get("subject", ()) for _, value in group]
    at = [ssl.cert_time_to_seconds(found[key]) for key in ("notBefore", "notAfter")]
    return Certificate(", ".join(names), *map(float, at))


def day(seconds: float) -> str:
    """A time as a date (UTC)."""
    return datetime.fromtimestamp(seconds, UTC).date().isoformat()
