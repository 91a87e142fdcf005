"""The tables of a report."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from ..._evaluation.cells import Cell
from ..._evaluation.permutation import Answers, permutation_p, trials
from ..._evaluation.statistics import headline_source, holm, paired_interval, paired_p, spreads
from ...metrics.intervals import share_interval, student_interval
from .estimates import KS, Estimate, query_weights

if TYPE_CHECKING:
    import pandas as pd

Estimates = Mapping[tuple[str, str, str], Estimate]


def score_table(found: Estimates) -> pd.DataFrame:
    """One row for each estimator, task, person, seed and metric."""
    import pandas as pd

    parts = []
    for (name, task, metric), estimate in found.items():
        n_seeds = len(estimate.seeds)
        columns = {
            "estimator": name,
            "task": task,
            "subject": np.repeat(estimate.subjects, n_seeds),
            "seed": np.tile(estimate.seeds, len(estimate.subjects)),
            "metric": metric,
            "value": estimate.by_subject_and_seed.ravel(),
            "chance": estimate.chance,
        }
        parts.append(pd.DataFrame(columns))
    return pd.concat(parts, ignore_index=True)


def summary_table(
    found: Estimates, cells: list[Cell], confidence: float, n_permutations: int, seed: int
) -> pd.DataFrame:
    """One row for each estimator, task and metric: mean, interval, chance, p."""
    import pandas as pd

    rows = []
    for (name, task, metric), estimate in found.items():
        over, low, high = headline_source(estimate.spreads), np.nan, np.nan
        if over:
            low, high = share_interval(estimate.mean, estimate.spreads[over], confidence)
        by_seed = estimate.by_subject_and_seed.mean(axis=0)
        p, smallest = _p_above_chance(cells, name, task, metric, n_permutations, seed)
        rows.append(
            {
                "estimator": name,
                "task": task,
                "metric": metric,
                "mean": estimate.mean,
                "low": low,
                "high": high,
                "interval_over": over,
                "sd_subjects": _sd(estimate.by_subject),
                "sd_seeds": _sd(by_seed),
                "chance": estimate.chance,
                "p": p,
                "p_smallest": smallest,
                "n_subjects": len(estimate.subjects),
                "n_stimuli": len(estimate.stimuli),
                "n_seeds": len(estimate.seeds),
            }
        )
    return pd.DataFrame(rows)


def _sd(values: np.ndarray) -> float:
    return float(values.std(ddof=1)) if len(values) > 1 else np.nan


def _p_above_chance(
    cells: list[Cell], name: str, task: str, metric: str, n_permutations: int, seed: int
) -> tuple[float, float]:
    # Only for the whole gallery, whose hits are kept one by one. An oracle has no p: it has chosen by the labels.
    k = {f"top-{k}": k for k in KS}.get(metric)
    if k is None:
        return np.nan, np.nan
    import pandas as pd

    mine = [(cell, cell.tasks[task]) for cell in cells if cell.estimator == name and task in cell.tasks]
    queries = [
        pd.DataFrame({"subject": ranked.subject, "stimulus": ranked.stimulus, "seed": cell.seed})
        for cell, ranked in mine
    ]
    weights = np.split(query_weights(pd.concat(queries)), np.cumsum([len(part) for part in queries])[:-1])
    truths = [ranked.gallery[ranked.target] for _, ranked in mine]
    of_labels = mine[0][0].facts.get("labels", False)
    units = truths
    if of_labels:
        units = trials(
            (cell.fold, ranked.subject, truth) for (cell, ranked), truth in zip(mine, truths, strict=True)
        )
    sets = []
    for (_, ranked), unit, truth, weight in zip(mine, units, truths, weights, strict=True):
        top = ranked.gallery[ranked.top[:, :k]]
        weight = _of_label(ranked.subject, truth, weight, top) if of_labels else weight[:, None]
        sets.append(Answers(unit, truth, top, np.broadcast_to(weight, top.shape)))
    return permutation_p(sets, np.random.default_rng(seed), n_permutations)


def _of_label(subject: np.ndarray, truth: np.ndarray, weight: np.ndarray, top: np.ndarray) -> np.ndarray:
    """Weight that each person's queries of the labels found have: exchanged, a query weighs as its new class does."""
    known = dict(zip(zip(subject.tolist(), truth.tolist(), strict=True), weight.tolist(), strict=True))
    rows = zip(subject.tolist(), top.tolist(), strict=True)
    return np.array([[known.get((person, label), 0.0) for label in found] for person, found in rows])


def interval_table(found: Estimates, confidence: float) -> pd.DataFrame:
    """One row for each estimator, task, metric and source of variation."""
    import pandas as pd

    rows = []
    for (name, task, metric), estimate in found.items():
        for over, spread in estimate.spreads.items():
            interval = student_interval if over == "seeds" else share_interval
            low, high = np.clip(interval(estimate.mean, spread, confidence), 0, 1).tolist()
            row = (name, task, metric, over, estimate.mean, low, high)
            rows.append(row)
    return pd.DataFrame(rows, columns=["estimator", "task", "metric", "over", "mean", "low", "high"])


def comparison_table(
    found: Estimates, task: str, metric: str, confidence: float, n_permutations: int, seed: int
) -> pd.DataFrame:
    """One row for each pair of estimators: difference, interval, p, and p corrected by Holm."""
    import pandas as pd

    chosen = {key[0]: estimate for key, estimate in found.items() if key[1:] == (task, metric)}
    rows = []
    for first, second in combinations(chosen, 2):
        here, there = _paired(chosen[first], chosen[second])
        if here.size == 0:
            continue
        over, low, high = headline_source(spreads(here)), np.nan, np.nan
        if over:
            low, high = paired_interval(here, there, over, confidence)
        mean = float(np.nanmean(here - there, axis=1).mean())
        p, unit = paired_p(here - there, np.random.default_rng(seed), n_permutations)
        rows.append((first, second, mean, low, high, p, unit))
    columns = ["estimator", "minus", "difference", "low", "high", "p", "flipped"]
    table = pd.DataFrame(rows, columns=columns)
    table.insert(6, "p_holm", holm(table["p"].to_numpy(dtype=float)))
    return table


def _paired(first: Estimate, second: Estimate) -> tuple[np.ndarray, np.ndarray]:
    """Accuracies of two over the people and stimuli that both have, without empty rows and columns."""
    places = [
        np.intersect1d(a, b, return_indices=True)[1:]
        for a, b in ((first.subjects, second.subjects), (first.stimuli, second.stimuli))
    ]
    (mine, theirs), (my_stimuli, their_stimuli) = places
    here, there = first.matrix[np.ix_(mine, my_stimuli)], second.matrix[np.ix_(theirs, their_stimuli)]
    both = np.isfinite(here) & np.isfinite(there)
    kept = np.ix_(both.any(axis=1), both.any(axis=0))
    here, there = (np.where(both, values, np.nan)[kept] for values in (here, there))
    return here, there
