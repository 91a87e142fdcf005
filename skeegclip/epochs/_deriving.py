"""Making a view of a view: loaded, averaged, passed through a function."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from .._utils.groups import draw_rows, group_rows
from ._adapters import to_epochs
from ._choosing import Choosing
from ._sources import Averaged, Mapped

if TYPE_CHECKING:
    import mne
    import pandas as pd

    Self = TypeVar("Self", bound="Deriving")


class Deriving(Choosing):
    """A view from which others are made."""

    def load(self: Self) -> Self:
        """Read everything into memory, once.

        Returns
        -------
        EpochsView
            The same rows, channels and times, from an array.
        """
        return type(self)._of(np.asarray(self), self._frame, self._own_info, self.tmin, self._told)

    def map(self: Self, function: Callable) -> Self:
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
        self: Self,
        by: str | Sequence[str] = ("subject", "stimulus"),
        *,
        n: int | None = None,
        n_draws: int = 1,
        random_state: Any = None,
    ) -> Self:
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

    def _mapped_to(self: Self, function: Callable, info: mne.Info) -> Self:
        """Pass blocks through a function that gives other channels, those of an info."""
        known = replace(
            self._told,
            ch_names=tuple(info["ch_names"]),
            ch_types=tuple(info.get_channel_types()),
            bads=(),
            mixed=False,
        )
        source = Mapped(self, function, len(info["ch_names"]))
        return type(self)._of(source, self._frame, info, self.tmin, known)

    def _averaged(self: Self, groups, n, n_draws, random_state, labels) -> Self:
        drawn = draw_rows(groups, n, n_draws, random_state, labels=labels)
        firsts = [int(rows[0]) for rows in groups for _ in range(n_draws)]
        return self._over(Averaged(self, drawn), self._frame.iloc[firsts].reset_index(drop=True))

    def _over(self: Self, source: Any, frame: pd.DataFrame) -> Self:
        """The view of a source that reads this one."""
        return self._of(source, frame, self._own_info, self.tmin, self._told)
