"""Data sets and volumes. Knows no network, no database, no torch; bitstreams are opaque bytes here."""
