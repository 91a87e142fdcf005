"""Accuracy against the number of repetitions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .._utils.drawing import COLOURS, GREY, axes_of, check_table, legend, percent, styled

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


def plot_repetition_curve(table: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw accuracy against the number of repetitions averaged, with the noise ceiling.

    Parameters
    ----------
    table : DataFrame
        From :func:`skeegclip.inspection.repetition_curve`.
    ax : Axes | None
        Where to draw; None makes a new figure.

    Returns
    -------
    Axes
        With a logarithmic axis of repetitions. The grey band lies between the two bounds of the ceiling; where only
        the upper one is known, it is a line.

    Raises
    ------
    ValueError
        If a column is missing.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from skeegclip.plotting import plot_repetition_curve
    >>> table = pd.DataFrame({"n_repetitions": [1, 2, 4], "accuracy": [0.1, 0.2, 0.3], "low": [0.0, 0.1, 0.2]})
    >>> table = table.assign(high=table["accuracy"] + 0.1, chance=0.05, ceiling_low=[0.2, 0.3, np.nan])
    >>> ax = plot_repetition_curve(table.assign(ceiling_high=[0.4, 0.6, 1.0]))
    >>> [label.get_text() for label in ax.get_xticklabels()]
    ['1', '2', '4']
    """
    wanted = ("n_repetitions", "accuracy", "low", "high", "chance", "ceiling_low", "ceiling_high")
    check_table("table", table, wanted, "skeegclip.inspection.repetition_curve")
    new = ax is None
    with styled(ax):
        ax = axes_of(ax, height=2.3)
        n = table["n_repetitions"]
        band: Any = ax.fill_between(
            n, table["ceiling_low"], table["ceiling_high"], color="0.85", lw=0, label="noise ceiling"
        )
        ax.plot(n, table["ceiling_high"], color="0.6", lw=0.8)
        ax.fill_between(n, table["low"], table["high"], color=COLOURS[0], alpha=0.2, lw=0)
        line = ax.plot(
            n, table["accuracy"], color=COLOURS[0], marker="o", mec="white", mew=0.5, label="decoder"
        )
        chance = ax.plot(n, table["chance"], color=GREY, ls=(0, (4, 2)), lw=0.9, label="chance", zorder=1)
        ax.set_xscale("log")
        ax.set_xticks(n, [str(value) for value in n])
        ax.minorticks_off()
        ax.set_ylim(0, 1.02)
        percent(ax.yaxis)
        ax.set_xlabel("Repetitions averaged")
        ax.set_ylabel("Accuracy (%)")
        legend(ax, [*line, band, *chance], new=new)
    return ax
