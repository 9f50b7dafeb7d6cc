"""Helpers of the training benchmarks: random tracks at the paper's sizes, as shards and files.

Each video has 64 tracks of 80 frames and 14 expressions of 14 text tokens. Object tokens are bf16
values rounded to float16, so shards of float16 and of float32 hold the same; masks are of 480p.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from sola.masks import encode
from sola.metrics import mean_iou
from sola.published.importing import MASKLETS_DIR, TOKENS_DIR
from sola.shards import ShardReader, ShardWriter
from sola.text import TextEncoder, TextTokens
from sola.training.data import SelectorDataModule
from sola.training.samples import LabelledTracks, SelectionDataset
from sola.types import Expression, Labels, Masklet, Prompt, Tracks

NUM_TRACKS, NUM_FRAMES, NUM_EXPRESSIONS, TEXT_LENGTH = 64, 80, 14, 14
TOKEN_DIM, TEXT_DIM, SIZE = 256, 1024, (480, 854)
LABEL_IOU = 0.7
AREA_SHARES = (0.002, 0.3)
"""Share of the frame of the smallest and the largest object; log-uniform in between."""
WAVINESS, NUM_HARMONICS = 0.4, 12
"""Shape of outlines: codes have some 400 bytes (in MeViS, with larger frames, 700)."""
_NO_ENCODER = TextEncoder("random", str(Path(__file__).parent), TEXT_DIM)
"""Never used, as all texts are in the cache."""
ABSENT_SHARE = 0.1
"""Share of the frames, at the end of the video, on which objects are absent."""


def write_data(
    folder: Path, num_videos: int, token_dtypes: Sequence[str] = ("float32",)
) -> list[Expression]:
    """Write equal tracks as shards of each type and in the published layout; cache text tokens.

    Returns:
        The expressions of all videos.
    """
    rng = np.random.default_rng(0)
    masklets = [_masklet(share, rng) for share in np.geomspace(*AREA_SHARES, NUM_TRACKS)]
    names = {"dataset": "random", "split": "train", "source": "grid", "tracker": "none"}
    description = {**names, "token_dim": TOKEN_DIM, "checkpoint_sha256": "none"}
    video_ids = [f"v{number}" for number in range(num_videos)]
    writers = [
        ShardWriter(folder / name, description | {"token_dtype": name}) for name in token_dtypes
    ]
    for writer in writers:
        writer.start()
    for video_id in video_ids:
        tracks = _random_tracks(video_id, masklets, rng)
        for writer in writers:
            writer.stage(tracks)
    for writer in writers:
        writer.finish([(video_id, "") for video_id in video_ids])
    _write_published(ShardReader(folder / token_dtypes[0]), folder / "published")
    expressions = [
        Expression(video_id, str(number), f"{video_id} {number}", (f"o{number}",))
        for video_id in video_ids
        for number in range(NUM_EXPRESSIONS)
    ]
    shape = (TEXT_LENGTH, TEXT_DIM)
    tokens = {e.text: rng.standard_normal(shape, dtype=np.float32) for e in expressions}
    TextTokens(folder / "text", _NO_ENCODER).add(tokens)
    return expressions


def open_data(
    folder: Path,
    expressions: list[Expression],
    token_dtype: str = "float32",
    *,
    by_video: bool = False,
    max_tokens: int | None = None,
    window: int = 32,
) -> SelectorDataModule:
    """Open the shards of one type, as training does."""
    rule: dict[str, Any] = {"label_iou": LABEL_IOU, "empty_frames": "count"}
    tracks = LabelledTracks([ShardReader(folder / token_dtype)], **rule, keep=window)
    samples = SelectionDataset(
        expressions,
        tracks,
        TextTokens(folder / "text", _NO_ENCODER),
        by_video=by_video,
        max_tokens=max_tokens,
    )
    return SelectorDataModule([samples], samples, max_tokens=max_tokens, window=window)


def read_published(folder: Path, expression: Expression) -> tuple[torch.Tensor, torch.Tensor]:
    """Read tokens (N, T, D) and labels (N,) from two files per track."""
    assert expression.object_ids is not None
    tokens, labels = [], []
    for path in sorted((folder / "published" / MASKLETS_DIR / expression.video_id).glob("*.json")):
        ious = json.loads(path.read_text())["iou"]
        labels.append(float(max(ious[name] for name in expression.object_ids) > LABEL_IOU))
        tokens_dir = folder / "published" / TOKENS_DIR / expression.video_id
        tokens.append(np.load(tokens_dir / f"{path.stem}.npy"))
    return torch.from_numpy(np.stack(tokens)), torch.tensor(labels)


def _masklet(area_share: float, rng: np.random.Generator) -> Masklet:
    """Draw a wavy shape that moves and deforms, and is absent at the end."""
    order = np.arange(2, NUM_HARMONICS + 2)
    angles = np.linspace(0, 2 * np.pi, 720, endpoint=False)[:, None]
    waves = rng.normal(size=NUM_HARMONICS) * WAVINESS / order
    phases = rng.uniform(0, 2 * np.pi, NUM_HARMONICS)
    turns = rng.normal(size=NUM_HARMONICS) * 0.05
    start, speed_px = rng.uniform(0.2, 0.8, 2) * SIZE[::-1], rng.normal(size=2) * 2
    directions = np.concatenate([np.cos(angles), np.sin(angles)], axis=1)
    frames = np.zeros((NUM_FRAMES, *SIZE), np.uint8)
    for frame_idx in range(round(NUM_FRAMES * (1 - ABSENT_SHARE))):
        outline = 1 + np.cos(angles * order + phases + turns * frame_idx) @ waves
        radii_px = outline * np.sqrt(area_share * np.prod(SIZE) / np.pi / (outline**2).mean())
        points = start + speed_px * frame_idx + directions * radii_px[:, None]
        cv2.fillPoly(frames[frame_idx], [points.round().astype(np.int32)], 1)
    return encode(frames.astype(bool))


def _random_tracks(video_id: str, masklets: list[Masklet], rng: np.random.Generator) -> Tracks:
    """Make random tracks; by its labels, track n matches object n % 14 exactly."""
    shape = (NUM_TRACKS, NUM_FRAMES)
    is_own = np.arange(NUM_TRACKS)[:, None] % NUM_EXPRESSIONS == np.arange(NUM_EXPRESSIONS)
    area = np.full(shape, 1000, np.int32)
    tokens = torch.from_numpy(rng.standard_normal((*shape, TOKEN_DIM), dtype=np.float32))
    return Tracks(
        video_id=video_id,
        expression_id="",
        object_tokens=tokens.bfloat16().half().float().numpy(),
        object_scores=np.ones(shape, np.float32),
        masklets=tuple(masklets),
        prompts=tuple(Prompt(0, masklet[0], 1000, "grid") for masklet in masklets),
        size=SIZE,
        labels=Labels(
            object_ids=tuple(f"o{number}" for number in range(NUM_EXPRESSIONS)),
            intersections=area[:, None] * is_own[:, :, None].astype(np.int32),
            track_areas=area,
            object_areas=area[:NUM_EXPRESSIONS],
        ),
    )


def _write_published(reader: ShardReader, split_dir: Path) -> None:
    """Write the tracks as the published code's files."""
    for video_id in reader.videos:
        folders = [split_dir / name / video_id for name in (MASKLETS_DIR, TOKENS_DIR)]
        for folder in folders:
            folder.mkdir(parents=True)
        tracks = reader.read(video_id)
        assert isinstance(tracks.labels, Labels)
        iou = mean_iou(tracks.labels, "count")
        for idx, masklet in enumerate(tracks.masklets):
            content = {"anno_id": idx, "rle": masklet, "prompt_type": "SAM2 AMG MASK"}
            overlaps = dict(zip(tracks.labels.object_ids, iou[idx].tolist(), strict=True))
            content["iou"] = overlaps
            (folders[0] / f"{idx:05d}.json").write_text(json.dumps(content))
            np.save(folders[1] / f"{idx:05d}.npy", tracks.object_tokens[idx])
