"""Arrays of an HDF5 group with their checksums: what is read is what was written, or an error.

Files of others are read, too: links, and storage outside of an array's own file, are not followed,
and no array takes more memory than its file has bytes.
"""

import json
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import h5py
import numpy as np

from sola.files import Damage

SEAL = "crc32"
"""Attribute of a group: the CRC-32 of what follows it, 8 hexadecimal digits; JSON of all others."""
PLAIN_LAYOUTS = (h5py.h5d.CONTIGUOUS, h5py.h5d.COMPACT)


@dataclass(frozen=True)
class SealedGroup:
    """Reads arrays of a group; each is checked when it is read, and nothing else is."""

    group: h5py.Group
    name: str
    """That it was sealed under."""
    sums: dict[str, int]
    """Path of each array, and @ and the name of each attribute -> its checksum."""
    prefix: str = ""
    """Of all paths; "" or ends with a slash."""

    def within(self, folder: str) -> "SealedGroup":
        """The arrays of a group in this one."""
        return replace(self, prefix=f"{self.prefix}{folder}/")

    def has(self, name: str) -> bool:
        """Whether an array was written, or a group with arrays."""
        path = self.prefix + name
        return any(other == path or other.startswith(f"{path}/") for other in self.sums)

    def read(self, name: str) -> np.ndarray:
        """An array.

        Raises:
            Damage: if it is not what was written, or no plain array of this file.
            KeyError: if it is not there.
        """
        path = self.prefix + name
        array = _content(self.group, path)
        self._check(path, array)
        assert isinstance(array, np.ndarray), f"{path} holds texts"
        return array

    def texts(self, name: str) -> list[str]:
        """An array of texts; see ``read``."""
        path = self.prefix + name
        texts = _content(self.group, path)
        self._check(path, texts)
        assert isinstance(texts, list), f"{path} holds numbers"
        return texts

    def attribute(self, name: str) -> np.ndarray:
        """Numbers or (an array of one) a text of an attribute; see ``read``."""
        path = f"{self.prefix}@{name}"
        content = _content(self.group, path)
        self._check(path, content)
        return np.asarray(content)

    def groups(self) -> list[str]:
        """Names of the groups in this one."""
        return list(dict.fromkeys(path.split("/")[0] for path in self.sums if "/" in path))

    def check(self) -> None:
        """Read everything that has a checksum; see ``read``."""
        for path in self.sums:
            self._check(path, _content(self.group, path))

    def _check(self, path: str, content: np.ndarray | list[str]) -> None:
        if self.sums.get(path) != _checksum(content):
            raise Damage(f"{self.name}: {path} is not what was written, by its checksum")


def open_group(parent: h5py.Group, path: str, name: str) -> SealedGroup:
    """A group whose arrays are checked.

    Args:
        parent: holds it.
        path: of it in ``parent``; "" for ``parent`` itself.
        name: that it was sealed under.

    Raises:
        Damage: if its list of checksums is missing or not what was written, or the group is a link.
        KeyError: if it is not there.
    """
    group = _follow(parent, path) if path else parent
    if not isinstance(group, h5py.Group):
        raise Damage(f"{name} is no group of arrays")
    if SEAL not in group.attrs:
        raise Damage(f"{name}: its checksums are gone")
    content = bytes(group.attrs[SEAL])
    if content != _seal_of(name, content[8:]):
        raise Damage(f"{name}: its checksums are not what was written")
    return SealedGroup(group, name, json.loads(content[8:]))


def open_array(group: h5py.Group, path: str) -> h5py.Dataset:
    """An array that can be read without surprise, unchecked.

    Raises:
        Damage: if it lies elsewhere than in the group's file, or claims more bytes than that has.
        KeyError: if it is not there.
    """
    array = _follow(group, path)
    if not isinstance(array, h5py.Dataset):
        raise Damage(f"{path} is no array")
    layout = array.id.get_create_plist()
    if layout.get_layout() not in PLAIN_LAYOUTS or layout.get_external_count():
        raise Damage(f"{path} is compressed, or kept outside of this file; neither is written here")
    if array.nbytes > array.file.id.get_filesize():
        raise Damage(f"{path} claims {array.nbytes:,} bytes, more than the file has")
    return array


def seal(group: h5py.Group, name: str) -> None:
    """Write down the checksums of everything in a group.

    Args:
        group: complete, and without links.
        name: is needed to read it: a group in the place of another one is noticed.
    """
    sums = {path: _checksum(_content(group, path)) for path in _paths(group)}
    group.attrs[SEAL] = np.bytes_(_seal_of(name, json.dumps(sums).encode()))


def as_texts(texts: Iterable[str]) -> np.ndarray:
    """Texts as files have them: UTF-8 of one length.

    HDF5 keeps texts of any length in a heap that has no checksum, and reads for ever where that is
    damaged.
    """
    encoded = [text.encode() for text in texts]
    length = max([1, *map(len, encoded)])
    return np.array(encoded, h5py.string_dtype("utf-8", length))


def _seal_of(name: str, sums: bytes) -> bytes:
    return f"{zlib.crc32(sums, zlib.crc32(name.encode())):08x}".encode() + sums


def _checksum(content: np.ndarray | list[str]) -> int:
    """CRC-32 of the type, the shape and the values."""
    if isinstance(content, list):
        return zlib.crc32(json.dumps(content).encode())
    kind = zlib.crc32(f"{content.dtype.str} {content.shape}".encode())
    return zlib.crc32(np.ascontiguousarray(content).data, kind)


def _content(group: h5py.Group, path: str) -> np.ndarray | list[str]:
    """Numbers, or texts, of an array or (behind an @) of an attribute."""
    folder, is_attribute, name = path.rpartition("@")
    if is_attribute:
        owner = _follow(group, folder[:-1]) if folder else group
        value = owner.attrs[name]
        if isinstance(value, bytes):  # of one length; of any length it is a text already
            value = value.decode()
        return [value] if isinstance(value, str) else np.asarray(value)
    array = open_array(group, path)
    if h5py.check_string_dtype(array.dtype) is None:
        numbers: np.ndarray = array[()]
        return numbers
    texts: list[str] = array.asstr()[()].tolist()
    return texts


def _paths(group: h5py.Group, prefix: str = "") -> Iterator[str]:
    """Of all attributes and arrays."""
    yield from (f"{prefix}@{name}" for name in group.attrs)
    for name, item in group.items():
        if isinstance(item, h5py.Group):
            yield from _paths(item, f"{prefix}{name}/")
        else:
            yield prefix + name


def _follow(group: h5py.Group, path: str) -> h5py.Group | h5py.Dataset:
    """What is at a path, if no link leads there."""
    for name in path.split("/"):
        if not isinstance(group, h5py.Group):
            raise Damage(f"{path}: {name} is in no group")
        links = group.id.links
        if links.exists(name.encode()) and links.get_info(name.encode()).type != h5py.h5l.TYPE_HARD:
            raise Damage(f"{path} is a link, which is not followed")
        group = group[name]
    return group
