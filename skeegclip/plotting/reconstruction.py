"""Pictures shown beside those reconstructed, and what the guidance of the prior does to them."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .._utils.drawing import (
    COLOURS,
    GREY,
    MARKERS,
    WIDTH,
    axes_of,
    check_made,
    fix_ticks,
    legend,
    new_figure,
    styled,
)
from .retrieval import _picture

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike

_LETTERS = 62  # that fit along a row of pictures


def plot_reconstruction_grid(
    columns: Mapping[str, Sequence[ArrayLike]],
    titles: ArrayLike | None = None,
    *,
    fig: Figure | None = None,
) -> Figure:
    """Draw, for each stimulus, a row of pictures: the one shown, its reconstruction, baselines.

    Parameters
    ----------
    columns : mapping of str to sequence of n pictures
        Name of a column, written above it, to its pictures: arrays (height, width, 3) or (height, width), uint8 or float
        in [0, 1], or PIL images. The first column, for the pictures shown, is set apart.
    titles : array-like of str of shape (n,), default=None
        Names of the pictures shown, written below each row; underscores become spaces.
    fig : Figure, default=None
        Where to draw; None makes a new figure.

    Returns
    -------
    fig : Figure
        With an axes for each picture, row by row.

    Raises
    ------
    ValueError
        If there is no picture, or the numbers do not match.

    Examples
    --------
    >>> import numpy as np
    >>> from skeegclip.plotting import plot_reconstruction_grid
    >>> shown, made, nearest = np.random.default_rng(0).random((3, 4, 8, 8, 3))
    >>> fig = plot_reconstruction_grid({"shown": shown, "reconstructed": made, "nearest": nearest})
    >>> len(fig.axes)
    12
    """
    if not isinstance(columns, Mapping):
        raise TypeError(f"columns must map titles to pictures, got {type(columns).__name__}.")
    counts = [len(pictures) for pictures in columns.values()]
    n = counts[0] if counts else 0
    if n == 0 or len(set(counts)) > 1:
        raise ValueError(
            f"columns must hold the same number of pictures each, at least one, got {dict(zip(columns, counts, strict=True))}."
        )
    names = [""] * n if titles is None else [_along_row(str(title)) for title in np.asarray(titles)]
    if len(names) != n:
        raise ValueError(f"titles must hold one name for each of the {n} rows, got {len(names)}.")
    with styled(fig):
        cell = WIDTH / (len(columns) + 0.25)
        heights = [cell + 0.06 + 0.11 * len(name.splitlines()) for name in names]
        if fig is None:
            fig = new_figure(WIDTH, sum(heights) + 0.15 * max(len(name.splitlines()) for name in columns))
        # An empty column sets the pictures shown apart.
        widths = [1, 0.12, *[1] * (len(columns) - 1)]
        grid = fig.add_gridspec(n, len(widths), width_ratios=widths, height_ratios=heights)
        for i in range(n):
            for j, (name, pictures) in enumerate(columns.items()):
                ax = fig.add_subplot(grid[i, j + (j > 0)])
                _picture(ax, pictures[i], "")
                ax.set_anchor("N")
                if i == 0:
                    ax.set_title(name, pad=3, fontsize=_fitting(columns, cell, fig))
                if j == 0:
                    _write_below(fig, ax, names[i])
    return fig


def _write_below(fig: Figure, ax: Axes, name: str) -> None:
    """Write a name from the first picture of a row on: most are wider than a picture."""
    from matplotlib.text import Annotation

    style: dict[str, Any] = {"va": "top", "fontsize": 6.5, "color": GREY}
    # Of the figure, not of the axes: else the layout would make the column as wide as the name.
    fig.add_artist(
        Annotation(name, (0, 0), (0, -2), xycoords=ax.transAxes, textcoords="offset points", **style)
    )


def _along_row(name: str) -> str:
    return "\n".join(textwrap.wrap(name.replace("_", " "), width=_LETTERS))


def _fitting(names: Iterable[str], width: float, fig: Figure) -> float:
    """Size of letters, in points, with which all names fit above columns of this width in inches."""
    import matplotlib as mpl
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextPath

    font = FontProperties(size=mpl.rcParams["axes.titlesize"])
    size = font.get_size_in_points()
    lines = [line for name in names for line in str(name).splitlines() if line.strip()]
    longest = max((TextPath((0, 0), line, prop=font).get_extents().width for line in lines), default=1.0)
    room = 68 * width * fig.bbox.width / fig.dpi / WIDTH  # of 72 points an inch, with a gap
    return float(np.clip(size * room / longest, 4.5, size))


def plot_similarity_histograms(table: pd.DataFrame, ax: Axes | None = None, *, bins: int = 40) -> Axes:
    """Draw how similar pictures are to EEG embeddings: random ones, generated ones, and those shown.

    Parameters
    ----------
    table : DataFrame
        From :func:`skeegclip.generation.similarity_distributions`: columns `picture` and `similarity`.
    ax : Axes, default=None
        Where to draw; None makes a new figure.
    bins : int, default=40
        Number of bins, the same for all kinds.

    Returns
    -------
    ax : Axes
        With the density of each kind of picture, and its mean as a dashed line.

    Raises
    ------
    ValueError
        If a column is missing or the table is empty.

    Examples
    --------
    >>> import pandas as pd
    >>> from skeegclip.plotting import plot_similarity_histograms
    >>> table = pd.DataFrame({"picture": ["random", "random", "generated"], "similarity": [0.1, 0.2, 0.6]})
    >>> ax = plot_similarity_histograms(table)
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['random (mean 0.15)', 'generated (mean 0.60)']
    """
    _check_columns(table, ["picture", "similarity"])
    edges = np.linspace(*_widened(table["similarity"].min(), table["similarity"].max()), bins + 1)
    new = ax is None
    with styled(ax):
        ax = axes_of(ax, height=2.2)
        handles = []
        for colour, (kind, values) in zip(
            (GREY, *COLOURS), table.groupby("picture", sort=False)["similarity"], strict=False
        ):
            label = f"{kind} (mean {values.mean():.2f})"
            style: dict[str, Any] = {"color": colour, "alpha": 0.45, "label": label}
            density = np.histogram(values, edges, density=True)[0]
            handles.append(ax.stairs(density, edges, fill=True, **style))
            ax.axvline(values.mean(), color=colour, ls=(0, (3, 1.5)), lw=1.0)
        ax.set_xlabel("Cosine similarity to the EEG embedding")
        ax.set_ylabel("Density")
        legend(ax, handles, new=new)
    return ax


def plot_guidance_curve(table: pd.DataFrame, *, fig: Figure | None = None) -> Figure:
    """Draw similarity and diversity against the guidance scale.

    Parameters
    ----------
    table : DataFrame
        From :func:`skeegclip.generation.guidance_curve`: columns `guidance_scale` and `diversity`, and `similarity`,
        `similarity_to_truth` or both.
    fig : Figure, default=None
        Where to draw; None makes a new figure.

    Returns
    -------
    fig : Figure
        Similarity above, diversity below.

    Raises
    ------
    ValueError
        If a column is missing or the table is empty.

    Examples
    --------
    >>> import pandas as pd
    >>> from skeegclip.plotting import plot_guidance_curve
    >>> table = pd.DataFrame({"guidance_scale": [1, 5], "similarity": [0.4, 0.6], "diversity": [0.5, 0.2]})
    >>> [ax.get_ylabel() for ax in plot_guidance_curve(table).axes]
    ['Similarity', 'Diversity']
    """
    lines = {"similarity": "to the EEG embedding", "similarity_to_truth": "to the picture shown"}
    _check_columns(table, ["guidance_scale", "diversity"])
    drawn = [name for name in lines if name in table]
    if not drawn:
        _check_columns(table, ["similarity"])
    given = fig
    with styled(fig):
        if fig is None:
            fig = new_figure(WIDTH, 3.0)
        top, bottom = fig.subplots(2, 1, sharex=True)
        style: dict[str, Any] = {"mec": "white", "mew": 0.4}
        handles = [
            top.plot(
                table["guidance_scale"], table[name], label=lines[name], color=colour, marker=marker, **style
            )[0]
            for name, colour, marker in zip(drawn, COLOURS, MARKERS, strict=False)
        ]
        bottom.plot(table["guidance_scale"], table["diversity"], color=COLOURS[2], marker=MARKERS[2], **style)
        top.set_ylabel("Similarity")
        bottom.set_ylabel("Diversity")
        bottom.set_xlabel("Guidance scale")
        if given is None:
            fix_ticks(top)
            fix_ticks(bottom)
        legend(top, handles, new=given is None)
    return fig


def _check_columns(table: pd.DataFrame, names: Sequence[str]) -> None:
    check_made("table", table, "columns", "skeegclip.generation.similarity_distributions or guidance_curve")
    missing = [name for name in names if name not in table]
    if missing or len(table) == 0:
        raise ValueError(
            f"table must have the columns {', '.join(names)} and at least one row, got {list(table.columns)}."
        )


def _widened(low: float, high: float) -> tuple[float, float]:
    return (low, high) if high > low else (low - 0.5, high + 0.5)
