"""Codec of COCO's compressed run-length masks, and set operations without decoding.

Everything is exact: counts come from integer arithmetic, or from rounded float64 values whose error
is below 1e-8 of a pixel.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco

from sola.masks.runs import decode_columns
from sola.types import Masklet, RunLength

MAX_AREAS = 255  # masks per call of pycocotools' area, which holds their number in a uint8


def encode(masks: NDArray[Any]) -> Masklet:
    """Encode a masklet.

    Args:
        masks: (T, H, W) bool, or numbers (nonzero is inside). T may be 0.

    Returns:
        T run-length masks with ``counts`` as ASCII str; [] for T = 0.

    Raises:
        ValueError: if ``masks`` does not have three dimensions, or no pixels.
    """
    if masks.ndim != 3:
        raise ValueError(f"masks: expected (T, H, W), got shape {masks.shape}")
    num_frames, height, width = masks.shape
    if num_frames == 0:
        return []
    if height == 0 or width == 0:
        raise ValueError(f"masks: must have pixels, got {height} x {width}")
    # The codec needs columns first; transposing bytes instead of floats saves most of the time.
    inside = np.asarray(masks, dtype=bool).view(np.uint8)
    columns = np.ascontiguousarray(inside.transpose(0, 2, 1)).transpose(2, 1, 0)  # (H, W, T)
    return [_from_coco(code) for code in coco.encode(columns)]


def encode_changes(changes: NDArray[np.uint8], size: tuple[int, int]) -> Masklet:
    """Encode masks from the places where their pixels change.

    Args:
        changes: (T, bytes) packed bits, highest first, in a multiple of 8 bytes. Bit p is whether
            pixel p, counted down the columns, differs from the one before; before the first pixel
            is outside. Bits beyond the last pixel are 0.
        size: (H, W).

    Returns:
        T run-length masks, equal to those of ``encode``.
    """
    height, width = size
    codes = []
    for row in changes:
        words = np.flatnonzero(row.view(np.uint64))
        word, bit = np.nonzero(np.unpackbits(row.reshape(-1, 8)[words], axis=1))
        lengths = np.diff(words[word] * 64 + bit, prepend=0, append=height * width)
        runs = {"size": [height, width], "counts": lengths.tolist()}
        codes.append(_from_coco(coco.frPyObjects(runs, height, width)))
    return codes


def decode(masklet: Masklet) -> NDArray[np.bool_]:
    """Decode a masklet.

    Args:
        masklet: T run-length masks of one size.

    Returns:
        (T, H, W) bool, contiguous; (0, 0, 0) for [], whose size is unknown.

    Raises:
        ValueError: if the masks have different sizes or a code is damaged.
    """
    if not masklet:
        return np.zeros((0, 0, 0), dtype=bool)
    size = common_size([masklet])
    assert size is not None
    # (T, W, H) -> (T, H, W)
    return np.ascontiguousarray(decode_columns(masklet, size).transpose(0, 2, 1))


def empty_masklet(num_frames: int, size: tuple[int, int]) -> Masklet:
    """Return ``num_frames`` empty masks of (H, W) ``size``."""
    if num_frames == 0:
        return []
    code = encode(np.zeros((1, *size), dtype=bool))[0]
    return [RunLength(size=list(code["size"]), counts=code["counts"]) for _ in range(num_frames)]


def resize(masklet: Masklet, size: tuple[int, int]) -> Masklet:
    """Resize every mask to one size by nearest neighbour; masks of that size stay unchanged.

    Args:
        masklet: T run-length masks of any sizes.
        size: target (H, W).

    Returns:
        T run-length masks.
    """
    return [code if tuple(code["size"]) == size else _resize(code, size) for code in masklet]


def merge(masklets: Sequence[Masklet]) -> Masklet:
    """Return the union of masklets, frame by frame.

    Args:
        masklets: N masklets of T masks, all of one size. N = 0 and T = 0 give [], as the
            number of frames is unknown (see ``empty_masklet``).

    Returns:
        T run-length masks.

    Raises:
        ValueError: if lengths or sizes differ.
    """
    common_length(masklets)
    common_size(masklets)
    return [_from_coco(coco.merge(list(frame))) for frame in zip(*masklets, strict=True)]


def areas(masklets: Sequence[Masklet]) -> NDArray[np.int32]:
    """Count the pixels of every mask.

    Args:
        masklets: N masklets of T masks.

    Returns:
        (N, T) int32; (0, 0) for N = 0.

    Raises:
        ValueError: if lengths differ.
    """
    num_frames = common_length(masklets)
    flat = [mask for masklet in masklets for mask in masklet]
    if not flat:
        return np.zeros((len(masklets), num_frames), dtype=np.int32)
    counts = [coco.area(flat[i : i + MAX_AREAS]) for i in range(0, len(flat), MAX_AREAS)]
    return np.concatenate(counts).astype(np.int32).reshape(len(masklets), num_frames)


def boxes(masks: Sequence[RunLength]) -> NDArray[np.int64]:
    """Return the smallest box around each mask.

    Args:
        masks: n run-length masks.

    Returns:
        (n, 4) int64: first column, first row, last column and last row; zeros for an empty mask.
    """
    if not masks:
        return np.zeros((0, 4), dtype=np.int64)
    found = coco.toBbox(list(masks)).astype(np.int64)  # left, top, width, height
    found[:, 2:] += found[:, :2] - (found[:, 2:] > 0)
    return found


def intersections(
    masklets: Sequence[Masklet], others: Sequence[Masklet], num_frames: int | None = None
) -> NDArray[np.int32]:
    """Count the pixels that each masklet shares with each of the others, frame by frame.

    Args:
        masklets: N masklets of T masks.
        others: G masklets of T masks of the same size.
        num_frames: T; None: taken from the masklets, 0 if there are none.

    Returns:
        (N, G, T) int32.

    Raises:
        ValueError: if lengths or sizes differ.
    """
    found = common_length([*masklets, *others])
    if num_frames is not None and (masklets or others) and found != num_frames:
        raise ValueError(f"masklets: expected {num_frames} frames, got {found}")
    num_frames = found if num_frames is None else num_frames
    counts = np.zeros((len(masklets), len(others), num_frames), dtype=np.int32)
    if counts.size == 0:
        return counts
    common_size([*masklets, *others])
    own_areas = areas(masklets)
    for frame_idx in range(num_frames):
        # As "crowd", the codec divides the intersection by the first mask's area: whole numbers
        # below 2**31 come back exactly from that float64 quotient.
        share = coco.iou(
            [masklet[frame_idx] for masklet in masklets],
            [other[frame_idx] for other in others],
            [1] * len(others),
        )
        counts[:, :, frame_idx] = np.rint(share * own_areas[:, frame_idx, None])
    return counts


def common_length(masklets: Sequence[Masklet]) -> int:
    """Return T, the number of frames of all masklets; 0 for none.

    Raises:
        ValueError: if lengths differ.
    """
    lengths = {len(masklet) for masklet in masklets}
    if len(lengths) > 1:
        raise ValueError(
            f"masklets: all must have the same number of frames, got {sorted(lengths)}"
        )
    return lengths.pop() if lengths else 0


def common_size(masklets: Sequence[Masklet]) -> tuple[int, int] | None:
    """Return (H, W) of all masks of all masklets; None if there is no mask.

    Raises:
        ValueError: if sizes differ.
    """
    sizes = {tuple(mask["size"]) for masklet in masklets for mask in masklet}
    if len(sizes) > 1:
        raise ValueError(
            f"masks: all must have the same (height, width), got sizes {sorted(sizes)}"
        )
    if not sizes:
        return None
    height, width = sizes.pop()
    return height, width


def _resize(code: RunLength, size: tuple[int, int]) -> RunLength:
    mask = decode([code])[0]
    rows = np.arange(size[0]) * mask.shape[0] // size[0]
    columns = np.arange(size[1]) * mask.shape[1] // size[1]
    return encode(mask[rows][:, columns][None])[0]


def _from_coco(code: Any) -> RunLength:
    return RunLength(size=[int(side) for side in code["size"]], counts=code["counts"].decode())
