"""Scorer: interface of what scores the tracks of a video for a sentence; and the trained one.

Thresholds, curves, evaluation, prediction and the report work with any scorer: a trained selector
over object tokens, a detector's confidence, or a model that looks at frames and masks.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from sola.errors import UserError
from sola.evaluation.tracks import VideoTracks, check_has_tokens
from sola.files import plain, sha256_of_file
from sola.selector import Selector
from sola.selector.checkpoint import load_selector, weights_file
from sola.shards import ShardReader
from sola.text import TextEncoder, TextTokens
from sola.types import Expression, Video


class Scorer(ABC):
    """Scores tracks for expressions; a track is selected above a threshold.

    Attributes:
        needs_checkpoint: whether ckpt_path is required.
        reads_any_text: whether tracks can be scored for another sentence than the one they were
            made for.
    """

    needs_checkpoint: ClassVar[bool] = False
    reads_any_text: ClassVar[bool] = True

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Return everything that decides the scores, in plain values; recorded with each number."""

    def prepare(self, expressions: Sequence[Expression]) -> None:  # noqa: B027  # most need nothing
        """Do what is faster for all expressions of a split together.

        Args:
            expressions: all that will be scored.
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
            expressions: B sentences to score them for.
            video: the frames; None: unknown.

        Returns:
            (B, N) in [0, 1]. No score depends on the other expressions.
        """


class SelectorScorer(Scorer):
    """A trained selector over object tokens and text tokens.

    Args:
        selector: on the device to compute on; is put into evaluation mode.
        text_tokens: sentences -> their text tokens, (L, E) each, such as ``TextTokens.tokens``.
    """

    needs_checkpoint = True

    def __init__(
        self,
        selector: Selector,
        text_tokens: Callable[[list[str]], Sequence[NDArray[np.float32]]],
    ) -> None:
        self.selector, self.text_tokens = selector.eval(), text_tokens

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


@dataclass(frozen=True)
class Checkpoint:
    """A trained selector on disk.

    Attributes:
        path: a best.ckpt, or a folder of save_pretrained.
        text_encoder: must be that of the training.
        own_selectors: classes outside sola that the checkpoint may name.
    """

    path: Path
    text_encoder: TextEncoder
    own_selectors: tuple[str, ...] = ()

    def load(self, tracks: Mapping[str, Any], where: str) -> tuple[Selector, dict[str, Any]]:
        """Load the selector, and what is recorded of its training.

        Args:
            tracks: token_dim and checkpoint_sha256 of the tracks to score.
            where: names the tracks in messages.

        Raises:
            UserError: if the checkpoint is missing or damaged, or does not fit the tracks or the
                text encoder.
        """
        selector, training = load_selector(self.path, self.own_selectors)
        check_has_tokens(tracks["token_dim"], where)
        encoder, widths = self.text_encoder, selector.kwargs
        key = "checkpoint_sha256"
        for named, what, trained, found in (
            (where, "token_dim", widths.get("token_dim"), tracks["token_dim"]),
            (where, key, training.get(key), tracks.get(key)),
            (f"text_encoder={encoder.name}", "text_dim", widths.get("text_dim"), encoder.dim),
            ("this run", "text_encoder", training.get("text_encoder"), encoder.name),
        ):
            if trained not in (None, found):
                raise UserError(
                    f"{self.path}: trained with {what}={trained}, {named} has {what}={found}. "
                    "Choose the tracker and the text encoder of its training."
                )
        return selector, training

    def open_scorer(
        self, tracks: ShardReader, text_dir: Path, device: torch.device
    ) -> tuple[Scorer, dict[str, Any]]:
        """Return the scorer, and the names of it that go with every number.

        Raises:
            UserError: as ``load`` does.
        """
        selector, training = self.load(tracks.index, str(tracks.tracks_dir))
        text = TextTokens(text_dir, self.text_encoder)
        sha256 = sha256_of_file(weights_file(self.path))
        named = {"path": str(self.path), "sha256": sha256, "training": plain(training)}
        names = {"checkpoint": named, "text_encoder": self.text_encoder.name}
        return SelectorScorer(selector.to(device), text.tokens), names


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
