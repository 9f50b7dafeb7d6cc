"""Settings of a SAM 2 tracker."""

from dataclasses import dataclass, field
from typing import Any

from sola.checks import at_least, between, folder_name
from sola.config.targets import check_arguments
from sola.errors import UserError


@dataclass
class MaskGeneratorConfig:
    """SAM 2's automatic mask generator; the defaults are the library's."""

    points_per_side: int = 32
    """A frame is prompted at points_per_side x points_per_side points."""
    points_per_batch: int = 64
    """Points that go through the mask decoder at a time: more are faster and need more memory."""
    pred_iou_thresh: float = 0.8
    """A mask is kept when the IoU that SAM 2 predicts for it is above this; 0 keeps all."""
    stability_score_thresh: float = 0.95
    """A mask is kept when its stability score is at least this; 0 keeps all."""
    stability_score_offset: float = 1.0
    """The stability score is the IoU of the two masks that the logits give at this threshold and at
    its negative."""
    box_nms_thresh: float = 0.7
    """Of two masks whose boxes have an IoU above this, the one of lower predicted IoU is
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


@dataclass
class TrackerConfig:
    """SAM 2: the network that follows a mask through a video."""

    name: str = ""
    """Label of its folders under data/tracks and data/prompts, and in checkpoints of selectors."""
    packaged_model: str | None = None
    """A configuration inside the sam2 package, such as sam2.1/sam2.1_hiera_l.yaml; None: ``model``
    is given instead."""
    model: Any = None
    """Or the network itself, as a tree of ``_target_`` nodes (the small tracker); None:
    packaged_model."""
    checkpoint: str = ""
    """A file of SAM 2's format ({"model": state dict}), or "random": untrained weights, drawn by
    seed."""
    token_dim: int = 256
    """D, width of an object token; a property of the network."""
    fill_hole_area: int = 0
    """Largest hole of a mask (pixels) that SAM 2 fills; 0: none is filled. Above 0 it needs SAM 2's
    CUDA extension."""
    feature_budget_mib: float = 4096
    """Memory (MiB) for the image features of one video; frames beyond it are encoded in every pass,
    with the same result."""
    compile: bool = False
    """Whether torch compiles the network; takes minutes at first and changes tracks by rounding."""
    mask_generator: MaskGeneratorConfig = field(default_factory=MaskGeneratorConfig)
    """Automatic masks, of prompt_source=grid; from the configuration a dictionary of its values."""

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            UserError: if one is out of range, or a key of mask_generator is unknown.
        """
        given: Any = self.mask_generator
        if isinstance(given, dict):
            check_arguments(MaskGeneratorConfig, given, "mask_generator")
            self.mask_generator = MaskGeneratorConfig(**given)
        if (self.packaged_model is None) == (self.model is None):
            raise UserError("packaged_model: give either packaged_model or model.")
        folder_name(name=self.name)
        at_least(1, token_dim=self.token_dim)
        at_least(0, fill_hole_area=self.fill_hole_area)
