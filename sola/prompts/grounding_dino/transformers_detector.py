"""GroundingDINO as transformers has it."""

from pathlib import Path
from typing import Any, NamedTuple, cast

from torch import Tensor, nn
from transformers import GroundingDinoConfig, GroundingDinoForObjectDetection

from sola.errors import UserError
from sola.prompts.grounding_dino.detector import DetectorNetwork
from sola.prompts.grounding_dino.shape import NetworkShape
from sola.prompts.grounding_dino.weights import read_original, to_transformers
from sola.text.encoder import quiet_transformers
from sola.weights_file import refuse_stand_in

BERT_VOCABULARY_SIZE = 30522


class ImageFeatures(NamedTuple):
    """What is known of an image before the text: it is computed once, and handed out again."""

    image: Tensor
    """(1, 3, H', W')."""
    backbone: Any
    """Feature maps with their masks, and their position encodings."""
    projected: list[Tensor]
    """One (1, D, h, w) map for each of the four levels."""


class TransformersDetector(DetectorNetwork):
    """Detector on ``GroundingDinoForObjectDetection``; see ``DetectorNetwork``."""

    def __init__(self, network: GroundingDinoForObjectDetection, *args: Any) -> None:
        super().__init__(*args)
        self.network = network.eval().requires_grad_(False)
        inner = self.network.model
        self._backbone = inner.backbone = _Kept(inner.backbone)
        kept = [_Kept(projection) for projection in inner.input_proj_vision]
        inner.input_proj_vision = nn.ModuleList(kept)
        self._projections = kept

    @property
    def num_queries(self) -> int:
        """Q."""
        return int(self.network.config.num_queries)

    def encode_image(self, image: Tensor) -> ImageFeatures:
        """Feature maps of all four levels, and the position encodings of the backbone's three."""
        mask = image.new_ones(image.shape[:1] + image.shape[2:])
        backbone = self._backbone.module(image, mask.long())
        maps = [source for source, _ in backbone[0]]
        projected = [kept.module(source) for kept, source in zip(self._projections, maps)]  # noqa: B905
        for kept in self._projections[len(maps) :]:
            source = maps[-1] if len(projected) == len(maps) else projected[-1]
            projected.append(kept.module(source))
        return ImageFeatures(image, backbone, projected)

    def find_boxes(self, features: ImageFeatures, token_ids: Tensor) -> tuple[Tensor, Tensor]:
        """See ``Detector``."""
        self._backbone.kept = features.backbone
        for kept, projected in zip(self._projections, features.projected, strict=True):
            kept.kept = projected
        try:
            out = self.network(pixel_values=features.image, input_ids=token_ids)
        finally:
            for kept in (self._backbone, *self._projections):
                kept.kept = None
        return out.logits[0, :, : token_ids.shape[1]], out.pred_boxes[0]


class _Kept(nn.Module):
    """In place of a module: hands out what that module made of the image at hand."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module
        self.kept: Any = None

    def __getattr__(self, name: str) -> Any:
        # the network asks its backbone for the position encoding of further levels
        if name == "position_embedding":
            return self.module.position_embedding
        return super().__getattr__(name)

    def forward(self, *inputs: Any) -> Any:
        assert self.kept is not None, "encode_image comes first"
        if isinstance(self.kept, tuple):  # lists, to which the network adds
            return tuple(list(part) for part in self.kept)
        return self.kept


def load_folder(folder: Path) -> GroundingDinoForObjectDetection:
    """The network of a folder of transformers.

    Raises:
        UserError: if there is none, or weights of it are missing.
    """
    refuse_stand_in(folder)
    try:
        with quiet_transformers():
            network, report = _from_pretrained(folder, local_files_only=True)
    except (OSError, RuntimeError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise UserError(f"{folder}: cannot be loaded as a GroundingDINO ({reason}).") from error
    _check_complete(folder, report)
    return network


def load_original(path: Path, config: NetworkShape) -> GroundingDinoForObjectDetection:
    """The network with the weights of a .pth file of the original code.

    Raises:
        UserError: if the file is not of this kind, or belongs to another network.
    """
    weights = to_transformers(read_original(path))
    try:
        with quiet_transformers():
            network, report = _from_pretrained(
                None, config=network_config(config), state_dict=weights
            )
    except RuntimeError as error:
        raise UserError(_of_another_network(path, str(error))) from error
    _check_complete(path, report)
    return network


def random_network(config: NetworkShape) -> GroundingDinoForObjectDetection:
    """An untrained network."""
    return GroundingDinoForObjectDetection(network_config(config))


def network_config(config: NetworkShape) -> GroundingDinoConfig:
    """A network's shape in transformers' words."""
    return GroundingDinoConfig(
        backbone_config={
            "model_type": "swin",
            "embed_dim": config.swin_dim,
            "depths": list(config.swin_depths),
            "num_heads": list(config.swin_heads),
            "window_size": config.swin_window,
            "out_indices": [2, 3, 4],
        },
        text_config={
            "model_type": "bert",
            "hidden_size": config.bert_dim,
            "num_hidden_layers": config.bert_layers,
            "num_attention_heads": config.bert_heads,
            "intermediate_size": config.bert_ffn_dim,
            "vocab_size": BERT_VOCABULARY_SIZE,
        },
        d_model=config.hidden_dim,
        num_queries=config.num_queries,
        encoder_layers=config.encoder_layers,
        decoder_layers=config.decoder_layers,
        encoder_ffn_dim=config.ffn_dim,
        decoder_ffn_dim=config.ffn_dim,
        encoder_attention_heads=config.num_heads,
        decoder_attention_heads=config.num_heads,
    )


def read_network(folder: Path) -> NetworkShape:
    """The shape of the network in a folder of transformers.

    Raises:
        UserError: if it says nothing of one.
    """
    if not (folder / "config.json").is_file():
        raise UserError(f"{folder}: no config.json there. Needed is a folder of transformers.")
    found = GroundingDinoConfig.from_pretrained(folder, local_files_only=True)
    swin, bert = cast(Any, found.backbone_config), cast(Any, found.text_config)
    return NetworkShape(
        swin_dim=swin.embed_dim,
        swin_depths=tuple(swin.depths),
        swin_heads=tuple(swin.num_heads),
        swin_window=swin.window_size,
        hidden_dim=found.d_model,
        ffn_dim=found.encoder_ffn_dim,
        num_heads=found.encoder_attention_heads,
        encoder_layers=found.encoder_layers,
        decoder_layers=found.decoder_layers,
        num_queries=found.num_queries,
        bert_dim=bert.hidden_size,
        bert_layers=bert.num_hidden_layers,
        bert_heads=bert.num_attention_heads,
        bert_ffn_dim=bert.intermediate_size,
    )


def _from_pretrained(
    path: Path | None, **options: Any
) -> tuple[GroundingDinoForObjectDetection, dict[str, Any]]:
    """The network, and which weights were missing, left over or of another shape."""
    load: Any = GroundingDinoForObjectDetection.from_pretrained
    network, report = load(path, output_loading_info=True, **options)
    return network, report


def _check_complete(path: Path, report: dict[str, Any]) -> None:
    wrong = [*report["missing_keys"], *report["unexpected_keys"], *report["mismatched_keys"]]
    if wrong:
        raise UserError(_of_another_network(path, f"{len(wrong)} differ, such as {wrong[0]}"))


def _of_another_network(path: Path, what: str) -> str:
    return (
        f"{path}: weights of another network ({what.strip().partition(chr(10))[0][:120]}). "
        "Choose the prompt_source/detector_network that belongs to the file."
    )
