"""Similarity of every query to every gallery item."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .._utils.drawing import GREY, axes_of, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike

_MAX_LABELS = 30  # more names than this cannot be read at the width of a column


def plot_similarity_matrix(
    similarity: ArrayLike,
    ax: Axes | None = None,
    *,
    labels: ArrayLike | None = None,
    groups: ArrayLike | None = None,
) -> Axes:
    """Draw a similarity matrix whose diagonal holds the true pairs.

    Parameters
    ----------
    similarity : array-like of shape (n_items, n_items)
        Row i is the query of item i, column j the gallery item j.
    ax : Axes, default=None
        Where to draw; None makes a new figure.
    labels : array-like of str of shape (n_items,), default=None
        Names of the items, written along both axes where there are at most 30 and no `groups`.
    groups : array-like of str of shape (n_items,), default=None
        Category of each item, for example its superordinate category. Items are sorted by category,
        the largest first, and each category is framed and named.

    Returns
    -------
    ax : Axes
        The matrix; the colour bar is the last one of ``ax.figure.axes``. Colours span the 1st to the 99th
        percentile, so that single values do not wash out the rest.

    Raises
    ------
    ValueError
        If `similarity` is not square or not finite, or `labels` or `groups` have another length.

    Examples
    --------
    >>> import numpy as np
    >>> from skeegclip.plotting import plot_similarity_matrix
    >>> ax = plot_similarity_matrix(np.eye(4), groups=["tool", "animal", "tool", "tool"])
    >>> [text.get_text() for text in ax.get_yticklabels()]
    ['tool', 'animal']
    """
    matrix = np.asarray(similarity, dtype=float)
    n = matrix.shape[0] if matrix.ndim else 0
    if matrix.shape != (n, n) or n == 0:
        raise ValueError(f"similarity must be square, one query for each item, got shape {matrix.shape}.")
    if not np.isfinite(matrix).all():
        raise ValueError("similarity holds NaN or inf. Look for them in the embeddings it was computed from.")
    names = _names(labels, "labels", n)
    kinds = _names(groups, "groups", n)
    if kinds is not None:
        order = _by_size(kinds)
        matrix, kinds = matrix[np.ix_(order, order)], kinds[order]
    with styled(ax):
        # "compressed" is matplotlib's layout for axes of fixed aspect; the other one cuts the label off.
        ax = axes_of(ax, height=2.75 if kinds is None else 3.0, layout="compressed")
        low, high = np.percentile(matrix, [1, 99])
        image = ax.imshow(
            matrix, cmap="cividis", vmin=low, vmax=high, interpolation="nearest", rasterized=True
        )
        ax.spines[:].set_visible(False)
        ax.tick_params(length=0)
        ax.set_xticks([])
        ax.set_yticks([])
        ax.set_xlabel("Gallery item")
        ax.set_ylabel("Query")
        if kinds is not None:
            _frame_groups(ax, kinds)
        elif names is not None and n <= _MAX_LABELS:
            size = float(np.clip(0.75 * _height(ax) / n, 4, _small(ax)))
            ax.set_yticks(np.arange(n), names, fontsize=size)
            ax.set_xticks(np.arange(n), names, fontsize=size, rotation=90)
        _colour_bar(ax, image, below=kinds is not None)
    return ax


def _height(ax: Axes) -> float:
    """About the height of an axes in points: the layout is settled only when the figure is drawn."""
    return 72 * ax.bbox.height / ax.figure.dpi


def _small(ax: Axes) -> float:
    """One point less than the label of the axis."""
    return float(ax.yaxis.label.get_fontsize()) - 1


def _colour_bar(ax: Axes, image: Any, *, below: bool) -> None:
    style: dict[str, Any] = {"shrink": 0.8, "aspect": 25, "pad": 0.02, "extend": "both"}
    bar = ax.figure.colorbar(image, ax=ax, location="bottom" if below else "right", **style)
    bar.outline.set_visible(False)
    bar.set_label("Similarity")
    bar.ax.tick_params(labelsize=_small(ax), width=0.6)


def _names(values: Any, name: str, n: int) -> np.ndarray | None:
    if values is None:
        return None
    values = np.asarray(values).astype(str)
    if values.shape != (n,):
        raise ValueError(f"{name} must have shape ({n},), one for each item, got shape {values.shape}.")
    return values


def _by_size(groups: np.ndarray) -> np.ndarray:
    """Order of the items that puts the largest group first and keeps the order within a group."""
    names, code, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    place = np.empty(len(names), int)
    place[np.argsort(-sizes, kind="stable")] = np.arange(len(names))
    return np.argsort(place[code], kind="stable")


def _frame_groups(ax: Axes, groups: np.ndarray) -> None:
    """Frame each category on the diagonal, and name it at the left."""
    from matplotlib.patches import Rectangle

    n = len(groups)
    starts = np.flatnonzero(np.r_[True, groups[1:] != groups[:-1]])
    sizes = np.diff(np.r_[starts, n])
    for start, size in zip(starts, sizes, strict=True):
        ax.add_patch(Rectangle((start - 0.5, start - 0.5), size, size, fill=False, ec="white", lw=0.8))
    middle = starts + (sizes - 1) / 2
    size = _small(ax)
    text = _spread(middle, 1.15 * size * n / _height(ax), 0, n - 1)
    ax.set_yticks(text, groups[starts], fontsize=size)
    # Names of small categories are moved apart, so a line leads from each to its rows.
    for a, b in zip(middle, text, strict=True):
        ax.plot([-0.5, -0.5 - 0.05 * n], [a, b], color=GREY, lw=0.5, clip_on=False)
    ax.tick_params(axis="y", pad=0.06 * _height(ax))
    ax.set_xlim(-0.5, n - 0.5)
    ax.set_ylim(n - 0.5, -0.5)


def _spread(places: np.ndarray, gap: float, low: float, high: float) -> np.ndarray:
    """Move sorted places apart, as little as least squares allows, until each is `gap` from the next.

    They stay between `low` and `high`; where there is no room for that, the gap shrinks.
    """
    from sklearn.isotonic import isotonic_regression

    gap = min(gap, (high - low) / max(len(places) - 1, 1))
    offset = gap * np.arange(len(places))
    return isotonic_regression(places - offset, y_min=low, y_max=high - offset[-1]) + offset
