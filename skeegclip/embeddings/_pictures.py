"""Pictures in whatever form they come: read as what a person sees, and named by what they hold."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .._utils.ids import unique_ids
from .._utils.pictures import open_rgb, pictures_in, to_rgb
from .image_table import ImageTable

# Reading a picture that the user opened moves its file pointer: one thread at a time.
_READING = threading.Lock()


@dataclass(frozen=True)
class Picture:
    """One picture, opened when needed.

    Attributes
    ----------
    source : str | PIL.Image.Image | ndarray
        A path, or the picture itself.
    name : str
        How an error calls it.
    """

    source: Any
    name: str

    def open(self) -> Any:
        """Return it as a PIL image in RGB."""
        if isinstance(self.source, np.ndarray):
            return _from_array(self.source, self.name)
        try:
            if isinstance(self.source, str):
                return open_rgb(self.source)
            with _READING:
                return to_rgb(self.source)
        except Exception as error:  # every decoder has errors of its own
            raise ValueError(
                f"{self.name} cannot be read as a picture ({error}). Replace it, or leave it out."
            ) from error

    def digest(self) -> str:
        """Name of the content: of a file's bytes, or of the pixels where there is no file."""
        if isinstance(self.source, str):
            with open(self.source, "rb") as file:
                return "file-" + hashlib.file_digest(file, _blake).hexdigest()
        return "pixels-" + pixel_digest(np.asarray(self.open())).hex()


def _blake(*args: Any) -> Any:
    return hashlib.blake2b(*args, digest_size=16)


def pixel_digest(pixels: np.ndarray) -> bytes:
    """Sixteen bytes that stand for an RGB picture, whichever way it arrived."""
    digest = _blake(repr(pixels.shape).encode())
    digest.update(np.ascontiguousarray(pixels))
    return digest.digest()


def read_pictures(images: Any, ids: Any = None) -> tuple[np.ndarray, list[Picture]]:
    """Return unique ids and the pictures that belong to them, none of them opened yet.

    Parameters
    ----------
    images : path-like | ImageTable | mapping | ndarray | sequence
        A folder, a table, an array (n, height, width[, channels]), or a list of paths, PIL images and arrays.
    ids : sequence of str | None
        Ids; None takes file stems, the ids of a table, or the numbers of the rows.

    Returns
    -------
    ids : ndarray of str
        One id per picture.
    pictures : list of Picture
        The pictures, in the same order.
    """
    if isinstance(images, Mapping):
        if ids is not None:
            raise ValueError("ids must be None where images is a table: its own ids are taken. Use subset().")
        ids = list(images)
        # A table of files stays unopened.
        entries = images._entries() if isinstance(images, ImageTable) else list(images.values())
    elif isinstance(images, (str, os.PathLike)):
        entries = pictures_in(images)
    elif _is_pil(images):
        raise TypeError("images must be a list of pictures, got one PIL image. Pass [image].")
    else:
        entries = _entries(images)
    if not entries:
        raise ValueError("images is empty. Pass at least one picture.")
    pictures = [_picture(entry, f"images[{row}]") for row, entry in enumerate(entries)]
    if ids is None:
        ids = [_default_id(entry, row) for row, entry in enumerate(entries)]
        name = "ids (stems of the file names)"
    else:
        name = "ids"
    keys, _ = unique_ids(ids, name=name)
    if len(keys) != len(pictures):
        raise ValueError(f"ids must hold one id per picture ({len(pictures)}), got {len(keys)}.")
    return keys, pictures


def _is_pil(image: Any) -> bool:
    return hasattr(image, "getexif")


def _entries(images: Any) -> list:
    if hasattr(images, "__array__") and not isinstance(images, np.ndarray):
        images = np.asarray(images)  # a tensor
    if isinstance(images, np.ndarray) and images.dtype.kind in "buif" and images.ndim not in (3, 4):
        raise ValueError(
            "images must have shape (n, height, width) or (n, height, width, channels),"
            f" got {images.shape}. One picture is images[None]."
        )
    try:
        return list(images)
    except TypeError:
        raise TypeError(
            "images must be a folder, an ImageTable, an array (n, height, width, 3), or a list of paths, PIL"
            f" images and arrays, got {type(images).__name__}."
        ) from None


def _default_id(entry: Any, row: int) -> str:
    return Path(entry).stem if isinstance(entry, (str, os.PathLike)) else str(row)


def _picture(entry: Any, name: str) -> Picture:
    if isinstance(entry, (str, os.PathLike)):
        path = os.fspath(entry)
        if not os.path.isfile(path):
            raise FileNotFoundError(f"{name} is {path!r}, and there is no such file. Check the path.")
        return Picture(path, f"{name} ({path!r})")
    if _is_pil(entry):
        return Picture(entry, name)
    if isinstance(entry, np.ndarray) or hasattr(entry, "__array__"):
        array = np.asarray(entry)
        _check_array(array, name)
        return Picture(array, name)
    raise TypeError(f"{name} must be a path, a PIL image or an array, got {type(entry).__name__}.")


def _check_array(array: np.ndarray, name: str) -> None:
    if array.dtype != np.uint8 and array.dtype.kind != "f":
        raise TypeError(f"{name} must be uint8 in 0..255 or float in [0, 1], got {array.dtype}.")
    channels = array.shape[2] if array.ndim == 3 else 1
    if array.ndim not in (2, 3) or channels not in (1, 3, 4) or 0 in array.shape:
        raise ValueError(
            f"{name} must have shape (height, width), or (height, width, channels) with 1, 3 or 4 channels,"
            f" got {array.shape}. Put the channels last."
        )


def _from_array(array: np.ndarray, name: str) -> Any:
    from PIL import Image

    if array.dtype.kind == "f":
        # What rounding leaves beyond the ends is cut off; NaN fails both comparisons.
        low, high = float(array.min()), float(array.max())
        if not (low >= -1e-3 and high <= 1 + 1e-3):
            raise ValueError(
                f"{name} is float and must lie in [0, 1], got values from {low:g} to {high:g}."
                " Divide by 255, or convert to uint8."
            )
        array = (array.clip(0, 1) * 255).round().astype(np.uint8)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    return to_rgb(Image.fromarray(np.ascontiguousarray(array)))
