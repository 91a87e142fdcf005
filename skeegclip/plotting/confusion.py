"""Which categories are taken for which."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .._utils.drawing import STYLE, WIDTH, axes_of, check_table, percent, styled
from .._utils.params import check_option

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

_COLUMNS = ("true", "found", "share", "chance", "n_queries")


def plot_confusion(table: pd.DataFrame, ax: Axes | None = None, *, of: str = "share") -> Axes:
    """Draw the confusion of superordinate categories.

    Parameters
    ----------
    table : DataFrame
        From :func:`skeegclip.metrics.category_confusion`.
    ax : Axes | None
        Where to draw; None makes a new figure.
    of : {"share", "ratio"}
        The shares in per cent; or how many times the share that chance would give (1 is chance), for categories of
        unequal sizes.

    Returns
    -------
    Axes
        A row for each category shown, with its number of queries, and a column for each category found. Up to about ten
        categories are readable at the width of a column. The colour bar is the last one of ``ax.figure.axes``.

    Raises
    ------
    ValueError
        If a column is missing, the table is empty or `of` is not one of its options.

    Examples
    --------
    >>> from skeegclip.metrics import category_confusion
    >>> from skeegclip.plotting import plot_confusion
    >>> table = category_confusion([[0.9, 0.1], [0.8, 0.3]], [0, 1], ["animal", "tool"])
    >>> ax = plot_confusion(table)
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['animal (1)', 'tool (1)']
    """
    check_option("of", of, ["share", "ratio"])
    check_table("table", table, _COLUMNS, "skeegclip.metrics.category_confusion")
    if table.empty:
        raise ValueError("table has no row, there is nothing to draw.")
    true, found = (list(dict.fromkeys(table[name])) for name in ("true", "found"))
    counts = table.groupby("true", sort=False)["n_queries"].first()
    values = table["share"] if of == "share" else table["share"] / table["chance"].where(table["chance"] > 0)
    grid = values.to_numpy(dtype=float).reshape(len(true), len(found))
    new = ax is None
    with styled(ax):
        ax = axes_of(ax, height=WIDTH * (0.27 + 0.55 * len(true) / len(found)), layout="compressed")
        image = ax.imshow(grid, cmap="cividis", vmin=0, vmax=max(float(np.nanmax(grid)), 1e-9))
        ax.spines[:].set_visible(False)
        ax.tick_params(length=0)
        ax.set_xticks(range(len(found)), found, rotation=40, ha="right", rotation_mode="anchor")
        ax.set_yticks(range(len(true)), [f"{name} ({counts[name]})" for name in true])
        ax.set_xlabel("Category of the item found")
        ax.set_ylabel("Category shown (queries)")
        _write(ax, grid, of)
        bar = ax.figure.colorbar(image, ax=ax, shrink=0.8, aspect=20, pad=0.02)
        bar.outline.set_visible(False)
        bar.set_label("Share of the queries (%)" if of == "share" else "Share, relative to chance")
        if of == "share":
            percent(bar.ax.yaxis)
        if new:
            bar.ax.tick_params(labelsize=STYLE["ytick.labelsize"], width=0.6)
    return ax


def _write(ax: Axes, grid: np.ndarray, of: str) -> None:
    """Write each value into its cell, light on dark and dark on light."""
    size = float(np.clip(72 / grid.shape[1], 4.5, 6.5))
    middle = 0.55 * np.nanmax(grid)
    style: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": size}
    for (i, j), value in np.ndenumerate(grid):
        decimals = 1 if of == "ratio" and 0 < value < 9.95 else 0
        number = 100 * value if of == "share" else value
        if np.isfinite(value):
            ax.text(j, i, f"{number:.{decimals}f}", color="black" if value > middle else "white", **style)
