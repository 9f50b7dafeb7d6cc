"""Selector losses. Each term is one value per expression; the batch loss is their mean.

With the labels y (1: the expression refers to the track), logits l, track tokens v, the mean text
token t, negative tokens n_k, s = exp(temperature) and w = positive_weight::

    bce       = mean over tracks of BCE(l, y), where the terms with y = 1 count w times
    alignment = mean over tracks of w BCE(s v.t, y) + mean over k of BCE(s v.n_k, y_k)
    loss      = mean over expressions of bce + alignment_weight alignment

where y_k is 1 for the nearest negative token of a track with y = 0, else 0. Expressions without
tracks are left out of the mean. So a step with B expressions that have tracks has the same gradient
as B accumulated steps with one expression each, whether or not they share a video.

Source: SOLA (arXiv 2412.01136), section 3.4.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from sola.checks import above, at_least
from sola.selector.base import mean_of_existing

TOTAL = "loss"
"""Name of the weighted sum of the terms."""


@dataclass(frozen=True)
class SelectorOutputs:
    """Outputs of a selector for B expressions."""

    logits: Tensor
    """(B, N)."""
    track_tokens: Tensor
    """(B, N, E)."""
    negatives: Tensor | None
    """(K, E) negative tokens of the selector; None: it has none."""


@dataclass(frozen=True)
class LossInputs:
    """Labels, text and masks for B expressions."""

    labels: Tensor
    """(B, N), 1 for tracks that the expression refers to, else 0, in the logits' data type."""
    text: Tensor
    """(B, L, E) text tokens."""
    track_mask: Tensor | None = None
    """(B, N) bool, False for padding; None: no padding."""
    text_mask: Tensor | None = None
    """(B, L) bool, False for padding; None: no padding."""


class Loss(ABC):
    """A loss of named terms, which training weights, sums and logs.

    See docs/adding_a_loss.md for how to write one.
    """

    weights: Mapping[str, float]
    """Weight of each term in the total, by name."""

    @abstractmethod
    def __call__(self, outputs: SelectorOutputs, inputs: LossInputs) -> Mapping[str, Tensor]:
        """Compute the terms.

        Args:
            outputs: outputs of the selector for B expressions.
            inputs: labels, text and masks of the same expressions.

        Returns:
            One (B,) tensor for each name in ``weights``; 0 for an expression without tracks.
        """


class SelectionLoss(Loss):
    """Binary cross entropy of the logits, and alignment of track tokens with the text.

    Args:
        positive_weight: factor on positive tracks in the cross entropy (above 1 favours recall over
            precision), and on the whole text term in the alignment.
        alignment_weight: factor on the alignment term; 0 disables it.
        temperature: the alignment term scales dot products by exp(temperature).

    Raises:
        UserError: if a weight is out of range.
    """

    def __init__(self, positive_weight: float, alignment_weight: float, temperature: float) -> None:
        above(0, positive_weight=positive_weight)
        at_least(0, alignment_weight=alignment_weight)
        self.positive_weight, self.temperature = positive_weight, temperature
        self.weights = {"bce": 1.0, "alignment": alignment_weight}

    def __call__(self, outputs: SelectorOutputs, inputs: LossInputs) -> dict[str, Tensor]:
        """See ``Loss``."""
        weight = self.positive_weight
        return {
            "bce": classification_loss(outputs, inputs, weight),
            "alignment": alignment_loss(outputs, inputs, weight, self.temperature),
        }


def classification_loss(
    outputs: SelectorOutputs, inputs: LossInputs, positive_weight: float
) -> Tensor:
    """Return the binary cross entropy of each sample's logits, averaged over its tracks.

    Args:
        outputs: outputs of the selector for B expressions.
        inputs: labels and masks of the same expressions.
        positive_weight: factor on the loss of positive tracks.

    Returns:
        (B,); 0 for a sample without tracks.
    """
    logits = outputs.logits
    losses = F.binary_cross_entropy_with_logits(
        logits, inputs.labels, pos_weight=logits.new_full((), positive_weight), reduction="none"
    )
    return _mean_over_tracks(losses, inputs.track_mask)


def alignment_loss(
    outputs: SelectorOutputs, inputs: LossInputs, positive_weight: float, temperature: float
) -> Tensor:
    """Pull positive tracks to the text, and every other track to its nearest negative token.

    Both terms are cross entropies of dot products: they also push negative tracks away from the
    text, and all tracks away from the other negative tokens.

    Args:
        outputs: outputs of the selector for B expressions; without negative tokens the second term
            is left out.
        inputs: labels, text and masks of the same expressions.
        positive_weight: factor on the text term.
        temperature: dot products are scaled by exp(temperature).

    Returns:
        (B,); 0 for a sample without tracks.
    """
    scale, tracks, labels = math.exp(temperature), outputs.track_tokens, inputs.labels
    mean_text = mean_of_existing(inputs.text, inputs.text_mask)
    to_text = scale * torch.einsum("bne,be->bn", tracks, mean_text)
    towards_text = F.binary_cross_entropy_with_logits(to_text, labels, reduction="none")

    losses = positive_weight * towards_text
    if outputs.negatives is not None and len(outputs.negatives) > 0:
        losses = losses + _towards_negatives(scale * (tracks @ outputs.negatives.T), labels)
    return _mean_over_tracks(losses, inputs.track_mask)


def combine_terms(
    terms: Mapping[str, Tensor], weights: Mapping[str, float], has_tracks: Tensor
) -> dict[str, Tensor]:
    """Average the terms over the expressions that have tracks, and compute their weighted sum.

    Args:
        terms: (B,) tensors by name.
        weights: weight of each term.
        has_tracks: (B,) bool, whether the expression has any track.

    Returns:
        Scalars: the unweighted mean of each term, and their weighted sum under ``TOTAL``. They are
        0, with gradient 0, if no expression has tracks.

    Raises:
        ValueError: if terms and weights have different names.
    """
    if set(terms) != set(weights):
        raise ValueError(f"the loss returns {sorted(terms)}, its weights name {sorted(weights)}")
    means = {}
    for name in weights:
        share = has_tracks.to(terms[name].dtype) / has_tracks.sum().clamp(min=1)
        means[name] = (terms[name] * share).sum()
    total = torch.stack([weights[name] * mean for name, mean in means.items()]).sum()
    return means | {TOTAL: total}


def _towards_negatives(logits: Tensor, labels: Tensor) -> Tensor:
    """Return losses (B, N) of dot products (B, N, K) with the negative tokens.

    The target of a negative track is its nearest negative token; a positive track has none.
    """
    nearest = logits.detach().argmax(dim=-1, keepdim=True)
    target = torch.zeros_like(logits).scatter_(-1, nearest, (1 - labels)[..., None])
    losses = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    return losses.mean(dim=-1)


def _mean_over_tracks(losses: Tensor, track_mask: Tensor | None) -> Tensor:
    """Average over tracks, (B, N) -> (B,)."""
    return mean_of_existing(losses[..., None], track_mask)[..., 0]
