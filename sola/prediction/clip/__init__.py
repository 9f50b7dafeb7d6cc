"""A user's own clip: read, tracked, answered."""
