"""Which process tracks which video: all take from one list, the most expensive video first."""

from collections.abc import Iterator, Mapping, Sequence

from sola.datasets import Split
from sola.generation.job import Job
from sola.prompts import PromptSource
from sola.types import Expression


def estimated_costs(source: PromptSource, dataset: Split) -> dict[str, float]:
    """Return the relative cost of tracking each video: frames times tracks.

    The number of tracks of ``grid`` is unknown before the search; every frame counts once there.
    """
    by_video: dict[str, list[Expression]] = {}
    for expression in dataset.expressions:
        by_video.setdefault(expression.video_id, []).append(expression)
    return {
        video_id: float(
            len(video.frame_paths) * max(1, source.num_tracks(by_video.get(video_id, [])))
        )
        for video_id, video in dataset.videos.items()
    }


def longest_first(costs: Mapping[str, float]) -> list[str]:
    """Return names by falling cost; equal ones keep their order."""
    return sorted(costs, key=lambda name: -costs[name])


class SharedVideos:
    """The videos that this process gets to track, as a dataloader for ``Trainer.predict``.

    Its length is an upper bound, the same in every process: without one, Lightning would take each
    video one step ahead, and a process with nothing to do would not meet the others.
    """

    def __init__(self, job: Job, video_ids: Sequence[str]) -> None:
        """Take from a list.

        Args:
            job: shares the videos with other processes.
            video_ids: in the order to take them.
        """
        self.job, self.video_ids = job, video_ids
        self.position = 0
        """Videos at the head of the list that some process has taken or passed over."""

    def __len__(self) -> int:
        return self.job.num_videos

    def __iter__(self) -> Iterator[str]:
        """Yield video ids; the claim on one is held until the next is requested."""
        self.position = 0
        left, has_taken = list(self.video_ids), True
        while left and has_taken:  # again: a process may have died and left what it had
            has_taken, others = False, []
            for video_id in left:
                self.position = min(self.position + 1, len(self.video_ids))
                if self.job.is_settled(video_id):
                    continue
                with self.job.claim(video_id) as is_ours:
                    if not is_ours:
                        others.append(video_id)
                    elif not self.job.is_settled(video_id):  # as long as it was not ours
                        has_taken = True
                        yield video_id
            left = others
