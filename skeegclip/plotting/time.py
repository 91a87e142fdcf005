"""Accuracy over time."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import cycle
from typing import TYPE_CHECKING, Any

import numpy as np

from .._utils.drawing import COLOURS, GREY, MARKERS, WIDTH, axes_of, check_made, legend, percent, styled
from .._utils.params import check_option

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ..inspection import Generalization, TimeCourse


def plot_time_course(
    course: TimeCourse | Mapping[str, TimeCourse],
    ax: Axes | None = None,
    *,
    of: str = "accuracy",
    stimulus: tuple[float, float] | None = None,
    alpha: float = 0.05,
) -> Axes:
    """Draw accuracy, or similarity, against the time of the window.

    Parameters
    ----------
    course : TimeCourse | dict of str to TimeCourse
        From :func:`skeegclip.inspection.time_resolved`; several by name give one line each.
    ax : Axes | None
        Where to draw; None makes a new figure.
    of : {"accuracy", "similarity"}
        What is drawn.
    stimulus : tuple of float | None
        Start and end of the picture in seconds, for a bar along the time axis.
    alpha : float
        Windows with a corrected p up to this value are marked by dots at the top.

    Returns
    -------
    Axes
        Growing windows stand at their end, sliding ones at their middle. Bands are 95 % intervals.

    Raises
    ------
    ValueError
        If a parameter is not usable, or growing and sliding windows are mixed.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from skeegclip.inspection import TimeCourse
    >>> from skeegclip.plotting import plot_time_course
    >>> columns = {"start": [0.0, 0.0], "stop": [0.1, 0.2], "accuracy": [0.1, 0.4], "low": [0.0, 0.3], "high": [0.2, 0.5]}
    >>> table = pd.DataFrame({**columns, "chance": 0.1, "p_corrected": [0.6, 0.01]})
    >>> ax = plot_time_course(TimeCourse(table, None, None, None), stimulus=(0, 0.1))
    >>> ax.get_xlabel()
    'End of the window (s)'
    """
    check_option("of", of, ["accuracy", "similarity"])
    courses = dict(course) if isinstance(course, Mapping) else {"": course}
    if not courses:
        raise ValueError("course is an empty dict, there is nothing to draw.")
    for name, one in courses.items():
        check_made(
            f"course[{name!r}]" if name else "course", one, "table", "skeegclip.inspection.time_resolved"
        )
    growing = {_is_growing(one) for one in courses.values()}
    if len(growing) > 1:
        raise ValueError("course mixes growing and sliding windows. Draw them in two axes.")
    ends = ("low", "high") if of == "accuracy" else ("similarity_low", "similarity_high")
    new = ax is None
    with styled(ax):
        ax = axes_of(ax, height=2.3)
        handles: list[Any] = []
        marks: list[Any] = []
        for row, ((name, one), colour, marker) in enumerate(
            zip(courses.items(), cycle(COLOURS), cycle(MARKERS), strict=False)
        ):
            table = one.table
            x = table["stop"] if growing == {True} else (table["start"] + table["stop"]) / 2
            ax.fill_between(x, table[ends[0]], table[ends[1]], color=colour, alpha=0.2, lw=0)
            handles += ax.plot(
                x, table[of], color=colour, marker=marker, mec="white", mew=0.5, label=name or "_line"
            )
            if of == "accuracy":
                above = table["p_corrected"] <= alpha
                height = np.full(int(above.sum()), 0.98 - 0.05 * row)
                (dots,) = ax.plot(
                    x[above], height, ".", ms=3, color=colour, transform=ax.get_xaxis_transform()
                )
                dots.set_label(f"p ≤ {alpha:g}, corrected" if row == 0 else "_dots")
                marks += [dots] if row == 0 else []
        level = next(iter(courses.values())).table["chance"].iloc[0] if of == "accuracy" else 0.0
        chance = ax.axhline(level, color=GREY, ls=(0, (4, 2)), lw=0.9, label="chance", zorder=1)
        handles = [handle for handle in [*handles, *marks, chance] if not handle.get_label().startswith("_")]
        if of == "accuracy":
            percent(ax.yaxis)
            top = max(one.table[ends[1]].max() for one in courses.values())
            # Room for the dots above, and for the bar of the picture below.
            ax.set_ylim(-0.06 * top, top * (1.12 + 0.06 * len(courses)))
        if stimulus is not None:
            handles.append(_stimulus_bar(ax, stimulus))
        ax.set_xlabel("End of the window (s)" if growing == {True} else "Middle of the window (s)")
        ax.set_ylabel(
            "Accuracy (%)" if of == "accuracy" else "Similarity to the true item,\nless that to others"
        )
        legend(ax, handles, new=new)
    return ax


def _is_growing(course: TimeCourse) -> bool:
    starts = course.table["start"]
    return bool((starts == starts.iloc[0]).all())


def _stimulus_bar(ax: Axes, stimulus: tuple[float, float]) -> Any:
    from matplotlib.patches import Rectangle

    start, end = stimulus
    if not end > start:
        raise ValueError(f"stimulus must be (start, end) in seconds with end > start, got {stimulus!r}.")
    bar = Rectangle(
        (start, 0), end - start, 0.03, transform=ax.get_xaxis_transform(), color="0.2", lw=0, label="picture"
    )
    ax.add_patch(bar)
    return bar


def plot_temporal_generalization(result: Generalization, ax: Axes | None = None) -> Axes:
    """Draw the accuracy of each training window at each test window.

    Parameters
    ----------
    result : Generalization
        From :func:`skeegclip.inspection.temporal_generalization`.
    ax : Axes | None
        Where to draw; None makes a new figure.

    Returns
    -------
    Axes
        The matrix, over the middles of the windows, with the diagonal as a dashed line. The colour bar, the last one of
        ``ax.figure.axes``, begins at zero and marks chance.

    Raises
    ------
    ValueError
        If there are fewer than two windows.

    Examples
    --------
    >>> import numpy as np
    >>> from skeegclip.inspection import Generalization
    >>> from skeegclip.plotting import plot_temporal_generalization
    >>> a = np.array([[0.5, 0.2], [0.1, 0.4]])
    >>> ax = plot_temporal_generalization(Generalization(np.array([0.0, 0.1]), np.array([0.1, 0.2]), a, a, a, a, 0.1))
    >>> ax.get_ylabel()
    'Trained at (s)'
    """
    check_made("result", result, "accuracy", "skeegclip.inspection.temporal_generalization")
    middle = (np.asarray(result.start) + np.asarray(result.stop)) / 2
    if len(middle) < 2:
        raise ValueError("result has one window only. Compute it with a smaller step or width.")
    step = middle[1] - middle[0]
    first, last = middle[0] - step / 2, middle[-1] + step / 2
    new = ax is None
    with styled(ax):
        ax = axes_of(ax, height=0.8 * WIDTH, layout="compressed")
        top = max(float(np.max(result.accuracy)), result.chance)
        image = ax.imshow(
            result.accuracy,
            origin="lower",
            extent=(first, last, first, last),
            cmap="cividis",
            vmin=0,
            vmax=top,
        )
        ax.plot([first, last], [first, last], color="white", ls=(0, (4, 2)), lw=0.8)
        ax.set_xlim(first, last)
        ax.set_ylim(first, last)
        ax.set_xlabel("Tested at (s)")
        ax.set_ylabel("Trained at (s)")
        bar = ax.figure.colorbar(image, ax=ax, shrink=0.8, aspect=20, pad=0.02)
        bar.outline.set_visible(False)
        bar.set_label("Accuracy (%), line: chance")
        percent(bar.ax.yaxis)
        bar.ax.axhline(result.chance, color="white", lw=1)
        if new:
            bar.ax.tick_params(labelsize=float(ax.xaxis.label.get_fontsize()) - 1, width=0.6)
    return ax
