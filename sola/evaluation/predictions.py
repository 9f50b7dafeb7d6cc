"""Read and check masks of any system, ``<video>/<expression id>/<frame>.png``.

They are read as one track per expression.
"""

import io
import math
import os
import zipfile
import zlib
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from sola.config.console import progress
from sola.datasets import Split
from sola.datasets.frames import frame_size
from sola.errors import UserError
from sola.evaluation.measure import SELECTION, Answer, ExpressionResult
from sola.evaluation.scores import Scores, group_by_video
from sola.evaluation.tracks import VideoTracks
from sola.evaluation.video_scorer import Score
from sola.masks import empty_masklet, encode
from sola.types import Expression, Masklet

NUM_THREADS = min(16, os.cpu_count() or 1)
MAX_FILE_BYTES = 1 << 26  # of a PNG
LINES_SHOWN = 20
GREY = "8-bit grey"
KINDS = {"1": "1-bit grey", "L": GREY, "I;16": "16-bit grey", "P": "palette"}  # by Pillow's mode
Size = tuple[int, int]  # (H, W)


class MaskFiles:
    """Mask files in a zip or a folder.

    Args:
        path: the zip or folder.

    Attributes:
        names: names of all files, and of folders that a zip lists (with a trailing slash).

    Raises:
        UserError: if ``path`` is neither.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.members = path, dict[str, zipfile.ZipInfo]()
        if path.is_dir():
            paths = [p for p in sorted(path.rglob("*")) if p.is_symlink() or not p.is_dir()]
            self.names = [p.relative_to(path).as_posix() for p in paths]
            return
        if not path.is_file():
            raise UserError(f"{path}: no such zip or folder. predict.py submission=true makes one.")
        try:
            self.zip = zipfile.ZipFile(path)
        except zipfile.BadZipFile as error:
            raise UserError(f"{path}: not a readable zip ({error}). Pack it again.") from error
        self.names = [member.orig_filename for member in self.zip.infolist()]
        self.members = {member.orig_filename: member for member in self.zip.infolist()}

    def read_mask(self, name: str, size: Size) -> tuple[NDArray[np.uint8], str]:
        """Read a PNG with one channel or a palette.

        Args:
            name: name of the file.
            size: required (H, W).

        Returns:
            (H, W) values, and the kind of image, such as "8-bit grey".

        Raises:
            UserError: if the file cannot be read, or has another size or several channels.
        """
        content = io.BytesIO(self._read(name))
        try:
            with Image.open(content, formats=["PNG"]) as image:
                image.verify()  # checksums; the image must then be opened again
            with Image.open(content, formats=["PNG"]) as image:
                if (image.height, image.width) != size:
                    raise UserError(
                        f"{image.width} x {image.height} px; the frames have {size[1]} x {size[0]}"
                    )
                kind = KINDS.get(image.mode, image.mode)
                if len(image.getbands()) > 1:
                    raise UserError(f"{kind}; expected one channel")
                return np.asarray(image), kind
        except UnidentifiedImageError:
            raise UserError("not a PNG") from None
        except (OSError, SyntaxError, ValueError, zlib.error) as error:
            raise UserError(f"unreadable PNG ({error})") from error

    def _read(self, name: str) -> bytes:
        path, member = self.path / name, self.members.get(name)
        try:
            if member is None and not path.is_file():
                raise UserError("not a file")
            num_bytes = path.stat().st_size if member is None else member.file_size
            if num_bytes > MAX_FILE_BYTES:
                raise UserError(f"must be at most {MAX_FILE_BYTES} bytes, got {num_bytes}")
            return path.read_bytes() if member is None else self.zip.read(member)
        except (OSError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
            raise UserError(f"cannot be read ({error})") from error

    def find_top(self, wanted: Container[str], top_dir: str) -> str:
        """Return the folder that holds most of the wanted masks, with a slash; "" for the root.

        Args:
            wanted: see ``wanted_masks``.
            top_dir: the expected folder, returned if there are no masks.
        """
        split = (name.rsplit("/", 3) for name in self.names)
        tops = Counter("".join(parts[:-3]) for parts in split if "/".join(parts[-3:]) in wanted)
        top = max(tops, key=lambda top: (tops[top], top == top_dir)) if tops else top_dir
        return f"{top}/" if top else ""


def mask_names(dataset: Split, expression: Expression) -> list[str]:
    """Return the names of an expression's masks, ``<video>/<expression id>/<frame>.png``."""
    folder = f"{expression.video_id}/{expression.expression_id}"
    return [f"{folder}/{p.stem}.png" for p in dataset.videos[expression.video_id].frame_paths]


def wanted_masks(dataset: Split) -> dict[str, Size]:
    """Return the names of all masks of a split, and their (H, W).

    Raises:
        UserError: if the first frame of a video, which gives the size, cannot be read.
    """
    ids = dict.fromkeys(expression.video_id for expression in dataset.expressions)
    sizes = {video_id: frame_size(dataset.videos[video_id].frame_paths[0]) for video_id in ids}
    return {
        name: sizes[expression.video_id]
        for expression in dataset.expressions
        for name in mask_names(dataset, expression)
    }


def find_faults(path: Path, wanted: Mapping[str, Size], top_dir: str) -> list[str]:
    """Return all faults of a submission.

    Args:
        path: a zip, or a folder whose contents would be zipped.
        wanted: masks that it must hold, and nothing else; see ``wanted_masks``.
        top_dir: folder in the zip that holds the videos, "" for none.

    Returns:
        Lines ``<file or folder>: <fault>``; a folder that is missing or unexpected as a whole is
        one fault.

    Raises:
        UserError: if ``path`` is neither a folder nor a readable zip.
    """
    files = MaskFiles(path)
    counts, top = Counter(files.names), files.find_top(wanted, top_dir)
    needed = {top + name: size for name, size in wanted.items()}
    folders, faults = _folders_of(needed), []
    if top.rstrip("/") != top_dir:
        where = f"in a folder {top_dir}/" if top_dir else "at the top"
        faults.append(f"{top or '.'}: holds the videos; they are needed {where}")
    faults += [f"{name}: {count} times in the zip" for name, count in counts.items() if count > 1]
    missing = (name for name in needed if name not in counts)
    faults += _list_faults("missing", missing, _folders_of(counts))
    surplus = (name for name in counts if name not in needed and name not in folders)
    faults += _list_faults("unexpected", surplus, folders)
    there = [name for name in needed if name in counts]
    with ThreadPoolExecutor(NUM_THREADS) as pool, progress("checking", len(there)) as advance:
        found = pool.map(lambda name: _content_fault(files, name, needed[name]), there)
        for name, fault in zip(there, found, strict=True):
            faults += [f"{name}: {fault}"] if fault else []
            advance("")
    return faults


def first_of(lines: Sequence[str]) -> str:
    """Return up to ``LINES_SHOWN`` lines for the end of a message, and the number of the rest."""
    more = [f"... and {len(lines) - LINES_SHOWN} more"] if len(lines) > LINES_SHOWN else []
    return "".join(f"\n{line}" for line in [*lines[:LINES_SHOWN], *more])


def _folders_of(names: Iterable[str]) -> set[str]:
    """Return all folders that contain the files: a/b/c.png -> a/, a/b/."""
    return {folder for name in names for folder in _folders(name)}


def _list_faults(reason: str, names: Iterable[str], shared: Container[str]) -> Iterator[str]:
    """Yield one fault per name, or per outermost folder that is not in ``shared``."""
    found = (next((f for f in _folders(name) if f not in shared), name) for name in names)
    for name in dict.fromkeys(found):
        yield f"{name}: {reason}{', the whole folder' if name[-1] == '/' else ''}"


@dataclass(frozen=True)
class Predictions:
    """Reads the masks of a zip or folder as tracks.

    Attributes:
        dataset: the split that the masks answer.
        files: the files.
        top: folder that holds the videos, with a slash; "" for none.
        wanted: masks that the split needs, and their (H, W).
        missing: (video id, expression id) of expressions that lack a mask; all their masks are read
            as empty.
    """

    dataset: Split
    files: MaskFiles
    top: str
    wanted: Mapping[str, Size]
    missing: frozenset[tuple[str, str]]

    def read(self, expressions: Sequence[Expression]) -> VideoTracks:
        """Read the tracks of one video, in the order of its expressions.

        Raises:
            UserError: if a mask cannot be read, or differs from the frames in size.
        """
        num_frames = len(self.dataset.videos[expressions[0].video_id].frame_paths)
        ids = tuple(expression.expression_id for expression in expressions)
        return VideoTracks(
            video_id=expressions[0].video_id,
            object_tokens=np.zeros((len(ids), num_frames, 0), np.float32),
            masklets=tuple(map(self._masklet, expressions)),
            prompts=(),
            made_for=ids,
            candidates={expression_id: (idx,) for idx, expression_id in enumerate(ids)},
            size=self.wanted[mask_names(self.dataset, expressions[0])[0]],
        )

    def count_missing_as_zero(self, results: Iterable[ExpressionResult]) -> list[ExpressionResult]:
        """Replace the answers of missing expressions by wrong ones: 0 in J, F and accuracies.

        An expression without objects then counts as answered by masks that are not empty.
        """
        counted = []
        for result in results:
            expression = result.expression
            if (expression.video_id, expression.expression_id) in self.missing:
                own = dict.fromkeys(result.answers[SELECTION].own, 0.0)
                answer = Answer((), Score(0.0, 0.0), bool(expression.object_ids), own)
                result = replace(result, answers={SELECTION: answer})
            counted.append(result)
        return counted

    def sure_scores(self) -> Scores:
        """Return an infinite score for the track of each expression, so that it is selected."""
        scores = Scores({}, {})
        for video_id, expressions in group_by_video(self.dataset.expressions).items():
            for idx, e in enumerate(expressions):
                by_text = {e.expression_id: {idx: math.inf}}
                scores.by_expression[video_id, e.expression_id] = by_text
        return scores

    def _masklet(self, expression: Expression) -> Masklet:
        names = mask_names(self.dataset, expression)
        if (expression.video_id, expression.expression_id) in self.missing:
            return empty_masklet(len(names), self.wanted[names[0]])
        with ThreadPoolExecutor(NUM_THREADS) as pool:
            return encode(np.stack(list(pool.map(self._mask, names))))

    def _mask(self, name: str) -> NDArray[np.bool_]:
        try:
            return self.files.read_mask(self.top + name, self.wanted[name])[0] != 0
        except UserError as error:
            raise UserError(f"{self.top}{name}: {error}. Predict it again.") from error


def open_predictions(
    path: Path, dataset: Split, top_dir: str, *, allow_missing: bool
) -> Predictions:
    """Open the masks in a zip or folder; files that the split does not need are ignored.

    Args:
        path: a zip or folder.
        dataset: the split that the masks answer.
        top_dir: folder that usually holds the videos, "" for none.
        allow_missing: whether expressions may lack masks.

    Raises:
        UserError: if ``path`` is neither a zip nor a folder, or masks are missing.
    """
    files, wanted = MaskFiles(path), wanted_masks(dataset)
    top, there = files.find_top(wanted, top_dir), set(files.names)
    missing = frozenset(
        (expression.video_id, expression.expression_id)
        for expression in dataset.expressions
        if any(top + name not in there for name in mask_names(dataset, expression))
    )
    if missing and not allow_missing:
        names = (top + name for name in wanted if top + name not in there)
        lines = first_of(list(_list_faults("missing", names, _folders_of(there))))
        raise UserError(
            f"{path}: masks of {len(missing)} of {len(dataset.expressions)} expressions are "
            "missing. Predict them, or use missing=zero: each of these expressions then counts 0."
            f"{lines}"
        )
    return Predictions(dataset, files, top, wanted, missing)


def _content_fault(files: MaskFiles, name: str, size: Size) -> str:
    """Return the fault of a mask; "" if it is valid."""
    try:
        values, kind = files.read_mask(name, size)
    except UserError as error:
        return str(error)
    if kind != GREY:
        return f"{kind}; expected {GREY}"
    wrong = np.setdiff1d(values, (0, 255)).tolist()
    shown = ", ".join(map(str, wrong[:5])) + (", ..." if wrong[5:] else "")
    return f"has the values {shown}; expected only 0 and 255" if wrong else ""


def _folders(name: str) -> list[str]:
    """Return the folders above a file: a/b/c.png -> a/, a/b/."""
    return [f"{folder}/" for folder in accumulate(name.split("/")[:-1], "{}/{}".format)]
