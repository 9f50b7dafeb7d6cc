"""SAM 2's video predictor for many prompts of one video that is held in memory."""

from collections import OrderedDict
from typing import Any

import numpy as np
import torch
from PIL import Image
from sam2.sam2_video_predictor_legacy import SAM2VideoPredictor
from torch import Tensor

PIXEL_MEAN = (0.485, 0.456, 0.406)
PIXEL_STD = (0.229, 0.224, 0.225)


class BatchedPredictor(SAM2VideoPredictor):
    """Upstream's batched predictor, with each frame's image features computed once per video.

    Upstream keeps the features of the last frame only and encodes every frame again in each pass;
    with the features kept, all outputs are the same, bit for bit.
    """

    def open_video(self, frames: np.ndarray) -> dict[str, Any]:
        """A state for (T, H, W, 3) uint8 frames, on which prompts can be tracked.

        The fields are those of upstream's ``init_state``.
        """
        images = torch.stack([self._to_image(frame) for frame in frames])
        state: dict[str, Any] = {
            "images": images,
            "num_frames": len(images),
            "offload_video_to_cpu": True,
            "offload_state_to_cpu": False,
            "video_height": frames.shape[1],
            "video_width": frames.shape[2],
            "device": self.device,
            "storage_device": self.device,
            "cached_features": {},
            "constants": {},
        }
        return state | _no_objects()

    def forget_objects(self, state: dict[str, Any]) -> None:
        """Make a state ready for other prompts; the image features stay."""
        state.update(_no_objects())

    def _to_image(self, frame: np.ndarray) -> Tensor:
        """(3, S, S) normalised image, resized as upstream's loader does."""
        size = (self.image_size, self.image_size)
        pixels = np.asarray(Image.fromarray(frame).resize(size)) / 255.0
        image = torch.from_numpy(pixels).permute(2, 0, 1).float()
        return (image - torch.tensor(PIXEL_MEAN)[:, None, None]) / torch.tensor(PIXEL_STD)[
            :, None, None
        ]

    def _get_image_feature(
        self, inference_state: dict[str, Any], frame_idx: int, batch_size: int
    ) -> Any:
        kept = inference_state["cached_features"]
        features = super()._get_image_feature(inference_state, frame_idx, batch_size)
        if inference_state["cached_features"] is not kept:  # upstream dropped all others
            inference_state["cached_features"] = kept | inference_state["cached_features"]
        return features


def _no_objects() -> dict[str, Any]:
    return {
        "point_inputs_per_obj": {},
        "mask_inputs_per_obj": {},
        "obj_id_to_idx": OrderedDict(),
        "obj_idx_to_id": OrderedDict(),
        "obj_ids": [],
        "output_dict": {"cond_frame_outputs": {}, "non_cond_frame_outputs": {}},
        "output_dict_per_obj": {},
        "temp_output_dict_per_obj": {},
        "consolidated_frame_inds": {
            "cond_frame_outputs": set(),
            "non_cond_frame_outputs": set(),
        },
        "tracking_has_started": False,
        "frames_already_tracked": {},
    }
