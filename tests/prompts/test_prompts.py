"""Which masks become prompts, on masks drawn by hand."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra.numpy import arrays
from hypothesis.strategies import sampled_from

from sola.masks import decode, encode
from sola.prompts import DetectorBoxes, Grid, GroundTruth, PromptQueue, TrackingRule
from sola.prompts.grounding_dino import Detections, GroundingDino
from sola.prompts.sources import drop_parts
from sola.trackers import GeneratedMask
from sola.types import Prompt


def draw(*rows: str) -> np.ndarray:
    return np.array([[character == "#" for character in row] for row in rows])


def prompt(mask: np.ndarray, frame_idx: int = 0) -> Prompt:
    return Prompt(frame_idx, encode(mask[None])[0], int(mask.sum()), "grid")


WHOLE = draw("####....", "####....")
PART = draw("###.....", "........")
LEANING = draw("..##....", "..#..##.")  # 3 of 5 pixels inside WHOLE
APART = draw("......##", "......#.")


def test_parts_of_larger_masks_are_dropped_and_the_rest_is_sorted_by_area() -> None:
    part_of_part = draw("#.......", "........")
    cases: list[tuple[list[np.ndarray], float, list[int]]] = [
        ([PART, APART, WHOLE, LEANING], 0.7, [2, 3, 1]),
        ([LEANING, WHOLE], 0.5, [1]),
        ([WHOLE, PART, part_of_part], 0.7, [0]),
        ([PART, PART], 0.7, [0]),
        ([PART & False, PART], 0.7, [1]),
    ]
    for masks, part_overlap, expected in cases:
        assert drop_parts(encode(np.stack(masks)), part_overlap) == expected


@pytest.mark.parametrize(
    ("num_frames", "is_training", "expected"),
    [
        (9, True, [0, 4, 8]),
        (1, True, [0]),
        (9, False, [0, 4, 8]),
        (10, False, [0, 5]),
        (2, False, [0, 1]),
        (1, False, [0]),
    ],
)
def test_grid_searches_every_fourth_frame_or_three(
    num_frames: int, is_training: bool, expected: list[int]
) -> None:
    video: Any = SimpleNamespace(num_frames=num_frames, is_training_split=is_training)
    assert list(Grid().frame_idxs(video)) == expected


def test_grid_prompts_carry_their_scores() -> None:
    masks = [
        GeneratedMask(*each)
        for each in zip(encode(np.stack([APART, WHOLE])), (0.8, 0.85), (0.9, 0.95), strict=True)
    ]
    video: Any = SimpleNamespace(automatic_masks=lambda idx: masks if idx == 3 else [])
    prompts = Grid().find(video, [0, 3], [""])[""]
    assert [(p.frame_idx, p.area, p.predicted_iou, p.stability_score) for p in prompts] == [
        (3, 3, 0.8, 0.9),
        (3, 8, 0.85, 0.95),
    ]
    assert {prompt.source for prompt in prompts} == {"grid"}


def test_grid_keeps_wholes_frame_by_frame_and_largest_first() -> None:
    prompts = [prompt(APART, 1), prompt(PART, 1), prompt(PART), prompt(WHOLE, 1), prompt(APART)]
    kept = Grid().keep(prompts)
    assert [(p.frame_idx, p.area) for p in kept] == [(0, 3), (0, 3), (1, 8), (1, 3)]
    assert Grid().keep([]) == []


@pytest.mark.parametrize(
    ("rule", "count", "expected"),
    [
        ("largest", 1, [2]),
        ("first", 1, [1]),
        ("even", 1, [2]),
        ("even", 9, [1, 2, 3]),
        ("largest", 2, [2, 1]),
    ],
)
def test_ground_truth_is_prompted_on_the_frames_of_the_rule(
    rule: str, count: int, expected: list[int]
) -> None:
    empty = WHOLE & False
    masklets = {"7": encode(np.stack([empty, PART, WHOLE, APART])), "8": encode(empty[None])}
    video: Any = SimpleNamespace(ground_truth=masklets)
    prompts = GroundTruth(rule, count).find(video, [], [""])[""]
    assert [item.frame_idx for item in prompts] == expected
    assert {(item.object_id, item.source) for item in prompts} == {("7", "gt")}


CORNER = encode(draw("##", "#.")[None])[0]
NOTHING = encode(draw("..", "..")[None])[0]


class Boxes:
    """A detector's boxes and the tracker's masks of them, on a frame of 2 x 2 pixels."""

    boxes = np.array([[0, 0, 1, 1], [0, 0, 2, 2], [1, 0, 2, 1]], np.float32)
    scores = np.array([[0.5, 0.25], [0.75, 0.5], [0.5, 0.2]], np.float32)
    masks = (
        GeneratedMask(CORNER, 0.5, 0.84),
        GeneratedMask(CORNER, 0.75, 0.9),
        GeneratedMask(NOTHING, 0.5, 0.95),
    )

    def detect(self, frame: Any, texts: list[str], box_threshold: float) -> list[Detections]:
        phrases = ("dog", "red dog", "left")[: len(self.boxes)]
        return [Detections(self.boxes, self.scores, phrases)] * len(texts)

    def find(self) -> list[Prompt]:
        source = DetectorBoxes(GroundingDino("random"))
        source.detector = self
        video: Any = SimpleNamespace(frame=lambda idx: None, masks_of_boxes=self.masks_of_boxes)
        found = source.find(video, [4], ["a", "b"])
        assert found["a"] == found["b"]
        return found["a"]

    def masks_of_boxes(self, frame_idx: int, boxes: np.ndarray) -> list[GeneratedMask]:
        known = [box.tolist() for box in self.boxes]
        return [self.masks[known.index(box.tolist())] for box in boxes]


def test_every_box_becomes_a_prompt_with_its_evidence() -> None:
    prompts = Boxes().find()

    assert [(p.frame_idx, p.source, p.area) for p in prompts] == [
        (4, "gdino", 3),
        (4, "gdino", 3),
        (4, "gdino", 0),
    ]
    assert (prompts[1].predicted_iou, prompts[1].stability_score) == (0.75, 0.9)
    assert (prompts[1].box, prompts[1].phrase) == ((0, 0, 2, 2), "red dog")
    assert prompts[1].token_scores == (0.75, 0.5)


@pytest.mark.parametrize(
    "box", [(1, 1, 1, 2), (1, 1, 0, 2), (0, np.nan, 1, 1), (0, 0, np.inf, 1)], ids=str
)
def test_box_without_area_is_dropped(box: tuple[float, ...]) -> None:
    detector = Boxes()
    expected = [p for idx, p in enumerate(detector.find()) if idx != 1]
    detector.boxes = detector.boxes.copy()
    detector.boxes[1] = box
    assert detector.find() == expected


def test_no_boxes_give_no_prompts() -> None:
    detector = Boxes()
    detector.boxes, detector.scores = np.zeros((0, 4), np.float32), np.zeros((0, 3), np.float32)
    assert detector.find() == []
    video: Any = SimpleNamespace(frame=lambda idx: None, masks_of_boxes=lambda *_: [])
    source = DetectorBoxes(GroundingDino("random"))
    source.detector = detector
    assert source.find(video, [0], []) == {}


def test_likely_and_stable_boxes_are_kept_as_float32_compares() -> None:
    prompts = Boxes().find()
    visible = prompts[:2]  # the third mask is empty

    def kept(box: float, stability: float) -> list[Prompt]:
        thresholds = {"box_threshold": box, "stability_threshold": stability}
        return DetectorBoxes(GroundingDino("random"), **thresholds).keep(visible)

    assert kept(0.5, 0) == prompts[1:2]
    assert kept(0.49, 0) == prompts[:2]
    assert kept(0, 0.9) == prompts[1:2]  # 0.9 is equal to itself only in float32
    assert kept(0, 0.84) == prompts[:2]


def _play(prompts: list[Prompt], rule: TrackingRule, num_frames: int = 2) -> list[list[int]]:
    """Areas of the prompts of each group, where a track is its prompt's mask on every frame."""
    queue = PromptQueue(prompts, rule, num_frames, Grid().choose_group)
    groups = []
    while group := queue.next_group():
        queue.drop_duplicates([[item.mask] * num_frames for item in group])
        groups.append([item.area for item in group])
    return groups


def test_groups_are_of_one_frame_and_duplicates_fall_after_their_group() -> None:
    prompts = [prompt(WHOLE), prompt(WHOLE), prompt(WHOLE, 1), prompt(APART), prompt(APART, 1)]
    # the second WHOLE is in the first group before anybody knows that it is a duplicate
    assert _play(prompts, TrackingRule(group_size=2)) == [[8, 8], [3]]
    assert _play(prompts, TrackingRule(group_size=1)) == [[8], [3]]
    assert _play(prompts, TrackingRule(group_size=4)) == [[8, 8, 3]]


@pytest.mark.parametrize(("duplicate_iou", "num_left"), [(0.5, 2), (0.49, 1)])
def test_prompt_is_a_duplicate_above_the_overlap_on_its_own_frame(
    duplicate_iou: float, num_left: int
) -> None:
    half = draw("####....", "........")  # IoU 0.5 with WHOLE
    rule = TrackingRule(duplicate_iou=duplicate_iou, group_size=1)
    queue = PromptQueue(
        [prompt(WHOLE), prompt(half, 1), prompt(APART, 1)], rule, 2, Grid().choose_group
    )
    queue.next_group()
    # two tracks, one of them empty on frame 1; what they are on frame 0 does not matter
    queue.drop_duplicates(
        [encode(np.stack([APART, WHOLE])), encode(np.stack([half, WHOLE & False]))]
    )
    assert (queue.num_over_cap, queue.num_duplicates) == (num_left, 2 - num_left)


def test_two_empty_masks_are_no_duplicates() -> None:
    queue = PromptQueue(
        [prompt(WHOLE), prompt(WHOLE & False, 1)], TrackingRule(), 2, Grid().choose_group
    )
    queue.next_group()
    queue.drop_duplicates([encode(np.stack([WHOLE, WHOLE & False]))])
    assert queue.num_duplicates == 0


@given(masks=arrays(bool, (5, 4, 3)), part_overlap=sampled_from([0.3, 0.5, 0.7, 1.0]))
def test_parts_are_those_of_a_count_over_pixels(masks: np.ndarray, part_overlap: float) -> None:
    order = sorted(range(len(masks)), key=lambda idx: -masks[idx].sum())
    is_part = [not mask.any() for mask in masks]
    for large in order:
        for small in order:
            inside = (masks[large] & masks[small]).sum()
            if small != large and inside > part_overlap * masks[small].sum():
                is_part[small] |= not is_part[large]
    expected = [idx for idx in order if not is_part[idx]]
    assert drop_parts(encode(masks), part_overlap) == expected


def test_group_skips_larger_prompts_of_other_frames() -> None:
    prompts = [prompt(WHOLE), prompt(LEANING, 1), prompt(APART)]
    assert _play(prompts, TrackingRule()) == [[8, 3], [5]]


def test_last_group_is_cut_to_the_cap() -> None:
    prompts = [prompt(WHOLE), prompt(APART), prompt(LEANING), prompt(PART)]
    rule = TrackingRule(group_size=2, max_tracks=3)
    assert _play(prompts, rule) == [[8, 5], [3]]
    queue = PromptQueue(prompts, rule, 2, Grid().choose_group)
    while queue.next_group():
        pass
    assert queue.num_over_cap == 1


def test_long_videos_take_smaller_groups() -> None:
    prompts = [prompt(WHOLE), prompt(APART), prompt(LEANING)]
    assert _play(prompts, TrackingRule(long_video_frames=2), 3) == [[8, 5], [3]]


def test_no_prompts_are_a_valid_end() -> None:
    assert _play([], TrackingRule()) == []


def _play_published(
    prompts: list[Prompt], num_frames: int, *, group_size: int, max_tracks: int
) -> list[list[int]]:
    """Identities of each group's prompts, walking the list as the published gdino script does."""
    order = sorted(range(len(prompts)), key=lambda idx: -prompts[idx].area)
    masks = {idx: decode([prompts[idx].mask])[0] for idx in order}
    is_open = dict.fromkeys(order, True)
    groups: list[list[int]] = []
    num_tracked = 0
    while num_tracked < max_tracks:
        group: list[int] = []
        for idx in order:
            if not is_open[idx]:
                continue
            if group and prompts[idx].frame_idx != prompts[group[0]].frame_idx:
                break
            group.append(idx)
            is_open[idx] = False
            num_tracked += 1
            if num_frames > 200 and len(group) >= 2:
                break
            if len(group) >= group_size or len(group) + num_tracked >= max_tracks:
                break
        if not group:
            break
        groups.append(group)
        for tracked in group:
            for idx in order:
                shared = (masks[tracked] & masks[idx]).sum()
                if is_open[idx] and shared > 0.7 * (masks[tracked] | masks[idx]).sum():
                    is_open[idx] = False
    return groups


def test_gdino_groups_match_the_published_loop() -> None:
    for seed in range(100):
        _compare_groups(seed)


def _compare_groups(seed: int) -> None:
    rng = np.random.default_rng(seed)
    num_frames = int(rng.choice([1, 9, 60, 201]))
    prompts = []
    for _ in range(rng.integers(0, 60)):
        mask = np.zeros((12, 12), bool)
        top, left, height, width = rng.integers((0, 0, 1, 1), (6, 6, 7, 7))
        mask[top : top + height, left : left + width] = True
        prompts.append(prompt(mask, int(rng.integers(0, min(num_frames, 4)))))
    group_size, max_tracks = int(rng.integers(2, 6)), int(rng.choice([1, 5, 16]))
    rule = TrackingRule(group_size=group_size, max_tracks=max_tracks)
    source = DetectorBoxes(GroundingDino("random"), rule=rule)

    queue = PromptQueue(prompts, rule, num_frames, source.choose_group)
    groups = []
    while group := queue.next_group():
        queue.drop_duplicates([[item.mask] * num_frames for item in group])
        groups.append([next(i for i, item in enumerate(prompts) if item is p) for p in group])

    expected = _play_published(prompts, num_frames, group_size=group_size, max_tracks=max_tracks)
    assert groups == expected
    assert sum(map(len, groups)) <= max_tracks


def test_leading_group_ends_at_another_frame_and_takes_at_most_half_of_the_room() -> None:
    on_frame = [prompt(WHOLE), prompt(LEANING), prompt(APART), prompt(PART)]
    other = prompt(WHOLE, 1)
    leading_group = DetectorBoxes(GroundingDino("random")).choose_group

    assert leading_group([on_frame[0], other, *on_frame[1:]], 4, None) == on_frame[:1]
    assert leading_group(on_frame, 4, None) == on_frame
    assert leading_group(on_frame, 4, 5) == on_frame[:3]
    assert leading_group(on_frame, 4, 1) == on_frame[:1]
    assert leading_group(on_frame, 4, 0) == []
