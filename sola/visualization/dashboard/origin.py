"""Record where a run comes from: its code, and the tracks that it reads or makes."""

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sola.evaluation.tracks import TrackReader
from sola.shards.writer import INDEX_FILE
from sola.visualization.dashboard.board import Board

NAMES = ("dataset", "split", "source", "tracker")
DETAILS = ("checkpoint_sha256", "token_dim", "token_dtype", "format_version")


def git_state() -> dict[str, Any]:
    """Return the commit of the code and whether files differ; "none" outside of a repository."""
    # a repository around an installed copy does not track it
    if _git("ls-files", "--error-unmatch", "__init__.py") is None:
        return {"commit": "none", "is_dirty": False}
    commit = _git("rev-parse", "HEAD") or "none"
    return {"commit": commit, "is_dirty": bool(_git("status", "--porcelain"))}


def record_inputs(board: Board, readers: Sequence[TrackReader]) -> None:
    """Record the tracks that a run reads, and the tracker that made them."""
    for reader in readers:
        record_tracks(board, reader.tracks_dir, reader.index, is_input=True)
    index = readers[0].index
    name, sha256 = index.get("tracker"), str(index.get("checkpoint_sha256"))
    metadata = {"name": name, "checkpoint_sha256": sha256}
    board.add_artifact(f"tracker-{name}", "tracker", metadata=metadata, is_input=True)


def record_tracks(
    board: Board, tracks_dir: Path, index: dict[str, Any], *, is_input: bool = False
) -> None:
    """Record finished tracks.

    Args:
        board: of the run.
        tracks_dir: folder of the tracks.
        index: content of their index.json.
        is_input: the run reads them; else it made them.
    """
    metadata = {key: index[key] for key in (*NAMES, *DETAILS) if key in index}
    metadata |= {"folder": str(tracks_dir.absolute()), "num_entries": len(index["entries"])}
    name = "-".join(["tracks", *(str(index.get(key)) for key in NAMES)])
    path = tracks_dir / INDEX_FILE
    board.add_artifact(name, "tracks", path, metadata=metadata, is_input=is_input)


def _git(*words: str) -> str | None:
    """Output of git for the folder of the code; None if git fails or is missing."""
    command = ["git", "-C", str(Path(__file__).parents[2]), *words]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
