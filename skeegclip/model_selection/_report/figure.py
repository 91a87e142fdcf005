"""The figure of a report: accuracy of each estimator, its interval, single people, chance, oracle."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np

from ..._utils.drawing import COLOURS, GREY, fix_ticks, legend, new_figure, percent, styled
from ..page import Picture
from .estimates import ORACLE

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

_WIDTH, _ROW = 4.6, 0.32  # inches


def accuracy_picture(scores: pd.DataFrame, summary: pd.DataFrame, task: str, metric: str) -> Picture:
    """The figure, for a page."""
    return Picture(as_svg(accuracy_figure(scores, summary, task, metric)), f"{metric} of each estimator")


def accuracy_figure(scores: pd.DataFrame, summary: pd.DataFrame, task: str, metric: str) -> Figure:
    """One row for each estimator: the mean with its interval, a dot for each person, and the oracle's mean."""
    rows = summary[summary["task"] == task].set_index(["estimator", "metric"])
    names = [name for name in dict.fromkeys(rows.index.get_level_values(0)) if (name, metric) in rows.index]
    scores = scores[(scores["task"] == task) & (scores["metric"] == metric)]
    people = scores.groupby(["estimator", "subject"], sort=False)["value"].mean()
    found = rows.loc[[(name, metric) for name in names]]
    place = np.arange(len(names))
    with styled(None):
        figure = new_figure(_WIDTH, 0.75 + _ROW * len(names))
        ax = figure.add_subplot()
        fix_ticks(ax)
        handles = []
        if len(people) > len(names):
            # A fixed pattern, so that equal people are told apart.
            values = [people[name].to_numpy() for name in names]
            heights = [n - 0.28 + 0.56 * (np.arange(len(of)) * 0.618 % 1) for n, of in enumerate(values)]
            flat = np.concatenate(values), np.concatenate(heights)
            handles += ax.plot(*flat, "o", ms=3, mew=0, color=COLOURS[4], alpha=0.75, label="one person")
        ax.hlines(place, found["low"], found["high"], color=COLOURS[0], lw=2)
        label = "mean, with its 95 % interval"
        handles += ax.plot(found["mean"], place, "o", ms=6, color=COLOURS[0], label=label)
        oracle = [(n, name) for n, name in enumerate(names) if (name, ORACLE + metric) in rows.index]
        if oracle:
            best = [rows.loc[(name, ORACLE + metric), "mean"] for _, name in oracle]
            handles += ax.plot(
                best, [n for n, _ in oracle], "o", ms=6, mfc="none", color=COLOURS[1], label="oracle"
            )
        handles.append(
            ax.axvline(found["chance"].iloc[0], color=GREY, ls=(0, (4, 2)), lw=0.9, label="chance")
        )
        ax.set_yticks(place, [name.replace("$", r"\$") for name in names])
        ax.set_ylim(len(names) - 0.5, -0.5)
        ax.set_xlim(left=0)
        percent(ax.xaxis)
        ax.set_xlabel(f"{metric} accuracy (%)")
        ax.grid(axis="x", color="0.9", lw=0.6)
        ax.set_axisbelow(True)
        legend(ax, handles, new=True)
    return figure


def as_svg(figure: Figure) -> bytes:
    """A figure as SVG; equal figures are equal files."""
    import matplotlib as mpl

    buffer = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": "skeegclip"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return buffer.getvalue()
