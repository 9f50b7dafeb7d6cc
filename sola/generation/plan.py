"""Which process tracks which video: all of them take from one list, the longest video first."""

from collections.abc import Callable, Iterator, Mapping, Sequence

from sola.datasets import Split
from sola.generation.claims import Claims
from sola.prompts import PromptSource
from sola.types import Expression


def estimated_costs(source: PromptSource, dataset: Split) -> dict[str, float]:
    """What tracking each video costs beside the others: frames times tracks.

    The tracks of ``grid`` are known only when it has looked; every frame counts once there.
    """
    by_video: dict[str, list[Expression]] = {}
    for expression in dataset.expressions:
        by_video.setdefault(expression.video_id, []).append(expression)
    costs = {}
    for video_id, video in dataset.videos.items():
        count = source.num_tracks(by_video.get(video_id, []))
        costs[video_id] = float(len(video.frame_paths) * max(1, count))
    return costs


def longest_first(costs: Mapping[str, float]) -> list[str]:
    """Names in the order in which they are taken; equal ones keep their order."""
    return sorted(costs, key=lambda name: -costs[name])


class SharedVideos:
    """The videos that this process gets to track; what others have or had is passed over.

    An iterable for ``Trainer.predict``, which ends where nothing is left to take. Its length is an
    upper bound, the same in every process: without one, lightning would take each video one step
    ahead, and a process with nothing to do would not come to where all of them meet.
    """

    def __init__(
        self,
        video_ids: Sequence[str],
        claims: Claims,
        is_settled: Callable[[str], bool],
        *,
        max_length: int,
    ) -> None:
        """Take from a list.

        Args:
            video_ids: in the order to take them.
            claims: the locks.
            is_settled: whether nothing is to be done about a video any more.
            max_length: no process has more videos.
        """
        self._max_length = max_length
        self.video_ids, self.claims, self.is_settled = video_ids, claims, is_settled
        self.position = 0
        """Videos at the head of the list that some process has had its turn at."""

    def __len__(self) -> int:
        return self._max_length

    def __iter__(self) -> Iterator[str]:
        """Video ids; the claim on one is held until the next is asked for."""
        self.position = 0
        left, has_taken = list(self.video_ids), True
        while left and has_taken:  # again: a process may have died and left what it had
            has_taken, others = False, []
            for video_id in left:
                self.position = min(self.position + 1, len(self.video_ids))
                if self.is_settled(video_id):
                    continue
                claim = self.claims.of_video(video_id)
                if not claim.take():
                    others.append(video_id)
                    continue
                try:
                    if not self.is_settled(video_id):  # as long as it was not ours
                        has_taken = True
                        yield video_id
                finally:
                    claim.release()
            left = others
