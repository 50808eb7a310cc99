"""Addresses of DICOM peers as people write them."""

from __future__ import annotations

import pytest

from hexdicom.errors import ConfigError
from hexdicom_services.peer import Peer


def test_an_address_is_read() -> None:
    assert Peer.parse("PACS@10.0.0.5:104", "ME") == Peer("PACS", "10.0.0.5", 104, "ME")


def test_an_ipv6_host_stands_in_brackets_and_is_written_so() -> None:
    peer = Peer.parse("PACS@[::1]:11112")
    assert peer.host == "::1"
    assert str(peer) == "PACS@[::1]:11112"


@pytest.mark.parametrize(
    "text",
    ["", "PACS", "PACS@host", "host:104", "@host:104", "PACS@host:0", "PACS@host:70000", "A" * 17 + "@h:1", "P\\Q@h:1"],
)
def test_what_is_no_address_is_refused_with_the_form_to_use(text: str) -> None:
    with pytest.raises(ConfigError):
        Peer.parse(text)
