"""Settings of SAM 2's automatic mask generator."""

from dataclasses import dataclass

from sola.checks import at_least, between


@dataclass(frozen=True)
class MaskGeneratorConfig:
    """Automatic masks of a frame, for prompt_source=grid. The defaults are those of sam2."""

    points_per_side: int = 32
    """A frame is prompted at points_per_side x points_per_side points."""
    points_per_batch: int = 64
    """Points decoded together; more are faster and need more memory."""
    pred_iou_thresh: float = 0.8
    """A mask is kept if its predicted IoU is above this, 0 to 1; 0 keeps all."""
    stability_score_thresh: float = 0.95
    """A mask is kept if its stability score is at least this, 0 to 1; 0 keeps all."""
    stability_score_offset: float = 1.0
    """The stability score is the IoU of the masks at this logit and at its negative."""
    box_nms_thresh: float = 0.7
    """Of two masks whose boxes have a higher IoU, 0 to 1, the one with the lower predicted IoU is
    dropped."""
    multimask_output: bool = True
    """Whether a point gives three masks (part, whole, more) or one."""

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            UserError: if one is out of range.
        """
        at_least(1, points_per_side=self.points_per_side, points_per_batch=self.points_per_batch)
        between(0, 1, pred_iou_thresh=self.pred_iou_thresh, box_nms_thresh=self.box_nms_thresh)
        between(0, 1, stability_score_thresh=self.stability_score_thresh)
