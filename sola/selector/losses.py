"""Losses of the selector, one number a sample; a batch's loss is the mean over its samples.

Sources: SOLA (arXiv 2412.01136), section 3.4. A sample is an expression with all its tracks, and
counts the same however many these are. One without tracks has no loss: it is left out of the mean,
from which nothing is to be learnt when all are.

So B samples in one step have the gradient of B steps of one sample that are accumulated, whether
samples share a video or not; steps of different numbers of samples count the same as each other.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class SelectionLoss:
    """The parts of a batch's loss, each a scalar with gradient."""

    total: Tensor
    """bce + alignment weight * alignment."""
    bce: Tensor
    alignment: Tensor


def classification_loss(
    logits: Tensor,
    labels: Tensor,
    track_mask: Tensor | None = None,
    *,
    positive_weight: float = 1.5,
) -> Tensor:
    """Binary cross entropy of every sample's logits, mean over its tracks.

    Args:
        logits: (B, N).
        labels: (B, N), 1 for tracks that the expression means, 0 for others.
        track_mask: (B, N) bool, tracks that exist; None: all.
        positive_weight: factor on the loss of positive tracks.

    Returns:
        (B,); 0 for a sample without tracks.
    """
    weight = logits.new_tensor(positive_weight)
    losses = F.binary_cross_entropy_with_logits(
        logits, labels.to(logits.dtype), pos_weight=weight, reduction="none"
    )
    return _mean_over_tracks(losses, track_mask)


def alignment_loss(
    track_tokens: Tensor,
    text: Tensor,
    negatives: Tensor | None,
    labels: Tensor,
    track_mask: Tensor | None = None,
    *,
    text_mask: Tensor | None = None,
    temperature: float = 0.07,
    positive_weight: float = 1.5,
) -> Tensor:
    """Draws meant tracks to the text and every other one to its nearest negative token.

    Args:
        track_tokens: (B, N, E), from the selector.
        text: (B, L, E), text tokens.
        negatives: (K, E), the selector's negative tokens; None, or K = 0: it has none, and there is
            no term towards them.
        labels: (B, N), 1 for tracks that the expression means, 0 for others.
        track_mask: (B, N) bool, tracks that exist; None: all.
        text_mask: (B, L) bool, text tokens that exist; None: all.
        temperature: dot products are scaled by its exponential.
        positive_weight: factor on the term towards the text.

    Returns:
        (B,); 0 for a sample without tracks.
    """
    scale = math.exp(temperature)
    labels = labels.to(track_tokens.dtype)
    to_text = scale * torch.einsum("bne,be->bn", track_tokens, _mean_text(text, text_mask))
    towards_text = F.binary_cross_entropy_with_logits(to_text, labels, reduction="none")

    losses = positive_weight * towards_text
    if negatives is not None and len(negatives) > 0:
        losses = losses + _towards_negatives(scale * (track_tokens @ negatives.T), labels)
    return _mean_over_tracks(losses, track_mask)


def combine_losses(
    bce: Tensor, alignment: Tensor, has_tracks: Tensor, *, alignment_weight: float = 0.3
) -> SelectionLoss:
    """The batch's loss: mean over the samples that have tracks.

    Args:
        bce: (B,), from :func:`classification_loss`.
        alignment: (B,), from :func:`alignment_loss`.
        has_tracks: (B,) bool.
        alignment_weight: factor on the alignment loss.

    Returns:
        Scalars; 0, with gradient 0, when no sample has tracks.
    """
    weights = has_tracks.to(bce.dtype) / has_tracks.sum().clamp(min=1)
    bce, alignment = (bce * weights).sum(), (alignment * weights).sum()
    return SelectionLoss(bce + alignment_weight * alignment, bce, alignment)


def _towards_negatives(logits: Tensor, labels: Tensor) -> Tensor:
    """(B, N) losses of dot products (B, N, K): a track that is not meant is its nearest's."""
    nearest = logits.detach().argmax(dim=-1, keepdim=True)
    target = torch.zeros_like(logits).scatter_(-1, nearest, (1 - labels)[..., None])
    losses = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    return losses.mean(dim=-1)


def _mean_over_tracks(losses: Tensor, track_mask: Tensor | None) -> Tensor:
    """(B, N) -> (B,)."""
    if track_mask is None:
        return losses.sum(dim=1) / max(losses.shape[1], 1)
    return (losses * track_mask).sum(dim=1) / track_mask.sum(dim=1).clamp(min=1)


def _mean_text(text: Tensor, text_mask: Tensor | None) -> Tensor:
    """(B, E), mean over the tokens that exist, negatives excluded."""
    if text_mask is None:
        return text.mean(dim=1)
    total = (text * text_mask[:, :, None]).sum(dim=1)
    return total / text_mask.sum(dim=1, keepdim=True).clamp(min=1)
