"""What the receivers count as it happens. Everything else that Prometheus gets is read from the catalog when it asks.

In a process that the node has given PROMETHEUS_MULTIPROC_DIR, the numbers lie in a file there, which outlives the process.
"""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter, Histogram

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)

STORES: Final = Counter("hexdicom_stores", "C-STORE requests answered, by DIMSE status (hexadecimal; 0000 is success).", ["status"])
STORE_SECONDS: Final = Histogram("hexdicom_store_seconds", "From a whole C-STORE request to its durable answer.", buckets=_SECONDS)
ASSOCIATIONS: Final = Counter("hexdicom_associations", "Associations that peers asked for, by what became of it.", ["result"])
