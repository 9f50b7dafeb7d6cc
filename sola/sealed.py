"""HDF5 files with checksums: reading returns exactly what was written, or raises.

HDF5 checks every array (fletcher32) and, from version 1.10 on, its own structures. A digest of a
group's name and attributes detects swapped groups. Untrusted files are safe to read: links and
storage outside the file are refused, and no array takes more memory than its file has bytes.
"""

import hashlib
import io
import json
import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from sola.files import Damage, readable, whole_file

SEAL = "digest"
"""Attribute of a group: 16 hexadecimal digits of the SHA-256 of its name and other attributes."""


@contextmanager
def whole_hdf5(path: Path) -> Iterator[h5py.File]:
    """Yield a new HDF5 file in memory; write it atomically when the block ends.

    HDF5 itself neither closes a file after a failed write nor releases its objects.

    Raises:
        OSError: if the file cannot be written (disk full, over quota).
    """
    with whole_file(path) as unfinished:
        content = io.BytesIO()
        with h5py.File(content, "w", libver=("v110", "v110")) as file:
            yield file
        unfinished.write_bytes(content.getbuffer())


@contextmanager
def open_hdf5(path: Path, remedy: str) -> Iterator[h5py.File]:
    """Open an HDF5 file for reading, without locks; see ``readable``."""
    with readable(path, remedy), h5py.File(path, "r", locking=False) as file:
        yield file


def write_array(group: h5py.Group, path: str, values: Any) -> None:
    """Write numbers, or texts from ``as_texts``, with a checksum."""
    array = np.asarray(values)
    chunks = array.shape if array.size else None  # one chunk; an empty array needs no checksum
    group.create_dataset(path, data=array, chunks=chunks, fletcher32=chunks is not None)


def as_texts(texts: Iterable[str]) -> np.ndarray:
    """Convert texts to UTF-8 of fixed length, as HDF5 has no checksums for variable length."""
    encoded = [text.encode() for text in texts]
    return np.array(encoded, h5py.string_dtype("utf-8", max([1, *map(len, encoded)])))


def seal(group: h5py.Group, name: str) -> None:
    """Write the digest of a complete group.

    Args:
        group: the group.
        name: name that ``open_group`` must be given, so that swapped groups are detected.
    """
    group.attrs[SEAL] = _digest(group, name)


def open_group(parent: h5py.Group, path: str, name: str) -> h5py.Group:
    """Return a sealed group after verifying its name and attributes.

    Args:
        parent: file or group that holds the group.
        path: path of the group in ``parent``; "" for ``parent`` itself.
        name: name that it was sealed under.

    Raises:
        Damage: if the digest does not match, or the path is a link or not a group.
        KeyError: if the group is missing.
    """
    group = _follow(parent, path) if path else parent
    if not isinstance(group, h5py.Group):
        raise Damage(f"{name} is not a group of arrays")
    if group.attrs.get(SEAL) != _digest(group, name):
        raise Damage(f"{name}: its digest does not match, it was changed or is another entry")
    return group


def open_array(group: h5py.Group, path: str) -> h5py.Dataset:
    """Return an array that can be read safely.

    Raises:
        Damage: if it is compressed, stored outside the file, or claims more bytes than the file
            has.
        KeyError: if it is missing.
    """
    array = _follow(group, path)
    if not isinstance(array, h5py.Dataset):
        raise Damage(f"{path} is no array")
    storage = array.id.get_create_plist()
    filters = {storage.get_filter(idx)[0] for idx in range(storage.get_nfilters())}
    is_outside = storage.get_layout() == h5py.h5d.VIRTUAL or storage.get_external_count()
    if is_outside or array.dtype.hasobject or filters - {h5py.h5z.FILTER_FLETCHER32}:
        raise Damage(f"{path} is compressed, of variable length, or kept outside of this file")
    claimed = max(array.size, math.prod(array.chunks or ())) * array.dtype.itemsize
    if claimed > array.file.id.get_filesize():
        raise Damage(f"{path} claims {claimed:,} bytes, more than the file has")
    return array


def read_array(group: h5py.Group, path: str) -> np.ndarray:
    """Return an array of numbers, or of ``str``.

    Raises:
        Damage: if its checksum does not match; see also ``open_array``.
    """
    array = open_array(group, path)
    try:
        values = array.asstr() if h5py.check_string_dtype(array.dtype) else array
        content: np.ndarray = values[()]
    except OSError as error:
        if error.errno is not None:  # an error of the system
            raise
        raise Damage(f"{group.name}: {path} is not what was written, by its checksum") from error
    return content


def array_paths(group: h5py.Group) -> list[str]:
    """Return the paths of all arrays below a group; links are not followed."""
    items: dict[str, Any] = {}
    group.visititems(items.__setitem__)
    return [path for path, item in items.items() if isinstance(item, h5py.Dataset)]


def _digest(group: h5py.Group, name: str) -> np.bytes_:
    attributes = {key: np.asarray(group.attrs[key]).tolist() for key in group.attrs if key != SEAL}
    content = json.dumps([name, attributes], sort_keys=True, default=str)
    return np.bytes_(hashlib.sha256(content.encode()).hexdigest()[:16])  # of fixed length


def _follow(group: h5py.Group, path: str) -> h5py.Group | h5py.Dataset:
    """Return the group or array at a path, without following links."""
    for name in path.split("/"):
        link = group.get(name, h5py.HardLink(), getlink=True)
        if not isinstance(link, h5py.HardLink):
            raise Damage(f"{path} is a link, which is not followed")
        group = group[name]
    return group
