"""Speed and bytes read of loading training samples, compared with the published layout.

    python benchmarks/loading.py

Both sides read the same random tracks: 64 tracks of 80 frames and 14 expressions per video. The
plain loader reads two files per track (.npy and JSON, with masks of 480p, which it does not use)
for one expression at a time. Ours is the DataLoader of training in one process, without workers,
over shards with float16 and with float32 tokens; it also returns text tokens. Time is CPU time of
the process with all files in the page cache; bytes are those that the process read (``rchar`` of
/proc/self/io). Labels and text tokens are read in the first epoch and cached, so the first epoch is
printed separately; the ratios ``ratio loading_<what> <value> bar <value>`` are of later epochs:
speed at least the bar, bytes at most. Samples are shuffled in windows of four videos.
"""

import argparse
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from random_tracks import open_data, read_published, write_data

from sola.types import Expression

WAYS = {"by_video": True, "one_at_a_time": False}
SPEED_BARS = {"by_video": 10.0, "one_at_a_time": 4.0}
BYTES_BARS = {"float16": 0.4, "float32": 0.7}
WINDOW = 4
"""Videos per window, fewer than all, as with a real data set."""


@dataclass(frozen=True)
class Cost:
    """Cost of one expression."""

    seconds: float
    num_bytes: float

    def __str__(self) -> str:
        return f"{1 / self.seconds:.1f} expressions/s, {self.num_bytes / 2**20:.2f} MiB each"


def main() -> None:
    """Measure the plain loader, then ours with both groupings and both data types."""
    options = _parse_arguments()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        expressions = write_data(folder, options.videos, tuple(BYTES_BARS))
        order = torch.randperm(len(expressions)).tolist()[: options.plain]
        _measure(_plain(folder, expressions, order))  # into the page cache
        plain = _measure(_plain(folder, expressions, order))
        print(f"plain: {plain}")
        for dtype in BYTES_BARS:
            for way in WAYS:
                _compare(folder, expressions, dtype, way, plain, options.epochs)


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="loading of samples against a plain loader")
    parser.add_argument("--videos", type=int, default=16)
    parser.add_argument("--plain", type=int, default=56, help="expressions of the plain loader")
    parser.add_argument("--epochs", type=int, default=3, help="of ours, after the first")
    return parser.parse_args()


def _compare(
    folder: Path, expressions: list[Expression], dtype: str, way: str, plain: Cost, epochs: int
) -> None:
    data = open_data(folder, expressions, dtype, by_video=WAYS[way], window=WINDOW)
    loader = data.train_dataloader()
    first = _measure(len(batch.expressions) for batch in loader)
    later = _measure(len(batch.expressions) for _ in range(epochs) for batch in loader)
    print(f"{way}, {dtype}: {later}; in the first epoch {first}")
    speed = plain.seconds / later.seconds
    print(f"ratio loading_speed_{way}_{dtype} {speed:.2f} bar {SPEED_BARS[way]:.2f}")
    size = later.num_bytes / plain.num_bytes
    print(f"ratio loading_bytes_{way}_{dtype} {size:.3f} bar {BYTES_BARS[dtype]:.2f}")
    sample = data.train_sets[0][0]
    tokens, labels = read_published(folder, sample.expressions[0])
    assert torch.equal(sample.tokens, tokens), "the two sides have other tracks"
    assert torch.equal(sample.labels[0], labels.bool()), "the two sides have other labels"


def _plain(folder: Path, expressions: list[Expression], order: list[int]) -> Iterable[int]:
    for idx in order:
        tokens, labels = read_published(folder, expressions[idx])
        assert len(tokens) == len(labels)
        yield 1


def _measure(batches: Iterable[int]) -> Cost:
    """Measure the cost of batches, each given as its number of expressions."""
    num_bytes, seconds = _bytes_read(), time.process_time()
    count = sum(batches)
    seconds = time.process_time() - seconds
    return Cost(seconds / count, (_bytes_read() - num_bytes) / count)


def _bytes_read() -> int:
    """Return the bytes that this process has read so far, from files or the page cache."""
    fields = Path("/proc/self/io").read_text().split()
    return int(fields[fields.index("rchar:") + 1])


if __name__ == "__main__":
    main()
