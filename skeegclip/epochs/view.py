"""EpochsView: lazily indexed epochs that carry a table of their rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .._utils.inputs import as_subject
from .._utils.validation import check_finite
from ._adapters import to_epochs
from ._choosing import Choosing
from ._groups import draw_rows, group_rows
from ._rows import as_frame
from ._sources import Averaged, Mapped

if TYPE_CHECKING:
    import mne
    import pandas as pd


class EpochsView(Choosing):
    """Array-like epochs that carry subject, stimulus, channel names and times.

    A view reads nothing until it is asked to: slices, choices, averages and functions applied to it are only noted.
    What scikit-learn cuts from it (folds, permutations) still knows which subject saw which stimulus, and estimators
    train from it a batch at a time. Get one from an :class:`EpochsStore` on disk, or make one of arrays in memory with
    :meth:`from_arrays`. A view of a store is pickled as path, rows, and the size and time of the files, so that it
    costs little to send to another process; there, files that have changed meanwhile are an error.

    Attributes
    ----------
    shape : tuple of int
        (n_epochs, n_chans, n_times).
    dtype : dtype
        Always float32, the type that reading gives.
    rows : DataFrame, length n_epochs
        What is known of each epoch: subject, stimulus, and any further columns.
    subject, stimulus : ndarray of str, shape (n_epochs,) | None
        These columns, None where absent.
    info : mne.Info | None
        The channels.
    ch_names : tuple of str | None
        Channel names.
    chs_info : list of dict | None
        Channel descriptions, as in ``mne.Info["chs"]``.
    sfreq : float | None
        Sampling rate in Hz.
    times : ndarray, shape (n_times,)
        Seconds from stimulus onset (sample numbers where the sampling rate is not known).
    tmin : float
        The first of them.

    See Also
    --------
    EpochsStore : Epochs on disk.

    Examples
    --------
    >>> import numpy as np
    >>> from skeegclip import EpochsView
    >>> X = np.zeros((4, 2, 10), dtype="float32")
    >>> view = EpochsView.from_arrays(X, subject=["sub-01", "sub-01", "sub-02", "sub-02"])
    >>> view[1:3].subject
    array(['sub-01', 'sub-02'], dtype='<U6')
    >>> view.select(subject="sub-02").shape
    (2, 2, 10)
    """

    def __init__(self) -> None:
        raise TypeError(
            "EpochsView is made with EpochsView.from_arrays(X, subject=..., stimulus=...) or EpochsStore.open(path).view()."
        )

    @classmethod
    def from_arrays(
        cls,
        X: Any,
        *,
        subject: Any = None,
        stimulus: Any = None,
        info: mne.Info | None = None,
        tmin: float = 0.0,
        rows: pd.DataFrame | None = None,
    ) -> EpochsView:
        """Give arrays in memory the manners of a view.

        Parameters
        ----------
        X : array-like, shape (n_epochs, n_chans, n_times)
            Epochs in microvolts (MEG: fT). A float32 array is not copied.
        subject, stimulus : array-like of str, shape (n_epochs,) | str | None
            Who saw what.
        info : mne.Info | None
            Channels and sampling rate.
        tmin : float
            Time of the first sample in seconds from stimulus onset.
        rows : DataFrame, length n_epochs | None
            Further columns (concept, session, repetition, split, ...). Ids are kept as text; so is all that is no
            number.

        Returns
        -------
        EpochsView
            The view.

        Raises
        ------
        ValueError
            If X is not three-dimensional and finite, or a column or `info` does not fit it.
        TypeError
            If a column holds neither text nor numbers.
        """
        data = np.asarray(X)
        if data.ndim != 3 or data.dtype.kind not in "fiu":
            raise ValueError(
                f"X must be a numeric array of shape (n_epochs, n_chans, n_times), got {data.dtype} {data.shape}."
            )
        if data.dtype not in (np.float32, np.float16):
            data = data.astype(np.float32)
        check_finite(data, ch_names=info["ch_names"] if info is not None else None)
        if info is not None and len(info["ch_names"]) != data.shape[1]:
            raise ValueError(
                f"info describes {len(info['ch_names'])} channels, but X has {data.shape[1]}."
                " Pick the same channels in both."
            )
        columns = {} if rows is None else dict(rows)
        for name, column in (("subject", subject), ("stimulus", stimulus)):
            if column is not None:
                columns[name] = as_subject(column, len(data), name=name)
        return cls._of(data, as_frame(columns, len(data)), info, tmin if info is not None else 0.0)

    def load(self) -> EpochsView:
        """Read everything into memory, once.

        Returns
        -------
        EpochsView
            The same rows, channels and times, from an array.
        """
        return type(self)._of(np.asarray(self), self._frame, self.info, self.tmin)

    def map(self, function: Callable) -> EpochsView:
        """Pass each block of epochs through a function as it is read.

        Parameters
        ----------
        function : callable
            ``function(X, positions)`` of a block, float32 of shape (k, n_chans, n_times), and its rows in this view;
            returns an array of the same shape. To be sent to other processes it must be picklable.

        Returns
        -------
        EpochsView
            The same rows, channels and times; nothing is read yet.

        Examples
        --------
        >>> import numpy as np
        >>> from skeegclip import EpochsView
        >>> gain = np.array([1.0, 2.0])
        >>> view = EpochsView.from_arrays(np.ones((2, 1, 3))).map(lambda X, rows: X * gain[rows, None, None])
        >>> np.asarray(view[1:])
        array([[[2., 2., 2.]]], dtype=float32)
        """
        return self._over(Mapped(self, function), self._frame)

    def average(
        self,
        by: str | Sequence[str] = ("subject", "stimulus"),
        *,
        n: int | None = None,
        n_draws: int = 1,
        random_state: Any = None,
    ) -> EpochsView:
        """Average the epochs that agree in some columns.

        The means are made as they are read, from disk each time; :meth:`load` keeps them in memory.

        Parameters
        ----------
        by : str | sequence of str
            Columns whose values an average has in common.
        n : int | None
            Average only `n` repetitions, drawn without replacement. None averages all.
        n_draws : int
            Averages of `n` repetitions made of each group, all different: for training on more, and less noisy,
            examples than there are pictures. They are drawn once, so that a view has the same rows in every pass; an
            encoder holds out *stimuli* for validation, so that no draw of a stimulus is on the other side.
        random_state : int | RandomState | Generator | None
            Seed of the draws; used only with `n`.

        Returns
        -------
        EpochsView
            `n_draws` rows for each group, in the order in which the groups first appear, with the columns of the
            group's first epoch.

        Raises
        ------
        KeyError
            If there is no such column.
        ValueError
            If a group has fewer than `n` epochs, or gives fewer than `n_draws` different averages.

        Examples
        --------
        >>> import numpy as np
        >>> from skeegclip import EpochsView
        >>> X = np.arange(4.0)[:, None, None]
        >>> view = EpochsView.from_arrays(X, stimulus=["cat", "dog", "cat", "dog"])
        >>> np.asarray(view.average(by="stimulus")).ravel()
        array([1., 2.], dtype=float32)
        >>> view.average(by="stimulus", n=1, n_draws=2, random_state=0).stimulus.tolist()
        ['cat', 'cat', 'dog', 'dog']
        """
        columns = [by] if isinstance(by, str) else list(by)
        if absent := [name for name in columns if name not in self._frame]:
            raise KeyError(f"by: no column {absent[0]!r} in this view; it has {list(self._frame.columns)}.")
        if not columns:
            raise ValueError('by must name at least one column. Pass by="stimulus", say.')
        keys = [self._frame[name].to_numpy() for name in columns]
        labels = self._frame[columns[-1]].to_numpy()
        return self._averaged(group_rows(keys), n, n_draws, random_state, labels)

    def to_mne(self) -> mne.EpochsArray:
        """Read everything into MNE Epochs.

        Returns
        -------
        mne.EpochsArray
            In SI units, with the rows as metadata and an event for each stimulus.

        Raises
        ------
        ValueError
            If this view has no info.
        """
        return to_epochs(self)

    def _averaged(self, groups, n, n_draws, random_state, labels) -> EpochsView:
        drawn = draw_rows(groups, n, n_draws, random_state, labels=labels)
        firsts = [int(rows[0]) for rows in groups for _ in range(n_draws)]
        return self._over(Averaged(self, drawn), self._frame.iloc[firsts].reset_index(drop=True))

    def _over(self, source: Any, frame: pd.DataFrame) -> EpochsView:
        """The view of a source that reads this one."""
        return self._of(source, frame, self.info, self.tmin)
