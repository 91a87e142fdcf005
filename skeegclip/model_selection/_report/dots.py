"""The figure of a report, as SVG: accuracy of each estimator, interval, single people, chance, oracle."""

from __future__ import annotations

import math
from html import escape
from typing import TYPE_CHECKING

from .estimates import ORACLE

if TYPE_CHECKING:
    from ..report import EvaluationReport

_WIDTH, _ROW, _TOP = 760, 44, 34


def dot_plot(report: EvaluationReport) -> str:
    """One row for each estimator: a dot for each person, the mean with its interval, and the oracle's mean."""
    metric = report._headline_metrics()[0]
    task = report.scores["task"].iloc[0]
    summary = report._summary[report._summary["task"] == task].set_index(["estimator", "metric"])
    shown = report.scores[(report.scores["task"] == task) & (report.scores["metric"] == metric)]
    people = shown.groupby(["estimator", "subject"], sort=False)["value"].mean()
    names = [name for name in report.estimators if (name, metric) in summary.index]
    left = 20 + 8 * max(len(name) for name in names)
    chance = float(summary.loc[(names[0], metric), "chance"])
    most = max([people.max(), chance, *summary.loc[[(n, metric) for n in names], "high"].fillna(0)])
    oracles = {
        n: float(summary.loc[(n, ORACLE + metric), "mean"])
        for n in names
        if (n, ORACLE + metric) in summary.index
    }
    step, end = _axis(max([most, *oracles.values()]))

    def x(share: float) -> float:
        return left + (_WIDTH - left - 24) * share / end

    height = _TOP + _ROW * len(names) + 46
    bottom = height - 42
    parts = [
        f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{escape(metric)} of each estimator">',
        f'<text class="soft" x="{left:.0f}" y="16">{_legend(bool(oracles), len(people) > len(names))}</text>',
    ]
    for tick in range(round(end / step) + 1):
        at = x(tick * step)
        parts.append(f'<line class="grid" x1="{at:.1f}" x2="{at:.1f}" y1="{_TOP - 6}" y2="{bottom}"/>')
        parts.append(f'<text class="tick" x="{at:.1f}" y="{bottom + 16}">{100 * tick * step:g}</text>')
    at = x(chance)
    parts.append(f'<line class="chance" x1="{at:.1f}" x2="{at:.1f}" y1="{_TOP - 6}" y2="{bottom}"/>')
    for number, name in enumerate(names):
        y = _TOP + _ROW * number + _ROW / 2
        row = summary.loc[(name, metric)]
        parts.append(f'<text class="name" x="{left - 10:.1f}" y="{y + 4:.1f}">{escape(name)}</text>')
        values = people[name] if len(people) > len(names) else []
        for place, value in enumerate(values):
            # A fixed pattern, so that equal people are told apart.
            parts.append(
                f'<circle class="one" cx="{x(value):.1f}" cy="{y - 9 + 18 * (place * 0.618 % 1):.1f}" r="3"/>'
            )
        if math.isfinite(row["low"]):
            parts.append(
                f'<line class="interval" x1="{x(row["low"]):.1f}" x2="{x(row["high"]):.1f}" y1="{y}" y2="{y}"/>'
            )
        parts.append(f'<circle class="mean" cx="{x(row["mean"]):.1f}" cy="{y}" r="5.5"/>')
        if name in oracles:
            parts.append(f'<circle class="oracle" cx="{x(oracles[name]):.1f}" cy="{y}" r="5.5"/>')
    parts.append(
        f'<text class="tick" x="{(left + _WIDTH - 24) / 2:.0f}" y="{height - 6}">{escape(metric)} accuracy (%)</text>'
    )
    return "\n".join([*parts, "</svg>"])


def _legend(oracle: bool, dots: bool) -> str:
    said = ["\u25cf mean, with its 95 % interval", "\u2506 chance"]
    if dots:
        said.insert(1, "\u2022 one person")
    if oracle:
        said.append("\u25cb oracle")
    return "&#160;&#160; ".join(said)


def _axis(most: float) -> tuple[float, float]:
    """Step and end of an axis from 0 that shows `most`, in round numbers, with 3 to 7 steps."""
    for step in (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2):
        if most <= 6 * step:
            break
    return step, min(1.0, step * max(1, math.ceil(most / step - 1e-9)))
