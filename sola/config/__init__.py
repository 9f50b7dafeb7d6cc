"""Configuration: composition, checks of arguments, and the frame of every command."""

from sola.config.composition import compose, load
from sola.config.program import main

__all__ = ["compose", "load", "main"]
