"""Accuracy against minutes of calibration."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._utils.drawing import COLOURS, GREY, axes_of, check_table, legend, percent, styled

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


def plot_calibration_curve(table: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw accuracy for somebody new against the minutes of calibration, with and without labels.

    Parameters
    ----------
    table : DataFrame
        From :func:`skeegclip.inspection.calibration_curve`.
    ax : Axes | None
        Where to draw; None makes a new figure.

    Returns
    -------
    Axes
        With a band for each 95 % interval.

    Raises
    ------
    ValueError
        If a column is missing.

    Examples
    --------
    >>> import pandas as pd
    >>> from skeegclip.plotting import plot_calibration_curve
    >>> table = pd.DataFrame({"labels": [False, False, True, True], "minutes": [0, 2, 0, 2], "chance": 0.2})
    >>> table["accuracy"] = [0.3, 0.5, 0.3, 0.6]
    >>> ax = plot_calibration_curve(table.assign(low=table["accuracy"] - 0.1, high=table["accuracy"] + 0.1))
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['without labels', 'with labels', 'chance']
    """
    wanted = ("labels", "minutes", "accuracy", "low", "high", "chance")
    check_table("table", table, wanted, "skeegclip.inspection.calibration_curve")
    new = ax is None
    with styled(ax):
        ax = axes_of(ax, height=2.3)
        lines = []
        for labels, colour, name in (
            (False, COLOURS[0], "without labels"),
            (True, COLOURS[1], "with labels"),
        ):
            part = table[table["labels"] == labels].sort_values("minutes")
            ax.fill_between(part["minutes"], part["low"], part["high"], color=colour, alpha=0.2, lw=0)
            lines += ax.plot(
                part["minutes"], part["accuracy"], color=colour, marker="o", mec="white", mew=0.5, label=name
            )
        lines += ax.plot(
            part["minutes"], part["chance"], color=GREY, ls=(0, (4, 2)), lw=0.9, label="chance", zorder=1
        )
        ax.set_ylim(0, 1.02)
        percent(ax.yaxis)
        ax.set_xlabel("Minutes of calibration")
        ax.set_ylabel("Accuracy (%)")
        legend(ax, lines, new=new)
    return ax
