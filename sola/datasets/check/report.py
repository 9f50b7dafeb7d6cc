"""What a check found, as data and as lines to read."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from sola.datasets.check.frames import FoundFrames
from sola.datasets.problems import Problem
from sola.datasets.split import Split

KINDS = ("single", "several", "none", "unknown")


@dataclass(frozen=True)
class SplitReport:
    """One split."""

    name: str
    """Data set and split."""
    split_dir: Path | None
    problems: tuple[Problem, ...]
    num_videos: int = 0
    num_broken_videos: int = 0
    """Those with an error in expressions or frames."""
    num_objects: int | None = None
    """None where the objects are unknown."""
    has_masks: bool = False
    kinds: Mapping[str, int] = field(default_factory=dict)
    """Expressions by the number of their objects: ``KINDS``."""
    frame_counts: tuple[int, ...] = ()
    """Of every video."""
    sizes: Mapping[tuple[int, int], int] = field(default_factory=dict)
    """(H, W) of frames -> videos."""

    @classmethod
    def of(
        cls, split: Split, frames: Mapping[str, FoundFrames], problems: Sequence[Problem]
    ) -> "SplitReport":
        """Report on a split that could be opened."""
        broken = {i for i, f in frames.items() if any(p.is_error for p in f.problems)}
        is_known = any(expression.object_ids is not None for expression in split.expressions)
        return cls(
            name=f"{split.name}/{split.split}",
            split_dir=split.split_dir,
            problems=tuple(problems),
            num_videos=len(split.videos) + split.num_lost_videos,
            num_broken_videos=len(broken.union(split.broken_videos)),
            num_objects=sum(map(len, map(split.named_objects, split.videos))) if is_known else None,
            has_masks=split.has_masks,
            kinds=Counter(_kind(e.object_ids) for e in split.expressions),
            frame_counts=tuple(len(video.frame_paths) for video in split.videos.values()),
            sizes=Counter(found.size for found in frames.values() if found.size),
        )

    @classmethod
    def of_broken(cls, name: str, split: str, reason: str) -> "SplitReport":
        """Report on a split that could not."""
        path, separator, rest = reason.partition(": ")
        problem = Problem(Path(path), rest) if separator else Problem(Path(), reason)
        return cls(f"{name}/{split}", None, (problem,))

    @property
    def errors(self) -> list[Problem]:
        """What would break a run."""
        return [problem for problem in self.problems if problem.is_error]

    @property
    def warnings(self) -> list[Problem]:
        """What is odd, but works."""
        return [problem for problem in self.problems if not problem.is_error]

    def lines(self) -> Iterator[str]:
        """The report to read."""
        yield f"{self.name}" + (f"  ({self.split_dir})" if self.split_dir else "")
        if self.frame_counts:
            yield from self._facts()
        yield from (f"  error    {problem}" for problem in self.errors)
        yield from (f"  warning  {problem}" for problem in self.warnings)
        yield f"  {len(self.errors)} errors, {len(self.warnings)} warnings"

    def _facts(self) -> Iterator[str]:
        kinds = ", ".join(f"{self.kinds[kind]} {kind}" for kind in KINDS if self.kinds.get(kind))
        objects = "unknown" if self.num_objects is None else str(self.num_objects)
        counts = self.frame_counts
        num_fine = self.num_videos - self.num_broken_videos
        yield f"  videos       {self.num_videos}, {num_fine} with sound expressions and frames"
        yield f"  expressions  {sum(self.kinds.values())} (objects meant: {kinds or '-'})"
        yield f"  objects      {objects}, {'with' if self.has_masks else 'no'} ground truth"
        yield (
            f"  frames       {sum(counts)}; of a video {min(counts)} to {max(counts)}, median "
            f"{median(counts):g}"
        )
        sizes = sorted(self.sizes.items(), key=lambda item: -item[1])
        listed = [f"{width} x {height} px ({count} videos)" for (height, width), count in sizes]
        yield f"  resolutions  {', '.join(listed) or '-'}"


def _kind(object_ids: tuple[str, ...] | None) -> str:
    if object_ids is None:
        return "unknown"
    return {0: "none", 1: "single"}.get(len(set(object_ids)), "several")
