"""The audit trail (PS3.15 A.5): who did what to whose images. Messages are rows of the catalog, shipped from there."""
