"""When, and where on the head, a response says which picture was seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.frozen import FrozenEstimator

from ... import recipes
from ...epochs import EpochsView
from ...inspection import TimeCourse, channel_importance, time_resolved
from .trials import Trials

if TYPE_CHECKING:
    import pandas as pd

_WIDTH = 0.1  # of a window, in seconds; the next one begins after half of it


@dataclass(frozen=True)
class WhenWhere:
    """What a decoder finds in parts of the epochs.

    Attributes
    ----------
    course : TimeCourse
        Of a decoder of its own for each window.
    channels : DataFrame
        What the decoder of whole epochs loses without each channel.
    evoked : ndarray, shape (n_chans, n_times)
        Mean response to the test pictures, in microvolts.
    peak : int
        Sample at which it is largest over the head (global field power).
    """

    course: TimeCourse
    channels: pd.DataFrame
    evoked: np.ndarray
    peak: int

    @property
    def best(self) -> pd.Series:
        """The window in which most pictures are found."""
        return self.course.table.loc[self.course.table["accuracy"].idxmax()]


def look_when_where(decoder: Any, data: Any, train: Trials, test: Trials, *, seed: int) -> WhenWhere:
    """Decode windows of time, and hide channels.

    Parameters
    ----------
    decoder : Pipeline
        That of ``make_decoders`` by the name of LINEAR, fitted.
    data : Bunch
        From ``make_things_like``.
    train, test : Trials
        Averaged epochs.
    seed : int
        Of intervals and permutations.

    Returns
    -------
    WhenWhere
        What was found.
    """
    table = data.image_embeddings
    view = EpochsView.from_arrays(
        np.concatenate([train.X, test.X]),
        stimulus=np.concatenate([train.y, test.y]),
        info=data.info,
        tmin=float(data.times[0]),
    )
    rows = np.split(np.arange(len(view)), [len(train.y)])
    how: dict[str, Any] = {"cv": [tuple(rows)], "targets": table, "random_state": seed}
    # As many directions as the training pictures said of whole epochs: to choose them anew takes most of the time.
    in_windows = recipes.linear(table, n_components=int(decoder[-1].encoder_.encoder_.n_components_))
    evoked = test.X.mean(axis=0, dtype=np.float64)
    return WhenWhere(
        time_resolved(in_windows, view, mode="sliding", width=_WIDTH, step=_WIDTH / 2, **how),
        channel_importance(FrozenEstimator(decoder), view, **how),
        evoked,
        int(evoked.std(axis=0).argmax()),
    )
