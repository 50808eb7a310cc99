"""What an administrator can set. The only reader of the environment and of the configuration file.

Order: HEXDICOM_<SECTION>__<FIELD> in the environment, then the file (the given one, else HEXDICOM_CONFIG, else the
user's hexdicom.toml, else /etc/hexdicom/hexdicom.toml), then the defaults below. An unknown key is an error.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import platformdirs
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from hexdicom.errors import ConfigError
from hexdicom_services.peer import OUR_AE_TITLE, Peer, check_ae_title

if TYPE_CHECKING:
    from collections.abc import Callable

SYSTEM_FILE = Path("/etc/hexdicom/hexdicom.toml")


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class NodeSection(_Section):
    """Who the node is, where it listens and where it keeps what it holds."""

    ae_title: str = Field(OUR_AE_TITLE, description="AE title, at most 16 characters.")
    host: str = Field("127.0.0.1", description="Address to listen on; 0.0.0.0 for every interface.")
    port: int = Field(11112, ge=0, le=65535, description="Port of the DICOM services; 0 takes a free one.")
    state_dir: Path | None = Field(
        None,
        description="Folder of spool, catalog and store. Default: /var/lib/hexdicom for root, else the user's.",
    )

    @field_validator("ae_title")
    @classmethod
    def _legal_ae_title(cls, value: str) -> str:
        _as_value_error(check_ae_title, value)
        return value.strip()


class ReceiverSection(_Section):
    """The process that answers the scanner."""

    max_associations: int = Field(64, ge=1, le=1000, description="Associations at once; more are refused.")
    calling_ae_titles: tuple[str, ...] = Field((), description="Who may call; empty: everybody.")
    max_pdu: int = Field(131072, ge=4096, le=4194304, description="Largest PDU that we announce, bytes.")
    network_timeout: float = Field(60.0, gt=0, description="Seconds of silence after which an association is aborted.")
    disk_reserve_mb: int = Field(2048, ge=0, description="With less MiB free, C-STORE is answered 0xA700.")


class SeriesSection(_Section):
    """When a series is complete. The timers are kept in the catalog and survive a restart."""

    silence: float = Field(30.0, ge=0.5, description="Seconds without a new instance that close a series.")
    settle: float = Field(2.0, ge=0.1, description="The same where its attributes prove that nothing is missing.")
    force: float = Field(3600.0, ge=1, description="Seconds after the first instance that close it in any case.")


class ArchiveSection(_Section):
    """How a series is archived, and where."""

    profile: str = Field("lossless", description="lossless, near-lossless, lossy, or the path of a profile file.")
    folder: Path | None = Field(None, description="Folder of the archive objects. Default: store/ in state_dir.")


class WorkerSection(_Section):
    """The processes that encode."""

    processes: int = Field(1, ge=1, le=64, description="Series worked on at once.")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto takes a GPU where there is one.")
    attempts: int = Field(3, ge=1, le=20, description="After so many failures a series is archived untouched.")
    retry_delay: float = Field(30.0, ge=0, description="Seconds before the second attempt; doubles each time.")
    lease: float = Field(60.0, ge=2, description="Seconds after which the work of a silent worker is given away.")


class ForwardSection(_Section):
    """PACS that also get what is archived. Everything is fetched back and compared."""

    targets: tuple[str, ...] = Field((), description="Names from [peers].")
    read_back: Literal["get", "move", "off"] = Field(
        "get",
        description="Fetch back and compare: by C-GET, or by C-MOVE from a PACS without C-GET; off proves nothing.",
    )
    move_ae_title: str | None = Field(
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

    @field_validator("move_ae_title")
    @classmethod
    def _legal_ae_title(cls, value: str | None) -> str | None:
        if value is None:
            return None
        _as_value_error(check_ae_title, value)
        return value.strip()


class CommitmentSection(_Section):
    """Storage commitment: peers in [peers] may ask the node, and the node asks where [forward] says so."""

    retry_delay: float = Field(30.0, ge=0.1, description="Seconds before a peer that is away is tried again.")
    answer_timeout: float = Field(3600.0, ge=0.1, description="Seconds after which a PACS that did not answer is asked anew.")
    max_delay: float = Field(86400.0, ge=0.1, description="Both double up to this.")
    give_up_hours: float = Field(168.0, gt=0, description="Hours after which a report that nobody takes is given up.")


class RetrieveSection(_Section):
    """What peers get by C-GET and C-MOVE: the originals, restored where they are no longer in the spool."""

    archive_ae_title: str | None = Field(
        None,
        description="A second AE title of the node: who calls it finds the archive objects instead of what is in them.",
    )
    cache_mb: int = Field(1024, ge=16, description="MiB of restored instances that are kept for the next request.")

    @field_validator("archive_ae_title")
    @classmethod
    def _legal_ae_title(cls, value: str | None) -> str | None:
        if value is None:
            return None
        _as_value_error(check_ae_title, value)
        return value.strip()


class LoggingSection(_Section):
    """Messages go to stderr; they never hold a patient's name or identifier."""

    level: Literal["debug", "info", "warning", "error"] = Field("info", description="Of hexdicom itself.")
    pynetdicom: Literal["debug", "info", "warning", "error"] = Field("error", description="Of the network library.")
    format: Literal["auto", "text", "json"] = Field("auto", description="auto: text on a terminal, else JSON lines.")


class Settings(BaseSettings):
    """Everything that can be set."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", env_prefix="HEXDICOM_", env_nested_delimiter="__")

    node: NodeSection = NodeSection()
    receiver: ReceiverSection = ReceiverSection()
    series: SeriesSection = SeriesSection()
    archive: ArchiveSection = ArchiveSection()
    worker: WorkerSection = WorkerSection()
    forward: ForwardSection = ForwardSection()
    commitment: CommitmentSection = CommitmentSection()
    retrieve: RetrieveSection = RetrieveSection()
    logging: LoggingSection = LoggingSection()
    peers: dict[str, str] = Field(
        default={},
        description="DICOM peers by name, each AET@HOST:PORT: C-MOVE destinations, PACS to forward to, `--from NAME`.",
        examples=['pacs = "PACS@10.0.0.5:104"'],
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)  # `load` reads file and environment; a test that builds Settings() gets the defaults

    @model_validator(mode="after")
    def _peers_are_known(self) -> Settings:
        for text in self.peers.values():
            _as_value_error(Peer.parse, text)
        for name in self.forward.targets:
            _as_value_error(self.peer, name)
        if self.forward.read_back == "move" and self.forward.move_port == self.node.port:
            raise ValueError("move_port in [forward] must not be the port of [node]")
        return self

    @property
    def state(self) -> Path:
        return self.node.state_dir or default_state_dir()

    @property
    def spool(self) -> Path:
        return self.state / "spool"

    @property
    def catalog(self) -> Path:
        return self.state / "catalog.sqlite"

    @property
    def store(self) -> Path:
        return self.archive.folder or self.state / "store"

    def peer(self, name: str) -> Peer:
        """The peer of that name, called under our AE title. Raises ConfigError."""
        if name not in self.peers:
            raise ConfigError(f"There is no peer {name!r}.", hint=_nearest(name, self.peers) or "Add it under [peers].")
        return Peer.parse(self.peers[name], self.node.ae_title)


def default_state_dir() -> Path:
    """Where a node keeps what it holds unless told otherwise."""
    return Path("/var/lib/hexdicom") if os.geteuid() == 0 else platformdirs.user_state_path("hexdicom")


def find_file(given: Path | None = None) -> Path | None:
    """The configuration file that counts; None where there is none. Raises ConfigError if a named one is missing."""
    named = given or (Path(os.environ["HEXDICOM_CONFIG"]) if os.environ.get("HEXDICOM_CONFIG") else None)
    if named is not None:
        if not named.is_file():
            raise ConfigError(f"There is no configuration file {named}.", hint="`hexdicom node init` writes one.")
        return named
    places = (platformdirs.user_config_path("hexdicom") / "hexdicom.toml", SYSTEM_FILE)
    return next((place for place in places if place.is_file()), None)


def load(given: Path | None = None) -> Settings:
    """The settings from environment and file. Raises ConfigError that names file, key and what is expected."""
    file = find_file(given)
    values: dict[str, Any] = {}
    if file is not None:
        try:
            values = tomllib.loads(file.read_text("utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"{file} is not TOML: {error}.") from error
        except OSError as error:
            raise ConfigError(f"{file} cannot be read: {error.strerror}.") from error
    for section, given_values in EnvSettingsSource(Settings)().items():
        known = values.get(section)
        if isinstance(known, dict) and isinstance(given_values, dict):
            values[section] = {**known, **given_values}
        else:
            values[section] = given_values
    try:
        return Settings(**values)
    except ValidationError as error:
        raise _explain(error, file) from error


def _explain(error: ValidationError, file: Path | None) -> ConfigError:
    first = error.errors()[0]
    *where, key = [str(part) for part in first["loc"]] or [""]
    place = f"{file or 'The environment'}: {'.'.join([*where, key])}".rstrip(": ")
    if first["type"] == "extra_forbidden":
        return ConfigError(f"{place} is not a setting.", hint=_nearest(key, _keys(where)))
    return ConfigError(f"{place}: {first['msg'].removeprefix('Value error, ').rstrip('.')}.")


def _keys(where: list[str]) -> list[str]:
    if not where:
        return list(Settings.model_fields)
    section = Settings.model_fields[where[0]].annotation
    return list(section.model_fields) if isinstance(section, type) and issubclass(section, BaseModel) else []


def _nearest(key: str, known: Any) -> str:
    near = difflib.get_close_matches(key, list(known), n=1, cutoff=0.5)
    return f"Did you mean {near[0]!r}?" if near else (f"Known: {', '.join(known)}." if known else "")


def _as_value_error(check: Callable[[str], object], value: str) -> None:
    try:
        check(value)
    except ConfigError as error:
        raise ValueError(str(error)) from error
