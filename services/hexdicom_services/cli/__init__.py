"""The command line. Commands load when they are called, so that `hexdicom --help` answers at once.

Results go to stdout, messages and progress to stderr. Every error is one sentence with a hint and the exit code of its class.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from typing import TYPE_CHECKING, NoReturn

import click

from hexdicom import __version__
from hexdicom.errors import HexdicomError
from hexdicom_services.cli.lazy import LazyGroup

if TYPE_CHECKING:
    from types import FrameType

INTERRUPTED, TERMINATED = 130, 143

_PLACE = "hexdicom_services.cli"
COMMANDS = {
    "compress": (f"{_PLACE}.compress:compress", "Archive the 4-D series of files and folders."),
    "restore": (f"{_PLACE}.restore:restore", "Give the original instances back."),
    "find": (f"{_PLACE}.find:find", "List what is archived on a node or a PACS."),
    "verify": (f"{_PLACE}.verify:verify", "Prove that archives restore what went in."),
    "inspect": (f"{_PLACE}.inspect:inspect", "Show what an archive or a bitstream holds, without decoding it."),
    "explain": (f"{_PLACE}.explain:explain", "Say how files would be assembled to 4-D series, and why not."),
    "preview": (f"{_PLACE}.preview:preview", "Draw an archive from its base layer alone."),
    "frame": (f"{_PLACE}.frame:frame", "Get a single frame out of an archive."),
    "codec": (f"{_PLACE}.codec:codec", "Code arrays (.npy, .nii) without DICOM."),
    "node": (f"{_PLACE}.node:node", "Set up, check and run a node."),
    "bench": (f"{_PLACE}.bench:bench", "Measure on this machine."),
    "demo": (f"{_PLACE}.demo:demo", "Show everything once: send, archive, restore, prove."),
}


@click.group(cls=LazyGroup, commands_by_name=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "--version", message="hexdicom %(version)s")
def root() -> None:
    """Archives cine MRI, and other 4-D MR, as one small DICOM object per series and gives the original instances back."""


def main() -> NoReturn:
    """Entry point of the `hexdicom` command."""
    signal.signal(signal.SIGTERM, _terminate)
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command line and return its exit code; every explained error has been printed."""
    try:
        code = root.main(arguments, prog_name="hexdicom", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except HexdicomError as error:
        click.echo(f"hexdicom: {error.message}", err=True)
        if error.hint:
            click.echo(f"          {error.hint}", err=True)
        return error.exit_code
    except MemoryError as error:
        click.echo(f"hexdicom: There is not enough memory. {error}".rstrip(), err=True)
        return HexdicomError.exit_code
    except (KeyboardInterrupt, click.Abort):
        click.echo("hexdicom: interrupted; nothing half-done was left behind.", err=True)
        return INTERRUPTED
    except BrokenPipeError:  # the reader of our output went away
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return code if isinstance(code, int) else 0


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    """SIGTERM leaves through every `finally`, as Ctrl-C does."""
    sys.exit(TERMINATED)
