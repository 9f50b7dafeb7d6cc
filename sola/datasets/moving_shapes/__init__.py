"""moving_shapes: synthetic videos with expressions about appearance and motion."""

from sola.datasets.moving_shapes.maker import Maker

__all__ = ["Maker"]
