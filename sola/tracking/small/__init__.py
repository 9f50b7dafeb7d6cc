"""The small tracker: SAM 2's own classes with 3.2 M parameters, and their training."""
