"""docs/metrics.md names every metric, and no other."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SERVICES = ROOT / "services" / "hexdicom_services"


def test_every_metric_is_documented() -> None:
    documented = set(re.findall(r"^\| `(hexdicom_[a-z_]+)` \|", (ROOT / "docs/metrics.md").read_text("utf-8"), re.MULTILINE))
    code = "".join(path.read_text("utf-8") for path in [SERVICES / "counters.py", *(SERVICES / "metrics").glob("*.py")])
    made = re.findall(r'\b(Counter|Gauge|GaugeMetricFamily|Histogram)\(\s*"(hexdicom_[a-z_]+)"', code)
    assert documented == {f"{name}_total" if kind == "Counter" else name for kind, name in made}
