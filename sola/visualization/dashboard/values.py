"""What a dashboard can show beside plain numbers."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sola.visualization.report.charts import LineChart


@dataclass(frozen=True)
class Distribution:
    """How many values lie in each of K intervals."""

    counts: NDArray[np.int64]
    """(K,)."""
    edges: NDArray[np.float64]
    """(K + 1,), ascending."""


@dataclass(frozen=True)
class Clip:
    """A short video, and one picture of it for what plays none."""

    path: Path
    """An mp4, which may go once it was logged."""
    picture: NDArray[np.uint8]
    """(H, W, 3) RGB."""
    caption: str


@dataclass(frozen=True)
class Table:
    """Rows of words, numbers and clips; None where there is nothing."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str | float | Clip | None]]

    def clips(self) -> list[Clip]:
        """Those of all rows."""
        return [cell for row in self.rows for cell in row if isinstance(cell, Clip)]


Value = float | Distribution | LineChart | Table


@dataclass(frozen=True)
class Artifact:
    """A file that a run takes or makes, and what identifies it."""

    name: str
    """The same for all versions of a thing."""
    kind: str
    """tracks, tracker or selector."""
    path: Path | None
    """None: known by its metadata alone."""
    metadata: dict[str, Any] = field(default_factory=dict)
