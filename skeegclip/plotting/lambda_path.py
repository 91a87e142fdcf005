"""What each lambda is worth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from .._utils.drawing import COLOURS, GREY, axes_of, fix_ticks, percent, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_NEEDED = ("loss_weight", "top1", "error", "chosen")


def plot_lambda_path(scores: Mapping[str, Any], ax: Axes | None = None) -> Axes:
    """Draw accuracy and scaled error on held-out stimuli against lambda.

    Parameters
    ----------
    scores : dict of str to array-like, shape (n_loss_weights,)
        ``scores_`` of a fitted :class:`~skeegclip.LambdaPath`: `loss_weight`, `top1`, `error` and `chosen`.
    ax : Axes, default=None
        Where to draw; None makes a new figure.

    Returns
    -------
    ax : Axes
        The axes of the accuracy; the lambda that was chosen is marked by a dotted line. The error has a twin axes at the
        right, the last one of ``ax.figure.axes``, in which 1 is the error of predicting the targets' mean.

    Raises
    ------
    TypeError, ValueError
        If `scores` are none of a path.

    Examples
    --------
    >>> from skeegclip.plotting import plot_lambda_path
    >>> scores = {"loss_weight": [1, 0.5, 0], "top1": [0.3, 0.32, 0.2], "error": [1.4, 0.9, 0.8],
    ...           "chosen": [False, True, False]}
    >>> ax = plot_lambda_path(scores)
    >>> ax.get_xlabel(), [label.get_text() for label in ax.get_xticklabels()]
    ('Lambda (loss_weight)', ['1', '0.5', '0'])
    """
    if not isinstance(scores, Mapping):
        raise TypeError(
            f"scores must be a dict, scores_ of a fitted LambdaPath, got {type(scores).__name__}."
        )
    if missing := [name for name in _NEEDED if name not in scores]:
        raise ValueError(
            f"scores lacks {missing[0]!r} (it has {sorted(scores)}). Pass scores_ of a fitted LambdaPath."
        )
    weights, top1, error, chosen = (np.asarray(scores[name]) for name in _NEEDED)
    place, new = np.arange(len(weights)), ax is None
    with styled(ax):
        ax = axes_of(ax, height=2.3)
        twin = ax.twinx()
        if new:
            fix_ticks(twin)
        ax.plot(place, top1, color=COLOURS[0], marker="o", ms=4, lw=1.3)
        twin.plot(place, error, color=COLOURS[1], marker="s", ms=4, lw=1.3, ls=(0, (5, 1.5)))
        for each in place[chosen.astype(bool)]:
            ax.axvline(each, color=GREY, lw=0.6, ls=":", zorder=0)
        ax.set_xticks(place, [f"{value:g}" for value in weights])
        ax.set_xlabel("Lambda (loss_weight)")
        ax.set_ylabel("Top-1, held-out stimuli (%)", color=COLOURS[0])
        twin.set_ylabel("Squared error / variance", color=COLOURS[1])
        twin.spines["right"].set_visible(True)
        for each, values in ((ax, top1), (twin, error)):  # both are read from zero
            each.set_ylim(0, 1.1 * max(np.nanmax(values), 0.1))
        percent(ax.yaxis)
    return ax
