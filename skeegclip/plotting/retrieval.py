"""Pictures shown, and the pictures that were retrieved for them."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .._utils.drawing import GREY, HIT, WIDTH, new_figure, styled
from .._utils.pictures import as_list

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike


def plot_retrieval_grid(
    shown: Sequence[ArrayLike],
    retrieved: Sequence[Sequence[ArrayLike]],
    hits: ArrayLike | None = None,
    similarity: ArrayLike | None = None,
    titles: ArrayLike | None = None,
    *,
    fig: Figure | None = None,
) -> Figure:
    """Draw pictures shown in the left column and, beside each, those retrieved from its brain response.

    Parameters
    ----------
    shown : sequence of n pictures
        Arrays (height, width, 3) or (height, width), uint8 or float in [0, 1], or PIL images.
    retrieved : sequence of n sequences of k pictures
        Best first, as many for each picture shown.
    hits : array-like of bool of shape (n, k), default=None
        Where the picture shown was found: framed, with a check mark.
    similarity : array-like of shape (n, k), default=None
        Written below the pictures retrieved.
    titles : array-like of str of shape (n,), default=None
        Names of the pictures shown, written below them; underscores become spaces, long names are wrapped.
    fig : Figure, default=None
        Where to draw; None makes a new figure.

    Returns
    -------
    fig : Figure
        With ``n * (k + 1)`` axes, row by row.

    Raises
    ------
    ValueError
        If the numbers of pictures, `hits`, `similarity` or `titles` do not match.

    Examples
    --------
    >>> import numpy as np
    >>> from skeegclip.plotting import plot_retrieval_grid
    >>> pictures = np.random.default_rng(0).random((2, 6, 8, 8, 3))
    >>> fig = plot_retrieval_grid(pictures[:, 0], pictures[:, 1:], hits=np.eye(2, 5, dtype=bool))
    >>> len(fig.axes)
    12
    """
    n = len(as_list(shown, "shown"))
    k = len(retrieved[0]) if len(retrieved) else 0
    if n == 0 or k == 0 or len(retrieved) != n or any(len(row) != k for row in retrieved):
        raise ValueError(
            f"retrieved must hold the same number of pictures, at least one, for each of the {n} shown, got "
            f"{[len(row) for row in retrieved]}."
        )
    hits = _table(hits, "hits", (n, k))
    similarity = _table(similarity, "similarity", (n, k))
    titles = _table(titles, "titles", (n,))
    names = [""] * n if titles is None else [_wrapped(str(title)) for title in titles]
    with styled(fig):
        cell = WIDTH / (k + 1.25)
        lines = [max(similarity is not None, len(name.splitlines())) for name in names]
        heights = [cell + 0.06 + 0.11 * n_lines for n_lines in lines]
        if fig is None:
            fig = new_figure(WIDTH, sum(heights) + 0.15)
        # An empty column sets the pictures shown apart from those retrieved.
        grid = fig.add_gridspec(n, k + 2, width_ratios=[1, 0.12, *[1] * k], height_ratios=heights)
        for i in range(n):
            ax = fig.add_subplot(grid[i, 0])
            _picture(ax, shown[i], names[i])
            if i == 0:
                ax.set_title("shown", pad=3)
            for j in range(k):
                ax = fig.add_subplot(grid[i, j + 2])
                text = "" if similarity is None else f"{similarity[i, j]:.2f}"
                _picture(ax, retrieved[i][j], text)
                if hits is not None and hits[i, j]:
                    _mark_hit(ax)
                if i == 0:
                    ax.set_title(_ordinal(j + 1), pad=3)
    return fig


def _table(values: Any, name: str, shape: tuple[int, ...]) -> np.ndarray | None:
    if values is None:
        return None
    values = np.asarray(values)
    if values.shape != shape:
        raise ValueError(f"{name} must have shape {shape}, got shape {values.shape}.")
    return values


def _wrapped(name: str) -> str:
    return "\n".join(textwrap.wrap(name.replace("_", " "), width=10))


def _ordinal(number: int) -> str:
    ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 10 if number // 10 % 10 != 1 else 0, "th")
    return f"{number}{ending}"


def _picture(ax: Axes, picture: Any, text: str) -> None:
    picture = np.asarray(picture)
    ax.imshow(picture, cmap="gray" if picture.ndim == 2 else None)
    ax.set_xticks([])
    ax.set_yticks([])
    ax.spines[:].set_visible(False)
    if text:
        ax.set_xlabel(text, fontsize=6.5, labelpad=2, color=GREY)


def _mark_hit(ax: Axes) -> None:
    from matplotlib.patches import Circle

    ax.spines[:].set(visible=True, color=HIT, linewidth=2)
    # Drawn, not written: fonts differ in whether they have a check mark.
    ax.add_patch(Circle((0.85, 0.85), 0.13, transform=ax.transAxes, fc=HIT, ec="white", lw=0.6, zorder=3))
    ax.plot([0.78, 0.83, 0.92], [0.85, 0.79, 0.91], transform=ax.transAxes, color="white", lw=1.1, zorder=4)
