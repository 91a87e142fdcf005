"""What a report says: from its tables to the sections of a document."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..._version import __version__
from ..page import Card, Cell, Document, Measured, Section
from .estimates import ORACLE
from .figure import accuracy_picture

if TYPE_CHECKING:
    import pandas as pd

TITLE = "Evaluation report"
METRIC = "top-1"  # of which most is told; any gallery has it
_MARK = " *"
_TASKS = {"retrieval": "Finding the picture", "classification": "Naming the class"}
_SUCCESS = {"retrieval": "finds the picture", "classification": "names the class"}
_MAX_CARDS = 6


@dataclass(frozen=True)
class Findings:
    """The tables of a report that its text is made of, named as there.

    Attributes
    ----------
    settings, estimators : mapping
        As in the report.
    scores, summary, flags, comparisons, intervals, bias : DataFrame
        The comparisons and intervals of the first metric, the bias of all that have an oracle.
    published : DataFrame | None
        As in the report.
    chosen : mapping of str to list of str
        How the weights of each estimator were chosen, cell by cell.
    transductive : set of str
        Estimators that look at test epochs together.
    not_checked : list of str
        What training and test may share unnoticed.
    """

    settings: Mapping[str, Any]
    estimators: Mapping[str, str]
    scores: pd.DataFrame
    summary: pd.DataFrame
    flags: pd.DataFrame
    comparisons: pd.DataFrame
    intervals: pd.DataFrame
    bias: pd.DataFrame
    published: pd.DataFrame | None
    chosen: Mapping[str, list[str]]
    transductive: set[str]
    not_checked: list[str]

    @property
    def tasks(self) -> list[str]:
        """Tasks that were done, in the order in which they are told."""
        return [task for task in _TASKS if task in set(self.summary["task"])]

    @property
    def main_rows(self) -> list[dict[str, Any]]:
        """Of the first task and the metric of which most is told the row of each estimator."""
        shown = self.rows_of(self.tasks[0])
        return [shown[name, METRIC] for name in self.estimators if (name, METRIC) in shown]

    def rows_of(self, task: str) -> dict[tuple[str, str], dict[str, Any]]:
        """Rows of the summary by estimator and metric."""
        part = self.summary[self.summary["task"] == task]
        return {(row["estimator"], row["metric"]): row for row in part.to_dict(orient="records")}


def document(found: Findings) -> Document:
    """All that a report says."""
    tasks = found.tasks
    parts = [_accuracies(found, task) for task in tasks] + [_n_way(found, task) for task in tasks]
    parts += [_chosen(found), _bias(found), _comparisons(found), _intervals(found), _people(found)]
    flags = [
        (row.level, f"{row.estimator + ', ' if row.estimator else ''}{row.about}: {row.text}")
        for row in found.flags.itertuples()
    ]
    cards = _cards(found)
    return Document(
        TITLE,
        _lead(found),
        f"skeegclip {__version__}",
        alert=_alert(found),
        cards=cards,
        below_cards=_below_cards(found) if cards else "",
        picture=accuracy_picture(found.scores, found.summary, tasks[0], METRIC),
        flags=flags,
        sections=[part for part in parts if part.rows],
        estimators=list(found.estimators.items()),
    )


def _alert(found: Findings) -> str:
    """What must be read before any figure; "" where nothing leaks."""
    about = list(dict.fromkeys(found.flags.loc[found.flags["level"] == "leak", "about"]))
    if not about:
        return ""
    return (
        f"The test set leaks into training ({', '.join(about)}): the figures below do not show how well anything new is"
        " decoded. See the flags."
    )


def _lead(found: Findings) -> str:
    """What came out, what was done, and what is not known of it."""
    settings = found.settings
    seeds, n = settings["n_seeds"], len(found.estimators)
    best = max(found.main_rows, key=lambda row: row["mean"])
    interval = f"95 % interval {percent(best['low'])} to {percent(best['high'])}; "
    first = (
        f"{best['estimator']} {_SUCCESS[found.tasks[0]]} at the first try in {percent(best['mean'])} % of all cases"
        f" ({interval if np.isfinite(best['low']) else ''}guessing: {percent(best['chance'])} %)"
    )
    n_best = sum(row["mean"] == best["mean"] for row in found.main_rows)
    among = f", the most of {n} estimators" if n_best == 1 else f", and so do others of {n} estimators"
    first += f"{among if n > 1 else ''}."
    unknown = ", ".join(found.not_checked)
    rest = f" Whether training and test share {unknown} is not known." if unknown else ""
    return (
        f"{first}\n\n{n} estimator{'s' if n > 1 else ''}, {settings['n_folds']} fold{'s' if settings['n_folds'] > 1 else ''}"
        f" ({settings['cv']}), {seeds} seed{'s' if seeds > 1 else ''}, {settings['n_epochs']:,} epochs.{rest}"
    )


def _cards(found: Findings) -> list[Card]:
    rows = found.main_rows
    if len(rows) > _MAX_CARDS:
        return []
    return [
        Card(
            row["estimator"],
            f"{percent(row['mean'])} %",
            f"{percent(row['low'])} to {percent(row['high'])}" if np.isfinite(row["low"]) else "",
        )
        for row in rows
    ]


def _below_cards(found: Findings) -> str:
    chance = found.main_rows[0]["chance"]
    return f"{METRIC} in per cent, with its 95 % interval. Guessing: {percent(chance)} %."


def _accuracies(found: Findings, task: str) -> Section:
    shown = found.rows_of(task)
    names = [name for name in found.estimators if (name, "top-1") in shown]
    metrics = [metric for metric in ("top-1", "top-5") if (names[0], metric) in shown]
    oracle = [metric for metric in metrics if any((name, ORACLE + metric) in shown for name in names)]
    published = _published(found, metrics) if task == "retrieval" else {}
    rows: list[list[Cell]] = []
    for name in names:
        row: list[Cell] = [name + (_MARK if name in found.transductive else "")]
        row += [_with_interval(shown[name, metric]) for metric in metrics]
        for metric in oracle:
            best = shown.get((name, ORACLE + metric))
            row.append("" if best is None else percent(best["mean"]))
        row += [published.get((name, metric), "") for metric in metrics] if published else []
        rows.append([*row, _p(shown[name, "top-1"]["p"])])
    head = ["", *metrics, *(f"oracle {m}" for m in oracle)]
    head += [*(f"published {m}" for m in metrics), "p"] if published else ["p"]
    chance = ["chance", *(percent(shown[names[0], metric]["chance"]) for metric in metrics)]
    rows.append([*chance, *[""] * (len(head) - len(chance))])

    first = shown[names[0], "top-1"]
    over = first["interval_over"] or "nothing (one subject, one stimulus)"
    n_people = first["n_subjects"]
    people = f"mean over {n_people} people" if n_people > 1 else "of one person"
    text = f"Per cent right, {people}, with the 95 % interval over {over}."
    if oracle:
        text += (
            " Oracle figures choose the pass of training on the test set: they show that bias, nothing else."
        )
    if published:
        text += f" Published: mean ± standard deviation over people, among 200 ({_sources(found)})."
    text += " p: of top-1 against chance, by permuting which picture is which, alike for all people."
    text += _few_permutations(first["p_smallest"])
    if found.transductive & set(names):
        text += f"{_MARK}: transductive, see the flags."
    return Section(_TASKS[task], text, head, rows)


def _few_permutations(smallest: float) -> str:
    if np.isnan(smallest):
        return " There is none: no two pictures are in the same test sets, so that nothing can be exchanged."
    return f" With so few, none below {smallest:.3f} is possible." if smallest > 0.01 else ""


def _n_way(found: Findings, task: str) -> Section:
    shown = found.rows_of(task)
    names = dict.fromkeys(metric for _, metric in shown if "-way" in metric and not metric.startswith(ORACLE))
    metrics = [name for name in names if "top-5" not in name] + [name for name in names if "top-5" in name]
    published = _published(found, metrics) if task == "retrieval" else {}
    rows: list[list[Cell]] = []
    for name in found.estimators:
        if (name, "top-1") in shown:
            rows.append([name, *(_with_interval(shown[name, metric]) for metric in metrics)])
            if any((name, metric) in published for metric in metrics):
                rows.append(
                    [f"{name}, published", *(published.get((name, metric), "") for metric in metrics)]
                )
    if rows:
        first = next(name for name in found.estimators if (name, "top-1") in shown)
        rows.append(["chance", *(percent(shown[first, metric]["chance"]) for metric in metrics)])
    text = "Per cent right among n: exact expectations over all choices of the others, nothing is drawn."
    return Section(f"{_TASKS[task]} among n", text, ["", *metrics], rows)


def _chosen(found: Findings) -> Section:
    rows, without = [], []
    for name in found.estimators:
        said = found.chosen[name]
        rules = dict.fromkeys(text.partition(": ")[2] for text in said)
        passes = [int(text.split()[1]) for text in said]
        if not said:
            without.append(name)
            continue
        span = f"{min(passes)}" if min(passes) == max(passes) else f"{min(passes)} to {max(passes)}"
        rows.append([name, "; ".join(rules), span])
    return Section(
        "How the epoch was chosen",
        "Which pass of training a network's weights are of, and by what rule."
        + (f" No passes to choose from: {', '.join(without)}." if without else ""),
        ["", "rule", "passes"],
        rows,
    )


def _bias(found: Findings) -> Section:
    rows = [
        [row.estimator, row.metric, percent(row.honest), percent(row.oracle), f"{100 * row.bias:+.1f}"]
        for row in found.bias.itertuples()
    ]
    return Section(
        "What choosing on the test set would add",
        "The same trainings; honest: the pass chosen as above; oracle: for each person the best pass on the test set.",
        ["", "metric", "honest", "oracle", "bias, points"],
        rows,
    )


def _comparisons(found: Findings) -> Section:
    table = found.comparisons
    rows = [
        [
            f"{row.estimator} minus {row.minus}",
            f"{100 * row.difference:+.1f}",
            f"{100 * row.low:+.1f} to {100 * row.high:+.1f}" if np.isfinite(row.low) else "",
            _p(row.p),
            _p(row.p_holm),
        ]
        for row in table.itertuples()
    ]
    units = " and ".join(dict.fromkeys(table["flipped"]))
    return Section(
        "Compared with each other",
        f"Differences of top-1 in points, on the same people and pictures, with 95 % intervals; p by flipping signs over"
        f" {units}, or by Student's t as the interval, whichever is larger, and corrected for the number of pairs (Holm).",
        ["", "difference", "interval", "p", "p, corrected"],
        rows,
    )


def _intervals(found: Findings) -> Section:
    table = found.intervals
    overs = list(dict.fromkeys(table["over"]))
    rows = []
    for (name, task), part in table.groupby(["estimator", "task"], sort=False):
        ends = {row.over: f"{percent(row.low)} to {percent(row.high)}" for row in part.itertuples()}
        rows.append([f"{name}, {task}", *(ends.get(over, "") for over in overs)])
    return Section(
        "Where the uncertainty comes from",
        "95 % intervals of top-1, had there been other members of each kind, all else equal.",
        ["", *(f"other {over}" for over in overs)],
        rows,
    )


def _people(found: Findings) -> Section:
    scores = found.scores
    part = scores[(scores["metric"] == METRIC) & (scores["task"] == scores["task"].iloc[0])]
    names = list(dict.fromkeys(part["estimator"]))
    table = part.pivot_table(index="subject", columns="estimator", values="value")[names]
    rows = [
        [str(person), *(percent(value) for value in values)]
        for person, values in zip(table.index, table.to_numpy(), strict=True)
    ]
    return Section(
        "Each person", f"{METRIC}, mean over seeds, per cent.", ["", *names], rows if len(rows) > 1 else []
    )


def _published(found: Findings, metrics: list[str]) -> dict[tuple[str, str], str]:
    if found.published is None:
        return {}
    return {
        (row.estimator, row.metric): percent(row.mean) + ("" if np.isnan(row.sd) else f" ± {percent(row.sd)}")
        for row in found.published[["estimator", "metric", "mean", "sd"]].itertuples()
        if row.metric in metrics
    }


def _sources(found: Findings) -> str:
    return "; ".join(dict.fromkeys(found.published["source"])) if found.published is not None else ""


def _with_interval(row: Mapping[str, Any]) -> Cell:
    if not np.isfinite(row["low"]):
        return percent(row["mean"])
    return Measured(*(percent(row[name]) for name in ("mean", "low", "high")))


def _p(p: float) -> str:
    if not np.isfinite(p):
        return ""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def percent(share: float) -> str:
    """A share in per cent, without the sign."""
    return f"{100 * share:.1f}"
