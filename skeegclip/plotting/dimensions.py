"""Dimensions of objects that are decoded, and when."""

from __future__ import annotations

from itertools import cycle
from typing import TYPE_CHECKING

import numpy as np

from .._utils.drawing import COLOURS, GREY, HIT, MARKERS, axes_of, check_made, legend, styled
from .._utils.params import check_number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ..inspection import DimensionReport


def plot_dimensions(
    report: DimensionReport, ax: Axes | None = None, *, n_best: int = 15, alpha: float = 0.05
) -> Axes:
    """Draw how well dimensions are decoded: as bars, or as lines over the windows of time.

    Parameters
    ----------
    report : DimensionReport
        From :func:`skeegclip.inspection.dimension_correlations` or :func:`skeegclip.inspection.dimensions_over_time`.
    ax : Axes | None
        Where to draw; None makes a new figure.
    n_best : int
        Number of dimensions drawn, those with the largest correlations (in any window); of lines at most 7.
    alpha : float
        Corrected p up to which a dimension is called decoded: bars are filled green, windows have dots.

    Returns
    -------
    Axes
        The dashed line is what the largest of *all* correlations surpasses in 5 % of the permutations. Growing windows
        stand at their end, sliding ones at their middle.

    Raises
    ------
    ValueError
        If a parameter is not usable.

    Examples
    --------
    >>> import pandas as pd
    >>> from skeegclip.inspection import DimensionReport
    >>> from skeegclip.plotting import plot_dimensions
    >>> table = pd.DataFrame({"dimension": ["round", "red"], "r": [0.1, 0.6], "p": [0.2, 0.001], "p_corrected": [0.3, 0.001]})
    >>> ax = plot_dimensions(DimensionReport(table, pd.DataFrame(), 0.4, ("ball", "car", "cat")))
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['red', 'round']
    """
    check_made("report", report, "table", "skeegclip.inspection.dimension_correlations")
    check_number("n_best", n_best, low=1, integer=True)
    check_number("alpha", alpha, low=0, high=1, open_low=True)
    draw = _lines if "start" in report.table else _bars
    return draw(report, ax, n_best, alpha)


def _best(report: DimensionReport, n: int) -> list:
    highest = report.table.groupby("dimension", sort=False)["r"].max()
    return highest.sort_values(ascending=False, kind="stable").index[:n].tolist()


def _bars(report: DimensionReport, ax: Axes | None, n_best: int, alpha: float) -> Axes:
    from matplotlib.patches import Patch

    names = _best(report, n_best)
    table = report.table.set_index("dimension").loc[names]
    new = ax is None
    with styled(ax):
        ax = axes_of(ax, height=0.6 + 0.16 * len(names))
        above = (table["p_corrected"] <= alpha).to_numpy()
        places = np.arange(len(names))
        ax.barh(places, table["r"], color=np.where(above, HIT, "0.75"), height=0.7)
        line = ax.axvline(report.threshold, color=GREY, ls=(0, (4, 2)), lw=0.9, label="chance, 5 %")
        ax.axvline(0, color="0.2", lw=0.6)
        ax.set_yticks(places, names)
        ax.invert_yaxis()
        ax.set_xlabel(f"Correlation over {len(report.objects)} objects")
        marks = [Patch(color=HIT, label=f"p ≤ {alpha:g}, corrected")] if above.any() else []
        legend(ax, [*marks, line], new=new)
    return ax


def _lines(report: DimensionReport, ax: Axes | None, n_best: int, alpha: float) -> Axes:
    table = report.table
    growing = bool((table["start"] == table["start"].iloc[0]).all())
    new = ax is None
    with styled(ax):
        ax = axes_of(ax, height=2.6)
        handles = []
        names = _best(report, min(n_best, len(COLOURS)))
        for name, colour, marker in zip(names, cycle(COLOURS), cycle(MARKERS), strict=False):
            rows = table[table["dimension"] == name]
            x = (rows["stop"] if growing else (rows["start"] + rows["stop"]) / 2).to_numpy()
            handles += ax.plot(x, rows["r"], color=colour, lw=1, label=name)
            above = (rows["p_corrected"] <= alpha).to_numpy()
            ax.plot(
                x[above],
                rows["r"].to_numpy()[above],
                marker,
                color=colour,
                mec="white",
                mew=0.5,
                label="_dots",
            )
        handles.append(ax.axhline(report.threshold, color=GREY, ls=(0, (4, 2)), lw=0.9, label="chance, 5 %"))
        ax.axhline(0, color="0.2", lw=0.6)
        ax.set_xlabel("End of the window (s)" if growing else "Middle of the window (s)")
        ax.set_ylabel(f"Correlation over {len(report.objects)} objects")
        legend(ax, handles, new=new)
    return ax
