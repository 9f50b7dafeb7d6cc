"""The prompts of one video from one prompt source, which remembers what was found before."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from numbers import Integral
from typing import Any

from sola.config.by_name import file_of
from sola.prompts import KeptPrompts, PromptedVideo, PromptSource, SettingsError
from sola.shards import PromptStore
from sola.trackers.stages import FILES, RULES, stage
from sola.types import FoundPrompts, Prompt

_NEEDED = "; needed is, by text, a list of what self.prompt(frame_idx, mask) gives."


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
        by_text = self._found(video, wanted) if self.source.is_kept else self._look(video, wanted)
        with stage(RULES):
            return {text: self._keep(prompts, video) for text, prompts in by_text.items()}

    def _keep(self, prompts: Sequence[Prompt], video: PromptedVideo) -> KeptPrompts:
        kept: Any = self.source.keep(prompts)
        if not isinstance(kept, KeptPrompts):
            raise SettingsError(
                f"{_where(self.source, video)}: keep gave a {type(kept).__name__}; needed is what "
                "super().keep(...) gives."
            )
        return kept

    def _found(
        self, video: PromptedVideo, texts: tuple[str, ...]
    ) -> Mapping[str, Sequence[Prompt]]:
        frame_idxs = _frame_idxs(self.source, video)
        threshold = self.source.rule.box_threshold
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
        _check_found(self.source, video, texts, found)
        return {text: tuple(found[text]) for text in texts}


def _where(source: PromptSource, video: PromptedVideo) -> str:
    """The file of a source, and a video."""
    return f"{file_of(type(source))}, video {video.video_id}"


def _frame_idxs(source: PromptSource, video: PromptedVideo) -> tuple[int, ...]:
    """Frames that a source wants to look at, which the video has."""
    given: Any = source.frame_idxs(video)
    found = tuple(given) if isinstance(given, Iterable) else (None,)
    for idx in found:
        if not isinstance(idx, Integral) or not 0 <= int(idx) < video.num_frames:
            raise SettingsError(
                f"{_where(source, video)}: frame_idxs gave {given!r}; needed is a list of whole "
                f"numbers from 0 to {video.num_frames - 1}."
            )
    return tuple(map(int, found))


def _check_found(
    source: PromptSource,
    video: PromptedVideo,
    texts: tuple[str, ...],
    found: Any,
) -> None:
    """Tell whoever wrote the source what is wrong with what it found."""
    where = f"{_where(source, video)}: find gave"
    if not isinstance(found, Mapping):
        kind = type(found).__name__
        raise SettingsError(f"{where} a {kind}; needed is a dict of prompts by text.")
    if set(found) != set(texts):
        raise SettingsError(f"{where} prompts for {list(found)}; asked for were {list(texts)}.")
    for prompts in found.values():
        if not isinstance(prompts, Sequence):
            raise SettingsError(f"{where} a {type(prompts).__name__}{_NEEDED}")
        for each in prompts:
            if not isinstance(each, Prompt):
                raise SettingsError(f"{where} a list of {type(each).__name__}{_NEEDED}")
    for prompt in (prompt for prompts in found.values() for prompt in prompts):
        size = tuple(prompt.mask["size"])
        if size != video.size or not 0 <= prompt.frame_idx < video.num_frames:
            raise SettingsError(
                f"{where} a mask of (height, width) {size} on frame {prompt.frame_idx}; the video "
                f"has {video.num_frames} frames of {video.size}."
            )
