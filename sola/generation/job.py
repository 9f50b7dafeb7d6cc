"""One process's hold on a folder of tracks, which others may be making at the same time."""

import logging
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType

from sola.errors import UserError
from sola.files import read_json
from sola.generation.claims import Claims
from sola.generation.failures import Failures
from sola.shards import ShardWriter
from sola.shards.writer import RUN_FILE, first_difference

log = logging.getLogger(__name__)

SHOWN = 3
"""Videos that a message names; all are named in the folder of failures."""


@dataclass(frozen=True)
class Share:
    """How a job shares the videos with others."""

    part: int = 0
    """0 to num_parts - 1."""
    num_parts: int = 1
    is_strict: bool = False
    """Whether a video that cannot be tracked ends the job."""


class Job:
    """Entered, it holds the folder: tracks of other settings cannot be made there meanwhile."""

    def __init__(
        self,
        writer: ShardWriter,
        entries: Sequence[tuple[str, str]],
        share: Share,
        *,
        num_processes: int,
        is_leader: bool,
    ) -> None:
        """Name what is to be made; nothing is written yet.

        Args:
            writer: takes the tracks.
            entries: (video id, expression id or "") of everything that is to be made.
            share: which part of it this job is.
            num_processes: of this job, on all machines.
            is_leader: whether this process stands for the job.
        """
        self.writer, self.entries, self.share, self.is_leader = writer, entries, share, is_leader
        self._by_video: dict[str, list[str]] = {}
        for video_id, expression_id in entries:
            self._by_video.setdefault(video_id, []).append(expression_id)
        is_alone = share.num_parts == 1 and num_processes == 1
        self.claims = Claims(
            writer.staging_dir, part=share.part, num_parts=share.num_parts, is_alone=is_alone
        )
        self.failures = Failures(writer.staging_dir)
        self._held = ExitStack()

    def __enter__(self) -> "Job":
        if self.writer.is_finished:
            return self
        with ExitStack() as held:
            self.writer.staging_dir.mkdir(parents=True, exist_ok=True)
            self.claims.probe()
            if self.is_leader:
                held.callback(self.claims.take_part().release)
            self._hold_settings(held)
            self._held = held.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._held.close()

    @property
    def num_videos(self) -> int:
        """Videos of which something is to be made."""
        return len(self._by_video)

    def unstaged(self) -> list[str]:
        """Videos that lack something."""
        return [video_id for video_id in self._by_video if not self._is_staged(video_id)]

    def is_settled(self, video_id: str) -> bool:
        """Whether a video has its tracks, or cannot get them in this run."""
        # in this order: what is staged goes when the tracks are finished
        return (
            video_id not in self._by_video
            or self._is_staged(video_id)
            or self.writer.is_finished
            or self.failures.is_recent(video_id)
        )

    def finish(self, *, if_empty: str | None = None) -> None:
        """Pack everything, unless something is missing.

        Args:
            if_empty: message of the error where all entries together have no track, which are then
                kept unpacked; None: no tracks are a valid result.

        Raises:
            UserError: if something is missing that nobody is making, or there is no track.
        """
        missing = self.unstaged()
        if not missing:
            self._pack(if_empty)
        if self.writer.is_finished:
            self.writer.discard_staging()
            log.info("%s: tracks of %d videos", self.writer.tracks_dir, self.num_videos)
            return
        others = {video_id: holder for video_id in missing if (holder := self._holder(video_id))}
        self._refuse_gaps([video_id for video_id in missing if video_id not in others])
        log.info(
            "%s: part %d is done; %d videos are still being made, such as %s (%s). The last one "
            "to end writes the shards.",
            self.writer.tracks_dir,
            self.share.part,
            len(others),
            *next(iter(others.items())),
        )

    def _hold_settings(self, held: ExitStack) -> None:
        """Write down what is made here, or make sure that others make the same."""
        lock = self.claims.lock("settings")
        held.callback(lock.release)
        if lock.take():  # nobody is at work
            self.writer.start()
        lock.take(is_shared=True, wait=True)
        path = self.writer.staging_dir / RUN_FILE
        if self.writer.is_finished:
            return
        difference = first_difference(
            read_json(path, f"Move {self.writer.tracks_dir} away."),
            self.writer.description,
        )
        if difference:
            raise UserError(
                f"{path}: other processes are making these tracks with {difference}. Wait for "
                f"them, or give tracker.name another name."
            )

    def _is_staged(self, video_id: str) -> bool:
        return all(self.writer.has(video_id, each) for each in self._by_video[video_id])

    def _holder(self, video_id: str) -> str:
        """Who is making a video's tracks; "" for nobody."""
        claim = self.claims.of_video(video_id)
        if claim.take():
            claim.release()
            return ""
        return claim.holder()

    def _refuse_gaps(self, gaps: Sequence[str]) -> None:
        reasons = self.failures.reasons()
        failed = [f"{video_id} ({reasons[video_id]})" for video_id in gaps if video_id in reasons]
        folder, total = self.writer.tracks_dir, self.num_videos
        if failed:
            more = f"; all are listed in {self.failures.folder}" if len(failed) > SHOWN else ""
            raise UserError(
                f"{folder}: {len(failed)} of {total} videos cannot be tracked: "
                f"{', '.join(failed[:SHOWN])}{more}. The others are kept. Mend these and run the "
                f"same command again, which tries them alone; until then there is no index.json."
            )
        if gaps:
            raise UserError(
                f"{folder}: {len(gaps)} of {total} videos were left by a process that died, such "
                f"as {gaps[0]}. Run the same command again, which makes these alone."
            )

    def _pack(self, if_empty: str | None) -> None:
        lock = self.claims.lock("pack")
        try:
            lock.take(wait=True)
            if not self.writer.is_finished:  # as nobody packed it while this one waited
                if if_empty is not None and not self.writer.has_tracks(self.entries):
                    raise UserError(if_empty)
                for unfinished in self.writer.tracks_dir.glob("*.part"):
                    unfinished.unlink()  # of one that died in mid-write
                self.writer.finish(self.entries)
        except FileNotFoundError:
            if not self.writer.is_finished:  # the lock's folder goes when the tracks are finished
                raise
        finally:
            lock.release()
