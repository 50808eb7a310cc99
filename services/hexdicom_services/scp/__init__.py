"""The process that answers peers: receives, and lets query and retrieve. Never imports torch."""
