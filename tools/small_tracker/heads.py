"""Training-only heads that teach features and pointers an object's attributes.

Without them the object pointers encode where an object is, but not its shape or colour.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tools.small_tracker.clips import Vocabulary
from tools.small_tracker.losses import class_loss, foreground_loss, geometry, weighted_mean

GEOMETRY_WEIGHT = 3.0
Figures = dict[str, float]


class TrainingHeads(nn.Module):
    """Linear heads on pointers and on mask-pooled features, and an MLP on pointer sequences.

    Args:
        dim: width of pointers and of the stride-16 features.
        vocabulary: the attribute classes.
    """

    def __init__(self, dim: int, vocabulary: Vocabulary) -> None:
        super().__init__()
        self.num_shapes = len(vocabulary.shapes)
        num_classes = self.num_shapes + len(vocabulary.colours)
        self.foreground = nn.ModuleList([nn.Conv2d(dim // 8, 1, 1), nn.Conv2d(dim, 1, 1)])
        self.pointer = nn.Linear(dim, num_classes)
        self.pointer_geometry = nn.Linear(dim, 3)
        self.pooled = nn.ModuleList([nn.Linear(dim // 4, num_classes), nn.Linear(dim, num_classes)])
        self.motion = nn.Sequential(
            nn.Linear(4 * dim, 64), nn.GELU(), nn.Linear(64, len(vocabulary.motions))
        )

    def foreground_loss(self, features: Sequence[Tensor], foreground: Tensor) -> Tensor:
        """Return the class-agnostic foreground loss at strides 4 and 16 for masks (B, 1, H, W)."""
        fine = foreground_loss(self.foreground[0](features[0]), foreground)
        return fine + 0.5 * foreground_loss(self.foreground[1](features[2]), foreground)

    def pointer_loss(
        self, pointers: Tensor, labels: Tensor, masks: Tensor, weight: Tensor
    ) -> tuple[Tensor, Figures]:
        """Return the losses of shape, colour, position and area read from pointers.

        Args:
            pointers: (..., D).
            labels: (..., 3) classes of shape, colour and motion.
            masks: (..., H, W) float.
            weight: (...) 1 where the object is visible, else 0.
        """
        loss, figures = self._attribute_loss(self.pointer(pointers), labels, weight)
        error = (self.pointer_geometry(pointers) - geometry(masks)).pow(2).sum(-1)
        loss = loss + GEOMETRY_WEIGHT * weighted_mean(error, weight)
        return loss, {f"pointer_{name}": value for name, value in figures.items()}

    def pooled_loss(
        self, features: Sequence[Tensor], image_idx: Tensor, masks: Tensor, labels: Tensor
    ) -> tuple[Tensor, Figures]:
        """Return the losses of shape and colour read from mask-pooled features at strides 8 and 16.

        Args:
            features: maps at strides 4, 8, 16.
            image_idx: (P,) image of each mask.
            masks: (P, 1, H, W) float; P may be 0.
            labels: (P, 3).
        """
        weight = torch.ones(len(masks))
        if not len(masks):
            return features[0].sum() * 0, {}
        fine, _ = self._attribute_loss(
            self.pooled[0](pool_under(features[1][image_idx], masks)), labels, weight
        )
        coarse, figures = self._attribute_loss(
            self.pooled[1](pool_under(features[2][image_idx], masks)), labels, weight
        )
        return coarse + 0.5 * fine, {f"pooled_{name}": value for name, value in figures.items()}

    def motion_loss(self, pointers: Tensor, labels: Tensor, stride: int) -> tuple[Tensor, Figures]:
        """Return the loss of motion read from pointers (N, T, D) of frames ``stride`` apart."""
        logits = self.motion(sequence_statistics(pointers, stride))
        loss, accuracy = class_loss(logits, labels, torch.ones(len(labels)))
        return loss, {"motion": accuracy.item()}

    def _attribute_loss(
        self, logits: Tensor, labels: Tensor, weight: Tensor
    ) -> tuple[Tensor, Figures]:
        shape_loss, shape = class_loss(logits[..., : self.num_shapes], labels[..., 0], weight)
        colour_loss, colour = class_loss(logits[..., self.num_shapes :], labels[..., 1], weight)
        return shape_loss + colour_loss, {"shape": shape.item(), "colour": colour.item()}


def pool_under(features: Tensor, masks: Tensor) -> Tensor:
    """Return the mean of features (P, C, h, w) under masks (P, 1, H, W), (P, C)."""
    weight = F.avg_pool2d(masks, masks.shape[-1] // features.shape[-1])
    return (features * weight).sum((2, 3)) / weight.sum((2, 3)).clamp(min=1e-3)


def sequence_statistics(pointers: Tensor, stride: int = 1) -> Tensor:
    """Return mean, end minus start, spread and mean absolute step of pointers (N, T, D), (N, 4 D).

    End minus start and step are rates, so that clips of different spans are comparable.
    """
    num_ends = max(1, pointers.shape[1] // 4)
    first, last = pointers[:, :num_ends].mean(1), pointers[:, -num_ends:].mean(1)
    rate = (last - first) * (5 / (stride * (pointers.shape[1] - num_ends)))
    step = pointers.diff(dim=1).abs().mean(1) / stride
    return torch.cat([pointers.mean(1), rate, pointers.std(1), step], 1)
