"""Sentences as text tokens: a frozen encoder, and a cache on disk."""

from sola.text.encoder import TextEncoder
from sola.text.tokens import TextTokens

__all__ = ["TextEncoder", "TextTokens"]
