"""What all figures share: size, fonts, colours, and where a new figure is made."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 8.5 / 2.54  # inches: one column of a paper

# Okabe and Ito, "Color Universal Design" (2008), without the yellow that is too light for lines.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
GREY = "0.45"
HIT = "#009E73"

STYLE: dict[str, Any] = {
    "figure.dpi": 200,  # sharp on a screen, where a column is narrow
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "lines.linewidth": 1.2,
    "lines.markersize": 3.5,
    "patch.linewidth": 0.6,
}


@contextmanager
def styled(owner: Any) -> Iterator[None]:
    """Apply the style while a figure of ours is drawn; leave that of a given axes or figure (`owner`) alone."""
    if owner is not None:
        yield
        return
    import matplotlib as mpl

    # Not rc_context: a notebook's backend, loaded with the first figure, makes pyplot interactive, which it would undo.
    before = {key: mpl.rcParams[key] for key in STYLE}
    mpl.rcParams.update(STYLE)
    try:
        yield
    finally:
        mpl.rcParams.update(before)


def new_figure(width: float, height: float, layout: str = "constrained") -> Figure:
    """Make a figure, known to pyplot only where pyplot can show it.

    Where the user works with pyplot and a screen, or in a notebook, `plt.show()` and the notebook must find the
    figure. Elsewhere pyplot would only keep it alive, which fills the memory of a long headless run.
    """
    size: dict[str, Any] = {"figsize": (width, height), "layout": layout}
    if {"matplotlib.pyplot", "ipykernel"} & set(sys.modules):
        import matplotlib.pyplot as plt
        from matplotlib.backends import BackendFilter, backend_registry

        if plt.get_backend().lower() not in backend_registry.list_builtin(BackendFilter.NON_INTERACTIVE):
            return plt.figure(**size)
    from matplotlib.figure import Figure

    return Figure(**size)


def axes_of(ax: Axes | None, height: float, layout: str = "constrained") -> Axes:
    """Return `ax`, or the axes of a new figure."""
    if ax is not None:
        return ax
    ax = new_figure(WIDTH, height, layout).add_subplot()
    fix_ticks(ax)
    return ax


def check_made(name: str, value: Any, needs: str, maker: str) -> None:
    """Refuse an argument that lacks what `maker` gives it."""
    if not hasattr(value, needs):
        raise TypeError(f"{name} must be what {maker} gives, got {type(value).__name__}.")


def check_table(name: str, table: Any, columns: Sequence[str], maker: str) -> None:
    """Refuse what is no DataFrame, or lacks columns that `maker` gives it."""
    check_made(name, table, "columns", maker)
    if missing := [column for column in columns if column not in table]:
        raise ValueError(f"{name} lacks the columns {missing}. Make it with {maker}.")


def fix_ticks(ax: Axes) -> None:
    """Write the style into an axes: it makes further ticks at drawing time, when the style no longer holds."""
    ax.tick_params(labelsize=STYLE["xtick.labelsize"], width=STYLE["xtick.major.width"])


def percent(axis: Any) -> None:
    """Write the shares along a matplotlib axis in per cent; the sign belongs into the label."""
    axis.set_major_formatter(_as_percent)


def _as_percent(share: float, _: Any = None) -> str:
    return f"{100 * share:.6g}"


def legend(
    ax: Axes, handles: list[Any], *, new: bool, n_columns: int | None = None, side: str = "left"
) -> None:
    """Put a legend above the axes of a new figure, where it hides no line, in as many columns as fit.

    Above an axes that was given there may be a title or another axes: there it goes inside.
    """
    if not new:
        ax.legend(handles=handles, loc="best", fontsize="small")
        return
    if n_columns is None:
        n_columns = _columns_that_fit(ax, [handle.get_label() for handle in handles])
    ax.legend(
        handles=handles,
        loc=f"lower {side}",
        bbox_to_anchor=(0.0 if side == "left" else 1.0, 1.0),
        ncols=n_columns,
        borderaxespad=0.3,
        borderpad=0,
        columnspacing=1.2,
        handlelength=2.0,
    )


def _columns_that_fit(ax: Axes, labels: list[str]) -> int:
    import matplotlib as mpl
    from matplotlib.font_manager import FontProperties

    size = FontProperties(size=mpl.rcParams["legend.fontsize"]).get_size_in_points()
    # A letter is about 0.55 of the font's size wide; the handle and its gaps take four times that size.
    widths = [size * (4.0 + 0.55 * len(label)) for label in labels]
    # The layout, which comes later, mostly makes the axes a tenth wider than it is now.
    room = 1.1 * 72 * ax.bbox.width / ax.figure.dpi
    for n_columns in range(len(widths), 1, -1):
        rows = -(-len(widths) // n_columns)
        if sum(max(widths[i : i + rows]) for i in range(0, len(widths), rows)) <= room:
            return n_columns
    return 1
