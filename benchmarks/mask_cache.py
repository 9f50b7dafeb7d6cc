"""Time and memory to parse a mask_dict.json as large as that of MeViS train, and to read a video.

    python benchmarks/mask_cache.py                    # 411 MB, 8171 objects: about a minute
    python benchmarks/mask_cache.py --megabytes 20

The file is synthetic: a bank of drawn masks of 1280 x 720 px, in videos of about 80 frames and five
objects, with every tenth mask null. Parsing for the index is compared with json.load of the whole
file. Each side runs in its own process; its memory is the growth of the peak resident set (VmHWM)
during parsing. All ratios are ours over the bar's unit: less is better.

    mask_cache_memory        peak memory of parsing, over the size of the file
    mask_cache_parse_time    time of parsing, over that of json.load
    mask_cache_video_time    median time of one video's ground truth, over 10 ms
    mask_cache_start_time    time to open the split and its hashes with an index, over 1 s
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any, TextIO

SIZE = (720, 1280)
MEGABYTES = 411
NUM_OBJECTS = 8171
OBJECTS_PER_VIDEO = 5
MEAN_FRAMES = 80
NULL_SHARE = 0.1
BANK_SIZE = 400
NUM_VIDEOS_TIMED = 200
MIB = 2**20


def main() -> None:
    """Write the file, then measure every part in its own process."""
    parser = argparse.ArgumentParser(description="mask_dict.json: parsing and reading")
    parser.add_argument("--megabytes", type=float, default=MEGABYTES, help="size of the file")
    parser.add_argument("--root", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.part:
        print(json.dumps(PARTS[arguments.part](arguments.root, arguments.megabytes)))
        return
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        found = {part: _run(part, root, arguments.megabytes) for part in PARTS}
    _report(found)


def _run(part: str, root: Path, megabytes: float) -> dict[str, float]:
    command = [sys.executable, __file__, "--part", part, "--root", str(root)]
    command += ["--megabytes", str(megabytes)]
    found: dict[str, float] = json.loads(subprocess.check_output(command))
    return found


def _report(found: dict[str, dict[str, float]]) -> None:
    num_bytes = found["write"]["num_bytes"]
    print(
        f"file      {num_bytes / 1e6:.0f} MB, {found['write']['num_objects']:.0f} objects, "
        f"{found['write']['num_masks']:.0f} masks"
    )
    for part in ("load", "parse"):
        seconds, memory = found[part]["seconds"], found[part]["memory"]
        print(f"{part:9} {seconds:.2f} s, {memory / MIB:.0f} MiB at the peak")
    video = found["video"]
    print(f"index     {video['index_bytes'] / MIB:.2f} MiB; start with it {video['start_s']:.3f} s")
    print(
        f"video     {1000 * video['median_s']:.2f} ms (median of {video['num_videos']:.0f}), "
        f"{1000 * video['max_s']:.2f} ms at most"
    )
    print()
    for name, value, bar in (
        ("memory", found["parse"]["memory"] / num_bytes, 2.0),
        ("parse_time", found["parse"]["seconds"] / found["load"]["seconds"], 2.0),
        ("video_time", video["median_s"] / 0.01, 1.0),
        ("start_time", video["start_s"], 1.0),
    ):
        print(f"ratio mask_cache_{name} {value:.3f} bar {bar:.2f}")


def _write(root: Path, megabytes: float) -> dict[str, float]:
    """Write a split in the layout of MeViS, with one frame per video."""
    from PIL import Image

    rng = random.Random(0)
    folder = root / "mevis" / "train"
    folder.mkdir(parents=True)
    frame_path = folder / "frame.jpg"
    Image.new("RGB", SIZE[::-1]).save(frame_path)
    num_objects = max(OBJECTS_PER_VIDEO, round(NUM_OBJECTS * megabytes / MEGABYTES))
    bank = _mask_bank(megabytes * 1e6 / num_objects / MEAN_FRAMES / (1 - NULL_SHARE))
    videos: dict[str, Any] = {}
    num_masks = 0
    with (folder / "mask_dict.json").open("w") as file:
        file.write("{")
        for first in range(0, num_objects, OBJECTS_PER_VIDEO):
            ids = list(range(first, min(first + OBJECTS_PER_VIDEO, num_objects)))
            num_frames = max(2, round(rng.gauss(MEAN_FRAMES, 25)))
            for object_id in ids:
                _write_object(file, object_id, num_frames, bank, rng)
            num_masks += num_frames * len(ids)
            frames = [f"{idx:05d}" for idx in range(num_frames)]
            expressions = {str(i): {"exp": "it", "anno_id": [one]} for i, one in enumerate(ids)}
            video_id = f"video{first:05d}"
            videos[video_id] = {"frames": frames, "expressions": expressions}
            (folder / "JPEGImages" / video_id).mkdir(parents=True)
            (folder / "JPEGImages" / video_id / "00000.jpg").hardlink_to(frame_path)
        file.write("}")
    (folder / "meta_expressions.json").write_text(json.dumps({"videos": videos}))
    num_bytes = (folder / "mask_dict.json").stat().st_size
    return {"num_bytes": num_bytes, "num_objects": num_objects, "num_masks": num_masks}


def _write_object(
    file: TextIO, object_id: int, num_frames: int, bank: list[str], rng: random.Random
) -> None:
    masks = ["null" if rng.random() < NULL_SHARE else rng.choice(bank) for _ in range(num_frames)]
    file.write(f'{", " if object_id else ""}"{object_id}": [{", ".join(masks)}]')


def _mask_bank(mean_bytes: float) -> list[str]:
    """Return masks as JSON, with outlines so rough that codes have the wanted mean length."""
    import cv2
    import numpy as np

    from sola.masks import encode

    rng, bank, scale = np.random.default_rng(0), [], 1.0
    angles = np.linspace(0, 2 * np.pi, 120, endpoint=False)
    while len(bank) < BANK_SIZE:
        radius = scale * rng.uniform(40, 200)
        radii = radius * (1 + 0.1 * rng.standard_normal(len(angles)))
        outline = np.stack([np.cos(angles), np.sin(angles)], 1) * radii[:, None]
        outline += rng.uniform((300, 200), (980, 520))
        mask = np.zeros(SIZE, np.uint8)
        cv2.fillPoly(mask, [np.rint(outline).astype(np.int32)], 1)
        bank.append(json.dumps(encode(mask[None])[0]))
        mean_so_far = sum(map(len, bank)) / len(bank)
        scale *= (mean_bytes / mean_so_far) ** 0.1  # towards the wanted length
    return bank


def _load(root: Path, megabytes: float) -> dict[str, float]:
    """Parse with the standard library, which keeps everything in memory."""
    before, start = _resident_bytes("VmRSS"), time.perf_counter()
    with (root / "mevis" / "train" / "mask_dict.json").open() as file:
        content = json.load(file)
    seconds = time.perf_counter() - start
    assert content
    return {"seconds": seconds, "memory": _resident_bytes("VmHWM") - before}


def _parse(root: Path, megabytes: float) -> dict[str, float]:
    """Parse as at the first start, including the hash of the file."""
    from sola.datasets.mevis import MeViS

    split = MeViS(root / "mevis", "train", cache_dir=root / "cache")
    before, start = _resident_bytes("VmRSS"), time.perf_counter()
    assert split.mask_dict.sha256
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "memory": _resident_bytes("VmHWM") - before}


def _video(root: Path, megabytes: float) -> dict[str, float]:
    """Open the split as at a later start, then read the ground truth of some videos."""
    from sola.datasets.mevis import MeViS

    start = time.perf_counter()
    split = MeViS(root / "mevis", "train", cache_dir=root / "cache")
    assert split.annotations_sha256
    start_s = time.perf_counter() - start
    video_ids = random.Random(1).sample(
        list(split.videos), min(NUM_VIDEOS_TIMED, len(split.videos))
    )
    seconds = []
    for video_id in video_ids:
        start = time.perf_counter()
        assert split.ground_truth(video_id)
        seconds.append(time.perf_counter() - start)
    (index_path,) = (root / "cache").rglob("*.index")
    return {
        "start_s": start_s,
        "median_s": median(seconds),
        "max_s": max(seconds),
        "num_videos": len(seconds),
        "index_bytes": index_path.stat().st_size,
    }


def _resident_bytes(key: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{key}:"))


PARTS = {"write": _write, "load": _load, "parse": _parse, "video": _video}


if __name__ == "__main__":
    main()
