"""What the analyses return, where it is more than a table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .._utils.html import html_card, html_table
from .._utils.params import check_number, check_option

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class TimeCourse:
    """Accuracy of a decoder, window by window; made by :func:`time_resolved`.

    Parameters
    ----------
    table : DataFrame
        One row a window: ``start`` and ``stop`` (s, times of its first and last sample), ``accuracy`` with ``low`` and
        ``high``, ``similarity`` (of the true item, less the mean of the others) with its interval, ``chance``, ``p``
        (one-sided, by permutation), ``p_corrected`` (for the number of windows) and ``p_smallest``, the smallest that
        so few pictures allow.
    queries : DataFrame
        One row a test query: ``subject``, ``stimulus``, ``concept``.
    hits, similarity : ndarray, shape (n_windows, n_queries)
        What each query gave.

    See Also
    --------
    skeegclip.plotting.plot_time_course : Draw it.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from skeegclip.inspection import TimeCourse
    >>> table = pd.DataFrame({"start": [0.0, 0.1], "stop": [0.1, 0.2], "p_corrected": [0.4, 0.01]})
    >>> queries = pd.DataFrame({"subject": "all", "stimulus": ["cat", "oak"], "concept": ["animal", "plant"]})
    >>> course = TimeCourse(table, queries, np.zeros((2, 2)), np.array([[0.3, 0.1], [0.2, 0.4]]))
    >>> course.first_above_chance()
    (0.1, 0.2)
    >>> course.best_windows()[["concept", "start", "value"]]
      concept  start  value
    0  animal    0.0    0.3
    1   plant    0.1    0.4
    """

    table: pd.DataFrame
    queries: pd.DataFrame
    hits: np.ndarray
    similarity: np.ndarray

    def _repr_html_(self) -> str:
        facts = {"windows": len(self.table), "queries": f"{len(self.queries):,}"}
        return html_card("TimeCourse", facts, body=html_table(self.table))

    def first_above_chance(self, alpha: float = 0.05) -> tuple[float, float] | None:
        """Return the first window whose accuracy is above chance.

        Parameters
        ----------
        alpha : float
            Probability of naming any window, out of all, where there is nothing to decode.

        Returns
        -------
        tuple of float | None
            Its start and stop in seconds; None where no window is. It is no onset: a window reports what lies
            anywhere in it, and a later first window may only mean fewer stimuli.

        Raises
        ------
        ValueError
            If `alpha` is not between 0 and 1.
        """
        check_number("alpha", alpha, low=0, high=1, open_low=True)
        found = self.table[self.table["p_corrected"] <= alpha]
        return None if found.empty else (float(found["start"].iloc[0]), float(found["stop"].iloc[0]))

    def best_windows(self, by: str = "concept", of: str = "similarity") -> pd.DataFrame:
        """Return the best window of each concept, stimulus or subject.

        Parameters
        ----------
        by : {"concept", "stimulus", "subject"}
            What is grouped.
        of : {"similarity", "accuracy"}
            What is best. Similarity has fewer ties where a concept has few queries.

        Returns
        -------
        DataFrame
            One row a group: its name, ``start``, ``stop``, ``value`` and ``n_queries``. The value is the largest of
            many, so it is too high; noise too has a best window.

        Raises
        ------
        ValueError
            If a parameter is not one of its options.
        """
        import pandas as pd

        check_option("by", by, ["concept", "stimulus", "subject"])
        check_option("of", of, ["similarity", "accuracy"])
        values = pd.DataFrame((self.similarity if of == "similarity" else self.hits).T)
        grouped = values.groupby(self.queries[by].to_numpy())
        means = grouped.mean()
        best = means.to_numpy().argmax(axis=1)
        return pd.DataFrame(
            {
                by: means.index.to_numpy(),
                "start": self.table["start"].to_numpy()[best],
                "stop": self.table["stop"].to_numpy()[best],
                "value": means.to_numpy().max(axis=1),
                "n_queries": grouped.size().to_numpy(),
            }
        )


@dataclass(frozen=True)
class Generalization:
    """Accuracy of decoders trained at one time and tested at another; made by :func:`temporal_generalization`.

    Parameters
    ----------
    start, stop : ndarray, shape (n_windows,)
        Times of the first and last sample of each window, in seconds.
    accuracy, low, high, similarity : ndarray, shape (n_windows, n_windows)
        Mean over the test queries, with the ends of its interval. Rows are training windows, columns test windows.
    chance : float
        Chance level of the accuracy.

    See Also
    --------
    skeegclip.plotting.plot_temporal_generalization : Draw it.

    Examples
    --------
    >>> import numpy as np
    >>> from skeegclip.inspection import Generalization
    >>> accuracy = np.array([[0.5, 0.2], [0.1, 0.4]])
    >>> result = Generalization(np.array([0.0, 0.1]), np.array([0.1, 0.2]), accuracy, accuracy, accuracy, accuracy, 0.1)
    >>> result.to_frame()[["train_start", "test_start", "accuracy"]]
       train_start  test_start  accuracy
    0          0.0         0.0       0.5
    1          0.0         0.1       0.2
    2          0.1         0.0       0.1
    3          0.1         0.1       0.4
    """

    start: np.ndarray
    stop: np.ndarray
    accuracy: np.ndarray
    low: np.ndarray
    high: np.ndarray
    similarity: np.ndarray
    chance: float

    def _repr_html_(self) -> str:
        best = np.nanargmax(self.accuracy.diagonal())
        facts = {
            "windows": len(self.start),
            "best, trained and tested at": f"{self.start[best]:g} to {self.stop[best]:g} s",
            "accuracy there": f"{self.accuracy[best, best]:.3f} (chance {self.chance:.3f})",
        }
        return html_card("Generalization", facts)

    def to_frame(self) -> pd.DataFrame:
        """Return one row for each pair of windows.

        Returns
        -------
        DataFrame
            ``train_start``, ``train_stop``, ``test_start``, ``test_stop``, ``accuracy``, ``low``, ``high``,
            ``similarity`` and ``chance``.
        """
        import pandas as pd

        n = len(self.start)
        return pd.DataFrame(
            {
                "train_start": np.repeat(self.start, n),
                "train_stop": np.repeat(self.stop, n),
                "test_start": np.tile(self.start, n),
                "test_stop": np.tile(self.stop, n),
                **{name: getattr(self, name).ravel() for name in ("accuracy", "low", "high", "similarity")},
                "chance": self.chance,
            }
        )


@dataclass(frozen=True)
class PartialReconstructions:
    """Pictures painted from parts of the epochs; made by :func:`reconstruct_over_time`, :func:`reconstruct_by_region`.

    Parameters
    ----------
    table : DataFrame
        One row a part: what it is (``start`` and ``stop`` in seconds, or ``region`` and ``n_channels``), and the mean
        over the queries of each score, with its interval (``two-way``, ``two-way_low``, ``two-way_high``, and so on).
    queries : DataFrame
        One row a query painted: ``subject``, ``stimulus``, ``concept``.
    shown : list of ndarray, length n_queries
        The picture that each query saw.
    pictures : ndarray of uint8, shape (n_parts, n_queries, height, width, 3)
        What was painted; with the pictures of one query along a third axis, where the reconstructor paints several.
    scores : dict of str to ndarray, shape (n_parts, n_queries)
        ``two-way``, ``PixCorr`` and ``SSIM`` of each.

    See Also
    --------
    skeegclip.plotting.plot_partial_reconstructions : Draw them.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from skeegclip.inspection import PartialReconstructions
    >>> table = pd.DataFrame({"start": [0.0, 0.0], "stop": [0.1, 0.2]})
    >>> pictures = np.zeros((2, 1, 8, 8, 3), dtype="uint8")
    >>> queries = pd.DataFrame({"subject": ["all"], "stimulus": ["cat"], "concept": ["animal"]})
    >>> PartialReconstructions(table, queries, [pictures[0, 0]], pictures, {}).labels
    ['0 to 0.1 s', '0 to 0.2 s']
    """

    table: pd.DataFrame
    queries: pd.DataFrame
    shown: list
    pictures: np.ndarray
    scores: dict[str, np.ndarray]

    def _repr_html_(self) -> str:
        facts = {
            "parts": len(self.table),
            "queries": f"{len(self.queries):,}",
            "pictures": self.pictures.shape,
        }
        return html_card("PartialReconstructions", facts, body=html_table(self.table))

    @property
    def labels(self) -> list[str]:
        """Return what each part is called.

        Returns
        -------
        list of str
            "0 to 0.1 s", or the name of a region.
        """
        if "region" in self.table:
            return self.table["region"].tolist()
        return [
            f"{start:g} to {stop:g} s"
            for start, stop in zip(self.table["start"], self.table["stop"], strict=True)
        ]
