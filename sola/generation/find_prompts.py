"""The prompts of one video from one prompt source, which remembers what was found before."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from sola.prompts import KeptPrompts, PromptedVideo, PromptSource
from sola.shards import PromptStore
from sola.trackers.stages import FILES, RULES, stage
from sola.types import FoundPrompts, Prompt


class PromptFinder:
    """Prompts of videos.

    What was found in a video is kept before any cap or threshold; a run with other ones takes it
    from there.
    """

    def __init__(
        self, source: PromptSource, store: PromptStore, open_source: Callable[[], None]
    ) -> None:
        """Take a source to videos.

        Args:
            source: the prompt source.
            store: of what was found before, and will be.
            open_source: called when prompts are to be looked for.
        """
        self.source, self.store, self.open_source = source, store, open_source

    def find(self, video: PromptedVideo, texts: Sequence[str]) -> dict[str, KeptPrompts]:
        """Prompts that are to be tracked, by text.

        Args:
            video: the video.
            texts: as for ``PromptSource.find``, but one may be there twice.

        Raises:
            SettingsError: if the source does not give what it should.
        """
        wanted = tuple(dict.fromkeys(texts))
        searched: tuple[int, ...] | None = None
        if self.source.is_kept:
            searched = tuple(map(int, self.source.frame_idxs(video)))
            by_text = self._found(video, wanted, searched)
        else:
            by_text = self._look(video, wanted)
        with stage(RULES):
            return {
                text: replace(self.source.keep(prompts), frame_idxs=searched)
                for text, prompts in by_text.items()
            }

    def _found(
        self, video: PromptedVideo, texts: tuple[str, ...], frame_idxs: tuple[int, ...]
    ) -> Mapping[str, Sequence[Prompt]]:
        threshold = self.source.found_threshold
        with stage(FILES):
            found = self.store.read(video.video_id, video.size, frame_idxs, texts, threshold)
        if found is None:
            by_text = self._look(video, texts, frame_idxs)
            found = FoundPrompts(video.size, frame_idxs, threshold, by_text)
            with stage(FILES):
                self.store.write(video.video_id, found)
        return found.by_text

    def _look(
        self, video: PromptedVideo, texts: tuple[str, ...], frame_idxs: tuple[int, ...] = ()
    ) -> dict[str, tuple[Prompt, ...]]:
        self.open_source()
        found = self.source.find(video, frame_idxs, texts)
        return {text: tuple(found[text]) for text in texts}
