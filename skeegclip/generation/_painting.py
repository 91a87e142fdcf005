"""Painting many pictures: batch by batch, kept as they come, and taken up again after an interruption."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .._utils.estimators import thaw
from .._utils.persistence import write_whole
from .._utils.pictures import open_picture
from .._version import __version__

_FORMAT = 1
_DEFAULT_BATCH = 32  # for generators that have no batches of their own


class GenerationError(RuntimeError):
    """A batch of pictures could not be painted; those before it are kept.

    Parameters
    ----------
    message : str
        What failed, and where.
    rows : range
        Epochs that failed.
    pictures : ndarray of uint8, shape (n_painted, height, width, 3) | None
        Pictures painted before, in the order of the epochs (all `n_images` of one before those of the next).

    Examples
    --------
    >>> from skeegclip.generation import GenerationError
    >>> GenerationError("rows 4 to 7 of 20 could not be painted", range(4, 8), None).rows
    range(4, 8)
    """

    def __init__(self, message: str, rows: range, pictures: np.ndarray | None) -> None:
        super().__init__(message)
        self.rows = rows
        self.pictures = pictures

    def __reduce__(self) -> tuple:
        return type(self), (self.args[0], self.rows, self.pictures)


@dataclass(frozen=True)
class Order:
    """What is to be painted.

    Parameters
    ----------
    embeddings : ndarray of float32, shape (n_rows, n_images, n_dims)
        One for each picture.
    low_level : sequence of n_rows pictures | None
        Where painting begins.
    captions : list of str, length n_rows | None
        Texts.
    seeds : ndarray of int, shape (n_rows, n_images)
        Of each picture.
    """

    embeddings: np.ndarray
    low_level: Sequence[Any] | None
    captions: list[str] | None
    seeds: np.ndarray


def paint(generator: Any, order: Order, *, out_dir: Any = None, verbose: int = 0) -> np.ndarray:
    """Paint all pictures of an order.

    Parameters
    ----------
    generator : object
        With `generate`.
    order : Order
        What.
    out_dir : path-like | None
        Folder for the pictures as they come. Those that are there already, from the same order, are not painted again.
    verbose : int
        Show a bar.

    Returns
    -------
    ndarray of uint8, shape (n_rows, n_images, height, width, 3)
        The pictures.

    Raises
    ------
    GenerationError
        If a batch fails.
    ValueError
        If the folder holds another run.
    """
    from tqdm.auto import tqdm

    n_rows, n_images, n_dims = order.embeddings.shape
    flat, seeds = order.embeddings.reshape(-1, n_dims), order.seeds.ravel()
    folder = None if out_dir is None else _Folder(out_dir, generator, order)
    step = getattr(generator, "batch_size", _DEFAULT_BATCH)
    painted: list[np.ndarray] = []
    with tqdm(total=len(flat), desc="painting", unit="picture", disable=None if verbose else True) as bar:
        for start in range(0, len(flat), step):
            part = np.arange(start, min(start + step, len(flat)))
            row = part // n_images
            batch = None if folder is None else folder.read(part)
            if batch is None:
                try:
                    batch = generator.generate(
                        flat[part],
                        low_level=None if order.low_level is None else [order.low_level[i] for i in row],
                        captions=None if order.captions is None else [order.captions[i] for i in row],
                        random_state=seeds[part],
                    )
                except Exception as error:
                    raise _failed(error, range(row[0], row[-1] + 1), n_rows, painted, folder) from error
                if folder is not None:
                    folder.write(part, batch)
            painted.append(batch)
            bar.update(len(part))
    return np.concatenate(painted).reshape(n_rows, n_images, *painted[0].shape[1:])


def _failed(
    error: Exception, rows: range, n_rows: int, painted: list[np.ndarray], folder: _Folder | None
) -> GenerationError:
    kept = "nothing was painted before"
    if painted:
        where = "error.pictures holds them" if folder is None else f"they lie in {folder.path}"
        kept = f"{sum(map(len, painted))} pictures were painted before; {where}"
        if folder is not None:
            kept += ", and the same call goes on from there"
    return GenerationError(
        f"rows {rows[0]} to {rows[-1]} of {n_rows} could not be painted ({type(error).__name__}: {error}); {kept}.",
        rows,
        np.concatenate(painted) if painted else None,
    )


class _Folder:
    """A folder of painted pictures, and what they were painted from."""

    def __init__(self, path: Any, generator: Any, order: Order) -> None:
        from safetensors.numpy import load_file, save

        self.path = Path(os.fspath(path))
        self._n_images = order.embeddings.shape[1]
        facts = {
            "format": _FORMAT,
            "skeegclip": __version__,
            "generator": _describe(generator),
            "low_level": order.low_level is not None,
            "captions": order.captions,
            "seeds": order.seeds.tolist(),
        }
        known, vectors = self.path / "painting.json", self.path / "embeddings.safetensors"
        if not known.exists():
            write_whole(vectors, save({"embeddings": np.ascontiguousarray(order.embeddings)}))
            write_whole(known, json.dumps(facts, ensure_ascii=False).encode())
            return
        before = json.loads(known.read_text(encoding="utf-8"))
        there = load_file(vectors)["embeddings"]
        changed = [name for name in facts if before.get(name) != facts[name]]
        # Another number of threads moves the last bits of an embedding; that is still the same run.
        if there.shape != order.embeddings.shape or not np.allclose(
            there, order.embeddings, rtol=1e-3, atol=1e-3 * float(np.std(there))
        ):
            changed.append("embeddings")
        if changed:
            raise ValueError(
                f"out_dir: {self.path} holds pictures of another run (differing in {', '.join(changed)})."
                " Name another folder, or empty this one."
            )

    def read(self, part: np.ndarray) -> np.ndarray | None:
        """Pictures that are there already; None if one of them is missing."""
        files = [self._file(i) for i in part.tolist()]
        return np.stack([open_picture(file) for file in files]) if all(f.exists() for f in files) else None

    def write(self, part: np.ndarray, pictures: np.ndarray) -> None:
        from PIL import Image

        for i, picture in zip(part.tolist(), pictures, strict=True):
            buffer = io.BytesIO()
            Image.fromarray(picture).save(buffer, format="png")
            write_whole(self._file(i), buffer.getvalue())

    def _file(self, i: int) -> Path:
        row, image = divmod(i, self._n_images)
        return self.path / (f"{row:05d}.png" if self._n_images == 1 else f"{row:05d}_{image}.png")


def _describe(generator: Any) -> dict[str, str]:
    """Name and parameters of a generator, but for those that change no picture."""
    generator = thaw(generator)
    params = generator.get_params() if hasattr(generator, "get_params") else {}
    no_matter = {"batch_size", "verbose", "device", "offload", "cache_dir", "local_files_only"}
    return {"class": type(generator).__name__} | {k: repr(v) for k, v in params.items() if k not in no_matter}
