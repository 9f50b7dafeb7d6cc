"""The network that scores tracks against an expression, its losses and its checkpoints."""

from sola.selector.network import TrackSelector

__all__ = ["TrackSelector"]
