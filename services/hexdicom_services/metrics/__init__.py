"""Figures, health and readiness for those who watch the node. A process of its own, away from the receivers."""
