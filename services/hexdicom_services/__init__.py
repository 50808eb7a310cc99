"""The processes of hexdicom: everything that waits, listens, remembers or reads the environment."""
