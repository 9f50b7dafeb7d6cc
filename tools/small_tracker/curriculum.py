"""Curriculum of the small tracker; each stage ends when its criterion is met."""

from collections import defaultdict, deque
from dataclasses import dataclass, field

from tools.small_tracker.heads import Figures


@dataclass(frozen=True)
class Stage:
    """One lesson."""

    name: str
    lesson: str
    """disc, images, copy or clips."""
    max_steps: int
    """The stage ends after this many steps even if not passed (an error if ``must_pass``)."""
    passes: Figures = field(default_factory=dict)
    """Values that running means of training metrics must reach; empty: run all steps."""
    must_pass: bool = False
    lr: float = 1e-3
    is_decayed: bool = False
    """Whether the learning rate decays to 3 % over the stage, as a cosine."""
    easy_share: float = 0.5
    """Probability that a step draws easy scenes (few objects, still backgrounds)."""
    clip_lengths: tuple[int, ...] = (1,)
    """Numbers of frames of a clip, used in turn."""
    image_share: float = 0.0
    """clips: probability of a step on single images instead."""
    foreground_weight: float = 3.0
    """Upper limit of the mask loss's foreground weight."""
    motion_weight: float = 1.0
    """clips: weight of the loss of motion read from the pointers."""
    window: int = 40
    """Number of steps in the running means."""


CURRICULUM = (
    Stage("disc", "disc", 900, {"image_iou": 0.45}, must_pass=True, easy_share=1.0),
    Stage(
        "images",
        "images",
        1000,
        {"image_iou": 0.72, "pointer_shape": 0.6, "pointer_colour": 0.8},
        easy_share=0.6,
    ),
    Stage("copy", "copy", 300, {"track_iou": 0.60}, clip_lengths=(2,)),
    Stage("two_frames", "clips", 250, {"track_iou": 0.62}, clip_lengths=(2,)),
    Stage(
        "four_frames",
        "clips",
        400,
        {"track_iou": 0.76},
        lr=5e-4,  # larger steps make the gradients grow and the overlap fall
        clip_lengths=(4,),
        foreground_weight=2.0,
    ),
    Stage(
        "long_clips",
        "clips",
        800,
        {"track_iou": 0.75, "track_motion": 0.45},
        lr=5e-4,
        clip_lengths=(6, 4, 8),
        image_share=0.1,
        foreground_weight=1.5,
        motion_weight=2.0,
        window=60,
    ),
    Stage(
        "cool_down",
        "clips",
        1100,
        lr=5e-4,
        is_decayed=True,
        clip_lengths=(6, 4, 8),
        image_share=0.1,
        foreground_weight=1.5,
        motion_weight=2.0,
    ),
)


class RunningFigures:
    """Running means of a stage's training metrics.

    Args:
        window: number of values in a mean.
    """

    def __init__(self, window: int) -> None:
        self.window = window
        self._values: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=window))

    def add(self, figures: Figures) -> None:
        """Append one step's metrics."""
        for name, value in figures.items():
            self._values[name].append(value)

    def means(self) -> Figures:
        """Return the running means by name."""
        return {name: sum(values) / len(values) for name, values in self._values.items()}

    def has_passed(self, stage: Stage) -> bool:
        """Return whether every criterion of the stage holds over a full window."""
        if not stage.passes:
            return False
        means = self.means()
        return all(
            len(self._values[name]) == self.window and means[name] >= value
            for name, value in stage.passes.items()
        )
