"""What the node remembers: a database that every process of the node opens for itself."""
