"""Who works on what: locks on small files in the shared folder.

A lock belongs to a process, wherever it runs; the kernel releases it when the process ends in any
way. So nothing depends on clocks, and nobody has to clean up after a machine that died.
"""

import errno
import fcntl
import logging
import os
import socket
from datetime import datetime
from pathlib import Path

from sola.errors import UserError

log = logging.getLogger(__name__)

CLAIMS_DIR = "claims"
_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)


class NoLocksError(Exception):
    """The file system of a folder has no locks."""


class Lock:
    """An exclusive or shared lock on a file, whose text says who took it last."""

    def __init__(self, path: Path, who: str) -> None:
        self.path, self.who = path, who
        self._descriptor: int | None = None

    def take(self, *, is_shared: bool = False, wait: bool = False) -> bool:
        """Take it, or change its kind; whether that was possible.

        Raises:
            NoLocksError: if the file system has none.
        """
        if self._descriptor is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        kind = fcntl.LOCK_SH if is_shared else fcntl.LOCK_EX
        try:
            fcntl.flock(self._descriptor, kind | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            self.release()
            return False
        except OSError as error:
            self.release()
            if error.errno in _NO_LOCKS:
                raise NoLocksError(error.strerror) from error
            raise
        if not is_shared:
            self._sign()
        return True

    def release(self) -> None:
        """Give it back, if it is held."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def holder(self) -> str:
        """Who took it last."""
        try:
            return self.path.read_text() or "another process"
        except FileNotFoundError:
            return "another process"

    def _sign(self) -> None:
        assert self._descriptor is not None
        since = f"{datetime.now():%Y-%m-%d %H:%M:%S}"
        try:
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, f"{self.who}, since {since}".encode(), 0)
        except OSError as error:
            self.release()
            error.filename = str(self.path)
            raise


class _Unlocked(Lock):
    """Stands for a lock where there are none and nobody else is there."""

    def take(self, *, is_shared: bool = False, wait: bool = False) -> bool:
        return True


class Claims:
    """The locks of one folder of tracks that is being made."""

    def __init__(self, staging_dir: Path, *, part: int, num_parts: int, is_alone: bool) -> None:
        """Name the locks; nothing is written yet.

        Args:
            staging_dir: holds their files.
            part: number of the job that this process belongs to, among those that share the work.
            num_parts: how many such jobs there are to be.
            is_alone: whether this process is to be the only one of all jobs.
        """
        self.folder, self.part = staging_dir / CLAIMS_DIR, part
        self._is_alone, self._has_locks = is_alone, True
        own = f"part {part} of {num_parts}, " if num_parts > 1 else ""
        self.who = f"{own}process {os.getpid()} on {socket.gethostname()}"

    def lock(self, name: str) -> Lock:
        """One of the locks, not taken yet."""
        return (Lock if self._has_locks else _Unlocked)(self.folder / f"{name}.lock", self.who)

    def of_video(self, video_id: str) -> Lock:
        """The lock of whoever makes the tracks of a video."""
        return self.lock(f"videos/{video_id}")

    def take_part(self) -> Lock:
        """The lock of a part, which one job alone may hold.

        Raises:
            UserError: if another job works at this part.
        """
        lock = self.lock(f"part-{self.part}")
        if not lock.take():
            raise UserError(
                f"{self.folder.parent}: part {self.part} is being made already ({lock.holder()}). "
                f"Wait for it, stop it, or start this job as another part beside it: "
                f"part={self.part + 1} num_parts={self.part + 2}."
            )
        return lock

    def probe(self) -> None:
        """Find out whether the file system has locks; a process that is alone does without.

        Raises:
            UserError: if it has none and several processes are to share the videos.
        """
        lock = Lock(self.folder / "probe.lock", self.who)
        try:
            lock.take(is_shared=True)
        except NoLocksError as error:
            if not self._is_alone:
                raise UserError(
                    f"{self.folder.parent}: the file system has no file locks ({error}), by which "
                    f"processes share videos. Choose another place (data_root), or one process: "
                    f"num_parts=1 trainer.devices=1 trainer.num_nodes=1."
                ) from error
            log.warning("%s: no file locks here: start no second process", self.folder.parent)
            self._has_locks = False
        finally:
            lock.release()
