"""EpochsStore: epochs on disk, more than memory holds, safe against a kill at any moment."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .._utils.channels import typed_picks
from .._utils.html import html_card
from ._create import append, create
from ._manifest import read_manifest
from ._state import read_state, steadily
from .view import EpochsView

if TYPE_CHECKING:
    import mne


class EpochsStore:
    """Epochs of any number of subjects in a folder, read through memory maps.

    The folder holds the epochs in shards of at most 1 GiB, ``rows.csv`` with a line per epoch, ``info.json`` with the
    channels, and a manifest that says how much of them counts and is replaced in one step. An append costs what it
    adds; one that fails or is killed at any moment leaves the store as it was. One process writes at a time; any number
    may read meanwhile.

    Make one with :meth:`create`, open one with :meth:`open`, and read it through :meth:`view`.

    Attributes
    ----------
    path : Path
        The folder.
    shape : tuple of int
        (n_epochs, n_chans, n_times).
    dtype : dtype
        Type on disk.
    origins : list of (dict, slice)
        What writes have told of what their epochs were made of, and the rows of each.

    See Also
    --------
    EpochsView : What a store is read through.

    Notes
    -----
    A shard is plain numbers in C order, little-endian; ``numpy.memmap(path, "float32", "r").reshape(-1, n_chans, n_times)``
    reads one. The manifest tells the sha256 of everything, and a write tells in a journal which files it makes: after
    a kill the next write removes those, and nothing else. What is no plain file of the folder is neither read nor
    written. Stores of version 1, which had no digests, are read, and get them with the first append, which reads them
    once.

    Examples
    --------
    >>> import tempfile
    >>> import mne, numpy as np, pandas as pd
    >>> from skeegclip import EpochsStore
    >>> info = mne.create_info(["Pz", "Oz"], 100.0, "eeg")
    >>> X = np.random.default_rng(0).normal(0, 10, (4, 2, 50))  # microvolts
    >>> rows = pd.DataFrame({"subject": "sub-01", "stimulus": ["cat", "dog", "cat", "dog"]})
    >>> folder = tempfile.TemporaryDirectory()
    >>> store = EpochsStore.create(folder.name, X, rows, info=info, tmin=-0.1)
    >>> len(store.append(X, rows.assign(subject="sub-02")))
    8
    >>> view = EpochsStore.open(folder.name).view()
    >>> view.select(subject="sub-02", stimulus="cat").crop(0, 0.2).shape
    (2, 2, 21)
    >>> folder.cleanup()
    """

    path: Path

    def __init__(self) -> None:
        raise TypeError(
            "EpochsStore is made with EpochsStore.create(path, X, rows, info=...) or EpochsStore.open(path)."
        )

    @classmethod
    def _at(cls, folder: Path) -> EpochsStore:
        store = object.__new__(cls)
        store.path = folder.resolve()
        return store

    @classmethod
    def create(
        cls,
        path: str | os.PathLike,
        X: Any,
        rows: Any = None,
        *,
        info: mne.Info | None = None,
        tmin: float | None = None,
        dtype: str = "float32",
        overwrite: bool = False,
        origin: Mapping[str, Any] | None = None,
    ) -> EpochsStore:
        """Write epochs into a new store.

        Parameters
        ----------
        path : path-like
            Folder, made where it is missing. It must hold nothing but, with `overwrite`, a store.
        X : array-like, shape (n_epochs, n_chans, n_times) | Epochs | list of Epochs | EpochsView | BaseConcatDataset | iterable of array-like
            Epochs in microvolts (MEG: fT); Epochs of MNE are converted. An iterable gives blocks of epochs, each of
            shape (k, n_chans, n_times), so that more than memory holds can be written. Finite numbers only.
        rows : DataFrame | mapping of columns, length n_epochs | None
            What is known of each epoch: stimulus, concept, subject, session, run, onset, repetition, split, or any other
            column of text or numbers. The ids among these are kept as text, whatever they look like; missing text
            becomes "". None takes the table that X carries: of a view its rows, of Epochs their metadata (the
            names of their events serve as stimulus where it tells none), of a braindecode dataset its metadata.
        info : mne.Info | None
            Channels and sampling rate; None takes those that X carries. An array may hold channels that are no data (EOG,
            stimulus, ...): they are kept on disk, and views leave them out.
        tmin : float | None
            Time of the first sample in seconds from stimulus onset; None takes that of X, else 0, which is then compared
            with nothing.
        dtype : {"float32", "float16"}
            Type on disk. float16 takes half the space and keeps three digits, of values up to 65504.
        overwrite : bool
            Whether a store that is there already may be replaced. Views of it that are open go on.
        origin : mapping | None
            What the epochs were made of (the name of a recording, its files and their digests, say), in what JSON has.
            It is kept in the manifest and counts from the moment that the epochs do; :attr:`~skeegclip.EpochsStore.origins` tells it.
            A number ``left`` in it says how many more parts are to follow: while the last such number is not 0,
            :meth:`open` warns that the store is unfinished.

        Returns
        -------
        EpochsStore
            The new store.

        Raises
        ------
        FileExistsError
            If the folder holds a store (without `overwrite`) or other files; none of them is touched.
        BlockingIOError
            If another process is writing to it.
        ValueError, TypeError
            If X holds NaN or inf or varies in shape, rows do not fit, or X carries no info and none is given.
        """
        folder = Path(path)
        create(folder, X, rows, info=info, tmin=tmin, dtype=dtype, overwrite=overwrite, origin=origin)
        return cls._at(folder)

    @classmethod
    def open(cls, path: str | os.PathLike) -> EpochsStore:
        """Open a store.

        Parameters
        ----------
        path : path-like
            The folder.

        Returns
        -------
        EpochsStore
            The store; no epoch is read.

        Raises
        ------
        FileNotFoundError
            If there is no store.
        ValueError
            If it is damaged, or of a later version.

        Warns
        -----
        UserWarning
            If what was writing it recording by recording has not come to its end.
        """
        folder = Path(path)
        if left := read_manifest(folder).left:
            warnings.warn(
                f"the EpochsStore {str(folder)!r} is unfinished: {left} more recording{'s were' if left > 1 else ' was'} to"
                " be written to it. To go on, make the call that was interrupted again, with the same arguments: it begins"
                " with the first that is missing. What is there is whole, and can be read.",
                stacklevel=2,
            )
        return cls._at(folder)

    def append(self, X: Any, rows: Any = None, *, origin: Mapping[str, Any] | None = None) -> EpochsStore:
        """Write epochs after those that are there.

        Parameters
        ----------
        X : array-like, shape (n_epochs, n_chans, n_times) | Epochs | list of Epochs | EpochsView | BaseConcatDataset | iterable of array-like
            Epochs in any form that :meth:`create` takes, with the channels, rate, times, reference and unit of the store.
        rows : DataFrame | mapping of columns, length n_epochs | None
            Their table, with the columns of the store; None takes that of X.
        origin : mapping | None
            What the epochs were made of, as in :meth:`create`. What the store has of this origin is not written twice.

        Returns
        -------
        EpochsStore
            This store. Views made before do not show the new epochs, and stay valid.

        Raises
        ------
        BlockingIOError
            If another process is writing to it.
        FileExistsError
            If a file that is no part of the store has the name of one that it would make, or the store has epochs of this
            `origin`.
        ValueError, TypeError
            If X holds NaN or inf, or X or rows do not fit the store, or it is damaged; it is left as it was.
        """
        append(self.path, X, rows, origin)
        return self

    def view(self) -> EpochsView:
        """Return a view of all epochs that are there now.

        Returns
        -------
        EpochsView
            Rows, channels and times; no epoch is read.

        Raises
        ------
        ValueError
            If a file is missing or shorter than it must be, or says anything else than what was written. Of the epochs
            only the size is looked at; :meth:`verify` reads them.
        """
        shards, frame, (info, tmin, known) = steadily(self.path, read_state)
        view = EpochsView._of(shards, frame, info, tmin, known)
        return view._replace(chans=typed_picks(info))

    def verify(self) -> None:
        """Read the whole store, and compare it with the digests that were taken when it was written.

        A store of version 1 has no digests of its epochs before the first append.

        Raises
        ------
        ValueError
            If anything is not what was written; the message names it.

        Examples
        --------
        >>> import tempfile
        >>> import mne, numpy as np
        >>> from skeegclip import EpochsStore
        >>> folder = tempfile.TemporaryDirectory()
        >>> info = mne.create_info(["Pz"], 100.0, "eeg")
        >>> store = EpochsStore.create(folder.name, np.ones((2, 1, 5)), {"stimulus": ["cat", "dog"]}, info=info)
        >>> store.verify()
        >>> (store.path / "epochs-00000.f32").write_bytes(bytes(2 * 5 * 4))
        40
        >>> store.verify()
        Traceback (most recent call last):
        ValueError: ...epochs 0 to 1 were changed since they were written. Copy it again, or make it anew.
        >>> folder.cleanup()
        """
        shards, _, _ = steadily(self.path, read_state)
        shards.verify(0, shards.shape[0])

    @property
    def shape(self) -> tuple[int, int, int]:  # numpydoc ignore=GL08
        now = read_manifest(self.path)
        return now.n_epochs, now.n_chans, now.n_times

    @property
    def dtype(self) -> np.dtype:  # numpydoc ignore=GL08
        return np.dtype(read_manifest(self.path).dtype)

    @property
    def origins(self) -> list[tuple[dict[str, Any], slice]]:
        """What each part was made of, and its rows."""
        parts = read_manifest(self.path).parts
        starts = [0, *(part.n_epochs for part in parts)]
        return [
            (part.origin, slice(start, part.n_epochs))
            for start, part in zip(starts, parts, strict=False)
            if part.origin is not None
        ]

    def __len__(self) -> int:
        return self.shape[0]

    def __repr__(self) -> str:
        now = read_manifest(self.path)
        size = now.n_epochs * now.epoch_bytes / 1e6
        return (
            f"EpochsStore({str(self.path)!r}, shape={self.shape}, dtype={now.dtype}, {size:,.1f} MB,"
            f" columns={list(now.columns)})"
        )

    def _repr_html_(self) -> str:
        now = read_manifest(self.path)
        n_epochs, n_chans, n_times = self.shape
        facts = {
            "folder": self.path,
            "epochs": f"{n_epochs:,}",
            "channels": n_chans,
            "samples": n_times,
            "on disk": f"{now.n_epochs * now.epoch_bytes / 1e6:,.1f} MB, {now.dtype}",
            "columns": list(now.columns),
        }
        return html_card("EpochsStore", facts)
