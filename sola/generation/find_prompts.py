"""The prompts of one video from one prompt source, which remembers what was found before."""

from collections.abc import Sequence
from dataclasses import replace

import torch

from sola.errors import UserError
from sola.generation.recipe import Recipe
from sola.prompts import KeptPrompts, PromptedVideo, SettingsError
from sola.shards import PromptStore
from sola.trackers.stages import FILES, RULES, stage
from sola.types import FoundPrompts


class PromptFinder:
    """Finds prompts of videos; they are stored before any cap or threshold drops some of them."""

    def __init__(self, recipe: Recipe, store: PromptStore) -> None:
        """Take a source to videos.

        Args:
            recipe: has the prompt source; opened when the first prompts are searched.
            store: of prompts that were found before, and will be.
        """
        self.recipe, self.store = recipe, store
        self._is_open = False

    def find(
        self, video: PromptedVideo, texts: Sequence[str], device: torch.device
    ) -> dict[str, KeptPrompts]:
        """Return the prompts to track, by text.

        Args:
            video: the video.
            texts: as for ``PromptSource.find``, possibly with repetitions.
            device: of the source's networks.

        Raises:
            SettingsError: if the source cannot be loaded, or does not give what it should.
        """
        wanted, source = tuple(dict.fromkeys(texts)), self.recipe.source
        frame_idxs = tuple(map(int, source.frame_idxs(video))) if source.is_kept else ()
        threshold, found = source.found_threshold, None
        if source.is_kept:
            with stage(FILES):
                found = self.store.read(video.video_id, video.size, frame_idxs, wanted, threshold)
        if found is None:
            self._open(device)
            searched = source.find(video, frame_idxs, wanted)
            by_text = {text: tuple(searched[text]) for text in wanted}
            found = FoundPrompts(video.size, frame_idxs, threshold, by_text)
            if source.is_kept:
                with stage(FILES):
                    self.store.write(video.video_id, found)
        with stage(RULES):
            searched_idxs = frame_idxs if source.is_kept else None
            return {
                text: replace(source.keep(prompts), frame_idxs=searched_idxs)
                for text, prompts in found.by_text.items()
            }

    def _open(self, device: torch.device) -> None:
        """Load what the source needs, when prompts are searched for the first time."""
        if self._is_open:
            return
        try:
            self.recipe.open_source(device)
        except UserError as error:
            raise SettingsError(str(error)) from error
        self._is_open = True
