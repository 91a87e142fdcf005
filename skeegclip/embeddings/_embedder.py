"""What embedders of pictures have in common: reading, caching, tokens; the network is the subclass's."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Callable, Generator, Iterator
from functools import partial
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator

from ._cache import VectorCache
from ._pictures import Picture, read_pictures
from ._recipe import Recipe
from ._run import embed_all, load_ahead
from .table import EmbeddingTable


class PictureEmbedder(BaseEstimator):
    """Base of the embedders: pictures to a table of vectors, or to tokens."""

    _model: Any

    @abstractmethod
    def _recipe(self) -> Recipe:
        """The parameters, checked."""

    @abstractmethod
    def _load(self, recipe: Recipe) -> Any:
        """The model, to be held as `_model`: with shape(), pixels() and encode_pixels()."""

    @abstractmethod
    def _vectors(self, recipe: Recipe) -> Callable[..., Any]:
        """From network and pixels to a vector per picture."""

    @abstractmethod
    def _token_rows(self, recipe: Recipe) -> Callable[..., Any]:
        """From network and pixels to the tokens of each picture."""

    def embed_images(self, images: Any, ids: Any = None) -> EmbeddingTable:
        """Embed pictures.

        Parameters
        ----------
        images : path-like | ImageTable | ndarray | sequence
            A folder (with its subfolders: files are taken in the order of their paths, other files are left out), an
            :class:`ImageTable`, an array ``(n, height, width[, channels])``, or a list of paths, PIL images and
            arrays. Arrays are uint8, or float in [0, 1], with 1, 3 or 4 channels.
        ids : sequence of str, shape (n,) | None
            Unique ids. None takes the stems of file names, the ids of a table, and numbers for the rest.

        Returns
        -------
        EmbeddingTable
            A vector per picture, not scaled; ``meta`` says how it was made.

        Raises
        ------
        FileNotFoundError
            If a file or folder is missing.
        OSError
            If the weights are neither here nor to be had; the text says what to put where.
        TypeError
            If pictures are of another type.
        ValueError
            If a parameter is wrong, a picture cannot be read or lies outside its range, or ids repeat.
        """
        keys, pictures = read_pictures(images, ids)
        recipe = self._recipe()
        settings = recipe.of_pictures()
        cache = VectorCache(self.cache_dir, settings) if self.cache_dir is not None else None
        contents: list[Any] = list(range(len(pictures)))
        if cache is not None:
            contents = [each for batch in load_ahead(Picture.digest, pictures, 256) for each in batch]

        def compute(rows: list[int]) -> Generator[np.ndarray, None, None]:
            return self._encode([pictures[row] for row in rows], recipe, self._vectors(recipe))

        vectors = embed_all(
            contents,
            compute,
            cache=cache,
            name=lambda row: pictures[row].name,
            verbose=self.verbose,
            unit="image",
        )
        return EmbeddingTable(keys, vectors, meta=settings)

    def iter_patch_tokens(self, images: Any, ids: Any = None) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Embed pictures token by token, a batch at a time.

        The tokens of THINGS-EEG2's training pictures, 16,540 x 257 x 1024, are 17 GB: here only a batch is held.

        Parameters
        ----------
        images : path-like | ImageTable | ndarray | sequence
            As in :meth:`embed_images`.
        ids : sequence of str, shape (n,) | None
            As in :meth:`embed_images`.

        Returns
        -------
        iterator
            Gives pairs: the ids of a batch, ndarray of str (n_batch,), and its tokens, ndarray of float32
            (n_batch, n_tokens, width). The class token comes first, where the tower has one, then the patches row
            by row. `layer` "final" is the last block with the tower's last normalisation, before any projection; any
            other is the block's output.

        Raises
        ------
        ValueError
            If `layer` is a list, besides the errors of :meth:`embed_images`.
        """
        keys, pictures = read_pictures(images, ids)
        recipe = self._recipe()
        recipe.one_layer()  # so that the error comes now, not with the first batch
        return self._tokens(keys, pictures, recipe)

    def save_patch_tokens(
        self, images: Any, folder: str | os.PathLike, ids: Any = None, *, dtype: str = "float16"
    ) -> None:
        """Write the tokens of pictures to a folder, to be memory-mapped by :func:`~skeegclip.embeddings.load_patch_tokens`.

        The folder appears when it is complete. A run that was stopped leaves ``<folder>.partial``, and goes on from
        there when it is called again with the same pictures and settings.

        Parameters
        ----------
        images : path-like | ImageTable | ndarray | sequence
            As in :meth:`embed_images`.
        folder : path-like
            The folder to make.
        ids : sequence of str, shape (n,) | None
            As in :meth:`embed_images`.
        dtype : {"float16", "float32"}
            Type on disk.

        Raises
        ------
        FileExistsError
            If the folder is there already.
        ValueError
            As in :meth:`iter_patch_tokens`.
        """
        from .patch_tokens import write_patch_tokens

        keys, pictures = read_pictures(images, ids)
        recipe = self._recipe()
        contents = [each for batch in load_ahead(Picture.digest, pictures, 256) for each in batch]
        write_patch_tokens(
            folder,
            keys,
            lambda start: self._tokens(keys[start:], pictures[start:], recipe),
            contents=contents,
            settings=recipe.of_tokens(),
            dtype=dtype,
            verbose=self.verbose,
        )

    def _tokens(
        self, keys: np.ndarray, pictures: list[Picture], recipe: Recipe
    ) -> Generator[tuple[np.ndarray, np.ndarray], None, None]:
        done = 0
        for tokens in self._encode(pictures, recipe, self._token_rows(recipe)):
            yield keys[done : done + len(tokens)], tokens
            done += len(tokens)

    def _encode(
        self, pictures: list[Picture], recipe: Recipe, read: Callable[..., Any]
    ) -> Generator[np.ndarray, None, None]:
        model = self._load(recipe)
        n_pictures = max(1, recipe.batch_size // recipe.n_views)
        for batch in load_ahead(partial(recipe.prepare, model), pictures, n_pictures):
            values = model.encode_pixels(np.concatenate(batch), read, recipe.precision)
            yield values.reshape(len(batch), recipe.n_views, *values.shape[1:]).mean(axis=1)

    def __getstate__(self) -> dict:
        state = dict(super().__getstate__())
        state.pop("_model", None)
        return state
