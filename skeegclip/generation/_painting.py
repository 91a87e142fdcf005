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
from .._utils.identity import identity
from .._utils.persistence import read_regular, write_whole
from .._utils.pictures import open_picture
from .._version import __version__
from ._sharing import Portable

_FORMAT = 1
_MOST_BYTES = 2**32
_SAMPLED = 4096  # numbers of each fitted array that are compared
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
    from .._utils.progress import is_watched, tqdm

    n_rows, n_images, n_dims = order.embeddings.shape
    flat, seeds = order.embeddings.reshape(-1, n_dims), order.seeds.ravel()
    folder = None if out_dir is None else _Folder(out_dir, generator, order)
    step = getattr(generator, "batch_size", _DEFAULT_BATCH)
    painted: list[np.ndarray] = []
    with tqdm(
        total=len(flat), desc="painting", unit="picture", disable=not (verbose and is_watched())
    ) as bar:
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
        from safetensors import SafetensorError
        from safetensors.numpy import load, save

        self.path = Path(os.fspath(path))
        self._n_images = order.embeddings.shape[1]
        facts = {
            "format": _FORMAT,
            "skeegclip": __version__,
            "generator": _describe(generator),
            "fitted": _told(generator),
            "low_level": order.low_level is not None,
            "captions": order.captions,
            "seeds": order.seeds.tolist(),
        }
        numbers = _numbers(generator, order)
        known, vectors = self.path / "painting.json", self.path / "embeddings.safetensors"
        if not os.path.lexists(known):
            content = save(numbers)
            self._check_unclaimed(vectors, content, order.seeds.size)
            write_whole(vectors, content)
            write_whole(known, json.dumps(facts, ensure_ascii=False).encode())
            return
        try:
            before = dict(json.loads(read_regular(known, limit=_MOST_BYTES)))
            there = load(read_regular(vectors, limit=_MOST_BYTES))
        except (OSError, ValueError, TypeError, KeyError, RecursionError, SafetensorError) as error:
            raise ValueError(
                f"out_dir: {self.path} does not say which pictures it holds ({error}). Name another folder."
            ) from error
        changed = [name for name in facts if before.get(name) != facts[name]]
        # Another number of threads moves the last bits of an embedding; that is still the same run.
        changed += [
            name for name in sorted({*there, *numbers}) if not _alike(there.get(name), numbers.get(name))
        ]
        if changed:
            raise ValueError(
                f"out_dir: {self.path} holds pictures of another run (differing in {', '.join(changed)})."
                " Name another folder, or empty this one."
            )

    def _check_unclaimed(self, vectors: Path, content: bytes, n_pictures: int) -> None:
        """Refuse a folder with somebody else's files of our names; of ours a kill may have left the vectors alone."""
        taken = [path for path in map(self._file, range(n_pictures)) if os.path.lexists(path)]
        if os.path.lexists(vectors):
            try:
                is_ours = read_regular(vectors, limit=len(content)) == content
            except (OSError, ValueError):
                is_ours = False
            taken += [] if is_ours else [vectors]
        if taken:
            raise FileExistsError(
                f"out_dir: {str(taken[0])!r} is there already, and would be replaced. Name another folder, or move it away."
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


def _state(generator: Any) -> dict[str, Any]:
    """What a generator of ours has learned."""
    generator = thaw(generator)
    names = generator._fitted().names if isinstance(generator, Portable) else ()
    return {
        name: getattr(generator, name) for name in sorted({*names, "pictures_"}) if hasattr(generator, name)
    }


def _told(generator: Any) -> str:
    """What tells a generator from one that was fitted to something else, besides its numbers."""
    return identity({name: value for name, value in _state(generator).items() if not _is_real(value)})


def _numbers(generator: Any, order: Order) -> dict[str, np.ndarray]:
    """By which a run is known, up to a few bits of each number."""
    numbers = {"embeddings": np.ascontiguousarray(order.embeddings)}
    for name, value in _state(generator).items():
        if _is_real(value):
            flat = np.ravel(value)
            numbers[f"generator.{name}"] = flat[:: max(1, flat.size // _SAMPLED)].astype(np.float32)
    if order.low_level is not None:
        # Sixteenths of each picture: of one that is the same but for rounding they are too.
        low = [np.asarray(picture, dtype=np.float32) for picture in order.low_level]
        numbers["low_level pictures"] = np.array(
            [
                [part.mean() for half in np.array_split(one, 4) for part in np.array_split(half, 4, 1)]
                for one in low
            ],
            dtype=np.float32,
        )
    return numbers


def _is_real(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.kind == "f"


def _alike(there: np.ndarray | None, now: np.ndarray | None) -> bool:
    if there is None or now is None or there.shape != now.shape:
        return False
    return np.allclose(there, now, rtol=1e-3, atol=1e-3 * max(float(np.std(there)), 1e-6))


def _describe(generator: Any) -> dict[str, str]:
    """Name and parameters of a generator, but for those that change no picture."""
    generator = thaw(generator)
    params = generator.get_params() if hasattr(generator, "get_params") else {}
    no_matter = {"batch_size", "verbose", "device", "offload", "cache_dir", "local_files_only"}
    return {"class": type(generator).__name__} | {k: repr(v) for k, v in params.items() if k not in no_matter}
