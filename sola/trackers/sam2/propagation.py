"""One video, open for SAM 2: image features, tracks of prompt masks, masks on single frames."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from sam2.modeling.sam2_base import SAM2Base
from torch import Tensor

from sola.masks import encode
from sola.trackers.base import GeneratedMask, Propagated, Session
from sola.trackers.batches import BatchSize
from sola.trackers.sam2.mask_generator import MaskGenerator
from sola.trackers.stages import CODES, FRAMES, IMAGE_ENCODER, PROPAGATION, stage
from sola.types import RunLength

PIXEL_MEAN = torch.tensor((0.485, 0.456, 0.406))[:, None, None]
PIXEL_STD = torch.tensor((0.229, 0.224, 0.225))[:, None, None]
MIB = 2**20

FeatureMaps = list[Tensor]
"""(1, C, h, w) each, at strides 4, 8 and 16."""
OUTPUTS = ("pred_masks", "obj_ptr", "object_score_logits")
FrameOutput = dict[str, Any]
"""Memory of one frame, with SAM 2's own names."""


class FrameFeatures:
    """Image features of each frame.

    Passes over a video visit its frames one after the other, again and again: a cache that forgot
    the oldest would forget each frame just before its turn. So the frames that came first are kept
    up to the budget, those after them are encoded again in every pass, and the latest one stays
    until the next. Results do not depend on the budget.
    """

    def __init__(self, model: SAM2Base, frames: Sequence[np.ndarray], budget_mib: float) -> None:
        """Features of a video.

        Args:
            model: SAM 2.
            frames: T frames (H, W, 3) uint8 RGB, read when they are needed.
            budget_mib: memory for kept features; 0 keeps those of one frame alone.
        """
        self.model, self.frames = model, frames
        self._room = budget_mib * MIB
        self._kept: dict[int, FeatureMaps] = {}
        self._latest: tuple[int, FeatureMaps] = (-1, [])
        self._positions: FeatureMaps = []  # the same for every frame

    def of_frame(self, frame_idx: int, num_objects: int) -> dict[str, Any]:
        """The features of one frame for n objects, as ``SAM2Base.track_step`` names them."""
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
        """Keep no features from now on but those of one frame; whether there were any."""
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
            found = self.model.forward_image(image[None].to(parameter.device, parameter.dtype))
        self._positions = self._positions or list(found["vision_pos_enc"])
        return list(found["backbone_fpn"])


class VideoTracker(Session):
    """One video, open for tracking.

    Gives what SAM2VideoPredictor gives for each prompt, several prompts of a frame at a time. A
    frame's features are computed when they are first needed and kept on a budget; of a pass,
    only what SAM 2 still looks back to is held: memory does not grow with the video, but for
    tokens and run-length codes.
    """

    def __init__(
        self, model: SAM2Base, frames: Sequence[np.ndarray], feature_budget_mib: float = 4096
    ) -> None:
        """Open a video.

        Args:
            model: SAM 2 in evaluation mode.
            frames: T >= 1 frames (H, W, 3) uint8 RGB of one size, read when they are needed.
            feature_budget_mib: memory for image features that are kept.
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
            torch.OutOfMemoryError: if one object is too much, even with no features kept.
        """
        with stage(PROPAGATION):
            batches = self.batch_size.run(
                masks, lambda batch: self._propagate(frame_idx, batch), self.features.forget
            )
            return _join(list(batches))

    def _propagate(self, frame_idx: int, masks: np.ndarray) -> Propagated:
        prompted = self._prompt(frame_idx, masks)
        # under these names SAM 2 looks back; the backward pass reads the forward pass's memories
        history = {"cond_frame_outputs": {frame_idx: prompted}, "non_cond_frame_outputs": {}}
        codes = {frame_idx: self._codes(prompted)}
        for is_reverse in (False, True):
            after, before = range(frame_idx + 1, self.num_frames), range(frame_idx - 1, -1, -1)
            for index in before if is_reverse else after:
                output = self._track(index, history, len(masks), is_reverse=is_reverse)
                history["non_cond_frame_outputs"][index] = output
                codes[index] = self._codes(output)
                self._forget(history, index, frame_idx)
        return self._collect(history, codes)

    def _prompt(self, frame_idx: int, masks: np.ndarray) -> FrameOutput:
        """Output and memory of the prompted frame.

        One object at a time, as upstream does: rounding is then upstream's, too.
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
            for mask in masks
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
        """Output and memory of one frame, from those of frames before (or after) it."""
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
        """SAM 2 keeps memories in bfloat16, also in runs of float32."""
        self._memory_positions = self._memory_positions or [x[:1].clone() for x in positions]
        expanded = [x.expand(len(features), -1, -1, -1) for x in self._memory_positions]
        return {"maskmem_features": features.to(torch.bfloat16), "maskmem_pos_enc": expanded}

    def _forget(self, history: dict[str, Any], frame_idx: int, prompt_frame: int) -> None:
        """Drops masks, which nothing reads again, and the memory that passes out of sight.

        The first memories of the forward pass stay: the backward pass begins with them.
        """
        outputs, reach = history["non_cond_frame_outputs"], self.model.num_maskmem
        del outputs[frame_idx]["pred_masks"]
        is_reverse = frame_idx < prompt_frame
        old = frame_idx + reach if is_reverse else frame_idx - reach
        if old in outputs and (is_reverse or old > prompt_frame + reach):
            outputs[old]["maskmem_features"] = outputs[old]["maskmem_pos_enc"] = None

    def _codes(self, output: FrameOutput) -> list[RunLength]:
        """Run-length codes of a frame's masks at the frame's size."""
        with stage(CODES):
            masks = _resize(output["pred_masks"], self.size)[:, 0] > 0
            return encode(masks.cpu().numpy())

    def _collect(self, history: dict[str, Any], codes: dict[int, list[RunLength]]) -> Propagated:
        frames = history["cond_frame_outputs"] | history["non_cond_frame_outputs"]
        order = range(self.num_frames)
        tokens = torch.stack([frames[t]["obj_ptr"] for t in order], dim=1)
        scores = torch.stack([frames[t]["object_score_logits"][:, 0] for t in order], dim=1)
        return Propagated(
            masklets=tuple([codes[t][k] for t in order] for k in range(len(tokens))),
            object_tokens=_to_numpy(tokens),
            object_scores=_to_numpy(scores),
        )

    def _mask_input(self, mask: np.ndarray) -> Tensor:
        """(1, 1, S, S) of a mask of the frame's size, 0 or 1."""
        parameter = next(self.model.parameters())
        pixels = torch.from_numpy(mask)[None, None].float().to(parameter.device)
        size = self.model.image_size
        if mask.shape != (size, size):
            pixels = F.interpolate(pixels, (size, size), mode="bilinear", antialias=True) >= 0.5
        return pixels.to(parameter.dtype)


class Sam2Session(VideoTracker):
    """See ``Session``; ``VideoTracker`` tracks.

    Args:
        generator: makes masks on single frames. It and its model are those of all videos.
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
        """See ``Session.masks_of_boxes``; the frame goes once through the image encoder."""
        return self.generator.masks_of(self.frame(frame_idx), boxes)


def _join(batches: list[Propagated]) -> Propagated:
    """The tracks of several batches of prompts as those of one."""
    tokens = [batch.object_tokens for batch in batches if batch.object_tokens is not None]
    return Propagated(
        masklets=tuple(masklet for batch in batches for masklet in batch.masklets),
        object_tokens=np.concatenate(tokens),
        object_scores=np.concatenate([batch.object_scores for batch in batches]),
    )


def _resize(logits: Tensor, size: tuple[int, int]) -> Tensor:
    """(n, 1, h, w) logits at another size, as upstream resizes them."""
    if logits.shape[-2:] == size:
        return logits
    return F.interpolate(logits, size, mode="bilinear", align_corners=False)


def _to_numpy(values: Tensor) -> np.ndarray:
    is_half = values.dtype in (torch.bfloat16, torch.float16)
    return np.asarray((values.float() if is_half else values).cpu())


def to_image(frame: np.ndarray, size: int) -> Tensor:
    """(3, size, size) normalised image, resized as SAM 2's own video loader does."""
    pixels = np.asarray(Image.fromarray(frame).resize((size, size))) / 255.0
    image = torch.from_numpy(pixels).permute(2, 0, 1).float()
    return (image - PIXEL_MEAN) / PIXEL_STD
