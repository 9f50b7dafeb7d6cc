"""Text tokens of sentences: a frozen encoder of transformers, and a cache on disk.

A file of the cache holds the tokens of some texts by one encoder: one array (L, E) float32 per
text, named by the SHA-256 of the text. Files are written atomically; later runs add files.
transformers and torch are imported only by the functions that need them.
"""

import contextlib
import hashlib
import json
import logging
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sola.checks import at_least, folder_name
from sola.config.console import progress
from sola.errors import UserError
from sola.files import Damage, find_files, is_there, sha256_of_file
from sola.hub import MODEL_FILES, TOKENIZER_FILES, find_weights, is_on_hub
from sola.sealed import open_group, open_hdf5, read_array, seal, whole_hdf5, write_array

log = logging.getLogger(__name__)

KEY = "text_encoder.path"
REMEDY_PATH = "Give a folder with a transformers model, or owner/name of one on the hub."
IDENTITY_FILES = ("config.json", "*token*.json", "vocab*", "merges.txt", "*.safetensors", "*.bin")
FORMAT_VERSION = 3
"""Part of the file names; files of other versions are not read."""
SUFFIX = ".h5"
REMEDY = "Move it away: it is rebuilt when it is needed."
UNLIMITED = 1 << 20
"""Number of tokens that a network reads if neither it nor its tokenizer states a limit."""
CHUNK_SIZE = 4096
"""Number of texts encoded between two writes, the most that a killed run loses."""


class TextEncoder:
    """A frozen network that turns sentences into text tokens.

    Your own encoder must be a class with the same attributes and methods.

    Args:
        name: name of the encoder's folder of cached tokens below data/text.
        path: folder of a transformers model or a weights file in it, ``owner/name`` of one on the
            hub, or "package:<name>" of a package with one, see ``sola.hub``.
        dim: E, width of a text token; it must match the model.
        batch_size: number of sentences encoded together.

    Raises:
        UserError: if a value is out of range.
    """

    path = ""
    device = "cpu"
    """Device that encodes, "cpu" or "cuda"; ``TextTokens`` sets it."""

    def __init__(self, name: str, path: str, dim: int, batch_size: int = 64) -> None:
        folder_name(name=name)
        at_least(1, dim=dim, batch_size=batch_size)
        self.name, self.path, self.dim, self.batch_size = name, path, dim, batch_size

    def identity(self) -> str:
        """Return JSON that distinguishes this encoder's tokens from another's.

        For a model of the hub it holds the commit, which is fetched at first use; for a folder the
        SHA-256 of configuration, tokenizer and weights.

        Raises:
            UserError: if the package or folder is missing, or the model cannot be fetched.
        """
        folder = self._folder()
        if is_on_hub(self.path):
            return json.dumps({"commit": folder.name, "dim": self.dim})
        found = {path for pattern in IDENTITY_FILES for path in find_files(folder, pattern)}
        files = sorted(path for path in found if path.parent == folder)
        hashes = {path.name: sha256_of_file(path) for path in files}
        return json.dumps({"files": hashes, "dim": self.dim}, sort_keys=True)

    def encode(self, texts: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        """Return the text tokens of every text: last hidden states, including special tokens.

        Texts are tokenized unchanged. Only texts of equal length share a batch, so that no result
        depends on padding. Of a text with more tokens than the network reads, the first ones are
        encoded, with a warning.

        Returns:
            Text -> (L, E) float32.

        Raises:
            UserError: if the encoder cannot be loaded, or its width is not ``dim``.
        """
        import torch

        tokenizer, model = self._load()
        model = model.to(self.device)
        log.info("text encoder %s: %d expressions on %s", self.name, len(texts), self.device)
        tokens: dict[str, NDArray[np.float32]] = {}
        with torch.inference_mode(), progress("text tokens", len(texts)) as advance:
            limit = _max_tokens(tokenizer, model)
            for batch in _equal_lengths(texts, tokenizer, limit, self.batch_size):
                inputs = tokenizer(batch, return_tensors="pt", truncation=True, max_length=limit)
                inputs = inputs.to(self.device)
                states = model(**inputs).last_hidden_state.float().cpu().numpy()
                tokens |= zip(batch, states, strict=True)
                advance(steps=len(batch))
        return {text: tokens[text] for text in texts}

    def check(self) -> dict[str, Path]:
        """Check the model's files, or fetch them; see ``Tracker.check``."""
        if not self.path:  # a subclass may have none
            return {}
        from sola.weights_file import refuse_stand_in

        folder = self._folder()
        has_safetensors = any(folder.glob("*.safetensors"))
        refuse_stand_in(folder, MODEL_FILES if has_safetensors else (*MODEL_FILES, "*.bin"))
        return {KEY: folder}

    def _folder(self) -> Path:
        path = find_weights(self.path, KEY)
        if not is_there(path):
            raise UserError(f"{KEY}={self.path}: no such folder. {REMEDY_PATH}")
        return path.parent if path.is_file() else path

    def _load(self) -> tuple[Any, Any]:
        from transformers import AutoModel, AutoTokenizer

        from sola.weights_file import NOT_LOADED

        folder = self.check()[KEY]
        try:
            if not any(path for pattern in TOKENIZER_FILES for path in folder.glob(pattern)):
                raise ValueError(f"none of {', '.join(TOKENIZER_FILES)} in {folder}")
            with quiet_transformers():
                tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
                from_pretrained: Any = AutoModel.from_pretrained
                model, report = from_pretrained(
                    folder, local_files_only=True, output_loading_info=True
                )
            missing = [
                name for name in sorted(report["missing_keys"]) if not name.startswith("pooler.")
            ]
            if missing:
                raise ValueError(f"no weights of {missing[0]} and {len(missing) - 1} others")
        except NOT_LOADED as error:
            reason = str(error).strip().partition("\n")[0]
            raise UserError(
                f"{KEY}={self.path}: cannot be loaded ({reason}). {REMEDY_PATH}"
            ) from error
        width = model.config.hidden_size
        if width != self.dim:
            raise UserError(
                f"text_encoder.dim: must be {width}, the width of {self.path}, got {self.dim}. Set "
                f"text_encoder.dim={width}."
            )
        return tokenizer, model.eval()


class TextTokens:
    """Cached text tokens; the encoder is loaded only for new texts.

    Args:
        cache_dir: folder with one folder per encoder (``data/text``), created when needed.
        encoder: encodes new texts; files of encoders with another identity are not read.
        device: device that encodes new texts, "cpu" or "cuda".

    Raises:
        UserError: if the encoder's package is missing.
    """

    def __init__(self, cache_dir: Path, encoder: TextEncoder, device: str = "cpu") -> None:
        self.encoder, self.folder = encoder, cache_dir / encoder.name
        encoder.device = device
        self._prefix = _digest(f"{FORMAT_VERSION} {encoder.identity()}")[:12]
        self._paths: dict[str, Path] = {}
        """SHA-256 of a text -> file that holds its tokens."""
        self._refresh()

    def tokens(self, texts: Sequence[str]) -> list[NDArray[np.float32]]:
        """Return the text tokens of every text.

        Args:
            texts: expressions in their original spelling.

        Returns:
            One (L, E) float32 array per text, including special tokens.

        Raises:
            UserError: if the encoder is needed and cannot be loaded, or has another width.
        """
        self.prepare(texts)
        by_path = defaultdict(set)
        for text in texts:
            by_path[self._paths[_digest(text)]].add(text)
        found: dict[str, NDArray[np.float32]] = {}
        for path, of_file in by_path.items():
            with open_hdf5(path, REMEDY) as file:
                found |= {text: _read(file, text) for text in of_file}
        return [found[text] for text in texts]

    def prepare(self, texts: Sequence[str]) -> None:
        """Encode the texts that are missing from the cache; for errors see ``tokens``."""
        by_key = {_digest(text): text for text in texts}
        if not by_key.keys() <= self._paths.keys():
            self._refresh()
        missing = [text for key, text in by_key.items() if key not in self._paths]
        for start in range(0, len(missing), CHUNK_SIZE):
            self.add(self.encoder.encode(missing[start : start + CHUNK_SIZE]))

    def add(self, tokens: Mapping[str, NDArray[np.float32]]) -> None:
        """Write one file with the tokens, (L, E) each, of some texts."""
        arrays = {_digest(text): array.astype(np.float32) for text, array in tokens.items()}
        path = self.folder / f"{self._prefix}-{_digest(' '.join(arrays))[:12]}{SUFFIX}"
        with whole_hdf5(path) as file:
            for key, array in arrays.items():
                write_array(file, key, array)
            seal(file, path.stem)
        self._paths |= dict.fromkeys(arrays, path)

    def _refresh(self) -> None:
        """Index files that this or another process has added."""
        known = set(self._paths.values())
        for path in find_files(self.folder, f"{self._prefix}-*{SUFFIX}"):
            if path not in known:
                with open_hdf5(path, REMEDY) as file:
                    self._paths |= dict.fromkeys(open_group(file, "", path.stem), path)


@contextlib.contextmanager
def quiet_transformers() -> Iterator[None]:
    """Silence progress bars, retries and reports of unused weights of transformers."""
    from huggingface_hub.utils import logging as hub_logging
    from transformers.utils import logging as transformers_logging

    verbosity = transformers_logging.get_verbosity()
    for each in (hub_logging, transformers_logging):
        each.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        transformers_logging.enable_progress_bar()


def _max_tokens(tokenizer: Any, model: Any) -> int:
    """Return the number of tokens that a network reads, including special tokens."""
    num_positions = getattr(model.config, "max_position_embeddings", None) or UNLIMITED
    table = getattr(getattr(model, "embeddings", None), "position_embeddings", None)
    padding_idx = getattr(table, "padding_idx", None)
    if padding_idx is not None:  # RoBERTa counts positions from the one after padding
        num_positions -= padding_idx + 1
    return min(tokenizer.model_max_length, num_positions, UNLIMITED)


def _equal_lengths(
    texts: Sequence[str], tokenizer: Any, limit: int, batch_size: int
) -> Iterator[list[str]]:
    by_length = defaultdict(list)
    for text, ids in zip(texts, tokenizer(list(texts), verbose=False).input_ids, strict=True):
        by_length[min(len(ids), limit)].append(text)
        if len(ids) > limit:
            read = tokenizer(text, truncation=True, max_length=limit).input_ids
            part = tokenizer.decode(read, skip_special_tokens=True)
            log.warning("text encoder reads %d of %d tokens, only: %s", limit, len(ids), part)
    for group in by_length.values():
        for start in range(0, len(group), batch_size):
            yield group[start : start + batch_size]


def _read(file: Any, text: str) -> NDArray[np.float32]:
    tokens = read_array(file, _digest(text))
    if not np.isfinite(tokens).all():
        raise Damage(f"tokens of {text!r} are NaN or infinite")
    return tokens


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
