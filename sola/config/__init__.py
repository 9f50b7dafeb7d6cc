"""Configuration: types, rules, and the way from a command line to both; imports nothing heavy."""

from sola.config.conversion import compose, load, register_schemas
from sola.config.entry import main
from sola.config.validation import validate

__all__ = ["compose", "load", "main", "register_schemas", "validate"]
