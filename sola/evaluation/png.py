"""Whether the bytes of a PNG are a mask as benchmarks take it."""

import struct
import zlib
from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from sola.errors import UserError

SIGNATURE = b"\x89PNG\r\n\x1a\n"
COLOURS = {0: "grey", 2: "RGB", 3: "palette", 4: "grey and alpha", 6: "RGB and alpha"}
"""PNG's colour types (W3C PNG specification, section 11.2.1)."""
MAX_PIXELS = 1 << 26
VALUES_SHOWN = 5


def mask_faults(data: bytes, size: tuple[int, int]) -> list[str]:
    """What is wrong with the PNG of a mask; [] for nothing. See ``read_mask``."""
    return read_mask(data, size)[0]


def read_mask(data: bytes, size: tuple[int, int]) -> tuple[list[str], NDArray[np.bool_] | None]:
    """What is wrong with the PNG of a mask, and the mask where nothing is.

    Args:
        data: the file.
        size: (H, W) needed; so are 8 bits, one channel of grey, and no values but 0 and 255.

    Returns:
        The faults, [] for none; (H, W) bool, None where there are any.
    """
    try:
        width, height, depth, colour = _read_header(data)
        values, reasons = None, []
        if depth != 8 or colour != 0:
            kind = f"{depth}-bit {COLOURS.get(colour, f'of colour type {colour}')}"
            reasons = [f"{kind}; needed is 8-bit grey, one channel"]
        elif width * height <= MAX_PIXELS:  # else its size is told, its pixels are not unpacked
            values = _decode(data)
            reasons = _value_faults(values)
    except ValueError as error:
        return [f"unreadable PNG ({error})"], None
    if (height, width) != size:
        reasons.append(f"{width} x {height} px; the frames have {size[1]} x {size[0]}")
    return reasons, None if reasons or values is None else values > 0


def _read_header(data: bytes) -> tuple[int, int, int, int]:
    """Width, height, bit depth and colour type of a PNG whose chunks are all whole."""
    chunks = list(_read_chunks(data))
    kind, header = chunks[0]
    if kind != b"IHDR" or len(header) != 13:
        raise UserError("it does not begin with its header")
    width, height, depth, colour = struct.unpack(">IIBB", header[:10])
    return width, height, depth, colour


def _read_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    if not data.startswith(SIGNATURE):
        raise UserError("the file is no PNG")
    start, kind = len(SIGNATURE), b""
    while kind != b"IEND":
        end = start + 8 + int.from_bytes(data[start : start + 4])
        kind = data[start + 4 : start + 8]
        if end + 4 > len(data):
            raise UserError("it is cut off")
        if zlib.crc32(data[start + 4 : end]) != int.from_bytes(data[end : end + 4]):
            raise UserError("it is damaged")
        yield kind, data[start + 8 : end]
        start = end + 4


def _decode(data: bytes) -> NDArray[np.uint8]:
    values = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)
    if values is None:
        raise UserError("its pixels are damaged")
    return values.astype(np.uint8, copy=False)


def _value_faults(mask: NDArray[np.uint8]) -> list[str]:
    if ((mask == 0) | (mask == 255)).all():
        return []
    values = [value for value in np.unique(mask).tolist() if value not in (0, 255)]
    shown = ", ".join(map(str, values[:VALUES_SHOWN]))
    more = ", ..." if values[VALUES_SHOWN:] else ""
    return [f"has the values {shown}{more}; needed are 0 and 255 alone"]
