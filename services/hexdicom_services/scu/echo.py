"""C-ECHO: is a peer there, and does it take calls from us?"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from pynetdicom import build_context
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from hexdicom_services.scu.association import DEFAULT_PATIENCE, Patience, associate, failure, status_of

if TYPE_CHECKING:
    from hexdicom_services.peer import Peer


def echo(peer: Peer, *, patience: Patience = DEFAULT_PATIENCE) -> float:
    """Seconds that the peer took to answer, association not counted. Raises PeerError."""
    with associate(peer, [build_context(Verification)], patience=patience) as assoc:
        started = time.perf_counter()
        response = assoc.send_c_echo()
        took = time.perf_counter() - started
        if status_of(peer, assoc, response, "C-ECHO") != 0x0000:
            raise failure(peer, response, "C-ECHO")
    return took
