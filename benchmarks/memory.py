"""Peak memory of tracking a long video, compared with a short one.

    python benchmarks/memory.py                           # 2,000 frames against 200, some minutes
    python benchmarks/memory.py --frames 400 --short 100

The small tracker tracks 16 objects in groups of four, with its own budget for image features. Each
video is tracked in its own process. Peak memory is the process's peak resident set without the
output (tokens and run-length codes). Prints ``ratio <name> <value> bar <value>``; less is better.
"""

import argparse
import json
import resource
import subprocess
import sys
from collections.abc import Sequence

import numpy as np

OBJECTS, GROUP_SIZE = 16, 4
MIB = 2**20


class DrawnFrames(Sequence[np.ndarray]):
    """Frames of discs on circular paths, each drawn when it is read."""

    def __init__(self, num_frames: int, size: int) -> None:
        self.num_frames, self.size = num_frames, size

    def __len__(self) -> int:
        return self.num_frames

    def __getitem__(self, frame_idx: int) -> np.ndarray:  # type: ignore[override]  # no slices
        if not 0 <= frame_idx < self.num_frames:
            raise IndexError(frame_idx)
        frame = np.full((self.size, self.size, 3), 90, np.uint8)
        for number in range(OBJECTS):
            frame[self.mask(number, frame_idx)] = (250 - 12 * number, 15 * number, 80)
        return frame

    def mask(self, number: int, frame_idx: int) -> np.ndarray:
        """Return the mask of one object, (H, W) bool."""
        angle = frame_idx / 40 + number
        y = (number // 4 + 0.5) * self.size / 4 + 6 * np.sin(angle)
        x = (number % 4 + 0.5) * self.size / 4 + 6 * np.cos(angle)
        rows, columns = np.ogrid[: self.size, : self.size]
        inside: np.ndarray = (rows - y) ** 2 + (columns - x) ** 2 < (self.size / 14) ** 2
        return inside


def main() -> None:
    """Measure both videos, each in its own process."""
    parser = argparse.ArgumentParser(description="peak memory of a long and of a short video")
    parser.add_argument("--frames", type=int, default=2000)
    parser.add_argument("--short", type=int, default=200)
    parser.add_argument("--measure", type=int, help="track so many frames and print the figures")
    options = parser.parse_args()
    if options.measure is not None:
        print(json.dumps(_measure(options.measure)))
        return
    peaks = []
    for num_frames in (options.short, options.frames):
        command = [sys.executable, __file__, "--measure", str(num_frames)]
        answer = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        figures = json.loads(answer.splitlines()[-1])
        peaks.append(figures["peak_mib"] - figures["output_mib"])
        print(f"{num_frames} frames: {figures}")
    print(f"ratio long_video_memory {peaks[1] / peaks[0]:.2f} bar 1.30")


def _measure(num_frames: int) -> dict[str, float]:
    """Return the peak resident set and the size of the output, in MiB."""
    import torch

    from sola.config import compose

    torch.set_num_threads(1)
    tracker = compose("generate", ["split=train", "paths.output_dir=."]).tracker
    tracker.load(torch.device("cpu"), 0)
    frames = DrawnFrames(num_frames, 128)
    session = tracker.open(frames)
    results = []
    for start in range(0, OBJECTS, GROUP_SIZE):
        masks = [frames.mask(number, 0) for number in range(start, start + GROUP_SIZE)]
        results.append(session.propagate(0, np.stack(masks)))
    num_bytes = sum(result.object_tokens.nbytes + result.object_scores.nbytes for result in results)
    codes = [code for result in results for masklet in result.masklets for code in masklet]
    num_bytes += sum(sys.getsizeof(code) + sys.getsizeof(code["counts"]) for code in codes)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"peak_mib": round(peak / MIB, 1), "output_mib": round(num_bytes / MIB, 1)}


if __name__ == "__main__":
    main()
