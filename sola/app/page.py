"""Page of an answer: an interactive player of a clip, its candidate tracks and their scores."""

import json
import zipfile
from importlib.resources import files
from pathlib import Path
from typing import Any

import cv2

from sola.masks import resize
from sola.prediction.clip.footage import FRAMES_DIR
from sola.prediction.coco import COCO_FILE
from sola.prediction.run import MASKS_DIR, PREDICTION_FILE
from sola.visualization.colours import as_css, track_colour
from sola.visualization.overlays import evenly_spaced
from sola.visualization.videos import write_script

MAX_SIDE_PX, MAX_FRAMES, JPEG_QUALITY = 640, 120, 82
ASSETS = ("masks.js", "style.css", "answer.js", "answer.css")
ARCHIVE = "masks.zip"


def write_answer_page(folder: Path, output_dir: Path, clips_dir: Path) -> Path:
    """Write the page of an answer; return its index.html.

    Frames and masks are shrunk to ``MAX_SIDE_PX``. At most ``MAX_FRAMES`` of the tracked frames are
    shown, evenly spaced. The folder also gets a zip of the full masks and prediction.json.

    Args:
        folder: a new folder for the page.
        output_dir: output folder of ``run_clip``.
        clips_dir: folder of the cached frames.
    """
    record = json.loads((output_dir / PREDICTION_FILE).read_text())
    folder.mkdir(parents=True)
    content = describe_answer(record)
    frames_dir = clips_dir / record["clip"]["clip_id"] / FRAMES_DIR
    height, width = content["size"]
    for number, name in enumerate(content["frames"]):
        frame = cv2.imread(str(frames_dir / f"{name}.png"))
        assert frame is not None
        small = cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA)
        quality = (cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY)
        cv2.imwrite(str(folder / f"{number}.jpg"), small, quality)
    with zipfile.ZipFile(folder / ARCHIVE, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in (PREDICTION_FILE, COCO_FILE):
            if (output_dir / name).exists():
                archive.write(output_dir / name, name)
        for path in sorted((output_dir / MASKS_DIR).rglob("*.png")):
            archive.write(path, path.relative_to(output_dir))
    assets = files("sola.visualization") / "assets"
    for name in ASSETS:
        (folder / name).write_bytes((assets / name).read_bytes())
    (folder / "colours.css").write_text(as_css())
    page = folder / "index.html"
    page.write_bytes((assets / "answer.html").read_bytes())
    write_script(folder / "data.js", "answer.open(", content)
    return page


def describe_answer(record: dict[str, Any]) -> dict[str, Any]:
    """Return the data of the page.

    Args:
        record: content of prediction.json.

    Returns:
        ``size`` (H, W); ``frames``: names of T frames; ``times_s``: their starts and the end of the
        last, after the first; ``threshold``; ``tracks``: T run-length codes and a colour of each;
        ``sentences``: text, candidate tracks and scores of each.
    """
    clip = record["clip"]
    names, tracked = clip["frames"], [f"{idx:05d}" for idx in clip["tracked"]["frames"]]
    shown = [tracked[idx] for idx in evenly_spaced(len(tracked), MAX_FRAMES)]
    places = [names.index(name) for name in shown]
    scale = min(1.0, MAX_SIDE_PX / max(clip["height"], clip["width"]))
    size = (max(1, round(clip["height"] * scale)), max(1, round(clip["width"] * scale)))
    times_s = [*(clip["times_s"][place] for place in places), clip["end_s"]]
    tracks = []
    for number, track in enumerate(record["tracks"]):
        masks = resize([track["masks"][place] for place in places], size)
        codes = [mask["counts"] for mask in masks]
        tracks.append({"masks": codes, "colour": track_colour(number)})
    return {
        "size": size,
        "frames": shown,
        "times_s": [time_s - times_s[0] for time_s in times_s],
        "threshold": record["threshold"],
        "tracks": tracks,
        "sentences": [
            {key: expression[key] for key in ("text", "tracks", "scores")}
            for expression in record["expressions"]
        ],
    }
