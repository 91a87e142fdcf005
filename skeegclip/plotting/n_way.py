"""Accuracy against the number of items to choose from."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import cycle
from typing import TYPE_CHECKING

import numpy as np

from .._utils.drawing import COLOURS, GREY, MARKERS, axes_of, check_table, legend, percent, styled

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


def plot_n_way(
    table: pd.DataFrame | Mapping[str, pd.DataFrame], ax: Axes | None = None, *, k: int = 1
) -> Axes:
    """Draw top-k accuracy against n in n-way, with its interval and the chance level.

    Parameters
    ----------
    table : DataFrame, or dict of name to DataFrame
        Result of :func:`skeegclip.metrics.n_way_table`: the columns `n_way`, `k`, `accuracy` and, for the
        band, `low` and `high`. Several tables by name give one line each.
    ax : Axes, default=None
        Where to draw; None makes a new figure.
    k : int, default=1
        Which rows of the tables to draw.

    Returns
    -------
    ax : Axes
        With a logarithmic x axis, ticks at the n of the tables, and accuracy in per cent.

    Raises
    ------
    ValueError
        If a column is missing, or a table has no row with this `k`.

    Examples
    --------
    >>> import numpy as np
    >>> from skeegclip.metrics import n_way_table
    >>> from skeegclip.plotting import plot_n_way
    >>> similarity = np.random.default_rng(0).standard_normal((50, 50)) + 2 * np.eye(50)
    >>> ax = plot_n_way(n_way_table(similarity, np.arange(50), random_state=0))
    >>> [label.get_text() for label in ax.get_xticklabels()]
    ['2', '4', '10', '50']
    """
    tables = dict(table) if isinstance(table, Mapping) else {"": table}
    rows = {name: _select(t, k, f"table[{name!r}]" if name else "table") for name, t in tables.items()}
    if not rows:
        raise ValueError("table is an empty dict, there is nothing to draw.")
    new = ax is None
    with styled(ax):
        ax = axes_of(ax, height=2.3)
        handles = []
        for (name, t), colour, marker in zip(rows.items(), cycle(COLOURS), cycle(MARKERS), strict=False):
            if "low" in t:
                ax.fill_between(t["n_way"], t["low"], t["high"], color=colour, alpha=0.2, lw=0)
            handles += ax.plot(
                t["n_way"], t["accuracy"], color=colour, marker=marker, mec="white", mew=0.5, label=name
            )
        n_ways = np.unique(np.concatenate([t["n_way"] for t in rows.values()]))
        n = np.geomspace(n_ways[0], n_ways[-1], 50)
        chance = ax.plot(n, k / n, color=GREY, ls=(0, (4, 2)), lw=0.9, label="chance", zorder=1)
        handles = [*(handles if len(rows) > 1 or "" not in rows else []), *chance]
        ax.set_xscale("log")
        ax.set_xticks(n_ways, [str(n) for n in n_ways])
        ax.minorticks_off()
        ax.set_ylim(0, 1.02)
        percent(ax.yaxis)
        ax.set_xlabel("Number of images to choose from")
        ax.set_ylabel(f"Top-{k} accuracy (%)")
        legend(ax, handles, new=new)
    return ax


def _select(table: pd.DataFrame, k: int, name: str) -> pd.DataFrame:
    check_table(name, table, ["n_way", "k", "accuracy"], "skeegclip.metrics.n_way_table")
    rows = table[table["k"] == k].sort_values("n_way")
    if rows.empty:
        raise ValueError(f"{name} has no row with k={k}, only {sorted(set(table['k']))}.")
    return rows
