"""Write the answers of a split or clip as one file in COCO's format, for other tools."""

import json
from pathlib import Path
from typing import Any

from pycocotools import mask as coco

from sola.evaluation.scores import ScoredSplit, group_by_video

COCO_FILE = "masks.coco.json"
# (video id, expression id) -> selected tracks, ascending
Selections = dict[tuple[str, str], tuple[int, ...]]


def write_coco(path: Path, split: ScoredSplit, selected: Selections) -> None:
    """Write one annotation per expression, selected track and frame that shows the track.

    ``pycocotools.coco.COCO`` reads the file. Ids count from 1. Each expression is a category; an
    expression without an answer has no annotations. ``track_id`` is the index of the track in its
    video, as in scores.json and prediction.json. ``file_name`` is ``<video>/<frame>.<ending>``,
    and ``frame_index`` counts from 0.

    Args:
        path: path of the JSON file.
        split: a split or clip with its tracks and scores.
        selected: the selected tracks of each expression.

    Raises:
        UserError: if tracks are missing or damaged.
    """
    dataset = split.dataset
    by_video = group_by_video(dataset.expressions)
    keys = [(each.video_id, each.expression_id) for each in dataset.expressions]
    categories: list[dict[str, Any]] = [
        {
            "id": category_id,
            "name": expression.text,
            "video": expression.video_id,
            "expression": expression.expression_id,
        }
        for category_id, expression in enumerate(dataset.expressions, start=1)
    ]
    category_ids = dict(zip(keys, range(1, len(keys) + 1), strict=True))
    content: dict[str, list[dict[str, Any]]] = {"videos": [], "images": [], "annotations": []}
    for video_number, (video_id, expressions) in enumerate(by_video.items(), start=1):
        tracks, frame_paths = split.sources.read(expressions), dataset.videos[video_id].frame_paths
        size = {"width": tracks.size[1], "height": tracks.size[0]}
        first_image = len(content["images"]) + 1
        content["videos"].append(
            {"id": video_number, "name": video_id, "length": len(frame_paths), **size}
        )
        content["images"] += [
            {
                "id": first_image + frame_idx,
                "file_name": f"{video_id}/{frame_path.name}",
                "video_id": video_number,
                "frame_index": frame_idx,
                **size,
            }
            for frame_idx, frame_path in enumerate(frame_paths)
        ]
        for expression in expressions:
            key, row = (video_id, expression.expression_id), split.scores.row(expression)
            for track_id in selected[key]:
                for frame_idx, code in enumerate(tracks.masklets[track_id]):
                    area = int(coco.area(code))
                    if area == 0:
                        continue
                    content["annotations"].append(
                        {
                            "id": len(content["annotations"]) + 1,
                            "image_id": first_image + frame_idx,
                            "category_id": category_ids[key],
                            "track_id": track_id,
                            "score": row[track_id],
                            "segmentation": code,
                            "area": area,
                            "bbox": coco.toBbox(code).tolist(),
                            "iscrowd": 0,
                        }
                    )
    path.write_text(json.dumps({**content, "categories": categories}, allow_nan=False))
