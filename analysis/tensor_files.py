# SPDX-License-Identifier: Apache-2.0
"""Tensors in files, read chunk by chunk: NumPy's .npy and .npz, and .safetensors.

Imports `golden.format`. A file is read as a stream, never mapped: of a mapped file all pages that
were touched count as the process's memory.
"""

import io
import json
import math
import os
import zipfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from ..golden.format import BF16, FLOAT_FORMATS

CHUNK = 1 << 20
"""Elements that are read at a time."""

Start = Callable[[], AbstractContextManager[BinaryIO]]

KNOWN = tuple(word.dtype for word in FLOAT_FORMATS)
_NAMES = ", ".join(dtype.name for dtype in KNOWN)
SAFETENSORS = {
    "F16": "float16",
    "BF16": "bfloat16",
    "F32": "float32",
    "F64": "float64",
}
"""The format's names of the types that are read; values are little-endian."""
_LONGEST_HEADER = 100_000_000
"""In bytes; what the safetensors library takes."""


@dataclass(frozen=True)
class Stored:
    """One floating-point tensor in a file.

    Attributes
    ----------
    path : Path
        The file.
    name : str
        Its own; of a .npy the file's.
    dtype : numpy.dtype
        Of its elements as they are stored, the byte order included.
    shape : tuple of int
        Of the tensor as it lies in the file: in Fortran's order the axes are reversed.
    start : callable
        Opens the file where the elements begin.
    """

    path: Path
    name: str
    dtype: np.dtype
    shape: tuple[int, ...]
    start: Start

    @property
    def size(self) -> int:
        """How many elements it has."""
        return math.prod(self.shape)

    def chunks(self) -> Iterator[npt.NDArray]:
        """Yield the elements in the order of the file, as flat arrays of at most `CHUNK`.

        Raises
        ------
        OSError
            If the file cannot be opened.
        ValueError
            If it ends too early or is damaged.
        """
        with self.start() as stream:
            for begin in range(0, self.size, CHUNK):
                with _damage(self.path):
                    content = stream.read(min(self.size - begin, CHUNK) * self.dtype.itemsize)
                    chunk = np.frombuffer(content, self.dtype)
                if chunk.size != min(self.size - begin, CHUNK):
                    raise ValueError(f"{self.path} was cut off while it was read")
                yield chunk

    def read(self) -> npt.NDArray:
        """Return the whole tensor."""
        return np.concatenate([*self.chunks()]).reshape(self.shape)


@dataclass(frozen=True)
class TensorFile:
    """What a file holds.

    Attributes
    ----------
    tensors : list of Stored
        Those of floating point, at least one.
    skipped : dict of str
        By the names of the others, why they are none.
    """

    tensors: list[Stored]
    skipped: dict[str, str]


def look(path: Path) -> TensorFile:
    """Return the tensors of a file; of their elements nothing is read.

    Parameters
    ----------
    path : Path
        A file that ends in ``.npy``, ``.npz`` or ``.safetensors``. Two raw bytes an item are
        bfloat16, as NumPy stores it.

    Raises
    ------
    OSError
        If the file cannot be opened.
    ValueError
        If it is no such file, is damaged, or holds no floating-point value.
    """
    if path.suffix not in READERS:
        raise ValueError(f"{path} must be a {', '.join(READERS)} file, not {path.suffix!r}")
    with path.open("rb") as file:
        if not os.fstat(file.fileno()).st_size:
            raise ValueError(f"{path} is empty: it must be a {path.suffix} file of tensors")
    with _damage(path):
        entries = READERS[path.suffix](path)
    tensors = [entry for entry in entries.values() if isinstance(entry, Stored)]
    skipped = {name: entry for name, entry in entries.items() if isinstance(entry, str)}
    if not tensors:
        found = ", ".join(dict.fromkeys(skipped.values())) or "no tensor"
        raise ValueError(f"{path} must hold values of {_NAMES}; it holds {found}")
    return TensorFile(tensors, skipped)


@contextmanager
def _damage(path: Path) -> Iterator[None]:
    """Say in one line that a file is damaged, whatever its reader makes of it."""
    try:
        yield
    except Exception as error:  # OSError too: archives point to places that are not
        what = " ".join(str(error).split())
        raise ValueError(f"{path} is damaged or no {path.suffix} file: {what}") from None


def _entry(
    path: Path, name: str, dtype: np.dtype, shape: tuple[int, ...], length: int, start: Start
) -> Stored | str:
    """Return a tensor that has so many bytes, or what it is instead of one that counts."""
    if dtype == np.dtype("V2"):
        dtype = BF16.dtype
    if dtype.newbyteorder("=") not in KNOWN:
        return "objects" if dtype.hasobject else dtype.name
    if not all(type(n) is int and n >= 0 for n in shape):
        raise ValueError(f"the shape of {name} is {shape}")
    if math.prod(shape) * dtype.itemsize != length:
        raise ValueError(f"{dtype.name} of shape {shape} cannot be {length:,} bytes, as {name} is")
    return Stored(path, name, dtype, shape, start) if length else "no element"


def _header(stream: BinaryIO) -> tuple[tuple[int, ...], np.dtype]:
    """Read a .npy up to its elements, and return their shape as they lie there, and their type."""
    readers = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    version = np.lib.format.read_magic(stream)
    if version not in readers:
        raise ValueError(f"version {version} of .npy is for records alone")
    shape, fortran, dtype = readers[version](stream)
    return shape[::-1] if fortran else shape, dtype


def _npy(path: Path) -> dict[str, Stored | str]:
    with path.open("rb") as file:
        shape, dtype = _header(file)
        begin, end = file.tell(), file.seek(0, io.SEEK_END)
    start = partial(_at, path, begin)
    return {path.name: _entry(path, path.name, dtype, shape, end - begin, start)}


@contextmanager
def _at(path: Path, offset: int) -> Iterator[BinaryIO]:
    """Open a file, and go to a place."""
    with path.open("rb") as file:
        file.seek(offset)
        yield file


def _npz(path: Path) -> dict[str, Stored | str]:
    entries = {}
    with zipfile.ZipFile(path) as archive:
        for member in archive.namelist():
            name = member.removesuffix(".npy")
            if name == member:
                entries[name] = "no array"
                continue
            with archive.open(member) as stream:
                shape, dtype = _header(stream)
                length = archive.getinfo(member).file_size - stream.tell()
            start = partial(_member, path, member)
            entries[name] = _entry(path, name, dtype, shape, length, start)
    return entries


@contextmanager
def _member(path: Path, member: str) -> Iterator[BinaryIO]:
    """Open a member of an archive where its elements begin."""
    with zipfile.ZipFile(path) as archive, archive.open(member) as stream:
        _header(stream)
        yield stream


def _safetensors(path: Path) -> dict[str, Stored | str]:
    """Read the header: its length in 8 bytes, and JSON that says where each tensor lies."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 2 <= length <= _LONGEST_HEADER:
            raise ValueError(f"its header must not have {length:,} bytes")
        header = json.loads(file.read(length))
        begin, end = file.tell(), file.seek(0, io.SEEK_END)
    entries = {}
    for name, said in header.items():
        if name == "__metadata__":
            continue
        first, last = said["data_offsets"]
        if not 0 <= first <= last <= end - begin:
            raise ValueError(f"{name} is said to lie in bytes {first} to {last} of {end - begin:,}")
        if said["dtype"] not in SAFETENSORS:
            entries[name] = said["dtype"]
            continue
        dtype = np.dtype(SAFETENSORS[said["dtype"]]).newbyteorder("<")
        start = partial(_at, path, begin + first)
        entries[name] = _entry(path, name, dtype, tuple(said["shape"]), last - first, start)
    return entries


READERS = {".npy": _npy, ".npz": _npz, ".safetensors": _safetensors}
"""What reads a file, by its suffix: every tensor's name with the tensor, or what else it is."""
