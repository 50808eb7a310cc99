"""Which witness a command has: the audit trail of the node that is configured here, where the command acts for that node."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

from hexdicom.errors import ConfigError
from hexdicom_services.audit.errand import errand, reads_store
from hexdicom_services.cli.output import messages
from hexdicom_services.settings import load
from hexdicom_services.witness import Witness

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path


def of_peer(text: str, config: Path | None) -> AbstractContextManager[Witness]:
    """Of a command that calls `local` or a name from [peers]. AET@HOST:PORT is called for nobody but who typed it."""
    if "@" in text:
        return nullcontext(Witness())
    return errand(load(config), _complain, ours=text == "local")


def of_files(sources: Sequence[Path], config: Path | None) -> AbstractContextManager[Witness]:
    """Of a command that reads files: those in the store of the node are its own, others are nobody's."""
    try:
        settings = load(config)
    except ConfigError:  # who may not read the configuration, or broke it, still has files to restore
        return nullcontext(Witness())
    return errand(settings, _complain) if reads_store(settings, sources) else nullcontext(Witness())


def _complain(sentence: str) -> None:
    messages().print(sentence, soft_wrap=True)
