"""From the configuration of a prompt source to its detector."""

import hashlib
import importlib.util
import logging
from pathlib import Path

from sola.config.schema import DetectorNetworkConfig, PromptSourceConfig
from sola.errors import UserError
from sola.prompts.grounding_dino.detections import Thresholds
from sola.prompts.grounding_dino.detector import Detector
from sola.prompts.grounding_dino.image import ImageSize
from sola.prompts.grounding_dino.vocabulary import Vocabulary

log = logging.getLogger(__name__)

RANDOM_WEIGHTS = "random"
BERT = "bert-base-uncased"
ORIGINAL = "groundingdino"
ORIGINAL_INSTALL = "pip install rf-groundingdino"


def build_detector(config: PromptSourceConfig) -> Detector:
    """The detector in evaluation mode, on the CPU, with its weights.

    Args:
        config: of source gdino, validated.

    Raises:
        UserError: if the checkpoint, the vocabulary or the original's package is missing, or the
            checkpoint belongs to another network.
    """
    check_detector(config)
    checkpoint, network = _checkpoint(config), _network(config)
    shared = (
        Vocabulary(_vocabulary(config)),
        Thresholds(config.box_threshold, config.text_threshold),
        ImageSize(config.shortest_edge_px, config.longest_edge_px),
    )
    if checkpoint == RANDOM_WEIGHTS:
        log.warning("the detector has random weights: its boxes mean nothing")
    if config.detector == ORIGINAL:
        from sola.prompts.grounding_dino import original_detector as original

        return original.OriginalDetector(original.load(checkpoint, network), *shared).eval()
    from sola.prompts.grounding_dino import transformers_detector as ported

    if checkpoint == RANDOM_WEIGHTS:
        return ported.TransformersDetector(ported.random_network(network), *shared).eval()
    path = Path(checkpoint)
    loaded = ported.load_folder(path) if path.is_dir() else ported.load_original(path, network)
    return ported.TransformersDetector(loaded, *shared).eval()


def check_detector(config: PromptSourceConfig) -> None:
    """Raise ValueError where the checkpoint, vocabulary or package of a detector is missing."""
    checkpoint = _checkpoint(config)
    if checkpoint != RANDOM_WEIGHTS and not Path(checkpoint).exists():
        raise UserError(
            f"{checkpoint}: the detector's checkpoint is not there. Put GroundingDINO's published "
            "file there, or say prompt_source.detector_checkpoint=<file, or folder of "
            "transformers> (or random to try mechanics); with video=..., "
            "prompt_sources.gdino.detector_checkpoint."
        )
    if Path(checkpoint).is_dir() and not _weight_files(Path(checkpoint)):
        raise UserError(
            f"{checkpoint}: no *.safetensors in the folder, which hold a detector's weights. Save "
            "it again with transformers' save_pretrained, or name another folder or file."
        )
    Vocabulary(_vocabulary(config))
    if config.detector == ORIGINAL and importlib.util.find_spec(ORIGINAL) is None:
        raise UserError(
            f"prompt_source.detector={ORIGINAL}: the package is not installed. Run "
            f"{ORIGINAL_INSTALL}, or choose prompt_source.detector=transformers."
        )


def detector_sha256(config: PromptSourceConfig) -> str:
    """SHA-256 of the detector's weights; "random" for random ones."""
    checkpoint = _checkpoint(config)
    if checkpoint == RANDOM_WEIGHTS:
        return RANDOM_WEIGHTS
    path = Path(checkpoint)
    digest = hashlib.sha256()
    for file_path in _weight_files(path):
        with file_path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def _weight_files(path: Path) -> list[Path]:
    return sorted(path.glob("*.safetensors")) if path.is_dir() else [path]


def _checkpoint(config: PromptSourceConfig) -> str:
    assert config.detector_checkpoint is not None, "validated before"
    return config.detector_checkpoint


def _network(config: PromptSourceConfig) -> DetectorNetworkConfig:
    assert config.detector_network is not None, "validated before"
    return config.detector_network


def _vocabulary(config: PromptSourceConfig) -> str:
    if config.detector_vocabulary is not None:
        return config.detector_vocabulary
    checkpoint = _checkpoint(config)
    return checkpoint if Path(checkpoint).is_dir() else BERT
