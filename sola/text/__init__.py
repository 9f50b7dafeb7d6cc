"""Sentences as text tokens: a frozen encoder, and a cache on disk."""

from sola.text.cache import TextTokens
from sola.text.encoder import TextEncoder

__all__ = ["TextEncoder", "TextTokens"]
