"""WordMatch: every word of a sentence is evidence for or against a track.

A track has a description of its looks (its mean object token) and of its motion (how its tokens
change). Each word is compared with both, which gives the probability m of the word for the track::

    log p_s = sum over words of gate * share_s * log m + log presence_s
    p       = 1 - product over s of (1 - p_s)

so a sentence is a disjunction of S conjunctions of words ("the red square and the blue star").
Gates let articles and nouns such as "thing" count nothing. To the logit of p, attention between the
tracks of a video adds what only a comparison can tell: whether a track is the leftmost one, or the
one that fits best.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sola.checks import above, at_least, between
from sola.errors import UserError
from sola.selector.base import Selector, mean_of_existing
from sola.selector.layers import attend

NUM_FREQUENCIES = 8
"""Of the code of time; each has four channels."""
LEAST_LOG = 1e-6
"""Smallest distance of a probability's logarithm from 0, for a finite logit."""


class WordMatch(Selector):
    """Scores a track by the words that it matches; see the module.

    The network has 1.0 M parameters with the default sizes and tokens of the small tracker and
    MiniLM.

    Args:
        token_dim: D, width of an object token.
        text_dim: E, width of a text token.
        dim: width of the network.
        match_dim: width in which words and tracks are compared, once for looks and once for motion.
        num_descriptions: S, number of conjunctions of which one must hold.
        num_heads: attention heads over frames, words and tracks.
        num_pools: attention pools over the frames of a track and over the words of a sentence.
        num_segments: parts of the video over which the changes of a track are averaged.
        num_comparisons: blocks of attention between tracks; 0: every track is scored by itself.
        motion_gain: factor on the difference of a track's tokens from their mean.
        dropout: dropout of all layers; attention weights have none.

    Raises:
        UserError: if a value is out of range.
    """

    def __init__(
        self,
        token_dim: int = 256,
        text_dim: int = 1024,
        *,
        dim: int = 128,
        match_dim: int = 64,
        num_descriptions: int = 2,
        num_heads: int = 4,
        num_pools: int = 4,
        num_segments: int = 4,
        num_comparisons: int = 2,
        motion_gain: float = 4.0,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        at_least(0, num_comparisons=num_comparisons)
        at_least(1, token_dim=token_dim, text_dim=text_dim, dim=dim, match_dim=match_dim)
        at_least(1, num_descriptions=num_descriptions, num_pools=num_pools)
        at_least(1, num_segments=num_segments, num_heads=num_heads)
        above(0, motion_gain=motion_gain)
        between(0, 1, dropout=dropout)
        if dim % num_heads:
            raise UserError(f"num_heads: must divide dim ({dim}), got {num_heads}.")
        self.tracks = TrackEncoder(
            token_dim,
            dim,
            match_dim,
            num_heads=num_heads,
            num_pools=num_pools,
            num_segments=num_segments,
            motion_gain=motion_gain,
            dropout=dropout,
        )
        self.words = nn.Sequential(
            nn.LayerNorm(text_dim, elementwise_affine=False),
            nn.Linear(text_dim, dim),
            nn.Dropout(dropout),
        )
        self.over_words = Block(dim, num_heads, dropout)
        self.word_norm = nn.LayerNorm(dim)
        self.query = nn.Linear(dim, 2 * match_dim)
        self.bias_gate_share = nn.Linear(dim, 2 + num_descriptions)
        self.presence = nn.Linear(dim, num_descriptions)
        self.scale, self.offset = nn.Parameter(torch.ones(())), nn.Parameter(torch.zeros(()))
        self.to_text = nn.Linear(2 * match_dim, text_dim)
        self.comparison: Comparison | None = None
        if num_comparisons:
            self.compared = nn.Linear(2 * match_dim + token_dim, dim)
            self.comparison = Comparison(
                dim,
                num_blocks=num_comparisons,
                num_heads=num_heads,
                num_pools=num_pools,
                dropout=dropout,
            )
        self.match_scale = 1 / math.sqrt(match_dim)
        with torch.no_grad():
            self.bias_gate_share.bias[0] = 1  # at first a word fits every track
            self.presence.bias.fill_(-2)  # and only the first description is there
            self.presence.bias[0] = 2

    def forward(
        self,
        tokens: Tensor,
        text: Tensor,
        track_mask: Tensor | None = None,
        frame_mask: Tensor | None = None,
        text_mask: Tensor | None = None,
        *,
        video_idx: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Score all tracks of every sample, see ``Selector.forward``.

        Each video is encoded once. Scores are computed in float32 in mixed precision.
        """
        tracks, looks = self.tracks(tokens, frame_mask)  # (V, N, 2P), (V, N, D)
        packing = Packing(text.shape[:2], text_mask, text.device)
        words = self.over_words(self.words(packing.pack(text)), packing)
        words = self.word_norm(words)  # (K, C), those of all samples

        def of_sample(rows: Tensor) -> Tensor:  # (V, ...) -> (B, ...)
            rows = rows if video_idx is None else rows[video_idx]
            return rows.expand(len(text), *rows.shape[1:])

        looks_and_motion = torch.cat([tracks, looks], dim=-1)
        with torch.autocast(text.device.type, enabled=False):
            words, descriptions = words.to(text.dtype), tracks.to(text.dtype)
            tracks = of_sample(descriptions)
            query, heads = packing.pad(self.query(words)), packing.pad(self.bias_gate_share(words))
            bias, gate, share = heads.split([1, 1, heads.shape[-1] - 2], dim=-1)  # (B, L, 1 or S)
            match = tracks @ query.transpose(1, 2) * self.match_scale
            evidence = F.logsigmoid(match + bias.transpose(1, 2))  # (B, N, L)
            gate = gate.sigmoid() * packing.mask[..., None]
            weight = share.softmax(dim=-1) * gate
            sentence = mean_of_existing(packing.pad(words), packing.mask)
            log_p = evidence @ weight + F.logsigmoid(self.presence(sentence))[:, None]
            log_none = _log_of_rest(log_p).sum(dim=-1)  # (B, N): no description holds
            logits = self.scale * (_log_of_rest(log_none) - log_none) + self.offset
            if self.comparison is not None:
                compared = of_sample(self.compared(looks_and_motion.to(text.dtype)))
                mask = None if track_mask is None else of_sample(track_mask)
                counted = evidence * gate.transpose(1, 2)
                logits = logits + self.comparison(compared, words, packing, counted, mask)
            return logits, of_sample(self.to_text(descriptions))


class Comparison(nn.Module):
    """Compares the tracks of a video with each other under a sentence.

    Args:
        dim: C, width of the network.
        num_blocks: blocks of attention between tracks.
        num_heads: attention heads.
        num_pools: attention pools over the words of the sentence.
        dropout: dropout of the blocks.
    """

    def __init__(
        self, dim: int, *, num_blocks: int, num_heads: int, num_pools: int, dropout: float
    ) -> None:
        super().__init__()
        self.pool = nn.Linear(dim, num_pools, bias=False)
        self.sentence = nn.Linear(num_pools * dim, 2 * dim)
        self.word = nn.Linear(dim, dim)
        self.track_norm, self.output_norm = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.blocks = nn.ModuleList(Block(dim, num_heads, dropout) for _ in range(num_blocks))
        self.output = nn.Linear(dim, 1, bias=False)
        nn.init.normal_(self.output.weight, std=0.01)  # at first it hardly counts

    def forward(
        self,
        tracks: Tensor,
        words: Tensor,
        packing: "Packing",
        evidence: Tensor,
        track_mask: Tensor | None,
    ) -> Tensor:
        """Return what the comparison adds to the logits, (B, N).

        Args:
            tracks: (B, N, C) tracks.
            words: (K, C) words of all samples.
            packing: their places in (B, L).
            evidence: (B, N, L) logarithm of each word's probability for each track, as it counts.
            track_mask: (B, N) bool, False for padding; None: no padding.
        """
        weight = masked_softmax(packing.pad(self.pool(words)), packing.mask)  # (B, L, pools)
        sentence = (weight.transpose(1, 2) @ packing.pad(words)).flatten(1)
        gain, shift = self.sentence(sentence)[:, None].chunk(2, dim=-1)
        word = packing.pad(self.word(words))
        hidden = self.track_norm(tracks) * (1 + gain) + shift + evidence @ word
        packing = Packing(hidden.shape[:2], track_mask, hidden.device)
        rows = packing.pack(hidden)
        for block in self.blocks:
            rows = block(rows, packing)
        return packing.pad(self.output(self.output_norm(rows)))[..., 0]


class TrackEncoder(nn.Module):
    """Describes the looks and the motion of each track.

    Args:
        token_dim: D, width of an object token.
        dim: width of the network.
        match_dim: P, width of each description.
        num_heads: attention heads over frames.
        num_pools: attention pools over frames.
        num_segments: parts of the video over which changes are averaged.
        motion_gain: factor on the difference of tokens from their track's mean.
        dropout: dropout of all layers.
    """

    def __init__(
        self,
        token_dim: int,
        dim: int,
        match_dim: int,
        *,
        num_heads: int,
        num_pools: int,
        num_segments: int,
        motion_gain: float,
        dropout: float,
    ) -> None:
        super().__init__()
        self.num_segments, self.motion_gain = num_segments, motion_gain
        self.look_norm, self.dropout = nn.LayerNorm(token_dim), nn.Dropout(dropout)
        self.look = nn.Sequential(nn.Linear(token_dim, dim), nn.Linear(dim, match_dim))
        self.look_at_frames = nn.Linear(token_dim, dim)
        self.change = nn.Linear(token_dim, dim)
        self.time = nn.Linear(4 * NUM_FREQUENCIES, dim)
        self.over_frames = Block(dim, num_heads, dropout)
        self.frame_norm = nn.LayerNorm(dim)
        self.pool = nn.Linear(dim, num_pools, bias=False)  # softmax would not see a bias
        self.pooled = nn.Linear(num_pools * dim, dim)
        self.statistics = nn.Linear((num_segments + 1) * token_dim, dim)
        self.motion = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, match_dim))

    def forward(self, tokens: Tensor, frame_mask: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return descriptions (V, N, 2P) and looks (V, N, D) of object tokens (V, N, T, D).

        Looks are the normalised mean tokens.

        Args:
            tokens: object tokens.
            frame_mask: (V, T) bool, False after the end of the video; None: no padding.
        """
        num_videos, num_tracks, num_frames = tokens.shape[:3]
        if frame_mask is None:
            frame_mask = tokens.new_ones(len(tokens), num_frames, dtype=torch.bool)
        lengths = frame_mask.sum(dim=1)  # (V,)
        exists = frame_mask.repeat_interleave(num_tracks, dim=0)  # (A, T) of A = V N tracks
        tokens = tokens.flatten(0, 1)
        mean = mean_of_existing(tokens, exists)
        change = (tokens - mean[:, None]).masked_fill(~exists[..., None], 0) * self.motion_gain
        look = self.dropout(self.look_norm(mean))
        code = self.time(time_code(lengths, num_frames).to(tokens.dtype))
        hidden = 0.5 * self.look_at_frames(look)[:, None] + self.change(change)
        hidden = hidden + code.repeat_interleave(num_tracks, dim=0)
        packing = Packing(hidden.shape[:2], exists, hidden.device)
        rows = self.over_frames(packing.pack(hidden), packing)
        hidden = packing.pad(self.frame_norm(rows))
        weight = masked_softmax(self.pool(hidden), exists)
        pooled = self.pooled((weight.transpose(1, 2) @ hidden).flatten(1))
        segments = segment_weights(lengths, num_frames, self.num_segments).to(tokens.dtype)
        means = segments.repeat_interleave(num_tracks, dim=0) @ change  # (A, S, D)
        spread = mean_of_existing(change.square(), exists).clamp(min=1e-12).sqrt()
        numbers = torch.cat([means.flatten(1), spread], dim=-1)
        motion = self.motion(pooled + self.statistics(self.dropout(numbers)))
        descriptions = torch.cat([self.look(look), motion], dim=-1)
        shape = (num_videos, num_tracks)
        return descriptions.unflatten(0, shape), look.unflatten(0, shape)


class Block(nn.Module):
    """Self-attention and an MLP, each normalised before and added to its input.

    Args:
        dim: width of the tokens.
        num_heads: attention heads.
        dropout: dropout of both parts.
    """

    def __init__(self, dim: int, num_heads: int, dropout: float) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(dim) for _ in range(2))
        self.num_heads = num_heads
        self.query_key_value, self.output = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.mlp = nn.Sequential(nn.Linear(dim, 2 * dim), nn.GELU(), nn.Linear(2 * dim, dim))
        self.dropout = nn.Dropout(dropout)

    def forward(self, rows: Tensor, packing: "Packing") -> Tensor:
        """Return the tokens (K, C) of packed sets, each with what it found in its set."""
        projected = packing.pad(self.query_key_value(self.norms[0](rows)))
        query, key, value = projected.chunk(3, dim=-1)
        mixed = attend(query, key, value, packing.mask, num_heads=self.num_heads)
        rows = rows + self.dropout(self.output(packing.pack(mixed)))
        return rows + self.dropout(self.mlp(self.norms[1](rows)))


class Packing:
    """The tokens of padded sets as rows of one matrix, as most words of a batch are padding.

    Args:
        shape: (A, S), number of sets and of tokens in each with padding.
        mask: (A, S) bool, False for padding; None: no padding.
        device: device of the tokens.
    """

    def __init__(self, shape: torch.Size, mask: Tensor | None, device: torch.device) -> None:
        self.mask = torch.ones(shape, dtype=torch.bool, device=device) if mask is None else mask
        self.indices = self.mask.flatten().nonzero()[:, 0]

    def pack(self, tokens: Tensor) -> Tensor:
        """Return the K tokens of (A, S, C) that exist, (K, C)."""
        return tokens.flatten(0, 1).index_select(0, self.indices)

    def pad(self, rows: Tensor) -> Tensor:
        """Return rows (K, C) in their places of (A, S, C); padding is 0."""
        padded = rows.new_zeros(self.mask.numel(), rows.shape[-1])
        return padded.index_copy(0, self.indices, rows).unflatten(0, self.mask.shape)


def masked_softmax(weight: Tensor, mask: Tensor | None) -> Tensor:
    """Return the softmax of (A, S, K) over S, without the padding of mask (A, S); always finite."""
    if mask is not None:  # not -inf, for rows of padding alone
        weight = weight.masked_fill(~mask[..., None], torch.finfo(weight.dtype).min)
    return weight.softmax(dim=1)


def time_code(lengths: Tensor, num_frames: int) -> Tensor:
    """Return sines and cosines of the share of a video that has passed.

    Args:
        lengths: (V,) number of frames of each video.
        num_frames: T, frames with padding.

    Returns:
        (V, T, 32): fast frequencies, counted from the first frame, and slow ones from the last.
    """
    time = torch.arange(num_frames, device=lengths.device)
    share = (time / (lengths[:, None] - 1).clamp(min=1))[..., None]
    frequency = 2 ** torch.arange(NUM_FREQUENCIES, device=lengths.device) * (math.pi / 2)
    fast, slow = share * frequency, (share - 1) * frequency / 4
    return torch.cat([fast.sin(), fast.cos(), slow.sin(), slow.cos()], dim=-1)


def segment_weights(lengths: Tensor, num_frames: int, num_segments: int) -> Tensor:
    """Return the weights of the means over equal parts of videos, as ``adaptive_avg_pool1d``.

    Args:
        lengths: (V,) number of frames of each video.
        num_frames: T, frames with padding.
        num_segments: S.

    Returns:
        (V, S, T), each row with the sum 1; parts overlap where S does not divide the frames.
    """
    part = torch.arange(num_segments, device=lengths.device)
    time = torch.arange(num_frames, device=lengths.device)
    first = lengths[:, None] * part // num_segments
    end = -(-lengths[:, None] * (part + 1) // num_segments)
    is_inside = (time >= first[..., None]) & (time < end[..., None])
    return is_inside / is_inside.sum(dim=-1, keepdim=True).clamp(min=1)


def _log_of_rest(log_p: Tensor) -> Tensor:
    """Return log(1 - p) of log(p), finite also for p of 1."""
    return torch.log(-torch.expm1(log_p.clamp(max=-LEAST_LOG)))
