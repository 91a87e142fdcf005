"""Pictures as people hold them (arrays, PIL images, files) and as the code wants them: floats, square, one size."""

from __future__ import annotations

import mmap
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .missing import refuse_masked

SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
_TOLERANCE = 1e-3  # what rounding may leave outside 0..1


def pictures_in(folder: Any, name: str = "images") -> list[Path]:
    """Return the picture files of a folder and its subfolders, sorted; hidden ones are left out."""
    place = Path(folder)
    if not place.is_dir():
        raise FileNotFoundError(
            f"{name}={str(folder)!r} is not a folder. Pass a folder, or one file as [path]."
        )
    files = sorted(
        path
        for path in place.rglob("*")
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()
    )
    if not files:
        raise ValueError(
            f"{name}={str(folder)!r} holds no picture ({', '.join(sorted(SUFFIXES))}), nor do its subfolders."
        )
    return files


def as_list(pictures: Any, name: str) -> Sequence[Any]:
    """Return a sequence of single pictures, unread; refuse what is none."""
    if isinstance(pictures, Mapping):
        raise TypeError(
            f"{name} must hold pictures in the order of the rows, got a {type(pictures).__name__}."
            " Pass table.lookup(ids)."
        )
    if isinstance(pictures, (str, os.PathLike)) or not hasattr(pictures, "__len__"):
        raise TypeError(f"{name} must be an array or list of pictures, got {type(pictures).__name__}.")
    if len(pictures) == 0:
        raise ValueError(f"{name} holds no picture.")
    return pictures


def as_samples(pictures: Any, name: str) -> list[Sequence[Any]]:
    """Return, for each row, its pictures: one, or several where each row holds a stack or list of them."""
    return [entry if _is_stack(entry) else [entry] for entry in as_list(pictures, name)]


def _is_stack(entry: Any) -> bool:
    if isinstance(entry, (list, tuple)):
        return True
    return getattr(entry, "ndim", 0) == 4


def read_picture(picture: Any, name: str) -> np.ndarray:
    """Return a picture as float32 RGB in 0..1, shape (height, width, 3).

    Parameters
    ----------
    picture : ndarray | PIL image | path-like
        uint8, or float in 0..1; (height, width), or three or four channels last (the fourth, alpha, is dropped).
    name : str
        What messages call it.

    Returns
    -------
    ndarray of float32, shape (height, width, 3)
        A new array.
    """
    if isinstance(picture, (str, os.PathLike)):
        picture = open_picture(picture)
    elif hasattr(picture, "convert"):  # PIL, not imported for the question
        picture = to_rgb(picture)
    refuse_masked(picture, name=name)
    array = np.asarray(picture)
    if array.ndim == 2:
        array = np.repeat(array[:, :, None], 3, axis=2)
    if array.ndim != 3 or array.shape[2] not in (3, 4) or 0 in array.shape:
        hint = " Put the channels last." if array.ndim == 3 and array.shape[0] in (3, 4) else ""
        raise ValueError(f"{name} must have shape (height, width, 3), got {array.shape}.{hint}")
    array = array[:, :, :3]
    if array.dtype == np.uint8:
        return array.astype(np.float32) / 255
    if array.dtype.kind != "f":
        raise TypeError(
            f"{name} must be uint8 in 0..255 or float in 0..1, got {array.dtype}. Convert it with astype('uint8')."
        )
    low, high = float(array.min()), float(array.max())
    if not (low >= -_TOLERANCE and high <= 1 + _TOLERANCE):
        raise ValueError(
            f"{name} is float, so it must lie in 0..1, got {low:g}..{high:g}. Divide by 255, or pass uint8."
        )
    return np.clip(array, 0, 1, dtype=np.float32)


def open_picture(path: Any) -> np.ndarray:
    """Read a file, or what was one and is held in memory, as uint8 RGB, as :func:`to_rgb` does."""
    return np.asarray(open_rgb(path))


def open_rgb(path: Any) -> Any:
    """Open a picture file, by its path or from memory, as a PIL image in RGB."""
    from PIL import Image

    is_path = isinstance(path, (str, os.PathLike))
    if is_path and os.path.exists(path) and not os.path.isfile(path):  # a pipe would wait for a writer
        raise ValueError(f"{path} is no picture but a folder or a pipe. Pass the path of a file.")
    try:
        with Image.open(path) as picture:
            return to_rgb(picture)
    except Image.DecompressionBombError as error:
        raise ValueError(f"{path} is not read: {error} Make it smaller first.") from error


def to_rgb(picture: Any) -> Any:
    """Return a PIL image in RGB as a viewer shows it: turned as its EXIF data say, transparent parts white."""
    from PIL import Image, ImageOps

    picture = ImageOps.exif_transpose(picture)
    if picture.mode.startswith("I;16"):  # Pillow's own conversion cuts 16 bits off at 255
        picture = Image.fromarray((np.asarray(picture) // 257).astype(np.uint8))
    elif picture.mode in ("I", "F"):
        raise ValueError(f"mode {picture.mode!r} has no fixed range of brightness; convert it to 8 bits")
    if not picture.has_transparency_data:
        return picture.convert("RGB")
    picture = picture.convert("RGBA")
    white = Image.new("RGBA", picture.size, "white")
    return Image.alpha_composite(white, picture).convert("RGB")


def square(picture: np.ndarray, size: int) -> np.ndarray:
    """Cut the centre square out and bring it to `size` pixels: bilinear, smoothed where it shrinks.

    Parameters
    ----------
    picture : ndarray of float32, shape (height, width, 3)
        From `read_picture`.
    size : int
        Pixels.

    Returns
    -------
    ndarray of float32, shape (size, size, 3)
        The picture.
    """
    from PIL import Image

    height, width, _ = picture.shape
    if height != width:
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        picture = picture[top : top + side, left : left + side]
    if len(picture) == size:
        return picture
    # One channel at a time: PIL resizes floats in its single-channel mode only.
    channels = [
        Image.fromarray(np.ascontiguousarray(picture[:, :, c])).resize(
            (size, size), Image.Resampling.BILINEAR
        )
        for c in range(3)
    ]
    return np.stack([np.asarray(channel) for channel in channels], axis=2)


def to_uint8(pictures: np.ndarray) -> np.ndarray:
    """Round pictures in 0..1 to uint8; what lies outside is clipped."""
    return np.round(np.clip(pictures, 0, 1) * 255).astype(np.uint8)


def owned(pictures: np.ndarray) -> np.ndarray:
    """Pictures that nobody else can change: a copy, unless nobody can."""
    held: Any = pictures
    while isinstance(held, np.ndarray) and not held.flags.writeable:
        held = held.base
    if held is None or isinstance(held, (bytes, mmap.mmap)):
        return pictures
    pictures = pictures.copy()
    pictures.flags.writeable = False
    return pictures
