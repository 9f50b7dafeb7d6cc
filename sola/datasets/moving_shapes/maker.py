"""Write splits of moving_shapes to disk in the layout of MeViS."""

import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from sola.checks import at_least, between, one_of
from sola.datasets.meta import FRAMES_DIR
from sola.datasets.mevis import MASKS_FILE, META_FILE
from sola.datasets.moving_shapes.expressions import Sentence, make_sentences
from sola.datasets.moving_shapes.relations import SCENE_SETTINGS, make_relation_sentences
from sola.datasets.moving_shapes.scene import Scene, SceneSettings, make_scene
from sola.datasets.moving_shapes.wording import KNOWN, WORDINGS, reword
from sola.errors import UserError, did_you_mean
from sola.masks import encode
from sola.types import RunLength

SETTINGS_FILE = "moving_shapes.json"
MIN_VISIBLE_SHARE = 0.004
"""Share of a frame that an object must cover to count as visible on it."""
MIN_VISIBLE_FRAMES = 0.4
"""Share of the frames on which an object must be visible for a sentence to refer to it."""
FIRST_TRACKER_SEED = 10_000_000
"""Scenes of this seed and above trained the small tracker."""
DESCRIPTIONS, RELATIONS = "descriptions", "relations"
LATER_SETTINGS: dict[str, Any] = {"rewordings": {}, "sentences": DESCRIPTIONS}
"""Values of settings that SETTINGS_FILE omits, as in splits made before these settings existed."""


@dataclass(frozen=True)
class Maker:
    """Settings and writer of synthetic videos."""

    num_videos: dict[str, int]
    """Number of videos per split."""
    first_seed: dict[str, int]
    """Seed of a split's first video; video k uses first_seed + k. Splits must not overlap."""
    num_frames: int = 16
    """Number of frames per video."""
    frame_size_px: int = 128
    """Height and width of a frame."""
    min_objects: int = 2
    """Smallest number of shapes per video."""
    max_objects: int = 6
    """Largest number of shapes per video."""
    expressions_per_video: int = 12
    """Largest number of sentences per video."""
    rewordings: dict[str, dict[str, int]] = field(default_factory=dict)
    """Split -> wording -> number of times that each sentence is said again in that wording."""
    sentences: str = DESCRIPTIONS
    """descriptions (of single objects) or relations (between objects, in scenes made for these).
    Relations are not reworded."""
    jpeg_quality: int = 90
    """JPEG quality of the frames on disk: 1 (small files) to 100."""

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            UserError: if one is out of range, or splits share seeds.
        """
        for name in ("num_frames", "frame_size_px", "min_objects", "expressions_per_video"):
            at_least(1, **{name: getattr(self, name)})
        at_least(self.min_objects, max_objects=self.max_objects)
        between(1, 100, jpeg_quality=self.jpeg_quality)
        one_of((DESCRIPTIONS, RELATIONS), sentences=self.sentences)
        first = self.first_seed
        if set(self.num_videos) != set(first):
            raise UserError(f"num_videos: must name the splits of first_seed, {[*first]}.")
        at_least(1, **{f"num_videos.{split}": count for split, count in self.num_videos.items()})
        at_least(0, **{f"first_seed.{split}": seed for split, seed in first.items()})
        for split, counts in self.rewordings.items():
            if split not in first or not set(counts) <= set(WORDINGS):
                raise UserError(
                    f"rewordings.{split}: must be a split of first_seed with wordings among "
                    f"{', '.join(WORDINGS)}, got {counts}."
                )
            at_least(0, **{f"rewordings.{split}.{name}": count for name, count in counts.items()})
        taken, owner = FIRST_TRACKER_SEED, ""
        for split in sorted(first, key=first.__getitem__, reverse=True):
            if first[split] + self.num_videos[split] > taken:
                raise UserError(
                    f"first_seed.{owner or split}: the seeds of {split} overlap those of "
                    f"{owner or 'the training of the small tracker'}. Choose another first_seed."
                )
            taken, owner = first[split], split

    def write(self, root: Path, split: str) -> bool:
        """Write one split, unless it exists with the same settings.

        The split appears under its final name only once it is complete.

        Args:
            root: folder of the data set; the split goes to ``root / split``.
            split: one of ``num_videos``.

        Returns:
            Whether the split was written.

        Raises:
            UserError: if the split is not configured, or exists with other settings.
        """
        if split not in self.num_videos:
            hint = did_you_mean(split, sorted(self.num_videos))
            raise UserError(f"split={split}: unknown split of {root}.{hint}")
        final_dir, first, count = root / split, self.first_seed[split], self.num_videos[split]
        settings = {**asdict(self), "num_videos": count, "first_seed": first}
        settings["rewordings"] = rewordings = self.rewordings.get(split, {})
        if final_dir.exists():
            path = final_dir / SETTINGS_FILE
            found = LATER_SETTINGS | (json.loads(path.read_text()) if path.is_file() else {})
            for key, value in settings.items():
                if (found.get(key) or {}) != (value or {}):
                    raise UserError(
                        f"{final_dir}: made with {key}={found.get(key)}, this run requests "
                        f"{value}. Choose another dataset.name or data_root, or move the folder."
                    )
            return False
        staging_dir = root / f".{split}.{os.getpid()}"
        shutil.rmtree(staging_dir, ignore_errors=True)
        self._write_videos(staging_dir, range(first, first + count), rewordings)
        written = {
            key: value
            for key, value in settings.items()
            if key not in LATER_SETTINGS or value != LATER_SETTINGS[key]
        }
        (staging_dir / SETTINGS_FILE).write_text(json.dumps(written, indent=1))
        staging_dir.rename(final_dir)
        return True

    def _write_videos(
        self, split_dir: Path, seeds: Iterable[int], rewordings: Mapping[str, int]
    ) -> None:
        meta: dict[str, Any] = {}
        masks: dict[str, list[RunLength | None]] = {}
        size, least, most = self.frame_size_px, self.min_objects, self.max_objects
        special = SCENE_SETTINGS if self.sentences == RELATIONS else {}
        settings = SceneSettings(self.num_frames, size, least, most, **special)
        for seed in seeds:
            scene, video_id = make_scene(seed, settings), f"shapes_{seed:08d}"
            meta[video_id] = {
                "frames": [f"{frame_idx:05d}" for frame_idx in range(len(scene.frames))],
                "expressions": self._expressions(scene, len(masks), seed, rewordings),
            }
            for masklet in scene.masks:
                pairs = zip(encode(masklet), masklet.any(axis=(1, 2)), strict=True)
                masks[str(len(masks))] = [code if is_there else None for code, is_there in pairs]
            _write_frames(scene.frames, split_dir / FRAMES_DIR / video_id, self.jpeg_quality)
        (split_dir / META_FILE).write_text(json.dumps({"videos": meta}))
        (split_dir / MASKS_FILE).write_text(json.dumps(masks))

    def _expressions(
        self, scene: Scene, first_id: int, seed: int, rewordings: Mapping[str, int]
    ) -> dict[str, dict[str, Any]]:
        shares = scene.masks.mean(axis=(2, 3))  # (G, T)
        is_visible = (shares > MIN_VISIBLE_SHARE).mean(axis=1) >= MIN_VISIBLE_FRAMES
        count, rng = self.expressions_per_video, np.random.default_rng((seed, 1))
        if self.sentences == RELATIONS:
            sentences = make_relation_sentences(scene, is_visible.tolist(), count, rng)
        else:
            sentences = make_sentences(scene.objects, is_visible.tolist(), count, rng)
        by_text = {sentence.text: sentence for sentence in sentences}
        for sentence in _reword(sentences, rewordings, seed):
            by_text.setdefault(sentence.text, sentence)
        return {
            str(idx): {
                "exp": sentence.text,
                "obj_id": list(sentence.object_indices),
                "anno_id": [first_id + k for k in sentence.object_indices],
                "kind": sentence.kind,
            }
            for idx, sentence in enumerate(by_text.values())
        }


def _reword(
    sentences: Iterable[Sentence], rewordings: Mapping[str, int], seed: int
) -> Iterator[Sentence]:
    """Yield the sentences in other words; wordings that training lacks become part of the kind."""
    rng = np.random.default_rng((seed, 2))
    for wording, count in rewordings.items():
        for sentence in (each for each in sentences if each.descriptions for _ in range(count)):
            said = sentence.descriptions
            is_plural = len(said) == 1 and len(sentence.object_indices) > 1
            text = reword(said, rng, wording, is_plural=is_plural)
            kind = sentence.kind if wording == KNOWN else f"{sentence.kind}, {wording}"
            yield sentence._replace(text=text, kind=kind)


def _write_frames(frames: np.ndarray, folder: Path, quality: int) -> None:
    folder.mkdir(parents=True)
    for frame_idx, frame in enumerate(frames):
        path = folder / f"{frame_idx:05d}.jpg"
        bgr = cv2.cvtColor(frame, cv2.COLOR_RGB2BGR)
        if not cv2.imwrite(str(path), bgr, [cv2.IMWRITE_JPEG_QUALITY, quality]):
            raise UserError(f"{path}: could not be written. Is the disk full?")
