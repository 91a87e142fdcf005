"""ImageTable: stimulus id -> picture."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .._utils.contents import Loading
from .._utils.folders import Content, checked
from .._utils.html import html_card
from .._utils.ids import positions, unique_ids
from .._utils.pictures import open_picture, owned, pictures_in

_PICTURES = "pictures.bin"


class ImageTable(Mapping):
    """Immutable mapping from stimulus id to picture.

    Pictures are held as uint8 arrays, or as paths that are opened when needed. Like an
    :class:`EmbeddingTable` it is shared, not copied, by :func:`sklearn.base.clone`. :func:`skeegclip.save` copies the
    picture files as they are, so that the table can be read on another machine; it is then held in memory, as small as
    the files are.

    Parameters
    ----------
    ids : sequence of str, shape (n,)
        Unique ids.
    images : ndarray of uint8, shape (n, height, width, 3) | sequence
        One picture per id: arrays ``(height, width, 3)`` of uint8, or paths to picture files. Arrays are copied, unless
        they are read-only already, all the way down to their memory: a read-only ``numpy.memmap`` of many pictures costs
        nothing.

    Attributes
    ----------
    ids : ndarray of str, shape (n,)
        The ids, read-only.

    Raises
    ------
    TypeError
        If ids are not strings, or a picture is neither a uint8 array nor a path.
    ValueError
        If ids repeat, or a picture has another shape.
    FileNotFoundError
        If there is no file at a path.

    See Also
    --------
    ImageTable.from_folder : The pictures of a folder, by the names of their files.

    Examples
    --------
    >>> import numpy as np
    >>> from skeegclip import ImageTable
    >>> table = ImageTable(["a", "b"], np.zeros((2, 8, 8, 3), dtype="uint8"))
    >>> table["b"].shape
    (8, 8, 3)
    >>> table.lookup(["b", "a", "b"]).shape
    (3, 8, 8, 3)
    """

    __slots__ = ("_ids", "_images", "_position")

    _ids: np.ndarray
    _images: Any
    _position: dict[str, int]

    def __init__(self, ids: Any, images: Any) -> None:
        keys, position = unique_ids(ids, name="ids")
        if isinstance(images, np.ndarray) and images.dtype != object:
            _check_pictures(images[:1], "images")
            pictures: Any = owned(images)
        else:
            pictures = tuple(
                _check_entry(entry, key) for entry, key in zip(images, keys.tolist(), strict=False)
            )
        if len(images) != len(keys):
            raise ValueError(f"images must hold one picture per id ({len(keys)}), got {len(images)}.")
        self._assign(keys, position, pictures)

    @classmethod
    def from_folder(cls, folder: str | os.PathLike) -> ImageTable:
        """Make a table of the pictures in a folder and its subfolders; ids are the names of the files, without suffix.

        Parameters
        ----------
        folder : path-like
            Where the pictures are. Hidden files are left out.

        Returns
        -------
        ImageTable
            Sorted by path; files stay unopened.

        Raises
        ------
        FileNotFoundError
            If there is no such folder.
        ValueError
            If it holds no picture, or two of the same name.

        Examples
        --------
        >>> import tempfile
        >>> from pathlib import Path
        >>> from PIL import Image
        >>> from skeegclip import ImageTable
        >>> folder = Path(tempfile.mkdtemp())
        >>> for name in ("cat_01", "dog_01"):
        ...     Image.new("RGB", (8, 8)).save(folder / f"{name}.png")
        >>> ImageTable.from_folder(folder).ids.tolist()
        ['cat_01', 'dog_01']

        A matrix with one row per picture, in this order, becomes a table of embeddings:

        >>> from skeegclip import EmbeddingTable
        >>> EmbeddingTable(ImageTable.from_folder(folder).ids, [[1, 0], [0, 1]])
        EmbeddingTable(n=2, n_dims=2)
        """
        files = pictures_in(folder, "folder")
        ids, _ = unique_ids([file.stem for file in files], name="ids (names of the files)")
        return cls(ids, files)

    @classmethod
    def _restore(cls, ids: np.ndarray, images: Any) -> ImageTable:
        """A table of what another process holds: files may not be here, and are asked for when they are needed."""
        table = object.__new__(cls)
        table.__setstate__({"ids": ids, "images": images})
        return table

    def _assign(self, ids: np.ndarray, position: dict[str, int], images: Any) -> None:
        ids.flags.writeable = False
        for name, value in zip(self.__slots__, (ids, images, position), strict=True):
            object.__setattr__(self, name, value)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"ImageTable is immutable; make a new one instead of setting {name!r}.")

    @property
    def ids(self) -> np.ndarray:  # numpydoc ignore=GL08
        return self._ids

    def __len__(self) -> int:
        return len(self._ids)

    def __iter__(self) -> Iterator[str]:
        return iter(self._ids.tolist())

    def __getitem__(self, key: str) -> np.ndarray:
        row = positions(self._position, [key], name="ids", what="table")[0]
        entry = self._images[row]
        return _opened(entry)

    def __repr__(self) -> str:
        kind = "arrays" if isinstance(self._images, np.ndarray) else "files or arrays"
        return f"ImageTable(n={len(self)}, {kind})"

    def _repr_html_(self) -> str:
        facts = {"pictures": f"{len(self):,}", "ids": self._ids[:6].tolist()}
        return html_card("ImageTable", facts)

    # Mapping would compare the pictures one by one; a table is equal to itself.
    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def __sklearn_clone__(self) -> ImageTable:
        return self

    def __copy__(self) -> ImageTable:
        return self

    def __deepcopy__(self, memo: dict) -> ImageTable:
        return self

    def __reduce__(self) -> tuple:
        return ImageTable._restore, (self._ids, self._images)

    # For writers that know no __reduce__ and no __slots__, such as skops.
    def __getstate__(self) -> dict[str, Any]:
        return {"ids": self._ids, "images": self._images}

    def __setstate__(self, state: dict[str, Any]) -> None:
        ids, images = state["ids"], state["images"]
        position = {key: row for row, key in enumerate(ids.tolist())}
        self._assign(ids, position, owned(images) if isinstance(images, np.ndarray) else images)

    def lookup(self, ids: Any) -> np.ndarray:
        """Return the pictures of some ids, in their order.

        Parameters
        ----------
        ids : sequence of str, shape (k,)
            Known ids, repeats allowed.

        Returns
        -------
        ndarray of uint8, shape (k, height, width, 3)
            A new array.

        Raises
        ------
        KeyError
            If ids are unknown.
        ValueError
            If the pictures differ in size.
        """
        rows = positions(self._position, ids, name="ids", what="table")
        if isinstance(self._images, np.ndarray):
            return self._images[rows]
        pictures = [self._images[row] for row in rows]
        pictures = list(map(_opened, pictures))
        sizes = {picture.shape for picture in pictures}
        if len(sizes) > 1:
            raise ValueError(
                f"images differ in size ({sorted(sizes)[:3]}); resize the files to one size, or open them"
                " one by one with table[id]."
            )
        return np.stack(pictures)

    def subset(self, ids: Any) -> ImageTable:
        """Return the table of some ids, in their order.

        Parameters
        ----------
        ids : sequence of str, shape (k,)
            Unique known ids.

        Returns
        -------
        ImageTable
            The smaller table; files stay unopened.
        """
        keys, _ = unique_ids(ids, name="ids")
        rows = positions(self._position, keys, name="ids", what="table")
        if isinstance(self._images, np.ndarray):
            return ImageTable(keys, self._images[rows])
        return ImageTable._restore(keys, tuple(self._images[row] for row in rows))

    def _entries(self) -> list[Any]:
        """Arrays and paths, in the order of the ids; what a save had copied is opened."""
        return [_opened(entry) if isinstance(entry, bytes) else entry for entry in self._images]

    def _to_content(self) -> Content:
        ids = self._ids.tolist()
        if isinstance(self._images, np.ndarray):
            return Content("ImageTable", {"ids": ids, "sizes": None}, {"images": self._images})
        arrays = {str(row): entry for row, entry in enumerate(self._images) if isinstance(entry, np.ndarray)}
        pictures = [
            entry if isinstance(entry, bytes) else Path(entry).read_bytes()
            for entry in self._images
            if not isinstance(entry, np.ndarray)
        ]
        # One after another in one file: a disk takes long for thousands.
        facts = {"ids": ids, "sizes": list(map(len, pictures))}
        return Content("ImageTable", facts, arrays, {_PICTURES: pictures})

    @classmethod
    def _from_content(cls, content: Content, loading: Loading) -> ImageTable:
        facts = checked(content.facts, Facts, loading.folder)
        try:
            if facts.sizes is None:
                return cls(facts.ids, content.arrays["images"])
            pictures, start = content.files[_PICTURES], 0
            entries: list[Any] = []
            sizes = iter(facts.sizes)
            for row in range(len(facts.ids)):
                entry = content.arrays.get(str(row))
                if entry is None:
                    end = start + next(sizes)
                    entry, start = pictures[start:end], end
                entries.append(entry)
            if start != len(pictures) or any(size < 1 for size in facts.sizes):
                raise ValueError("its pictures are of other sizes")
            return cls(facts.ids, entries)
        except (KeyError, TypeError, ValueError, StopIteration) as error:
            raise loading.refuse(error) from error


@dataclass(frozen=True)
class Facts:
    """What a manifest says of a table.

    Attributes
    ----------
    ids : list of str
        The ids.
    sizes : list of int | None
        How long each picture file was; None where all pictures are one array.
    """

    ids: list[str]
    sizes: list[int] | None


def _opened(entry: Any) -> np.ndarray:
    if isinstance(entry, np.ndarray):
        return entry
    return open_picture(io.BytesIO(entry) if isinstance(entry, bytes) else entry)


def _check_pictures(images: np.ndarray, name: str) -> None:
    if images.dtype != np.uint8:
        raise TypeError(
            f"{name} must be uint8 in 0..255, got {images.dtype}. Multiply by 255 and round first."
        )
    if images.ndim != 4 or images.shape[3] != 3:
        raise ValueError(f"{name} must have shape (n, height, width, 3), got {images.shape}.")


def _check_entry(entry: Any, key: str) -> Any:
    if isinstance(entry, (str, os.PathLike)):
        if not os.path.exists(entry):
            raise FileNotFoundError(
                f"images[{key!r}] is {os.fspath(entry)!r}, and there is no such file. Check the path."
            )
        return os.fspath(entry)
    if isinstance(entry, bytes):  # a file that a save has copied
        return entry
    if not isinstance(entry, np.ndarray):
        raise TypeError(
            f"images[{key!r}] must be a uint8 array (height, width, 3) or a path, got {type(entry).__name__}."
        )
    _check_pictures(entry[None], f"images[{key!r}]")
    return owned(entry)
