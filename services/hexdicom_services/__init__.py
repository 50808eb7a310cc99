"""The processes of hexdicom: everything that waits, listens, remembers or reads the environment."""

import os

# Torch's threads would otherwise spin at every barrier: on a machine that also receives, encoding then takes four times as long.
# It is read once, when torch is loaded, so it is said here, before anything else.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
