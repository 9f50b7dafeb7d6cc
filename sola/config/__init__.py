"""Configuration: composition, the check of arguments, and the frame of every entry point."""

from sola.config.composition import compose, load
from sola.config.program import main

__all__ = ["compose", "load", "main"]
