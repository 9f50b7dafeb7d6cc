"""Expressions -> text tokens of a frozen encoder, computed once and kept on disk."""

from sola.text.tokens import TextTokens

__all__ = ["TextTokens"]
