"""Videos that cannot be tracked: kept with their reasons, passed over, tried again by a rerun."""

import secrets
from pathlib import Path
from typing import Any

from sola.files import find_files, is_there, read_json, write_json

FAILED_DIR = "failed"


class Failures:
    """A file a video in the staging folder, which all processes share."""

    def __init__(self, staging_dir: Path) -> None:
        """Note which videos failed before this process began: they are tried again."""
        self.folder = staging_dir / FAILED_DIR
        self._before = {
            video_id: failure["attempt"] for video_id, failure in self._read_all().items()
        }

    def add(self, video_id: str, reason: str) -> None:
        """Keep the reason of a video; the process that has its claim calls this."""
        failure = {"video": video_id, "reason": reason, "attempt": secrets.token_hex(8)}
        write_json(self._path(video_id), failure)

    def discard(self, video_id: str) -> None:
        """The video has been tracked after all."""
        self._path(video_id).unlink(missing_ok=True)

    def is_recent(self, video_id: str) -> bool:
        """Whether the video failed since this process began, here or in another process."""
        path = self._path(video_id)
        if not is_there(path):
            return False
        return bool(self._read(path)["attempt"] != self._before.get(video_id))

    def reasons(self) -> dict[str, str]:
        """Of all videos that failed and have not been tracked since, by video."""
        return {video_id: failure["reason"] for video_id, failure in self._read_all().items()}

    def _read_all(self) -> dict[str, dict[str, Any]]:
        found = [self._read(path) for path in find_files(self.folder, "*.json")]
        return {failure["video"]: failure for failure in found}

    def _read(self, path: Path) -> dict[str, Any]:
        failure: dict[str, Any] = read_json(path, "Move it away and run the same command again.")
        return failure

    def _path(self, video_id: str) -> Path:
        return self.folder / f"{video_id}.json"
