"""Associations that we open: echo, store, find, get, move. Knows nothing of archives, catalogs or settings.

A broken association is taken up where it stopped, on a new one, as long as each brings something; every instance is
reported. Every error that reaches the caller is a PeerError which names the peer, what happened and the next step.
"""

from hexdicom_services.scu.destination import Destination, get_by_move
from hexdicom_services.scu.echo import echo
from hexdicom_services.scu.find import find, find_instances
from hexdicom_services.scu.inbox import Received
from hexdicom_services.scu.move import Moved, move
from hexdicom_services.scu.retrieve import get
from hexdicom_services.scu.store import Sent, store

__all__ = [
    "Destination", "Moved", "Received", "Sent", "echo", "find", "find_instances", "get", "get_by_move", "move", "store",
]  # fmt: skip
