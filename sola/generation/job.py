"""Share the videos of a split with other processes: locks, settings, failed videos, packing.

A lock belongs to a process, and the kernel releases it however the process ends. So nothing depends
on clocks, and a process that died leaves nothing to clean up.
"""

import errno
import logging
import os
import shutil
import socket
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass

from filelock import FileLock, Timeout

from sola.errors import UserError
from sola.files import find_files, is_there, read_json, write_json
from sola.shards import ShardWriter
from sola.shards.writer import RUN_FILE, first_difference

log = logging.getLogger(__name__)

CLAIMS_DIR, FAILED_DIR = "claims", "failed"
SHOWN = 3
"""Most videos that a message names; the folder of failures lists all."""
NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)
"""``errno`` of a file system without locks."""


@dataclass(frozen=True)
class Share:
    """A job's part of the videos, and its rule for failures."""

    part: int = 0
    """0 to num_parts - 1."""
    num_parts: int = 1
    is_strict: bool = False
    """Whether the first video that cannot be tracked ends the job."""


class Job:
    """One process's work on a folder of tracks; while entered, it keeps other settings out."""

    def __init__(
        self,
        writer: ShardWriter,
        entries: Sequence[tuple[str, str]],
        share: Share,
        *,
        num_processes: int,
        is_leader: bool,
    ) -> None:
        """List the work; nothing is written yet.

        Args:
            writer: stores the tracks.
            entries: (video id, expression id or "") of everything to make.
            share: the part of the work that this job does.
            num_processes: number of processes of this job, on all machines.
            is_leader: whether this process acts for the job: it locks the part and packs.
        """
        self.writer, self.entries, self.share, self.is_leader = writer, entries, share, is_leader
        self._by_video: dict[str, list[str]] = {}
        for video_id, expression_id in entries:
            self._by_video.setdefault(video_id, []).append(expression_id)
        self.num_videos = len(self._by_video)
        """Number of videos that have entries to make."""
        self._is_alone = share.num_parts == 1 and num_processes == 1
        self._has_locks = True
        of_job = f"part {share.part} of {share.num_parts}"
        self._who = f"{of_job}, process {os.getpid()} on {socket.gethostname()}"
        self._held = ExitStack()
        self.claims_dir = writer.staging_dir / CLAIMS_DIR
        self.failed_dir = writer.staging_dir / FAILED_DIR

    def __enter__(self) -> "Job":
        if self.is_leader and not self.writer.is_finished:
            with ExitStack() as held, self._lock("settings", wait=True):
                if not held.enter_context(self._lock(f"part-{self.share.part}")):
                    raise UserError(
                        f"{self.writer.staging_dir}: part {self.share.part} is already being made "
                        f"({self._holder(f'part-{self.share.part}')}). Wait for it, stop it, or "
                        f"start this job as another part: part={self.share.part + 1} "
                        f"num_parts={self.share.part + 2}."
                    )
                self._start()
                self._held = held.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()

    def join(self) -> None:
        """Lock the folder against other settings in a process that is not the leader."""
        if not self.is_leader:
            name = f"part-{self.share.part}-{socket.gethostname()}-{os.getpid()}"
            self._held.enter_context(self._lock(name))

    def claim(self, video_id: str) -> AbstractContextManager[bool]:
        """Hold the lock of a video; yield False if another process holds it."""
        return self._lock(f"videos/{video_id}")

    def unstaged(self) -> list[str]:
        """Return the videos that lack an entry."""
        return [video_id for video_id in self._by_video if not self._is_staged(video_id)]

    def is_settled(self, video_id: str) -> bool:
        """Return whether a video has all its tracks or has failed in this run."""
        # in this order: staged entries disappear when the tracks are finished
        return (
            self._is_staged(video_id)
            or self.writer.is_finished
            or is_there(self.failed_dir / f"{video_id}.json")
        )

    def fail(self, video_id: str, reason: str) -> None:
        """Record that a video cannot be tracked; the next run retries it."""
        write_json(self.failed_dir / f"{video_id}.json", {"video": video_id, "reason": reason})

    def failures(self) -> dict[str, str]:
        """Return the reason of each video that failed."""
        paths = find_files(self.failed_dir, "*.json")
        found = [read_json(path, "Move it away and run the same command again.") for path in paths]
        return {failure["video"]: failure["reason"] for failure in found}

    def finish(self, *, if_empty: str | None = None) -> None:
        """Pack all entries into shards once none is missing.

        Args:
            if_empty: message of the error if no entry has a track; the entries are then kept
                unpacked. None: a split without tracks is a valid result.

        Raises:
            UserError: if an entry is missing that no process is making, or no entry has a track.
        """
        missing = self.unstaged()
        if not missing:
            try:
                with self._lock("pack", wait=True):
                    self._pack(if_empty)
            except FileNotFoundError:  # another process has packed, and removed the lock's folder
                if not self.writer.is_finished:
                    raise
        folder = self.writer.tracks_dir
        if self.writer.is_finished:
            self.writer.discard_staging()
            log.info("%s: tracks of %d videos", folder, self.num_videos)
            return
        held = {video_id: self._holder(f"videos/{video_id}") for video_id in missing}
        others = {video_id: holder for video_id, holder in held.items() if holder}
        gaps = [video_id for video_id in missing if video_id not in others]
        if self.writer.is_finished or set(gaps) - set(self.unstaged()):
            self.finish(if_empty=if_empty)  # other processes have gone on meanwhile
            return
        if gaps:
            reasons = self.failures()
            told = [f"{each} ({reasons.get(each, 'its process died')})" for each in gaps[:SHOWN]]
            more = f"; all are listed in {self.failed_dir}" if len(gaps) > SHOWN else ""
            raise UserError(
                f"{folder}: {len(gaps)} of {self.num_videos} videos cannot be tracked: "
                f"{', '.join(told)}{more}. The others are kept. Fix these and run the same command "
                "again, which retries only those; until then there is no index.json."
            )
        log.info(
            "%s: part %d is done; %d videos are still being made, such as %s (%s). The last part "
            "to end writes the shards.",
            *(folder, self.share.part, len(others)),
            *next(iter(others.items())),
        )

    def _start(self) -> None:
        """Record the settings, or check that they match those of the running jobs."""
        shutil.rmtree(self.failed_dir, ignore_errors=True)  # failures of earlier runs are retried
        locks = find_files(self.claims_dir, "part-*.lock")
        others = [path.stem for path in locks if path.stem != f"part-{self.share.part}"]
        if not any(map(self._holder, others)):
            self.writer.start()
            return
        path = self.writer.staging_dir / RUN_FILE
        found = read_json(path, f"Move {self.writer.tracks_dir} away.")
        if difference := first_difference(found, self.writer.description):
            raise UserError(
                f"{path}: other processes are making these tracks with {difference}. Wait for "
                f"them, or give tracker.name another name."
            )

    @contextmanager
    def _lock(self, name: str, *, wait: bool = False) -> Iterator[bool]:
        """Hold a lock; yield False if another process holds it."""
        path = self.claims_dir / f"{name}.lock"
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path, thread_local=False, fallback_to_soft=False)
        try:
            if self._has_locks:
                lock.acquire(blocking=wait)
        except Timeout:
            yield False
            return
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
            self._do_without_locks(error)
        with suppress(OSError):  # such as a full disk
            path.write_text(self._who)
        try:
            yield True
        finally:
            lock.release()

    def _do_without_locks(self, error: OSError) -> None:
        folder = self.writer.tracks_dir
        if not self._is_alone:
            raise UserError(
                f"{folder}: the file system has no file locks ({error}), which processes need to "
                "share videos. Choose another place (data_root), or one process: num_parts=1 "
                "trainer.devices=1 trainer.num_nodes=1."
            ) from error
        log.warning("%s: no file locks here: do not start a second process", folder)
        self._has_locks = False

    def _is_staged(self, video_id: str) -> bool:
        return all(self.writer.has(video_id, each) for each in self._by_video[video_id])

    def _holder(self, name: str) -> str:
        """Return the process that holds a lock, or "" if none does."""
        with self._lock(name) as is_free:
            if is_free:
                return ""
            with suppress(FileNotFoundError):  # the process has ended in the meantime
                return (self.claims_dir / f"{name}.lock").read_text() or "another process"
        return "another process"

    def _pack(self, if_empty: str | None) -> None:
        if self.writer.is_finished:  # another process packed while this one waited
            return
        if if_empty is not None and not self.writer.has_tracks(self.entries):
            raise UserError(if_empty)
        for unfinished in self.writer.tracks_dir.glob("*.part"):
            unfinished.unlink()  # left by a process that died while it wrote
        self.writer.finish(self.entries)


class SharedVideos:
    """Dataloader for ``Trainer.predict`` of the videos that this process claims.

    Its length is an upper bound, the same in every process. Without a length, Lightning would
    prefetch, and so claim, each video one step ahead, and a process without videos would skip the
    collective calls that the others wait in.
    """

    def __init__(self, job: Job, video_ids: Sequence[str]) -> None:
        """Claim videos from a list.

        Args:
            job: shares the videos with other processes.
            video_ids: videos in the order to claim them.
        """
        self.job, self.video_ids = job, video_ids
        self.position = 0
        """Number of videos at the head of the list that this process has claimed or skipped."""

    def __len__(self) -> int:
        return self.job.num_videos

    def __iter__(self) -> Iterator[str]:
        """Yield video ids; the claim on one is held until the next is requested."""
        self.position = 0
        left, has_taken = list(self.video_ids), True
        while left and has_taken:  # look again: another process may have died before it was done
            has_taken, others = False, []
            for video_id in left:
                self.position = min(self.position + 1, len(self.video_ids))
                if self.job.is_settled(video_id):
                    continue
                with self.job.claim(video_id) as is_ours:
                    if not is_ours:
                        others.append(video_id)
                    elif not self.job.is_settled(video_id):  # before we got the lock
                        has_taken = True
                        yield video_id
            left = others
