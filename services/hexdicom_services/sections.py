"""The sections of the configuration: every setting with its default, its bounds and what it is for."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - pydantic reads the annotations
from typing import TYPE_CHECKING, Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from hexdicom.errors import ConfigError
from hexdicom_services.callers import Caller
from hexdicom_services.collector import Collector
from hexdicom_services.database import check_url
from hexdicom_services.peer import OUR_AE_TITLE, check_ae_title
from hexdicom_services.tls import Verify  # noqa: TC001

if TYPE_CHECKING:
    from collections.abc import Callable


def as_value_error(check: Callable[[str], object], value: str) -> None:
    """Runs a check of ours as one of pydantic: ConfigError becomes ValueError."""
    try:
        check(value)
    except ConfigError as error:
        raise ValueError(str(error)) from error


def _legal_ae_title(value: str) -> str:
    as_value_error(check_ae_title, value)
    return value.strip()


AeTitle = Annotated[str, AfterValidator(_legal_ae_title)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class NodeSection(_Section):
    """Who the node is, where it listens and where it keeps what it holds."""

    ae_title: AeTitle = Field(OUR_AE_TITLE, description="AE title, at most 16 characters.")
    host: str = Field("127.0.0.1", description="Address to listen on; 0.0.0.0 for every interface.")
    port: int = Field(11112, ge=0, le=65535, description="Port of the DICOM services; 0 takes a free one.")
    state_dir: Path | None = Field(
        None,
        description="Folder of spool, catalog and store. Default: /var/lib/hexdicom for root, else the user's.",
    )


class ReceiverSection(_Section):
    """The processes that answer scanners and viewers."""

    processes: int = Field(1, ge=1, le=64, description="Processes that receive, all on the one port.")
    max_associations: int = Field(64, ge=1, le=1000, description="Associations at once, of all processes; more are refused.")
    max_associations_per_address: int = Field(32, ge=1, le=1000, description="The same from one IP address, of each process.")
    max_associations_per_minute: int = Field(
        6000,
        ge=0,
        le=100000,
        description="Associations of one IP address in a minute, of each process; more are refused for now. 0: no limit.",
    )
    max_pending: int = Field(
        128,
        ge=2,
        le=1000,
        description="Connections at once without an association, half of them from one address; more are closed.",
    )
    calling_ae_titles: tuple[str, ...] = Field(
        (),
        description='Who may call, beside [peers]: AET, AET@ADDRESS, AET@NETWORK/BITS, *@ADDRESS, or "*" for everybody. '
        "Empty: everybody where host is loopback, else nobody.",
    )
    check_called_ae_title: bool | None = Field(
        None, description="Refuse who calls another AE title than ours. Default: true unless host is loopback."
    )
    max_object_mb: int = Field(2048, ge=1, le=4095, description="Largest instance that is taken, MiB.")
    max_pdu: int = Field(131072, ge=4096, le=4194304, description="Largest PDU that we announce, bytes.")
    network_timeout: float = Field(60.0, gt=0, description="Seconds of silence after which an association is aborted.")
    request_timeout: float = Field(15.0, gt=0, description="Seconds for TLS handshake and association request.")
    disk_reserve_mb: int = Field(
        2048, ge=0, description="With less MiB free, who only stores is not let in, and C-STORE is answered 0xA700."
    )

    @field_validator("calling_ae_titles")
    @classmethod
    def _legal_callers(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for text in value:
            as_value_error(Caller.parse, text)
        return value


class TlsSection(_Section):
    """TLS 1.2 and 1.3 (PS3.15 B.12). PEM files; also for peers that are written AET@HOST:PORT+tls."""

    enabled: bool = Field(False, description="Whether the node listens with TLS, and only so.")
    certificate: Path | None = Field(None, description="Certificate of the node, followed by those between it and the CA.")
    key: Path | None = Field(None, description="Its key, which others must not be able to read. Default: in the same file.")
    key_password: Path | None = Field(None, description="File that holds the password of the key.")
    ca: Path | None = Field(None, description="Certificates that we trust. Default, for calls that we make: the system's.")
    crl: Path | None = Field(
        None,
        description="Revocation lists (PEM) of the authorities that peers' certificates are from. Who is on one is refused, and so "
        "is everybody once it has ended. Looked at again when the file changes.",
    )
    client_certificates: Verify = Field("required", description="Of callers: required, optional (wrong ones are refused), off.")
    minimum_version: Literal["1.2", "1.3"] = Field("1.2", description="Oldest version of TLS that is spoken.")


class AuditSection(_Section):
    """The audit trail (PS3.15 A.5). It is always kept in the catalog."""

    collector: str | None = Field(
        None,
        description="Syslog server that also gets it: tls://HOST:PORT (RFC 5425, with the files of [tls]) or udp://HOST:PORT.",
    )
    site: str = Field("", description="AuditEnterpriseSiteID of the messages.")

    @field_validator("collector")
    @classmethod
    def _legal_collector(cls, value: str | None) -> str | None:
        if value is not None:
            as_value_error(Collector.parse, value)
        return value


class SeriesSection(_Section):
    """When a series is complete. The timers are kept in the catalog and survive a restart."""

    silence: float = Field(30.0, ge=0.5, description="Seconds without a new instance that close a series.")
    settle: float = Field(2.0, ge=0.1, description="The same where its attributes prove that nothing is missing.")
    force: float = Field(3600.0, ge=1, description="Seconds after the first instance that close it in any case.")


class CatalogSection(_Section):
    """What the node remembers: which instances, series, jobs and archives there are."""

    url: str | None = Field(
        None,
        description="postgresql+psycopg://USER@HOST:PORT/NAME, for this node alone. Default: SQLite, catalog.sqlite in state_dir.",
    )
    password_file: Path | None = Field(None, description="File that holds the password for it.")

    @field_validator("url")
    @classmethod
    def _legal_url(cls, value: str | None) -> str | None:
        if value is not None:
            as_value_error(check_url, value)
        return value


class ArchiveSection(_Section):
    """How a series is archived, and where."""

    profile: str = Field("lossless", description="lossless, near-lossless, lossy, or the path of a profile file.")
    folder: Path | None = Field(None, description="Folder of the archive objects. Default: store/ in state_dir.")


class WorkerSection(_Section):
    """The processes that encode."""

    processes: int = Field(1, ge=1, le=64, description="Series worked on at once; on GPUs, as many as there are.")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto takes a GPU where there is one.")
    cluster: str | None = Field(
        None,
        description="Scheduler of a dask cluster that encodes instead: tls://HOST:PORT, or tcp://127.0.0.1:PORT on this machine.",
    )
    cluster_ca: Path | None = Field(None, description="With tls: certificates that we trust.")
    cluster_certificate: Path | None = Field(None, description="With tls: our certificate.")
    cluster_key: Path | None = Field(None, description="With tls: its key.")
    attempts: int = Field(3, ge=1, le=20, description="After so many failures a series is archived untouched.")
    retry_delay: float = Field(30.0, ge=0, description="Seconds before the second attempt; doubles each time.")
    timeout: float = Field(14400.0, ge=1, description="Seconds after which a job is broken off; that counts as a failure.")
    lease: float = Field(60.0, ge=2, description="Seconds after which the work of a silent worker is given away.")

    @model_validator(mode="after")
    def _safe_cluster(self) -> WorkerSection:
        if self.cluster is not None:
            parts = urlsplit(self.cluster)
            if parts.scheme not in ("tcp", "tls") or not parts.hostname or not parts.port:
                raise ValueError("cluster is tls://HOST:PORT, or tcp://127.0.0.1:PORT")
            if parts.scheme == "tcp" and parts.hostname not in ("127.0.0.1", "::1", "localhost"):
                raise ValueError("cluster without TLS is on this machine only: whoever reaches a scheduler runs any code")
            if parts.scheme == "tls" and not (self.cluster_ca and self.cluster_certificate and self.cluster_key):
                raise ValueError("cluster with TLS needs cluster_ca, cluster_certificate and cluster_key")
        return self


class MetricsSection(_Section):
    """Figures for Prometheus at /metrics, /healthz and /readyz, by HTTP without a password. No patient's data, no UID."""

    port: int | None = Field(None, ge=1, le=65535, description="Port; off where it is not given.")
    host: str = Field("127.0.0.1", description="Address to listen on.")


class ForwardSection(_Section):
    """PACS that also get what is archived. Everything is fetched back and compared, unless read_back is off."""

    targets: tuple[str, ...] = Field((), description="Names from [peers].")
    read_back: Literal["get", "move", "off"] = Field(
        "get",
        description="Fetch back and compare: by C-GET, or by C-MOVE from a PACS without C-GET; off proves nothing.",
    )
    move_ae_title: AeTitle | None = Field(
        None,
        description="With move: AE title that the PACS knows as a C-MOVE destination at this machine. Default: the node's.",
    )
    move_port: int = Field(
        11113,
        ge=1,
        le=65535,
        description="With move: port of that destination, on the host of [node]; it listens only while files come back.",
    )
    retry_delay: float = Field(60.0, ge=0.1, description="Seconds before a PACS that is away is tried again.")
    max_delay: float = Field(900.0, ge=0.1, description="The delay doubles up to this.")
    commitment: bool = Field(False, description="Ask each PACS for storage commitment once it has given everything back.")


class RetentionSection(_Section):
    """When originals may leave the spool. Off: every one is kept for ever. `hexdicom node release --dry-run` shows the effect."""

    enabled: bool = Field(False, description="Whether originals are ever released. A study on hold never is (`node hold`).")
    keep_days: float = Field(30.0, ge=0, description="Days that originals stay after their series was archived, or recalled.")
    require_commitment: bool = Field(
        False, description="Only when every PACS in [forward] has committed itself to what it got (Storage Commitment)."
    )
    accept: Literal["identical", "equal", "lossy"] = Field(
        "identical",
        description="What the archive must give back: the same bytes; the same attributes and pixels (sources that came "
        "losslessly compressed); or, with lossy, another image than the original.",
    )
    interval_hours: float = Field(6.0, gt=0, description="Hours before a series that had to stay is looked at again.")


class ScrubSection(_Section):
    """Reading everything that the node keeps now and then, to find damage while it can be repaired."""

    enabled: bool = Field(True, description="Whether the workers do it when they have no other work.")
    interval_days: float = Field(30.0, gt=0, description="Days in which every file of store and spool is hashed once.")
    decode_share: float = Field(0.05, ge=0, le=1, description="Share of archive objects that are decoded as well.")


class CommitmentSection(_Section):
    """Storage commitment: peers in [peers] may ask the node, and the node asks where [forward] says so."""

    retry_delay: float = Field(30.0, ge=0.1, description="Seconds before a peer that is away is tried again.")
    answer_timeout: float = Field(3600.0, ge=0.1, description="Seconds after which a PACS that did not answer is asked anew.")
    max_delay: float = Field(86400.0, ge=0.1, description="Both double up to this.")
    give_up_hours: float = Field(168.0, gt=0, description="Hours after which a report that nobody takes is given up.")


class RetrieveSection(_Section):
    """What peers get by C-GET and C-MOVE: the originals, restored where they are no longer in the spool."""

    archive_ae_title: AeTitle | None = Field(
        None,
        description="A second AE title of the node: who calls it finds the archive objects instead of what is in them.",
    )
    cache_mb: int = Field(1024, ge=16, description="MiB of restored instances that are kept for the next request.")


class LoggingSection(_Section):
    """Messages go to stderr; they never hold a patient's name or identifier."""

    level: Literal["debug", "info", "warning", "error"] = Field("info", description="Of hexdicom itself.")
    pynetdicom: Literal["debug", "info", "warning", "error"] = Field("error", description="Of the network library.")
    format: Literal["auto", "text", "json"] = Field("auto", description="auto: text on a terminal, else JSON lines.")
