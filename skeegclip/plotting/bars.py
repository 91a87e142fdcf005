"""Accuracies of several estimators side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from .._utils.drawing import COLOURS, axes_of, check_made, legend, percent, styled
from .._utils.params import check_option

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike

    from ..model_selection import EvaluationReport


def plot_encoder_comparison(
    report: EvaluationReport,
    ax: Axes | None = None,
    *,
    metric: str = "top-1",
    task: str | None = None,
) -> Axes:
    """Draw the accuracy of each estimator of a report, with its interval, and a point for each person.

    Parameters
    ----------
    report : EvaluationReport
        From :func:`skeegclip.evaluate`.
    ax : Axes | None
        Where to draw; None makes a new figure.
    metric : str
        What is drawn: "top-1", "top-5", "10-way", ... as in ``report.scores``.
    task : {"retrieval", "classification"} | None
        None takes retrieval where there is any.

    Returns
    -------
    Axes
        A bar for each estimator, in the order of the report, with its 95 % interval (over people and stimuli, as far as
        there are several) and chance; a point is a person's mean over seeds; a diamond the published figure, where the
        report has one.

    Raises
    ------
    ValueError
        If the report has no such metric or task.

    See Also
    --------
    plot_accuracy_bars : The same from a table of one's own.

    References
    ----------
    Li et al., "Visual Decoding and Reconstruction via EEG Embeddings with Guided Diffusion", NeurIPS 2024, figure 4.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import Ridge
    >>> from skeegclip import EmbeddingTable, evaluate
    >>> from skeegclip.model_selection import WithinSubject
    >>> from skeegclip.plotting import plot_encoder_comparison
    >>> rng = np.random.default_rng(0)
    >>> table = EmbeddingTable([f"image_{i:02d}" for i in range(60)], rng.normal(size=(60, 5)))
    >>> X = (table.vectors @ rng.normal(size=(5, 40))).reshape(60, 4, 10)
    >>> cv = WithinSubject(test_stimuli=table.ids[:20])
    >>> report = evaluate({"weak": Ridge(1e4), "strong": Ridge(1)}, X, table.ids, targets=table, cv=cv)
    >>> [label.get_text() for label in plot_encoder_comparison(report).get_yticklabels()]
    ['weak', 'strong']
    """
    check_made("report", report, "scores", "skeegclip.evaluate")
    scores = report.scores
    tasks = scores["task"].unique().tolist()
    if task is None:
        task = "retrieval" if "retrieval" in tasks else tasks[0]
    check_option("task", task, tasks)
    scores = scores[scores["task"] == task]
    check_option("metric", metric, scores["metric"].unique())
    scores = scores[scores["metric"] == metric]
    summary = report.summary([metric])
    rows = summary[summary["task"] == task].set_index("estimator").rename(columns={"mean": "accuracy"})
    shown = ["accuracy", "chance", *(["low", "high"] if rows["low"].notna().all() else [])]
    people = scores.groupby(["estimator", "subject"])["value"].mean()
    points = {name: people[name] for name in rows.index if len(people[name]) > 1}
    published: dict[str, float] = {}
    if report.published is not None and task == "retrieval":
        own = report.published[report.published["metric"] == metric]
        published = dict(zip(own["estimator"], own["mean"], strict=True))
    label = f"{metric[0].upper()}{metric[1:]} accuracy"
    return _bars(rows[shown], ax, points, "person", label, published)


def plot_accuracy_bars(
    table: pd.DataFrame,
    ax: Axes | None = None,
    *,
    points: Mapping[str, ArrayLike] | None = None,
    points_label: str = "subject",
    label: str = "Accuracy",
) -> Axes:
    """Draw the accuracy of each estimator as a bar, with its interval and the single subjects.

    Parameters
    ----------
    table : DataFrame
        One row for each estimator, named by the index and drawn from top to bottom. Columns: `accuracy` and,
        where wanted, `low` and `high` (the interval) and `chance`; all in [0, 1].
    ax : Axes, default=None
        Where to draw; None makes a new figure.
    points : dict of name to array-like, default=None
        Single accuracies in [0, 1], for example one per subject, for some or all names of the index.
    points_label : str, default="subject"
        What one point stands for.
    label : str, default="Accuracy"
        What the x axis shows; " (%)" is added.

    Returns
    -------
    ax : Axes
        With horizontal bars, so that long names stay readable.

    Raises
    ------
    ValueError
        If `accuracy` is missing, the table is empty, or `points` names an estimator that is not in it.

    Examples
    --------
    >>> import pandas as pd
    >>> from skeegclip.plotting import plot_accuracy_bars
    >>> table = pd.DataFrame(
    ...     {"accuracy": [0.27, 0.08], "low": [0.23, 0.05], "high": [0.31, 0.12], "chance": 0.005},
    ...     index=["ATM-S", "Ridge"],
    ... )
    >>> ax = plot_accuracy_bars(table, points={"ATM-S": [0.21, 0.27, 0.33]}, label="Top-1 accuracy")
    >>> ax.get_xlabel()
    'Top-1 accuracy (%)'
    """
    points = {} if points is None else points
    check_made("table", table, "columns", "pandas.DataFrame")
    if "accuracy" not in table or table.empty:
        raise ValueError(f"table must have a column accuracy and at least one row, got shape {table.shape}.")
    unknown = [name for name in points if name not in table.index]
    if unknown:
        raise ValueError(f"points names {unknown}, which the index of table does not: {list(table.index)}.")
    return _bars(table, ax, points, points_label, label, {})


def _bars(
    table: pd.DataFrame,
    ax: Axes | None,
    points: Mapping[str, ArrayLike],
    points_label: str,
    label: str,
    published: Mapping[str, float],
) -> Axes:
    new = ax is None
    with styled(ax):
        ax = axes_of(ax, height=0.65 + 0.27 * len(table))
        place = np.arange(len(table))
        bars = ax.barh(place, table["accuracy"], height=0.62, color=COLOURS[4], alpha=0.55, label="mean")
        handles: list[Any] = [bars]
        for i, name in enumerate(table.index):
            if name in points:
                handles[1:] = _dots(ax, np.asarray(points[name], dtype=float), i, points_label)
        if "low" in table:
            ax.plot(table["accuracy"], place, "|", color="black", ms=7, mew=1.4, zorder=3)
            interval = ax.hlines(place, table["low"], table["high"], color="black", lw=1.4, zorder=3)
            interval.set_label("interval")
            handles.append(interval)
        if "chance" in table:
            handles.append(_chance(ax, table["chance"].to_numpy(dtype=float)))
        if known := {name: i for i, name in enumerate(table.index) if name in published}:
            values = [published[name] for name in known]
            style: dict[str, Any] = {"mfc": "white", "mec": COLOURS[3], "mew": 1.2, "ms": 4.5, "zorder": 5}
            handles += ax.plot(values, list(known.values()), "D", label="published", **style)
        ax.set_yticks(place, [str(name) for name in table.index])
        ax.tick_params(axis="y", length=0)
        ax.set_ylim(len(table) - 0.5, -0.5)
        ax.set_xlim(left=0)
        percent(ax.xaxis)
        ax.set_xlabel(f"{label} (%)")
        if len(handles) > 1:
            legend(ax, handles, new=new, side="right")
    return ax


def _dots(ax: Axes, values: np.ndarray, place: int, label: str) -> list[Any]:
    """Points of one bar, spread over its height in a fixed pattern, so that equal ones are told apart."""
    order = np.argsort(np.argsort(values, kind="stable"), kind="stable")
    spread = ((order * 0.618) % 1 - 0.5) * 0.4
    style: dict[str, Any] = {
        "color": COLOURS[0],
        "mec": "white",
        "mew": 0.4,
        "ms": 3.2,
        "alpha": 0.9,
        "zorder": 2,
    }
    return ax.plot(values, place + spread, "o", label=label, **style)


def _chance(ax: Axes, chance: np.ndarray) -> Any:
    """One line through all bars, or a piece for each where the levels differ."""
    style: dict[str, Any] = {
        "color": COLOURS[1],
        "ls": (0, (3, 1.5)),
        "lw": 1.0,
        "zorder": 4,
        "label": "chance",
    }
    if np.all(chance == chance[0]):
        return ax.axvline(chance[0], **style)
    place = np.arange(len(chance))
    return ax.vlines(chance, place - 0.5, place + 0.5, **style)
