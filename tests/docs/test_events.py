"""The events of the log are a closed list, and docs/events.md is that list."""

from __future__ import annotations

import re
from pathlib import Path

from hexdicom_services.logs import EVENTS

ROOT = Path(__file__).resolve().parents[2]


def test_documented() -> None:
    rows = dict(re.findall(r"^\| `([a-z._]+)` \| (.+) \|$", (ROOT / "docs/events.md").read_text(), re.MULTILINE))
    assert rows == EVENTS


def test_used_and_known() -> None:
    code = "".join(path.read_text() for folder in ("hexdicom", "services") for path in (ROOT / folder).rglob("*.py"))
    used = set(re.findall(r'"event": (?:"([a-z._]+)")', code)) | set(re.findall(r'"((?:series|job)\.[a-z_]+)" if error else', code))
    used |= set(re.findall(r'else "((?:series|job)\.[a-z_]+)", "', code))
    assert used <= set(EVENTS)
    assert set(EVENTS) - used == set()
