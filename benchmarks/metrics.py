"""Speed and exactness of J and F, compared with a plain implementation; one core, one run.

    python benchmarks/metrics.py            # videos of 480p, 720p and 1080p
    python benchmarks/metrics.py --epoch    # and a validation epoch of the size of MeViS's valid_u
    python benchmarks/metrics.py --oracle   # instead: the cost of the oracle with many tracks

The plain side compares whole frames that are already decoded: boundaries of both masks, cv2.dilate
of both with the disk, for every pair of a selection and a target. Ours starts from run lengths, so
its time includes decoding. In "alone" every selection has its own target, and nothing is shared.
"shared" has the expressions of a video as in an evaluation: different selections for the same
objects, and the same selection for different objects, but no pair twice. "dense" is
``sola.metrics.region_similarity`` and ``boundary_f_measure`` of whole masks, one pair after the
other.

Prints one table (CPU milliseconds per frame of one pair, and the largest difference of any frame's
or pair's J or F from the plain side's) and one line per figure, ``ratio <name> <value> bar
<value>``.
"""

import argparse
import math
import resource
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from sola.evaluation.oracle import best_selection, best_track
from sola.evaluation.tracks import TrackSources
from sola.evaluation.video_scorer import VideoScorer
from sola.masks import decode, encode, merge
from sola.metrics import boundary_f_measure, region_similarity
from sola.shards import ShardReader, ShardWriter
from sola.training.scoring import GRID, ValidationScorer
from sola.types import Expression, Masklet, Prompt, Tracks

SIZES = {"480p": (480, 854), "720p": (720, 1280), "1080p": (1080, 1920)}
NUM_OBJECTS, NUM_TRACKS, NUM_FRAMES = 5, 12, 16
EPOCH_VIDEOS, EPOCH_EXPRESSIONS, EPOCH_FRAMES, EPOCH_TRACKS = 50, 793, 80, 60
EPOCH_DISTINCT = 5
"""Number of videos drawn for the epoch; each is used under several names."""
EPOCH_BAR_S = 180
CORES = 2
ORACLE_VIDEOS, ORACLE_BAR_S = 3, 10
SPEED_BAR = 8.0
T = TypeVar("T")
Masks = NDArray[np.bool_]
Pair = tuple[tuple[int, ...], tuple[str, ...]]
"""Selected tracks, target objects."""


def main() -> None:
    """Run the measurements that the command line selects."""
    parser = argparse.ArgumentParser(description="speed and exactness of J and F")
    parser.add_argument("--epoch", action="store_true", help="a validation epoch too (minutes)")
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    parser.add_argument("--oracle", action="store_true", help="only what the oracle costs")
    options = parser.parse_args()
    if options.oracle:
        _measure_oracle()
        return
    print(
        f"objects {NUM_OBJECTS}, tracks {NUM_TRACKS}, frames {NUM_FRAMES}; CPU ms a frame of a pair"
    )
    print("| masks | pairs | plain | ours | times as fast | largest difference |")
    print("|---|---|---|---|---|---|")
    ratios = {name: ratio for size in SIZES for name, ratio in _measure_size(size)}
    for name, ratio in ratios.items():
        print(f"ratio {name} {ratio:.1f} bar {SPEED_BAR}")
    if options.epoch:
        _measure_epoch()


def draw_masklet(rng: np.random.Generator, size: tuple[int, int], num_frames: int) -> Masks:
    """Draw a wavy blob that drifts, (T, H, W), with a radius of 4 to 30 % of the frame's height."""
    angles = np.linspace(0, 2 * np.pi, 400, endpoint=False)
    radius = size[0] * np.exp(rng.uniform(np.log(0.04), np.log(0.3)))
    centre = rng.uniform(0.15, 0.85, 2) * size[::-1]
    speed = rng.normal(0, 0.004, 2) * size[::-1]
    waves, depths = np.array([2, 3, 5, 9, 17]), np.array([0.25, 0.15, 0.1, 0.05, 0.03])
    phases, turns = rng.uniform(0, 2 * np.pi, 5), rng.normal(0, 0.1, 5)
    masks = np.zeros((num_frames, *size), dtype=np.uint8)
    for t, mask in enumerate(masks):
        wave = np.cos(waves * angles[:, None] + phases + turns * t) @ depths
        around = np.stack([1.4 * np.cos(angles), np.sin(angles)], axis=1)
        outline = centre + speed * t + radius * (1 + wave)[:, None] * around
        cv2.fillPoly(mask, [outline.round().astype(np.int32)], 1)
    return masks.astype(bool)


def imperfect(rng: np.random.Generator, masks: Masks) -> Masks:
    """Imitate a tracker's mask: the outline is a few pixels off, in places more."""
    off = np.roll(masks, rng.integers(-3, 4, 2), axis=(1, 2))
    out = [cv2.erode(mask.view(np.uint8), np.ones((3, 3), np.uint8)) for mask in off]
    bites = draw_masklet(rng, masks.shape[1:], len(masks))
    return np.stack(out).astype(bool) & ~bites


def draw_video(
    seed: int, size: tuple[int, int], num_tracks: int, num_frames: int
) -> tuple[list[Masklet], dict[str, Masklet]]:
    """Return the tracks, those of the objects first, and the objects."""
    rng = np.random.default_rng(seed)
    objects, tracks = {}, []
    for idx in range(num_tracks):
        masks = draw_masklet(rng, size, num_frames)
        if idx < NUM_OBJECTS:
            objects[str(idx)] = encode(masks)
            masks = imperfect(rng, masks)
        tracks.append(encode(masks))
    return tracks, objects


def plain_boundary(mask: Masks) -> NDArray[np.uint8]:
    """Return DAVIS's boundary map of a whole frame."""
    right, below, diagonal = np.zeros_like(mask), np.zeros_like(mask), np.zeros_like(mask)
    right[:, :-1], below[:-1], diagonal[:-1, :-1] = mask[:, 1:], mask[1:], mask[1:, 1:]
    edges = (mask ^ right) | (mask ^ below) | (mask ^ diagonal)
    edges[-1], edges[:, -1] = mask[-1] ^ right[-1], mask[:, -1] ^ below[:, -1]
    edges[-1, -1] = False
    return edges.astype(np.uint8)


def plain_scores(preds: Masks, target: Masks) -> tuple[float, float]:
    """Return J and F of one frame by their definitions."""
    union = np.count_nonzero(preds | target)
    j = np.count_nonzero(preds & target) / union if union else 1.0
    radius = math.ceil(0.008 * math.hypot(*preds.shape))
    offsets = np.arange(-radius, radius + 1)
    disk = (offsets[:, None] ** 2 + offsets**2 <= radius**2).astype(np.uint8)
    own, true = plain_boundary(preds), plain_boundary(target)
    num_own, num_true = np.count_nonzero(own), np.count_nonzero(true)
    if num_own == 0 or num_true == 0:
        return j, float(num_own == num_true)
    precision = np.count_nonzero(own & cv2.dilate(true, disk)) / num_own
    recall = np.count_nonzero(true & cv2.dilate(own, disk)) / num_true
    if precision + recall == 0:
        return j, 0.0
    return j, 2 * precision * recall / (precision + recall)


def choose_alone() -> list[Pair]:
    """Pair each object once with its own track and another one."""
    return [((idx, idx + NUM_OBJECTS), (str(idx),)) for idx in range(NUM_OBJECTS)]


def choose_shared(rng: np.random.Generator, num_tracks: int, count: int) -> list[Pair]:
    """Return pairs of a mostly correct selector: one or two objects, a track too many."""
    pairs: dict[Pair, None] = {}
    while len(pairs) < count:
        meant = tuple(sorted(rng.choice(NUM_OBJECTS, rng.choice([1, 1, 1, 2, 3]), replace=False)))
        chosen = set(meant) if rng.random() < 0.8 else set()
        chosen |= set(rng.choice(num_tracks, rng.choice([0, 0, 1, 1, 2]), replace=False).tolist())
        pairs[tuple(sorted(int(i) for i in chosen)), tuple(str(i) for i in meant)] = None
    return list(pairs)


def _measure_size(name: str) -> Iterator[tuple[str, float]]:
    size = SIZES[name]
    tracks, objects = draw_video(len(name), size, NUM_TRACKS, NUM_FRAMES)
    shared = choose_shared(np.random.default_rng(1), NUM_TRACKS, 16)
    for kind, pairs in (("alone", choose_alone()), ("shared", shared)):
        dense = [_whole(tracks, objects, pair) for pair in pairs]
        num_frames = len(pairs) * NUM_FRAMES
        plain_s, plain = _timed(lambda dense=dense: [_plain(*pair) for pair in dense])

        def score(pairs: Sequence[Pair] = pairs) -> list[NDArray[np.float64]]:
            scorer = VideoScorer(tracks, objects)
            return [np.array(scorer.score(*pair)) for pair in pairs]

        ours_s, ours = _timed(score, repeats=3)
        difference = max(np.abs(a - b.mean(axis=0)).max() for a, b in zip(ours, plain, strict=True))
        _print_row(f"{name} {kind}", len(pairs), plain_s, ours_s, num_frames, difference)
        yield f"{kind}_{name}", plain_s / ours_s
        if kind == "alone":
            dense_s, values = _timed(lambda dense=dense: [_functional(*p) for p in dense], 3)
            difference = max(np.abs(a - b).max() for a, b in zip(values, plain, strict=True))
            _print_row(f"{name} dense", len(pairs), plain_s, dense_s, num_frames, difference)
            yield f"dense_{name}", plain_s / dense_s


def _measure_epoch() -> None:
    """Measure the validation of an epoch, with tracks and ground truth from disk or memory."""
    size = SIZES["720p"]
    with tempfile.TemporaryDirectory() as folder:
        tracks_dir = Path(folder) / "mevis" / "valid_u" / "grid" / "drawn"
        truth = _write_tracks(tracks_dir, size)
        pairs = choose_shared(np.random.default_rng(2), EPOCH_TRACKS, EPOCH_EXPRESSIONS)
        expressions = [
            Expression(f"{k % EPOCH_VIDEOS:02d}", str(k), "", objects)
            for k, (_, objects) in enumerate(pairs)
        ]
        of_video = {
            e.video_id: [o for o in expressions if o.video_id == e.video_id] for e in expressions
        }
        split: Any = SimpleNamespace(
            expressions=expressions, ground_truth=lambda v: truth[int(v) % EPOCH_DISTINCT]
        )
        scorer = ValidationScorer(TrackSources([_Renamed(tracks_dir)]), split)
        rng = np.random.default_rng(3)
        thresholds, jfs = GRID, []
        rows = [_draw_scores(rng, selected) for selected, _ in pairs]
        wall, cpu = time.perf_counter(), time.process_time()
        for expressions in of_video.values():
            of_rows = [rows[int(e.expression_id)] for e in expressions]
            curves = scorer.trace(expressions, of_rows, thresholds=thresholds)
            jfs += [[curve.at(threshold).jf for threshold in thresholds] for curve in curves]
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        print(
            f"epoch: {len(pairs)} expressions, {EPOCH_VIDEOS} videos, {EPOCH_FRAMES} frames of "
            f"720p, {EPOCH_TRACKS} tracks, {len(thresholds)} thresholds, one process: "
            f"{wall:.1f} s, {cpu:.1f} s of CPU"
        )
        oracle_s = _measure_oracle_of_run(scorer, of_video)
    print(f"peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.1f} GiB")
    print(f"ratio epoch_cpu_seconds_over_cores {cpu / CORES:.1f} bar {EPOCH_BAR_S}")
    print(f"ratio epoch_seconds {wall:.1f} bar {EPOCH_BAR_S}")
    print(
        f"ratio first_epoch_cpu_seconds_over_cores {(cpu + oracle_s) / CORES:.1f} bar {EPOCH_BAR_S}"
    )


def _draw_scores(rng: np.random.Generator, selected: Sequence[int]) -> NDArray[np.float32]:
    """Draw scores (N,) of a trained selector: mostly confident; one other in four is above 0.05."""
    logits = rng.normal(-4, 1.5, EPOCH_TRACKS)
    logits[list(selected)] = rng.normal(2, 1.5, len(selected))
    return (1 / (1 + np.exp(-logits))).astype(np.float32)


def _measure_oracle_of_run(
    scorer: ValidationScorer, of_video: dict[str, list[Expression]]
) -> float:
    """Return the CPU seconds that the oracle of a run takes."""
    start = time.process_time()
    found = [scorer.oracle(e) for expressions in of_video.values() for e in expressions]
    seconds, num_found = time.process_time() - start, sum(score is not None for score in found)
    print(f"oracle, once a run: {seconds:.1f} s of CPU, {num_found} of {len(found)} expressions")
    return seconds


def _measure_oracle() -> None:
    """Find the best selection and track for a video's objects, singly and together."""
    together = [("0", "1"), ("2", "4"), ("1", "2", "3"), ("0", "1", "2", "3", "4")]
    targets = [*((str(idx),) for idx in range(NUM_OBJECTS)), *together]
    print(f"oracle: {EPOCH_TRACKS} tracks, {EPOCH_FRAMES} frames of 720p, {len(targets)} targets")
    spent = []
    for seed in range(ORACLE_VIDEOS):
        scorer = VideoScorer(*draw_video(seed, SIZES["720p"], EPOCH_TRACKS, EPOCH_FRAMES))
        searches = {"best selection": best_selection, "best track": best_track}
        for name, search in searches.items():
            seconds = [_timed(partial(search, scorer, t, range(EPOCH_TRACKS)))[0] for t in targets]
            print(f"video {seed}, {name}: {sum(seconds):.1f} s of CPU, {max(seconds):.1f} at most")
            spent += [sum(seconds)]
        print(f"video {seed}: {len(scorer._scores)} selections scored", flush=True)
    print(f"ratio oracle_cpu_seconds_a_video {sum(spent) / ORACLE_VIDEOS:.1f} bar {ORACLE_BAR_S}")


class _Renamed(ShardReader):
    """The few drawn videos under many names."""

    def read(self, video_id: str, expression_id: str = "") -> Tracks:
        return super().read(str(int(video_id) % EPOCH_DISTINCT), expression_id)


def _write_tracks(tracks_dir: Path, size: tuple[int, int]) -> list[dict[str, Masklet]]:
    """Write shards; return the objects of every drawn video."""
    writer = ShardWriter(tracks_dir, {"source": "grid", "token_dim": 4})
    writer.start()
    truth = []
    for seed in range(EPOCH_DISTINCT):
        tracks, objects = draw_video(seed, size, EPOCH_TRACKS, EPOCH_FRAMES)
        truth.append(objects)
        writer.stage(
            Tracks(
                video_id=str(seed),
                expression_id="",
                object_tokens=np.zeros((len(tracks), EPOCH_FRAMES, 4), np.float32),
                object_scores=np.zeros((len(tracks), EPOCH_FRAMES), np.float32),
                masklets=tuple(tracks),
                prompts=tuple(Prompt(0, track[0], 0, "grid") for track in tracks),
                size=size,
            )
        )
    writer.finish([(str(seed), "") for seed in range(EPOCH_DISTINCT)])
    return truth


def _whole(
    tracks: Sequence[Masklet], objects: dict[str, Masklet], pair: Pair
) -> tuple[Masks, Masks]:
    selected, meant = pair
    target = decode(merge([objects[name] for name in meant]))
    preds = decode(merge([tracks[i] for i in selected])) if selected else np.zeros_like(target)
    return preds, target


def _plain(preds: Masks, target: Masks) -> NDArray[np.float64]:
    return np.array([plain_scores(p, t) for p, t in zip(preds, target, strict=True)])


def _functional(preds: Masks, target: Masks) -> NDArray[np.float64]:
    masks = torch.from_numpy(preds), torch.from_numpy(target)
    return torch.stack([region_similarity(*masks), boundary_f_measure(*masks)], dim=-1).numpy()


def _timed(function: Callable[[], T], repeats: int = 1) -> tuple[float, T]:
    """Return CPU seconds, the minimum of some runs, and the result."""
    best = math.inf
    for _ in range(repeats):
        start = time.process_time()
        value = function()
        best = min(best, time.process_time() - start)
    return best, value


def _print_row(
    name: str, num_pairs: int, plain_s: float, ours_s: float, num_frames: int, difference: float
) -> None:
    print(
        f"| {name} | {num_pairs} | {1e3 * plain_s / num_frames:.2f} "
        f"| {1e3 * ours_s / num_frames:.3f} | {plain_s / ours_s:.1f} | {difference:.1e} |",
        flush=True,
    )


if __name__ == "__main__":
    main()
