"""The parts of a report, as titles, sentences and tables of text: Markdown and HTML show the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .estimates import ORACLE
from .flags import not_checked, selection_text

if TYPE_CHECKING:
    from ..report import EvaluationReport

_MARK = " *"
TASKS = {"retrieval": "Finding the picture", "classification": "Naming the class"}


@dataclass(frozen=True)
class Section:
    """A title, a sentence or two, and a table of text; the first cell of a row is its name."""

    title: str
    text: str
    head: list[str]
    rows: list[list[str]]


def sections(report: EvaluationReport) -> list[Section]:
    """All parts of a report, in order."""
    summary = report._summary
    parts = [_headline(report, summary, task) for task in TASKS if task in set(summary["task"])]
    parts += [_n_way(report, summary, task) for task in TASKS if task in set(summary["task"])]
    parts += [_chosen(report), _bias(report), _comparisons(report), _intervals(report), _people(report)]
    return [part for part in parts if part.rows]


def warning(report: EvaluationReport) -> str:
    """What must be read before any figure; "" where nothing leaks."""
    about = list(dict.fromkeys(report.flags.loc[report.flags["level"] == "leak", "about"]))
    if not about:
        return ""
    return (
        f"The test set leaks into training ({', '.join(about)}): the figures below do not show how well anything new is"
        " decoded. See the flags."
    )


def headline(report: EvaluationReport) -> str:
    """What was done, and what is not known of it."""
    settings = report.settings
    seeds = settings["n_seeds"]
    open_ = not_checked(report.audits)
    rest = f" Whether training and test share {', '.join(open_)} is not known." if open_ else ""
    return (
        f"{len(report.estimators)} estimators, {settings['n_folds']} folds ({settings['cv']}),"
        f" {seeds} seed{'s' if seeds > 1 else ''}, {settings['n_epochs']:,} epochs.{rest}"
    )


def _headline(report: EvaluationReport, summary: Any, task: str) -> Section:
    shown = _rows_of(summary, task)
    names = [name for name in report.estimators if (name, "top-1") in shown]
    metrics = [metric for metric in ("top-1", "top-5") if (names[0], metric) in shown]
    oracle = [metric for metric in metrics if any((name, ORACLE + metric) in shown for name in names)]
    published = _published(report, metrics) if task == "retrieval" else {}
    transductive = {cell.estimator for cell in report._cells if cell.facts["transductive"]}
    rows = []
    for name in names:
        row = [name + (_MARK if name in transductive else "")]
        row += [_with_interval(shown[name, metric]) for metric in metrics]
        for metric in oracle:
            found = shown.get((name, ORACLE + metric))
            row.append("" if found is None else percent(found["mean"]))
        row += [published.get((name, metric), "") for metric in metrics] if published else []
        rows.append([*row, _p(shown[name, "top-1"]["p"])])
    head = ["", *metrics, *(f"oracle {m}" for m in oracle)]
    head += [*(f"published {m}" for m in metrics), "p"] if published else ["p"]
    chance = ["chance", *(percent(shown[names[0], metric]["chance"]) for metric in metrics)]
    rows.append(chance + [""] * (len(head) - len(chance)))

    first = shown[names[0], "top-1"]
    over = first["interval_over"] or "nothing (one subject, one stimulus)"
    text = (
        f"Per cent right, mean over {first['n_subjects']} people; in brackets the 95 % interval over {over}."
    )
    if oracle:
        text += (
            " Oracle figures choose the pass of training on the test set: they show that bias, nothing else."
        )
    if published:
        text += f" Published: mean ± standard deviation over people, among 200 ({_sources(report)})."
    text += " p: of top-1 against chance, by permuting which picture is which, alike for all people."
    text += _few_permutations(first["p_smallest"])
    if transductive:
        text += f"{_MARK}: transductive, see the flags."
    return Section(TASKS[task], text, head, rows)


def _few_permutations(smallest: float) -> str:
    if np.isnan(smallest):
        return " There is none: no two pictures are in the same test sets, so that nothing can be exchanged."
    return f" With so few, none below {smallest:.3f} is possible." if smallest > 0.01 else ""


def _n_way(report: EvaluationReport, summary: Any, task: str) -> Section:
    shown = _rows_of(summary, task)
    names = dict.fromkeys(metric for _, metric in shown if "-way" in metric and not metric.startswith(ORACLE))
    metrics = [name for name in names if "top-5" not in name] + [name for name in names if "top-5" in name]
    published = _published(report, metrics) if task == "retrieval" else {}
    rows = []
    for name in report.estimators:
        if (name, "top-1") in shown:
            rows.append([name, *(percent(shown[name, metric]["mean"]) for metric in metrics)])
            if any((name, metric) in published for metric in metrics):
                rows.append(
                    [f"{name}, published", *(published.get((name, metric), "") for metric in metrics)]
                )
    if rows:
        first = next(name for name in report.estimators if (name, "top-1") in shown)
        rows.append(["chance", *(percent(shown[first, metric]["chance"]) for metric in metrics)])
    text = "Per cent right among n: exact expectations over all choices of the others, nothing is drawn."
    return Section(f"{TASKS[task]} among n", text, ["", *metrics], rows)


def _chosen(report: EvaluationReport) -> Section:
    rows = []
    for name in report.estimators:
        said = [text for cell in report._cells if cell.estimator == name for text in selection_text(cell)]
        rules = dict.fromkeys(text.partition(": ")[2] for text in said)
        passes = [int(text.split()[1]) for text in said]
        if not said:
            rows.append([name, "no passes to choose from", ""])
            continue
        span = f"{min(passes)}" if min(passes) == max(passes) else f"{min(passes)} to {max(passes)}"
        rows.append([name, "; ".join(rules), span])
    return Section(
        "How the epoch was chosen",
        "Which pass of training a network's weights are of, and by what rule.",
        ["", "rule", "passes"],
        rows,
    )


def _bias(report: EvaluationReport) -> Section:
    table = report.bias(report._headline_metrics())
    rows = [
        [row.estimator, row.metric, percent(row.honest), percent(row.oracle), f"{100 * row.bias:+.1f}"]
        for row in table.itertuples()
    ]
    return Section(
        "What choosing on the test set would add",
        "The same trainings; honest: the pass chosen as above; oracle: for each person the best pass on the test set.",
        ["", "metric", "honest", "oracle", "bias, points"],
        rows,
    )


def _comparisons(report: EvaluationReport) -> Section:
    table = report.compare(report._headline_metrics()[0])
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


def _intervals(report: EvaluationReport) -> Section:
    table = report.intervals(report._headline_metrics()[:1])
    overs = list(dict.fromkeys(table["over"]))
    rows = []
    for (name, task), part in table.groupby(["estimator", "task"], sort=False):
        found = {row.over: f"{percent(row.low)} to {percent(row.high)}" for row in part.itertuples()}
        rows.append([f"{name}, {task}", *(found.get(over, "") for over in overs)])
    return Section(
        "Where the uncertainty comes from",
        "95 % intervals of top-1, had there been other members of each kind, all else equal.",
        ["", *(f"other {over}" for over in overs)],
        rows,
    )


def _people(report: EvaluationReport) -> Section:
    scores = report.scores
    metric = report._headline_metrics()[0]
    part = scores[(scores["metric"] == metric) & (scores["task"] == scores["task"].iloc[0])]
    names = list(dict.fromkeys(part["estimator"]))
    table = part.pivot_table(index="subject", columns="estimator", values="value")[names]
    rows = [
        [str(person), *(percent(value) for value in values)]
        for person, values in zip(table.index, table.to_numpy(), strict=True)
    ]
    return Section(
        "Each person", f"{metric}, mean over seeds, per cent.", ["", *names], rows if len(rows) > 1 else []
    )


def _rows_of(summary: Any, task: str) -> dict[tuple[str, str], Any]:
    part = summary[summary["task"] == task]
    return {(row["estimator"], row["metric"]): row for row in part.to_dict(orient="records")}


def _published(report: EvaluationReport, metrics: list[str]) -> dict[tuple[str, str], str]:
    if report.published is None:
        return {}
    return {
        (row.estimator, row.metric): f"{percent(row.mean)} ± {percent(row.sd)}"
        for row in report.published[["estimator", "metric", "mean", "sd"]].itertuples()
        if row.metric in metrics
    }


def _sources(report: EvaluationReport) -> str:
    return "; ".join(dict.fromkeys(report.published["source"])) if report.published is not None else ""


def _with_interval(row: Any) -> str:
    if not np.isfinite(row["low"]):
        return percent(row["mean"])
    return f"{percent(row['mean'])} [{percent(row['low'])}, {percent(row['high'])}]"


def _p(p: float) -> str:
    if not np.isfinite(p):
        return ""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def percent(share: float) -> str:
    """A share in per cent, without the sign."""
    return f"{100 * share:.1f}"
