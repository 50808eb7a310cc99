"""What an administrator can set. The only reader of the environment and of the configuration file.

Order: HEXDICOM_<SECTION>__<FIELD> in the environment, then the file (the given one, else HEXDICOM_CONFIG, else the
user's hexdicom.toml, else /etc/hexdicom/hexdicom.toml), then the defaults below. An unknown key is an error.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from pathlib import Path
from typing import Any

import platformdirs
from pydantic import BaseModel, Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from hexdicom.errors import ConfigError
from hexdicom_services.database import Database
from hexdicom_services.peer import Peer
from hexdicom_services.sections import (
    ArchiveSection,
    AuditSection,
    CatalogSection,
    CommitmentSection,
    ForwardSection,
    LoggingSection,
    MetricsSection,
    NodeSection,
    ReceiverSection,
    RetentionSection,
    RetrieveSection,
    ScrubSection,
    SeriesSection,
    TlsSection,
    WorkerSection,
    as_value_error,
)
from hexdicom_services.tls import TlsFiles

SYSTEM_FILE = Path("/etc/hexdicom/hexdicom.toml")


class Settings(BaseSettings):
    """Everything that can be set."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", env_prefix="HEXDICOM_", env_nested_delimiter="__")

    node: NodeSection = NodeSection()
    receiver: ReceiverSection = ReceiverSection()
    tls: TlsSection = TlsSection()
    catalog: CatalogSection = CatalogSection()
    series: SeriesSection = SeriesSection()
    archive: ArchiveSection = ArchiveSection()
    worker: WorkerSection = WorkerSection()
    forward: ForwardSection = ForwardSection()
    retention: RetentionSection = RetentionSection()
    scrub: ScrubSection = ScrubSection()
    audit: AuditSection = AuditSection()
    metrics: MetricsSection = MetricsSection()
    commitment: CommitmentSection = CommitmentSection()
    retrieve: RetrieveSection = RetrieveSection()
    logging: LoggingSection = LoggingSection()
    peers: dict[str, str] = Field(
        default={},
        description="DICOM peers by name, each AET@HOST:PORT, or AET@HOST:PORT+tls: C-MOVE destinations, PACS to forward to, "
        "`--from NAME`. They may also call, from that host.",
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
            as_value_error(Peer.parse, text)
        for name in self.forward.targets:
            as_value_error(self.peer, name)
        if self.forward.read_back == "move" and self.forward.move_port == self.node.port:
            raise ValueError("move_port in [forward] must not be the port of [node]")
        if self.metrics.port is not None and self.metrics.port == self.node.port:
            raise ValueError("port in [metrics] must not be the port of [node]")
        if self.retrieve.archive_ae_title == self.node.ae_title:
            raise ValueError("archive_ae_title in [retrieve] must not be the AE title of [node]: nobody could ask for originals")
        return self

    @property
    def state(self) -> Path:
        return self.node.state_dir or default_state_dir()

    @property
    def spool(self) -> Path:
        return self.state / "spool"

    @property
    def database(self) -> Database:
        """Where the catalog is."""
        if self.catalog.url is not None:
            return Database(url=self.catalog.url, password_file=self.catalog.password_file)
        return Database(file=self.state / "catalog.sqlite")

    @property
    def vitals(self) -> Path:
        return self.state / "vitals"

    @property
    def counters(self) -> Path:
        return self.state / "counters"

    @property
    def store(self) -> Path:
        return self.archive.folder or self.state / "store"

    def peer(self, name: str) -> Peer:
        """The peer of that name, called under our AE title. Raises ConfigError."""
        if name not in self.peers:
            raise ConfigError(f"There is no peer {name!r}.", hint=_nearest(name, self.peers) or "Add it under [peers].")
        return Peer.parse(self.peers[name], self.node.ae_title, self.tls_files)

    @property
    def tls_files(self) -> TlsFiles:
        """The files of [tls]."""
        tls = self.tls
        return TlsFiles(tls.certificate, tls.key, tls.key_password, tls.ca, tls.minimum_version, crl=tls.crl)


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
