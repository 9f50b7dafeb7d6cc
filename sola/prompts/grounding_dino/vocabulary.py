"""Sentences as GroundingDINO reads them: its spelling, its tokens, and words for tokens."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sola.errors import UserError
from sola.text.encoder import quiet_transformers, resolve

MAX_TOKENS = 256
"""Columns of the network's output for a text; longer texts are cut."""
DELIMITERS = {"[CLS]": 101, "[SEP]": 102, ".": 1012, "?": 1029}
"""Tokens that part phrases; the network knows them by their ids in BERT's vocabulary."""
KEY = "prompt_source.detector.vocabulary"


def normalise(text: str) -> str:
    """A text as the network was trained on it: lower case, no space at its ends, a full stop."""
    text = text.lower().strip()
    return text if text.endswith(".") else text + "."


class Vocabulary:
    """BERT's uncased vocabulary.

    Args:
        path: folder, model name, or "package:<name>" of a package that carries one.

    Raises:
        UserError: if it cannot be loaded, or is not that of BERT uncased.
    """

    def __init__(self, path: str) -> None:
        self.tokenizer = _load(path)
        ids = self.tokenizer.convert_tokens_to_ids(list(DELIMITERS))
        if ids != list(DELIMITERS.values()):
            raise UserError(
                f"{KEY}={path}: {list(DELIMITERS)} are tokens {ids}, GroundingDINO needs "
                f"{list(DELIMITERS.values())}. Give bert-base-uncased or a folder with its "
                "vocabulary."
            )

    def token_ids(self, text: str) -> Tensor:
        """(1, L) long, the tokens of a text in the network's spelling, special ones included."""
        ids = self.tokenizer(normalise(text), truncation=True, max_length=MAX_TOKENS).input_ids
        return torch.tensor([ids])

    def phrase(self, token_ids: Tensor, is_word: Sequence[bool]) -> str:
        """The words of those of L tokens that count; [CLS], [SEP] and full stops are none."""
        chosen = [idx for idx, counts in zip(token_ids.tolist(), is_word, strict=True) if counts]
        words: str = self.tokenizer.decode(chosen, skip_special_tokens=True)
        return words.replace(".", "").strip()


def _load(path: str) -> Any:
    from transformers import AutoTokenizer

    folder = resolve(path, KEY)
    try:
        with quiet_transformers():
            try:
                return AutoTokenizer.from_pretrained(folder, local_files_only=True)
            except (OSError, ValueError):
                if Path(folder).is_dir():
                    raise
                return AutoTokenizer.from_pretrained(folder)
    except (OSError, ValueError, ImportError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise UserError(
            f"{KEY}={path}: cannot be loaded ({reason}). Needed is bert-base-uncased where it can "
            "be downloaded, or a folder with its vocabulary."
        ) from error
