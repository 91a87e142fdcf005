"""Loss and validation accuracy over the passes of training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .._utils.drawing import COLOURS, GREY, MARKERS, axes_of, fix_ticks, legend, percent, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes

History = Sequence[Mapping[str, Any]]


class _Curve(NamedTuple):
    key: str
    label: str
    dashes: Any
    width: float
    colour: str  # where there is one history; several have a colour each


_TRAIN = _Curve("train_loss", "training loss", (0, (1, 1)), 0.9, GREY)
_VALID = _Curve("valid_loss", "validation loss", "-", 1.3, COLOURS[0])
_TOP1 = _Curve("valid_top1", "validation top-1 (right axis)", (0, (5, 1.5)), 1.0, COLOURS[1])
_CHOSEN: dict[str, Any] = {"mec": "white", "mew": 0.6, "ms": 6}


def plot_training_curve(history: History | Mapping[str, History], ax: Axes | None = None) -> Axes:
    """Draw the loss, and the validation top-1 where it was computed, against the epoch of training.

    Parameters
    ----------
    history : list of dict, or dict of name to list of dict
        ``history_`` of a fitted encoder: a dict for each epoch with `epoch`, `train_loss` and, where there are
        any, `valid_loss`, `valid_top1` and `chosen` (True at the epoch whose weights were kept, which is
        marked). Several histories by name are laid over one another.
    ax : Axes, default=None
        Where to draw; None makes a new figure.

    Returns
    -------
    ax : Axes
        The axes of the loss. Top-1 has a twin axes at the right, the last one of ``ax.figure.axes``.

    Raises
    ------
    ValueError
        If a history is empty or has no `train_loss`.

    Examples
    --------
    >>> from skeegclip.plotting import plot_training_curve
    >>> history = [
    ...     {"epoch": 1, "train_loss": 5.3, "valid_loss": 5.2, "chosen": False},
    ...     {"epoch": 2, "train_loss": 4.1, "valid_loss": 4.9, "chosen": True},
    ... ]
    >>> ax = plot_training_curve(history)
    >>> ax.get_xlabel(), ax.get_ylabel()
    ('Epoch', 'Loss')
    """
    named = isinstance(history, Mapping)
    histories: dict[str, History] = dict(history) if isinstance(history, Mapping) else {"": history}
    if not histories:
        raise ValueError("history is an empty dict, there is nothing to draw. Give a name for each history.")
    for name, rows in histories.items():
        _check(rows, f"history[{name!r}]" if named else "history")
    every = [row for rows in histories.values() for row in rows]
    curves = [curve for curve in (_TRAIN, _VALID, _TOP1) if _has(every, curve.key)]
    if _VALID not in curves:
        curves[0] = _TRAIN._replace(dashes="-", width=_VALID.width)
    new = ax is None
    with styled(ax):
        ax = axes_of(ax, height=2.3)
        axes = {"train_loss": ax, "valid_loss": ax}
        if _TOP1 in curves:
            axes["valid_top1"] = _twin(ax, new, "black" if named else _TOP1.colour)
        names = []
        for (name, rows), own, marker in zip(histories.items(), cycle(COLOURS), cycle(MARKERS), strict=False):
            for curve in curves:
                colour = own if named else curve.colour
                points = [(row["epoch"], row[curve.key]) for row in rows if row.get(curve.key) is not None]
                style = {"color": colour, "ls": curve.dashes, "lw": curve.width}
                axes[curve.key].plot(*np.transpose(points), label=f"{name} {curve.label}".lstrip(), **style)
            _mark_chosen(ax, rows, own, marker)
            names.append({"color": own, "marker": marker, "label": name, **_CHOSEN})
        ax.set_xlabel("Epoch")
        ax.set_ylabel("Loss")
        ax.locator_params(axis="x", integer=True)
        for each in axes.values():
            each.margins(x=0.02)
        handles = _handles(curves, names if named else [], any(row.get("chosen") for row in every), pad=new)
        legend(ax, handles, new=new, n_columns=min(2, len(handles)))
    return ax


def _check(rows: Any, name: str) -> None:
    if not isinstance(rows, Sequence):
        raise TypeError(f"{name} must be a list of dicts, an encoder's history_, got {type(rows).__name__}.")
    if len(rows) == 0:
        raise ValueError(f"{name} is empty, there is nothing to draw. Fit the encoder first.")
    if not isinstance(rows[0], Mapping) or not {"epoch", "train_loss"} <= rows[0].keys():
        raise ValueError(f"{name} must be a list of dicts with epoch and train_loss, got {rows[0]!r} first.")


def _has(rows: History, key: str) -> bool:
    return any(row.get(key) is not None for row in rows)


def _twin(ax: Axes, new: bool, colour: str) -> Axes:
    twin = ax.twinx()
    if new:
        fix_ticks(twin)
    # The axes of the loss comes on top, because its legend must hide the lines of both.
    ax.set_zorder(twin.get_zorder() + 1)
    ax.patch.set_visible(False)
    twin.spines["right"].set_visible(True)
    twin.set_ylabel("Top-1 accuracy (%)", color=colour)
    twin.update_datalim([(1, 0)], updatex=False)  # accuracy is read from zero
    percent(twin.yaxis)
    return twin


def _mark_chosen(ax: Axes, rows: History, colour: str, marker: str) -> None:
    """Draw a line at the chosen epoch, and a marker on the loss."""
    for row in rows:
        if row.get("chosen"):
            loss = row["train_loss"] if row.get("valid_loss") is None else row["valid_loss"]
            ax.axvline(row["epoch"], color=colour, lw=0.6, ls=":", zorder=0)
            ax.plot(row["epoch"], loss, marker, color=colour, label="chosen epoch", zorder=4, **_CHOSEN)


def _handles(curves: list[_Curve], names: list[dict[str, Any]], chosen: bool, *, pad: bool) -> list[Any]:
    """Entries of the legend; `pad` makes two columns of equal height, one of names and one of curves."""
    from matplotlib.lines import Line2D

    def style(curve: _Curve) -> Line2D:
        colour = GREY if names else curve.colour
        return Line2D([], [], color=colour, ls=curve.dashes, lw=curve.width, label=curve.label)

    handles: list[Any] = [style(curve) for curve in curves]
    if chosen:
        colour = GREY if names else COLOURS[0]
        marker = MARKERS[0]
        handles.append(Line2D([], [], color=colour, ls="", marker=marker, label="chosen epoch", **_CHOSEN))
    left = [Line2D([], [], **name) for name in names]
    if not (left and pad):
        return left + handles
    n_rows = max(len(left), len(handles))
    blank = Line2D([], [], ls="", label=" ")
    return [*left, *[blank] * (n_rows - len(left)), *handles, *[blank] * (n_rows - len(handles))]
