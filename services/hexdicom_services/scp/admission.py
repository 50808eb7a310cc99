"""Who is let in: the AE titles and the address of an association request, and how many associations there are already.

Rejections are those of PS3.8 section 9.3.4: an unknown caller learns only that its AE title is not recognized.
"""

from __future__ import annotations

import logging
import socket
import threading
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

from hexdicom.errors import ConfigError
from hexdicom_services.callers import ANYBODY, Caller, is_loopback, plain
from hexdicom_services.logs import printable
from hexdicom_services.scp import counted
from hexdicom_services.scp.rate import Rate

if TYPE_CHECKING:
    from collections.abc import Callable

    from pynetdicom.association import Association
    from pynetdicom.events import Event
    from pynetdicom.pdu_primitives import A_ASSOCIATE

    from hexdicom_services.peer import Peer
    from hexdicom_services.settings import Settings

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Result, source and reason of an A-ASSOCIATE-RJ, and the same in words."""

    code: tuple[int, int, int]
    why: str


UNKNOWN_CALLER: Final = Refusal((1, 1, 3), "its calling AE title and address are not known here")
WRONG_CALLED: Final = Refusal((1, 1, 7), "it calls another AE title")
TOO_MANY: Final = Refusal((2, 3, 2), "there are too many associations")
TOO_MANY_OF_ADDRESS: Final = Refusal((2, 3, 2), "its address has too many associations")
TOO_FAST: Final = Refusal((2, 3, 2), "its address asks for too many associations a minute")
NO_ROOM: Final = Refusal((2, 3, 2), "it only stores, and the disk is below its reserve")
REFUSALS: Final = (UNKNOWN_CALLER, WRONG_CALLED, TOO_MANY, TOO_MANY_OF_ADDRESS, TOO_FAST, NO_ROOM)


class Admission:
    """Decides for every association request. `told` is called with what was refused: calling AE title, address, why.

    room: gives the number of associations that this process may have now; else that of the settings. full: says why there is no
    room for what an association wants to store, None where there is.
    """

    def __init__(
        self,
        settings: Settings,
        told: Callable[[str, str, str], None] | None = None,
        room: Callable[[], int] | None = None,
        full: Callable[[Association], str | None] | None = None,
    ) -> None:
        self._ae_titles, receiver = {settings.node.ae_title, settings.retrieve.archive_ae_title}, settings.receiver
        self._local = is_loopback(settings.node.host)
        self._callers = callers(settings)
        self._peers = [settings.peer(name) for name in settings.peers]
        check = receiver.check_called_ae_title
        self._check_called = not self._local if check is None else check
        self._room = room or (lambda: receiver.max_associations)
        self._full = full or (lambda _: None)
        self._most_of_address = receiver.max_associations_per_address
        self._rate = Rate(receiver.max_associations_per_minute)
        self._told = told
        self._admitted: weakref.WeakKeyDictionary[Association, str] = weakref.WeakKeyDictionary()
        self._lock = threading.Lock()

    def on_requested(self, event: Event) -> None:
        """Rejects the association, or lets it go on."""
        association = event.assoc
        request = cast("A_ASSOCIATE", association.requestor.primitive)
        calling, called = str(request.calling_ae_title).strip(), str(request.called_ae_title).strip()
        address = association.requestor.address or ""
        refusal = self.judge(calling, called, address) or self._hurry(address)
        refusal = refusal or self._store(association) or self._count(association, address)
        if refusal is None:
            return
        counted.on_rejected(too_fast=refusal is TOO_FAST)
        if refusal is not TOO_FAST or self._rate.is_news(address):
            log.warning(
                "an association of %s at %s was refused: %s", printable(calling), address, refusal.why,
                extra={"event": "association.refused", "peer": address, "calling": printable(calling)},
            )  # fmt: skip
        if self._told is not None and refusal.code[0] == 1:
            self._told(printable(calling), address, refusal.why)
        association.acse.send_reject(*refusal.code)
        association.kill()  # once the peer has closed the connection, or the ARTIM timer has

    def judge(self, calling: str, called: str, address: str) -> Refusal | None:
        """Why a caller is not let in; None where it is."""
        if not self._knows(calling, address):
            return UNKNOWN_CALLER
        if self._check_called and called not in self._ae_titles:
            return WRONG_CALLED
        return None

    def _knows(self, calling: str, address: str) -> bool:
        if any(caller.admits(calling, address) for caller in self._callers):
            return True
        return any(peer.ae_title == calling and _is_at(peer, address) for peer in self._peers)

    def _hurry(self, address: str) -> Refusal | None:
        return None if self._rate.takes(address) else TOO_FAST

    def _store(self, association: Association) -> Refusal | None:
        why = self._full(association)
        return None if why is None else Refusal(NO_ROOM.code, why)

    def _count(self, association: Association, address: str) -> Refusal | None:
        room = self._room()
        with self._lock:
            there = [where for known, where in self._admitted.items() if known.is_alive()]
            if len(there) >= room:
                return TOO_MANY
            if there.count(address) >= self._most_of_address:
                return TOO_MANY_OF_ADDRESS
            self._admitted[association] = address
            return None


def callers(settings: Settings) -> list[Caller]:
    """Who may call, beside the peers: whom the settings name; where they name nobody, everybody on this machine."""
    named = [Caller.parse(text) for text in settings.receiver.calling_ae_titles]
    return named or ([Caller(ANYBODY)] if is_loopback(settings.node.host) else [])


def _is_at(peer: Peer, address: str) -> bool:
    """Whether a peer has that address; a host name is looked up at every call, since it may move."""
    try:
        found = {entry[4][0] for entry in socket.getaddrinfo(peer.host, None)}
    except OSError:
        return False
    return plain(address) in {plain(str(one)) for one in found}


def explain(settings: Settings) -> tuple[bool | None, str]:
    """Who may call, in words; False where nobody may, although others can reach the port."""
    where = f"{settings.node.host} port {settings.node.port}"
    named = callers(settings)
    try:
        peers = [str(settings.peer(name)) for name in settings.peers]
    except ConfigError as error:
        return False, str(error)
    if any(caller.is_anybody for caller in named):
        local = is_loopback(settings.node.host)
        return None, "Everybody on this machine may call." if local else f"Everybody who reaches {where} may call."
    if named:
        return True, f"Callers that are known: {len(named)}, and {len(peers)} peers."
    hint = 'Name them in calling_ae_titles in [receiver], as SCANNER or SCANNER@10.0.0.7; "*" lets everybody in.'
    if peers:
        return None, f"Only the {len(peers)} peers of [peers] may call; all others are refused. {hint}"
    return False, f"Nobody may call: the node listens on {where}, which others can reach, and no callers are named. {hint}"
