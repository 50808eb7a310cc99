"""What belongs to a node is written by its user, and for nobody else's eyes.

The node cannot read what root writes into its folders, and takes it for damaged.
"""

from __future__ import annotations

import os
import pwd
from typing import TYPE_CHECKING

from hexdicom.errors import ConfigError, StoreError

if TYPE_CHECKING:
    from pathlib import Path


def act_for(state: Path) -> None:
    """Before a process writes for a node. Raises ConfigError where it is root and the state folder another user's, StoreError."""
    os.umask(0o077)  # what the node keeps names patients
    try:
        owner = state.stat().st_uid
    except FileNotFoundError:
        return
    except OSError as error:
        raise StoreError(f"{state} cannot be used: {error.strerror}.", hint="Set state_dir in [node].") from error
    if os.geteuid() == 0 and owner != 0:
        name = _name(owner)
        raise ConfigError(f"{state} belongs to the user {name}, not to root.", hint=f"Put `sudo -u {name}` before the command.")


def _name(user: int) -> str:
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return f"#{user}"  # sudo takes it so
