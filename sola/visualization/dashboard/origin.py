"""What identifies a run: the code, and the tracks that it works on."""

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sola.evaluation.tracks import TrackReader
from sola.shards.writer import INDEX_FILE
from sola.visualization.dashboard.values import Artifact

CODE_DIR = Path(__file__).parents[2]
"""The package; its repository, if it has one, is around it."""
NO_GIT = {"commit": "none", "is_dirty": False}
OF_INDEX = (
    "dataset",
    "split",
    "source",
    "tracker",
    "checkpoint_sha256",
    "token_dim",
    "token_dtype",
    "format_version",
)


def git_state() -> dict[str, Any]:
    """The commit of the code, and whether files differ from it; "none" outside of a repository."""
    # of an installed copy, a repository around it knows nothing
    if _git("ls-files", "--error-unmatch", "__init__.py") is None:
        return dict(NO_GIT)
    commit = _git("rev-parse", "HEAD")
    return {"commit": commit or "none", "is_dirty": bool(_git("status", "--porcelain"))}


def artifacts_of(readers: Sequence[TrackReader]) -> list[Artifact]:
    """The tracks that a run reads, and the tracker that made them.

    Args:
        readers: of finished tracks.
    """
    found = [artifact_of_tracks(reader.tracks_dir, reader.index) for reader in readers]
    index = readers[0].index
    sha256 = str(index.get("checkpoint_sha256"))
    tracker = Artifact(
        name=f"tracker-{index.get('tracker')}",
        kind="tracker",
        path=None,
        metadata={"name": index.get("tracker"), "checkpoint_sha256": sha256},
    )
    return [*found, tracker]


def artifact_of_tracks(tracks_dir: Path, index: dict[str, Any]) -> Artifact:
    """Finished tracks, by their index.

    Args:
        tracks_dir: their folder.
        index: what its index.json holds.
    """
    identity = {key: index[key] for key in OF_INDEX if key in index}
    names = [str(identity.get(key)) for key in ("dataset", "split", "source", "tracker")]
    return Artifact(
        name="-".join(["tracks", *names]),
        kind="tracks",
        path=tracks_dir / INDEX_FILE,
        metadata={
            **identity,
            "folder": str(tracks_dir.absolute()),
            "num_entries": len(index["entries"]),
        },
    )


def _git(*words: str) -> str | None:
    """What git says of the code; None where it fails or is not there."""
    try:
        done = subprocess.run(
            ["git", *words], cwd=CODE_DIR, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
