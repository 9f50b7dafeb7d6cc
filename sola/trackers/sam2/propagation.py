"""SAM 2's session of one video: image features, propagation, masks on single frames."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from sam2.modeling.sam2_base import SAM2Base
from torch import Tensor

from sola.trackers.base import GeneratedMask, Propagated, Session
from sola.trackers.batches import BatchSize
from sola.trackers.sam2.mask_generator import MaskGenerator
from sola.trackers.stages import CODES, FRAMES, IMAGE_ENCODER, PROPAGATION, stage
from sola.trackers.transfer import MaskCoder, upload
from sola.types import Masklet

PIXEL_MEAN = torch.tensor((0.485, 0.456, 0.406))[:, None, None]
PIXEL_STD = torch.tensor((0.229, 0.224, 0.225))[:, None, None]
MIB = 2**20

FeatureMaps = list[Tensor]
"""(1, C, h, w) each, at strides 4, 8 and 16."""
OUTPUTS = ("pred_masks", "obj_ptr", "object_score_logits")
FrameOutput = dict[str, Any]
"""Memory of one frame, by SAM 2's own names."""
Codes = Callable[[], Masklet]
"""Returns the run-length masks of n objects on one frame; waits for them if they are in the making.
"""


class FrameFeatures:
    """Cache of image features.

    Each pass over a video visits its frames in order, so a least-recently-used cache would drop
    each frame just before it is needed. Instead the first frames are kept up to the budget, later
    frames are encoded again in every pass, and the latest frame is kept until the next one.
    Results do not depend on the budget.
    """

    def __init__(self, model: SAM2Base, frames: Sequence[np.ndarray], budget_mib: float) -> None:
        """Prepare the cache of a video.

        Args:
            model: SAM 2.
            frames: T frames (H, W, 3) uint8 RGB, read when they are needed.
            budget_mib: memory for cached features, in MiB; 0 keeps only those of one frame.
        """
        self.model, self.frames = model, frames
        self._room = budget_mib * MIB
        self._kept: dict[int, FeatureMaps] = {}
        self._latest: tuple[int, FeatureMaps] = (-1, [])
        self._positions: FeatureMaps = []  # the same for every frame

    def of_frame(self, frame_idx: int, num_objects: int) -> dict[str, Any]:
        """Return the features of one frame for n objects, as ``SAM2Base.track_step`` takes them."""
        maps = self._maps(frame_idx)
        expanded = {
            "backbone_fpn": [level.expand(num_objects, -1, -1, -1) for level in maps],
            "vision_pos_enc": [level.expand(num_objects, -1, -1, -1) for level in self._positions],
        }
        _, features, positions, sizes = self.model._prepare_backbone_features(expanded)
        return {
            "current_vision_feats": features,
            "current_vision_pos_embeds": positions,
            "feat_sizes": sizes,
        }

    def forget(self) -> bool:
        """Drop all features, and stop caching; return whether any were cached."""
        has_kept = bool(self._kept)
        self._kept, self._latest, self._room = {}, (-1, []), 0.0
        return has_kept

    def _maps(self, frame_idx: int) -> FeatureMaps:
        if frame_idx in self._kept:
            return self._kept[frame_idx]
        if self._latest[0] != frame_idx:
            self._latest = (frame_idx, self._encode(frame_idx))
        maps = self._latest[1]
        num_bytes = sum(level.nbytes for level in maps)
        if num_bytes <= self._room:
            self._room -= num_bytes
            self._kept[frame_idx] = maps
        return maps

    def _encode(self, frame_idx: int) -> FeatureMaps:
        parameter = next(self.model.parameters())
        with stage(FRAMES):
            image = to_image(self.frames[frame_idx], self.model.image_size)
        with stage(IMAGE_ENCODER):
            found = self.model.forward_image(
                upload(image[None].to(parameter.dtype), parameter.device)
            )
        self._positions = self._positions or list(found["vision_pos_enc"])
        return list(found["backbone_fpn"])


class VideoTracker(Session):
    """One video, open for tracking.

    Tracks equal those of SAM2VideoPredictor for each prompt, but several prompts of a frame are
    tracked together. Features of a frame are computed when they are first needed, and cached up to
    a budget. A pass holds only the memories that SAM 2 still reads, so apart from tokens and
    run-length codes memory does not grow with the video.
    """

    def __init__(
        self, model: SAM2Base, frames: Sequence[np.ndarray], feature_budget_mib: float = 4096
    ) -> None:
        """Open a video.

        Args:
            model: SAM 2 in evaluation mode.
            frames: T >= 1 frames (H, W, 3) uint8 RGB of one size, read when they are needed.
            feature_budget_mib: memory for cached image features, in MiB.
        """
        assert model.memory_temporal_stride_for_eval == 1, "memories are kept for a stride of 1"
        super().__init__(frames)
        self.model = model
        self.features = FrameFeatures(model, frames, feature_budget_mib)
        self.batch_size = BatchSize("objects")
        self._memory_positions: list[Tensor] = []  # the same for every frame and object

    @torch.inference_mode()
    def propagate(self, frame_idx: int, masks: np.ndarray) -> Propagated:
        """Track n masks of one frame forward to the end, then backward to the start.

        Args:
            frame_idx: the prompt frame.
            masks: (n, H, W) bool, n >= 1.

        Raises:
            RuntimeError: if one object needs too much memory, even without cached features.
        """
        with stage(PROPAGATION):
            batches = self.batch_size.run(
                masks, lambda batch: self._propagate(frame_idx, batch), self.features.forget
            )
            return _join(list(batches))

    def _propagate(self, frame_idx: int, masks: np.ndarray) -> Propagated:
        prompted = self._prompt(frame_idx, masks)
        # SAM 2 reads memories by these names; the backward pass reads those of the forward pass
        history = {"cond_frame_outputs": {frame_idx: prompted}, "non_cond_frame_outputs": {}}
        with MaskCoder() as coder:
            codes = {frame_idx: self._codes(prompted, coder)}
            for is_reverse in (False, True):
                after, before = range(frame_idx + 1, self.num_frames), range(frame_idx - 1, -1, -1)
                for index in before if is_reverse else after:
                    output = self._track(index, history, len(masks), is_reverse=is_reverse)
                    history["non_cond_frame_outputs"][index] = output
                    codes[index] = self._codes(output, coder)
                    self._forget(history, index, frame_idx)
            return self._collect(history, codes)

    def _prompt(self, frame_idx: int, masks: np.ndarray) -> FrameOutput:
        """Return the output and memory of the prompted frame.

        Objects are processed one at a time, as upstream does, so that rounding is the same.
        """
        outputs = [
            self.model.track_step(
                frame_idx=frame_idx,
                is_init_cond_frame=True,
                **self.features.of_frame(frame_idx, 1),
                point_inputs=None,
                mask_inputs=self._mask_input(mask),
                output_dict={},
                num_frames=self.num_frames,
                run_mem_encoder=False,
            )
            for mask in upload(torch.from_numpy(masks), self.model.device)
        ]
        joined: FrameOutput = {name: torch.cat([out[name] for out in outputs]) for name in OUTPUTS}
        features = self.features.of_frame(frame_idx, len(masks))
        memory, positions = self.model._encode_new_memory(
            current_vision_feats=features["current_vision_feats"],
            feat_sizes=features["feat_sizes"],
            pred_masks_high_res=_resize(joined["pred_masks"], (self.model.image_size,) * 2),
            object_score_logits=joined["object_score_logits"],
            is_mask_from_pts=True,
        )
        return joined | self._memory(memory, positions)

    def _track(
        self, frame_idx: int, history: dict[str, Any], num_objects: int, *, is_reverse: bool
    ) -> FrameOutput:
        """Return the output and memory of one frame, from those of earlier (or later) frames."""
        output = self.model.track_step(
            frame_idx=frame_idx,
            is_init_cond_frame=False,
            **self.features.of_frame(frame_idx, num_objects),
            point_inputs=None,
            mask_inputs=None,
            output_dict=history,
            num_frames=self.num_frames,
            track_in_reverse=is_reverse,
        )
        memory = self._memory(output["maskmem_features"], output["maskmem_pos_enc"])
        return {name: output[name] for name in OUTPUTS} | memory

    def _memory(self, features: Tensor, positions: list[Tensor]) -> FrameOutput:
        """Return the memory in bfloat16, as SAM 2 stores it even in float32 runs."""
        self._memory_positions = self._memory_positions or [x[:1].clone() for x in positions]
        expanded = [x.expand(len(features), -1, -1, -1) for x in self._memory_positions]
        return {"maskmem_features": features.to(torch.bfloat16), "maskmem_pos_enc": expanded}

    def _forget(self, history: dict[str, Any], frame_idx: int, prompt_frame: int) -> None:
        """Drop the masks of a frame, and the memory that SAM 2 no longer reads.

        The first memories of the forward pass are kept, as the backward pass starts with them.
        """
        outputs, reach = history["non_cond_frame_outputs"], self.model.num_maskmem
        del outputs[frame_idx]["pred_masks"]
        is_reverse = frame_idx < prompt_frame
        old = frame_idx + reach if is_reverse else frame_idx - reach
        if old in outputs and (is_reverse or old > prompt_frame + reach):
            outputs[old]["maskmem_features"] = outputs[old]["maskmem_pos_enc"] = None

    def _codes(self, output: FrameOutput, coder: MaskCoder) -> Codes:
        """Return the run-length codes of a frame's masks at the frame's size, once called."""
        with stage(CODES):
            return coder.encode(_resize(output["pred_masks"], self.size)[:, 0] > 0)

    def _collect(self, history: dict[str, Any], codes: dict[int, Codes]) -> Propagated:
        frames = history["cond_frame_outputs"] | history["non_cond_frame_outputs"]
        order = range(self.num_frames)
        tokens = torch.stack([frames[t]["obj_ptr"] for t in order], dim=1)
        scores = torch.stack([frames[t]["object_score_logits"] for t in order], dim=1)
        joined = torch.cat([tokens, scores], dim=2)  # one copy to the host
        numbers = joined.to("cpu", torch.promote_types(joined.dtype, torch.float32)).numpy()
        with stage(CODES):
            by_frame = [codes[t]() for t in order]
        return Propagated(
            masklets=tuple([of_frame[k] for of_frame in by_frame] for k in range(len(tokens))),
            object_tokens=numbers[..., :-1],
            object_scores=numbers[..., -1],
        )

    def _mask_input(self, mask: Tensor) -> Tensor:
        """Resize a mask of the frame's size to the network's, (1, 1, S, S) of 0 and 1."""
        pixels, size = mask[None, None].float(), self.model.image_size
        if mask.shape != (size, size):
            pixels = F.interpolate(pixels, (size, size), mode="bilinear", antialias=True) >= 0.5
        return pixels.to(next(self.model.parameters()).dtype)


class Sam2Session(VideoTracker):
    """A ``VideoTracker`` that also makes masks on single frames; see ``Session``.

    Args:
        generator: makes masks on single frames; all videos share it and its model.
        frames: see ``Session``.
        feature_budget_mib: see ``VideoTracker``.
    """

    def __init__(
        self, generator: MaskGenerator, frames: Sequence[np.ndarray], feature_budget_mib: float
    ) -> None:
        super().__init__(generator.model, frames, feature_budget_mib)
        self.generator = generator

    def propose_masks(self, frame_idx: int) -> list[GeneratedMask]:
        """See ``Session.propose_masks``."""
        return self.generator.generate(self.frame(frame_idx))

    def masks_of_boxes(self, frame_idx: int, boxes: np.ndarray) -> list[GeneratedMask]:
        """See ``Session.masks_of_boxes``; the image encoder runs once."""
        return self.generator.masks_of(self.frame(frame_idx), boxes)


def _join(batches: list[Propagated]) -> Propagated:
    """Concatenate the tracks of several batches of prompts."""
    tokens = [batch.object_tokens for batch in batches if batch.object_tokens is not None]
    return Propagated(
        masklets=tuple(masklet for batch in batches for masklet in batch.masklets),
        object_tokens=np.concatenate(tokens),
        object_scores=np.concatenate([batch.object_scores for batch in batches]),
    )


def _resize(logits: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize logits (n, 1, h, w) as upstream does."""
    if logits.shape[-2:] == size:
        return logits
    return F.interpolate(logits, size, mode="bilinear", align_corners=False)


def to_image(frame: np.ndarray, size: int) -> Tensor:
    """Return a normalised image (3, size, size), resized as by SAM 2's own video loader."""
    pixels = np.asarray(Image.fromarray(frame).resize((size, size))) / 255.0
    image = torch.from_numpy(pixels).permute(2, 0, 1).float()
    return (image - PIXEL_MEAN) / PIXEL_STD
