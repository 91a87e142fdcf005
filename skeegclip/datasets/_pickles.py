"""Pickled dictionaries of arrays, as THINGS-EEG2 publishes them, read without running anything.

numpy saves a dictionary by pickling it, and a pickle may name any function to be called when it is read. Here every
name is refused but those by which numpy rebuilds an array, and for these stand inert classes of this module: what a
file says is recorded, checked, and only then made an array. Long arrays are not read at all but mapped, so that a
file of four gigabytes opens at once and costs no memory.
"""

from __future__ import annotations

import math
import os
import pickle
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

import numpy as np

_LONG = (
    1 << 16
)  # bytes; pickles keep longer strings outside their frames, where they lie as they are in memory


class _Refused(Exception):
    """The file names something that is not part of an array."""


class _Inert:
    """A name that is only ever handed on, never called."""

    __slots__ = ()


class _Stretch:
    """A long byte string that was left in the file."""

    __slots__ = ("length", "start")

    def __init__(self, start: int, length: int) -> None:
        self.start, self.length = start, length

    def __len__(self) -> int:
        return self.length


class _Dtype:
    """Stands for numpy.dtype(code, align, copy)."""

    __slots__ = ("dtype",)

    def __init__(self, code: str, *_: Any) -> None:
        self.dtype = np.dtype(code) if isinstance(code, str) else None
        if self.dtype is None or self.dtype.kind not in "biufUO" or self.dtype.shape:
            raise ValueError(f"no arrays of {code!r}")

    def __setstate__(self, state: tuple) -> None:
        if state[1] in (">", "<"):
            self.dtype = self.dtype.newbyteorder(state[1])


class _Array:
    """Stands for an array under construction; numpy's own __setstate__ never sees what is in the file."""

    __slots__ = ("content", "dtype", "order", "shape")

    order: Any

    def __setstate__(self, state: tuple) -> None:
        _version, shape, dtype, fortran, content = state
        self._set(content, dtype, shape, "F" if fortran else "C")

    def _set(self, content: Any, dtype: _Dtype, shape: tuple, order: str) -> None:
        self.content, self.dtype, self.shape, self.order = content, dtype.dtype, tuple(shape), order
        if not all(type(n) is int and n >= 0 for n in self.shape):
            raise ValueError(f"shape {self.shape}")
        # Bytes read as objects would be pointers.
        of_objects = self.dtype.kind == "O"
        if not isinstance(content, list if of_objects else (bytes, bytearray, _Stretch)):
            raise TypeError(f"{self.dtype} made of {type(content).__name__}")
        if len(content) != math.prod(self.shape) * (1 if of_objects else self.dtype.itemsize):
            raise ValueError(f"{len(content)} bytes for shape {self.shape} of {self.dtype}")

    def value(self, path: Path) -> Any:
        """Return the array: a view of the bytes read, or of the file."""
        if isinstance(self.content, list):
            array = np.empty(len(self.content), dtype=object)
            array[:] = self.content
            return array.reshape(self.shape)
        if isinstance(self.content, _Stretch):
            return np.memmap(path, self.dtype, "r", self.content.start, self.shape, self.order)
        return np.frombuffer(self.content, self.dtype).reshape(self.shape, order=self.order)


class _Reconstruct:
    """Stands for numpy.core.multiarray._reconstruct(ndarray, (0,), b"b"): an empty array, to be filled."""

    __slots__ = ()

    def __call__(self, *_: Any) -> _Array:
        return _Array()


class _FromBuffer:
    """Stands for numpy.core.numeric._frombuffer(content, dtype, shape, order), of protocol 5."""

    __slots__ = ()

    def __call__(self, content: Any, dtype: _Dtype, shape: tuple, order: str) -> _Array:
        array = _Array()
        array._set(content, dtype, shape, "F" if order == "F" else "C")
        return array


class _Scalar:
    """Stands for numpy.core.multiarray.scalar(dtype, content)."""

    __slots__ = ()

    def __call__(self, dtype: _Dtype, content: bytes) -> Any:
        return np.frombuffer(content, dtype.dtype)[0].item()


class _Encode:
    """Stands for _codecs.encode(text, "latin1"): how protocol 2 writes bytes."""

    __slots__ = ()

    def __call__(self, text: str, encoding: str) -> bytes:
        if encoding != "latin1":
            raise _Refused(f"_codecs.encode to {encoding!r}")
        return text.encode("latin-1")


_ADMITTED: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): _Inert(),
    ("numpy", "dtype"): _Dtype,
    ("_codecs", "encode"): _Encode(),
}
for _core in ("numpy.core", "numpy._core"):  # the name before and since numpy 2
    _ADMITTED[f"{_core}.multiarray", "_reconstruct"] = _Reconstruct()
    _ADMITTED[f"{_core}.multiarray", "scalar"] = _Scalar()
    _ADMITTED[f"{_core}.numeric", "_frombuffer"] = _FromBuffer()


# The unpickler written in Python, not the one in C: its methods can be replaced one by one, and its memo is a
# dictionary (that in C is a list as long as a file says, and a file of ten bytes can ask for 64 GB).
class _Unpickler(pickle._Unpickler):
    """Reads stand-ins instead of arrays, and leaves long byte strings where they are."""

    dispatch: ClassVar[dict[int, Any]] = dict(pickle._Unpickler.dispatch)

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file)
        self._file = file

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ADMITTED:
            raise _Refused(f"{module}.{name}")
        return _ADMITTED[module, name]

    def get_extension(self, code: int) -> None:
        raise _Refused(f"extension {code}")

    def _take(self, length: int) -> Any:
        frame = self._unframer.current_frame  # type: ignore[attr-defined]
        if length < _LONG or frame is not None:
            return self.read(length)  # type: ignore[attr-defined]
        start = self._file.tell()
        self._file.seek(length, os.SEEK_CUR)
        return _Stretch(start, length)

    def _load_bytes(self, n_digits: int) -> None:
        length = int.from_bytes(self.read(n_digits), "little")  # type: ignore[attr-defined]
        self.append(self._take(length))  # type: ignore[attr-defined]

    def _load_bytes4(self) -> None:
        self._load_bytes(4)

    def _load_bytes8(self) -> None:
        self._load_bytes(8)

    dispatch[pickle.BINBYTES[0]] = _load_bytes4
    dispatch[pickle.BINBYTES8[0]] = dispatch[pickle.BYTEARRAY8[0]] = _load_bytes8


def read_pickled_dict(path: str | os.PathLike) -> dict[str, Any]:
    """Read a dictionary of arrays, lists and numbers that numpy or pickle saved.

    Parameters
    ----------
    path : path-like
        A ``.npy`` file that holds a dictionary, or a pickle of one (protocols 2 to 5).

    Returns
    -------
    dict of str
        Arrays that are long are read-only maps of the file.

    Raises
    ------
    ValueError
        If the file asks for anything but arrays (nothing of it is run), is cut off, or holds no dictionary.
    """
    path = Path(path)
    with open(path, "rb") as file:
        try:
            _skip_header(file)
            content = _Unpickler(file).load()
        except _Refused as refused:
            raise ValueError(
                f"{path} is refused: it asks for {refused}, which is no part of an array, and could run code."
                " Nothing of it was run. Download the file again from its publisher."
            ) from None
        except Exception as error:  # whatever bytes at random may raise
            raise ValueError(
                f"{path} is cut off or not a pickled dictionary of arrays ({type(error).__name__}: {error})."
                " Compare its size with the publisher's, and download it again."
            ) from error
    if isinstance(content, _Array) and isinstance(content.content, list) and content.shape == ():
        content = content.content[0]  # what numpy.save makes of a dictionary
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise ValueError(
            f"{path} holds no dictionary of named arrays. See load_things_eeg2 for the files it reads."
        )
    return {key: item.value(path) if isinstance(item, _Array) else item for key, item in content.items()}


def _skip_header(file: BinaryIO) -> None:
    """Move behind the header of a .npy file of objects; a bare pickle has none."""
    from numpy.lib import format as npy

    start = file.read(len(npy.MAGIC_PREFIX))
    file.seek(0)
    if start != npy.MAGIC_PREFIX:
        return
    version = npy.read_magic(file)
    read = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}[version]
    dtype = read(file)[2]
    if dtype.kind != "O":
        raise ValueError(f"an array of {dtype}, not a dictionary")
