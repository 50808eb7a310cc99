"""A peer as people name it on the command line."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hexdicom_services.peer import Peer
from hexdicom_services.settings import load

if TYPE_CHECKING:
    from hexdicom_services.settings import Settings

config_option = click.option(
    "--config", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False),
    help="Configuration of the node; else HEXDICOM_CONFIG, the user's, or /etc/hexdicom/hexdicom.toml.",
)  # fmt: skip


def resolve(text: str, config: Path | None) -> Peer:
    """AET@HOST:PORT or AET@HOST:PORT+tls, `local` for the node configured here, or a name from [peers]. Raises ConfigError."""
    if "@" in text:
        peer = Peer.parse(text)
        return Peer.parse(text, tls=load(config).tls_files) if peer.tls else peer
    settings = load(config)
    return local(settings) if text == "local" else settings.peer(text)


def local(settings: Settings) -> Peer:
    """The configured node, as it is called from its own machine."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.node.host, settings.node.host)
    tls = replace(settings.tls_files, own=True) if settings.tls.enabled else None
    return Peer(settings.node.ae_title, host, settings.node.port, settings.node.ae_title, tls)
