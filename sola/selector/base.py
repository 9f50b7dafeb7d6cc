"""What every selector is: a network that scores tracks, found by name, known to the model hub."""

import dataclasses
import json
from abc import abstractmethod
from pathlib import Path
from typing import Any

from huggingface_hub import PyTorchModelHubMixin
from torch import Tensor, nn

from sola.config.by_name import check_arguments, file_of, find_class
from sola.config.schema import SelectorConfig
from sola.errors import UserError

PACKAGE = "sola.selector"
PROVENANCE_KEY = "sola"
"""Where a checkpoint says what it is, in plain types."""


class Selector(
    nn.Module,
    PyTorchModelHubMixin,
    library_name="sola",
    license="apache-2.0",
    paper_url="https://arxiv.org/abs/2412.01136",
):
    """A network that scores every candidate track of a video against an expression.

    Its constructor takes plain values, ``token_dim`` and ``text_dim`` among them.
    docs/adding_a_selector.md shows how to add one.
    """

    negative_tokens: Tensor | None
    """(K, E), to which tracks that are not meant are drawn; None: the selector has none."""
    provenance: dict[str, Any]
    """Where the weights come from, see ``sola.selector.checkpoint.load_selector``."""

    def __init__(self) -> None:
        super().__init__()
        self.negative_tokens = None
        self.provenance = {}

    @property
    def kwargs(self) -> dict[str, Any]:
        """The constructor's arguments, those with default values included, as JSON holds them."""
        assert isinstance(self._hub_mixin_config, dict), "set by the mixin"
        arguments: dict[str, Any] = json.loads(json.dumps(self._hub_mixin_config))
        return arguments

    @property
    def name(self) -> str:
        """The module that defines it, below ``sola.selector``."""
        return type(self).__module__.rpartition(".")[2]

    @property
    def description(self) -> dict[str, Any]:
        """What ``build_selector`` makes the same network of."""
        return {"name": self.name, **self.kwargs}

    @abstractmethod
    def forward(
        self,
        tokens: Tensor,
        text: Tensor,
        track_mask: Tensor | None = None,
        frame_mask: Tensor | None = None,
        text_mask: Tensor | None = None,
        *,
        video_idx: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Scores all tracks of every sample.

        Several expressions about one video can share its tokens: give V videos and B expressions,
        with V = 1, or with ``video_idx``. A score depends on the video's own tracks and its own
        expression only: not on padding, nor on what else is in the batch.

        Args:
            tokens: (V, N, T, D), object tokens; V is B, 1, or what ``video_idx`` points into.
            text: (B, L, E), text tokens.
            track_mask: (V, N) bool, True for tracks that exist; None: all.
            frame_mask: (V, T) bool, True up to the video's end; None: all.
            text_mask: (B, L) bool, True for text tokens that exist; None: all.
            video_idx: (B,) long, the video of every sample.

        Returns:
            Logits (B, N), of which the sigmoid is the score, and track tokens (B, N, E). Rows of
            tracks that do not exist are finite and mean nothing; N may be 0.
        """

    def _save_pretrained(self, save_directory: Path) -> None:
        """Weights, and arguments with the provenance beside them, for the hub."""
        super()._save_pretrained(save_directory)
        provenance = {**self.provenance, "selector": self.description}
        content = {**self.kwargs, PROVENANCE_KEY: provenance}
        (save_directory / "config.json").write_text(json.dumps(content, indent=1, sort_keys=True))


def build_selector(name: str, **kwargs: Any) -> Selector:
    """The selector that a module below ``sola.selector`` defines.

    Args:
        name: the module's: track_selector, baseline, ...
        kwargs: arguments of its constructor.

    Raises:
        UserError: if there is no such selector, or it does not take these arguments.
    """
    selector_class = check_selector(name, **kwargs)
    selector = selector_class(**kwargs)
    if not hasattr(selector, "negative_tokens"):
        where = file_of(selector_class)
        raise UserError(f"{where}: __init__ must call super().__init__().")
    return selector


def check_selector(name: str, **kwargs: Any) -> type[Selector]:
    """The class that ``build_selector`` makes a selector of; nothing is made yet.

    Raises:
        UserError: as ``build_selector`` does.
    """
    selector_class: type[Selector] = find_class(PACKAGE, name, Selector, "selector.name")
    check_arguments(selector_class, kwargs, name, _key)
    return selector_class


def check_output(
    selector: nn.Module, found: Any, num_samples: int, num_tracks: int, text_dim: int
) -> tuple[Tensor, Tensor]:
    """What a selector's ``forward`` gave: logits (B, N) and track tokens (B, N, E).

    Raises:
        UserError: if it is something else.
    """
    needed = "logits (B, N) and track tokens (B, N, E)"
    is_pair = isinstance(found, tuple) and len(found) == 2
    if not is_pair or not all(isinstance(each, Tensor) for each in found):
        kind = type(found).__name__
        where = file_of(type(selector))
        raise UserError(f"{where}: forward gave a {kind}; needed are two tensors, {needed}.")
    shapes = [tuple(each.shape) for each in found]
    wanted = [(num_samples, num_tracks), (num_samples, num_tracks, text_dim)]
    if shapes != wanted:
        raise UserError(
            f"{file_of(type(selector))}: forward gave tensors of the shapes {shapes[0]} and "
            f"{shapes[1]}; needed are {needed}: {wanted[0]} and {wanted[1]}."
        )
    return found


def _key(argument: str) -> str:
    """The configuration's name of a constructor's argument."""
    shared = {field.name for field in dataclasses.fields(SelectorConfig)}
    return f"selector.{argument}" if argument in shared else f"selector.options.{argument}"
