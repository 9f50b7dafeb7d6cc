"""Checkpoints of both kinds, read by both codes."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from sola.errors import UserError
from sola.prompts.grounding_dino import GroundingDino, NetworkShape
from sola.prompts.grounding_dino.detector import DetectorNetwork
from sola.prompts.grounding_dino.image import to_image
from sola.prompts.grounding_dino.transformers_detector import random_network, read_network
from sola.prompts.grounding_dino.weights import read_transformers, to_original, to_transformers
from sola.text.encoder import quiet_transformers

MakeDetector = Callable[..., DetectorNetwork]
MakeSettings = Callable[..., GroundingDino]
TEXTS = ["The red dog running left", "two cats, a mouse. bird"]
LOGIT_TOLERANCE = 1e-4
UNUSED = "model.backbone.conv_encoder.model.swin.layernorm"


@pytest.fixture
def folder(network: NetworkShape, tmp_path: Path) -> Path:
    """A folder of transformers, every parameter of which is random."""
    torch.manual_seed(0)
    model = random_network(network)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.05 * torch.randn_like(parameter)
    with quiet_transformers():
        model.save_pretrained(tmp_path / "tiny")
    return tmp_path / "tiny"


@pytest.fixture
def original_path(folder: Path, network: NetworkShape) -> Path:
    """The same weights as the original code writes them."""
    weights = to_original(read_transformers(folder), network.decoder_layers)
    extra = {"label_enc.weight": torch.zeros(3), "bert.pooler.dense.bias": torch.zeros(16)}
    path = folder.parent / "original.pth"
    torch.save({"model": {f"module.{key}": v for key, v in (weights | extra).items()}}, path)
    return path


def test_renaming_there_and_back_changes_nothing(folder: Path, network: NetworkShape) -> None:
    weights = read_transformers(folder)
    again = to_transformers(to_original(weights, network.decoder_layers))

    assert set(weights) - set(again) == {f"{UNUSED}.weight", f"{UNUSED}.bias"}
    assert set(again) <= set(weights)
    assert all(torch.equal(value, weights[name]) for name, value in again.items())


def test_a_folder_says_the_shape_of_its_network(folder: Path, network: NetworkShape) -> None:
    assert read_network(folder) == network


def test_a_folder_and_an_original_file_give_the_same_boxes(
    make_detector: MakeDetector, folder: Path, original_path: Path, frame: np.ndarray
) -> None:
    one = make_detector(checkpoint=str(folder)).detect(frame, TEXTS, 0.2)
    other = make_detector(checkpoint=str(original_path)).detect(frame, TEXTS, 0.2)

    assert any(len(found.boxes) for found in one)
    for ours, theirs in zip(one, other, strict=True):
        np.testing.assert_array_equal(ours.boxes, theirs.boxes)
        np.testing.assert_array_equal(ours.token_scores, theirs.token_scores)


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_the_original_code_gives_the_same_boxes_as_transformers(
    make_detector: MakeDetector, folder: Path, original_path: Path, frame: np.ndarray, kind: str
) -> None:
    pytest.importorskip("groundingdino", reason="the extra groundingdino is not installed")
    checkpoint = str(folder if kind == "folder" else original_path)
    ported = make_detector(checkpoint=checkpoint)
    original = make_detector(checkpoint=checkpoint, implementation="groundingdino")
    image = to_image(frame, ported.image_size)
    with torch.inference_mode():
        features = [detector.encode_image(image) for detector in (ported, original)]
        for text in [*TEXTS, TEXTS[0]]:  # the same again: nothing is left of the text before
            ids = ported.vocabulary.token_ids(text)
            logits, boxes = ported.find_boxes(features[0], ids)
            their_logits, their_boxes = original.find_boxes(features[1], ids)
            assert logits.std() > 1
            assert (logits - their_logits).abs().max() < LOGIT_TOLERANCE
            assert (boxes - their_boxes).abs().max() < LOGIT_TOLERANCE
    for ours, theirs in zip(
        ported.detect(frame, TEXTS, 0.2), original.detect(frame, TEXTS, 0.2), strict=True
    ):
        assert ours.phrases == theirs.phrases
        np.testing.assert_allclose(ours.boxes, theirs.boxes, atol=1e-2)


def test_the_original_forgets_an_image_after_an_error(
    make_detector: MakeDetector, frame: np.ndarray
) -> None:
    pytest.importorskip("groundingdino", reason="the extra groundingdino is not installed")
    detector = make_detector(implementation="groundingdino")
    features = detector.encode_image(to_image(frame, detector.image_size))
    with pytest.raises(IndexError):
        detector.find_boxes(features, torch.tensor([[101, 999_999, 1012, 102]]))

    assert not hasattr(detector.network, "features")


def test_a_missing_checkpoint_or_package_is_named(
    make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match=r"nowhere\.pth"):
        make_settings(checkpoint="nowhere.pth").check()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match="pip install rf-groundingdino"):
        make_settings(implementation="groundingdino").check()


def test_weights_of_another_network_are_refused(
    make_settings: MakeSettings, network: NetworkShape, original_path: Path, tmp_path: Path
) -> None:
    device = torch.device("cpu")
    other_shape = replace(network, encoder_layers=2)
    with pytest.raises(UserError, match=r"original\.pth"):
        make_settings(checkpoint=str(original_path), network=other_shape).load(device)
    other = tmp_path / "other.pth"
    torch.save({"model": {"head.weight": torch.zeros(2)}}, other)
    with pytest.raises(UserError, match=r"head\.weight"):
        make_settings(checkpoint=str(other)).load(device)
    torch.save([1], other)
    with pytest.raises(UserError, match=r"other\.pth"):
        make_settings(checkpoint=str(other)).load(device)


def test_weights_are_known_by_their_content(make_settings: MakeSettings, tmp_path: Path) -> None:
    assert make_settings().digests() == {"detector_sha256": "random"}
    sums = []
    for name in ("a.pth", "b.pth"):
        (tmp_path / name).write_bytes(b"weights")
        sums.append(make_settings(checkpoint=str(tmp_path / name)).digests()["detector_sha256"])
    assert sums[0] == sums[1] != "random"
