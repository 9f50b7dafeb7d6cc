"""Options of ``sola app``, and checks of what its users send."""

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from omegaconf import OmegaConf

from sola.checks import at_least, between
from sola.errors import UserError, did_you_mean

PREFIX = "app."
CHOSEN_IN_PAGE = ("video", "expression", "expressions", "expressions_file")


@dataclasses.dataclass
class AppOptions:
    """Options of the page, given as ``app.<name>=<value>``."""

    host: str = "127.0.0.1"
    """Address to listen on. The default is reached only from this machine."""
    port: int = 7860
    """Port to listen on; 0: the first free one from 7860 on."""
    folder: str | None = None
    """Folder of clips that can be chosen in the page besides uploads."""
    max_mb: int = 200
    """Largest upload, in MB."""
    max_sentences: int = 8
    """Largest number of sentences in one run."""
    max_letters: int = 300
    """Longest sentence."""

    def __post_init__(self) -> None:
        between(0, 65535, **{"app.port": self.port})
        for name in ("max_mb", "max_sentences", "max_letters"):
            at_least(1, **{PREFIX + name: getattr(self, name)})
        if self.folder is not None and not Path(self.folder).expanduser().is_dir():
            raise UserError(f"app.folder={self.folder}: not found. Give a folder of clips.")


def read_words(words: Sequence[str]) -> tuple[AppOptions, list[str]]:
    """Return the options of the page, and the overrides of predict.py.

    Raises:
        UserError: if an option is unknown, a word is another flag than --config-dir, or its key is
            chosen in the page.
        omegaconf.errors.OmegaConfBaseException: if an option has a wrong type.
    """
    known = [PREFIX + field.name for field in dataclasses.fields(AppOptions)]
    values: dict[str, str | None] = {}
    overrides, rest = [], iter(words)
    for word in rest:
        key, _, value = word.partition("=")
        if key == "--config-dir":
            folder = Path(value or next(rest, "")).expanduser().resolve()
            overrides.append(f"hydra.searchpath=['file://{folder}']")
        elif key.startswith("-"):
            raise UserError(f"{key}: unknown flag. See sola app --help.")
        elif key.lstrip("+") in CHOSEN_IN_PAGE:
            raise UserError(f"{key}: is chosen in the page. Leave it out.")
        elif key in known:
            values[key.removeprefix(PREFIX)] = None if value == "null" else value
        elif key.startswith(PREFIX):
            raise UserError(f"{key}: unknown key.{did_you_mean(key, known)}")
        else:
            overrides.append(word)
    merged = OmegaConf.merge({"app": OmegaConf.structured(AppOptions)}, {"app": values})
    return cast(AppOptions, OmegaConf.to_object(merged.app)), overrides


def read_sentences(text: str, options: AppOptions) -> list[str]:
    """Return the sentences of a text, one per line.

    Raises:
        UserError: if there are none, too many, or one is too long.
    """
    sentences = [line.strip() for line in text.splitlines() if line.strip()]
    if not sentences:
        raise UserError("sentences: type at least one, such as: the dog, running left")
    if len(sentences) > options.max_sentences:
        raise UserError(
            f"sentences: at most {options.max_sentences}, got {len(sentences)}. Remove some."
        )
    if longest := [each for each in sentences if len(each) > options.max_letters]:
        raise UserError(
            f"sentences: at most {options.max_letters} letters each, got {len(longest[0])}. "
            "Shorten it."
        )
    return sentences


def read_threshold(text: str) -> float | None:
    """Return the threshold that a user typed; None if nothing was typed.

    Raises:
        UserError: if it is not a number in [0, 1].
    """
    try:
        value = float(text) if text.strip() else None
    except ValueError as error:
        raise UserError(f"threshold: expected a number, such as 0.5, got {text!r}.") from error
    between(0, 1, threshold=value)
    return value


def list_clips(folder: Path) -> list[str]:
    """Return the names of the clips in a folder, without hidden ones and links out of it."""
    names = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    return [name for name in names if _is_inside(folder / name, folder)]


def check_clip(path: Path, folder: Path) -> Path:
    """Return the path of a clip if it, and all its images, are inside a folder.

    Raises:
        UserError: if it is missing, or outside the folder, such as behind a link or "..".
    """
    images = path.iterdir() if path.is_dir() else ()
    if not path.exists() or not all(_is_inside(each, folder) for each in (path, *images)):
        raise UserError(f"{path.name}: is not a clip of this page. Choose another one.")
    return path


def show_help() -> None:
    """Print the options."""
    fields = dataclasses.fields(AppOptions)
    keys = [f"  {PREFIX}{f.name}={'null' if f.default is None else f.default}" for f in fields]
    lines = [
        "sola app opens a page in the browser: choose a clip, type sentences, see the answer.",
        "",
        "  sola app",
        "  sola app tracker=small ckpt_path=outputs/demo/best.ckpt",
        "",
        "Keys, with their defaults:",
        *keys,
        "And the keys of sola predict video=...: see sola predict --help",
        "",
    ]
    sys.stdout.write("\n".join(lines))


def _is_inside(path: Path, folder: Path) -> bool:
    root = folder.resolve()
    return path.resolve().is_relative_to(root) and path.resolve() != root
