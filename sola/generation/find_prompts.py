"""The prompts of one video from one prompt source, which remembers what was found before."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch

from sola.errors import UserError
from sola.generation.recipe import Recipe
from sola.prompts import KeptPrompts, PromptedVideo, SettingsError
from sola.shards import PromptStore
from sola.trackers.stages import FILES, RULES, stage
from sola.types import FoundPrompts, Prompt


class PromptFinder:
    """Finds prompts of videos; they are stored before any cap or threshold drops some of them."""

    def __init__(self, recipe: Recipe, store: PromptStore) -> None:
        """Take a source to videos.

        Args:
            recipe: has the prompt source; opened when the first prompts are searched.
            store: of prompts that were found before, and will be.
        """
        self.recipe, self.source, self.store = recipe, recipe.source, store
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
        wanted = tuple(dict.fromkeys(texts))
        searched: tuple[int, ...] | None = None
        by_text: Mapping[str, Sequence[Prompt]]
        if self.source.is_kept:
            searched = tuple(map(int, self.source.frame_idxs(video)))
            by_text = self._read_or_search(video, wanted, searched, device)
        else:
            by_text = self._search(video, wanted, (), device)
        with stage(RULES):
            return {
                text: replace(self.source.keep(prompts), frame_idxs=searched)
                for text, prompts in by_text.items()
            }

    def _read_or_search(
        self,
        video: PromptedVideo,
        texts: tuple[str, ...],
        frame_idxs: tuple[int, ...],
        device: torch.device,
    ) -> Mapping[str, Sequence[Prompt]]:
        threshold = self.source.found_threshold
        with stage(FILES):
            found = self.store.read(video.video_id, video.size, frame_idxs, texts, threshold)
        if found is None:
            by_text = self._search(video, texts, frame_idxs, device)
            found = FoundPrompts(video.size, frame_idxs, threshold, by_text)
            with stage(FILES):
                self.store.write(video.video_id, found)
        return found.by_text

    def _search(
        self,
        video: PromptedVideo,
        texts: tuple[str, ...],
        frame_idxs: tuple[int, ...],
        device: torch.device,
    ) -> dict[str, tuple[Prompt, ...]]:
        if not self._is_open:
            try:
                self.recipe.open_source(device)
            except UserError as error:
                raise SettingsError(str(error)) from error
            self._is_open = True
        found = self.source.find(video, frame_idxs, texts)
        return {text: tuple(found[text]) for text in texts}
