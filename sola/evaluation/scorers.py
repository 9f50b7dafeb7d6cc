"""Scorer, the interface that scores the tracks of a video for a sentence, and its implementations.

Thresholds, curves, evaluation, prediction and the report work with any scorer: a trained selector
over object tokens, a detector's confidence, or a model that looks at frames and masks.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from sola.errors import UserError
from sola.evaluation.tracks import VideoTracks
from sola.metrics import detection_scores
from sola.selector import Selector
from sola.types import Expression, Video


class Scorer(ABC):
    """Scores tracks for expressions; a track is selected above a threshold.

    Attributes:
        needs_checkpoint: whether ckpt_path is required.
        reads_any_text: whether tracks can be scored for a sentence other than the one that they
            were made for.
        needs_evidence: whether all tracks need scores of a detector.
        threshold: a track is selected if its score is above this, unless the configuration says
            otherwise.
    """

    needs_checkpoint: ClassVar[bool] = False
    reads_any_text: ClassVar[bool] = True
    needs_evidence: ClassVar[bool] = False
    threshold: float = 0.5

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Return everything that decides the scores, in plain values, for the provenance."""

    def prepare(self, expressions: Sequence[Expression]) -> None:  # noqa: B027  # most need nothing
        """Do work that is faster for all expressions of a split at once.

        Args:
            expressions: all expressions that will be scored.
        """

    @abstractmethod
    def score(
        self,
        tracks: VideoTracks,
        candidates: Sequence[int],
        expressions: Sequence[Expression],
        video: Video | None,
    ) -> NDArray[np.float32]:
        """Score some tracks of a video.

        Args:
            tracks: all tracks of the video.
            candidates: N indices of the tracks to score.
            expressions: B expressions to score them for.
            video: frames of the video; None: unknown.

        Returns:
            (B, N) in [0, 1]. A score must not depend on the other expressions.
        """


class SelectorScorer(Scorer):
    """A trained selector over object tokens and text tokens.

    Args:
        selector: a selector on the device to compute on; it is put into evaluation mode.
        text_tokens: sentences -> their text tokens, (L, E) each, such as ``TextTokens.tokens``.
        threshold: see ``Scorer``.
    """

    needs_checkpoint = True

    def __init__(
        self,
        selector: Selector,
        text_tokens: Callable[[list[str]], Sequence[NDArray[np.float32]]],
        threshold: float = 0.5,
    ) -> None:
        self.selector, self.text_tokens = selector.eval(), text_tokens
        self.threshold = threshold

    def describe(self) -> dict[str, Any]:
        """See ``Scorer.describe``."""
        return self.selector.description

    def prepare(self, expressions: Sequence[Expression]) -> None:
        """Encode all sentences."""
        self.text_tokens([expression.text for expression in expressions])

    def score(
        self,
        tracks: VideoTracks,
        candidates: Sequence[int],
        expressions: Sequence[Expression],
        video: Video | None,
    ) -> NDArray[np.float32]:
        """See ``Scorer.score``."""
        texts = self.text_tokens([expression.text for expression in expressions])
        tokens = tracks.object_tokens[list(candidates)]
        return score_tracks(self.selector, tokens, texts)


class DetectionScorer(Scorer):
    """The detector's own scores of a sentence's tracks, without training.

    A track's score is its mean evidence over the searched frames on which it is visible, see
    ``sola.metrics.detection_scores``: a track that the detector finds on every frame beats one that
    it found once. The default threshold is not calibrated.
    """

    reads_any_text = False
    needs_evidence = True
    threshold = 0.3

    def describe(self) -> dict[str, Any]:
        """See ``Scorer.describe``."""
        return {"name": "detection"}

    def score(
        self,
        tracks: VideoTracks,
        candidates: Sequence[int],
        expressions: Sequence[Expression],
        video: Video | None,
    ) -> NDArray[np.float32]:
        """See ``Scorer.score``.

        Raises:
            UserError: if a track has no evidence of a detector.
        """
        row = np.zeros(len(candidates), np.float32)
        for position, idx in enumerate(candidates):
            evidence = tracks.evidence[idx]
            if evidence is None:
                raise UserError(
                    f"selector=detection: tracks of {tracks.prompts[idx].source} have no scores of "
                    "a detector. Use the tracks of a detector only, such as sources=[gdino]."
                )
            # a track may be empty on the frame of its own prompt, which still counts
            row[position] = min(1.0, detection_scores(evidence, [tracks.masklets[idx]])[0])
        return np.tile(row, (len(expressions), 1))


@torch.inference_mode()
def score_tracks(
    selector: nn.Module,
    object_tokens: NDArray[np.float32],
    texts: Sequence[NDArray[np.float32]],
    *,
    batch_size: int = 16,
) -> NDArray[np.float32]:
    """Score the tracks of one video for several sentences.

    Args:
        selector: a ``Selector`` in evaluation mode.
        object_tokens: (N, T, D).
        texts: text tokens of B sentences, (L, E) each.
        batch_size: sentences per forward pass.

    Returns:
        (B, N) float32 in [0, 1].
    """
    num_tracks = object_tokens.shape[0]
    if num_tracks == 0 or not texts:
        return np.zeros((len(texts), num_tracks), dtype=np.float32)
    device = next(selector.parameters()).device
    tokens = torch.from_numpy(object_tokens)[None].to(device)  # (1, N, T, D), shared by all texts
    rows = []
    for start in range(0, len(texts), batch_size):
        batch = [torch.from_numpy(np.asarray(text)) for text in texts[start : start + batch_size]]
        text = nn.utils.rnn.pad_sequence(batch, batch_first=True)  # (B, L, E)
        lengths = torch.tensor([len(each) for each in batch])
        text_mask = torch.arange(text.shape[1])[None] < lengths[:, None]
        logits, _ = selector(tokens, text.to(device), text_mask=text_mask.to(device))
        rows.append(logits.float().sigmoid().cpu())
    return torch.cat(rows).numpy()
