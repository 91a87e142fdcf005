"""The tables of a report."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from ._cells import Cell
from ._estimates import KS, Estimate
from ._statistics import (
    Spread,
    difference_interval,
    holm,
    permutation_p,
    share_interval,
    sign_flip_p,
    spreads,
)

if TYPE_CHECKING:
    import pandas as pd

_MIN_SUBJECTS = 6  # sign flips of fewer people cannot give p < 0.05 two-sided

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


def headline_source(found: Mapping[str, Spread]) -> str:
    """Over what the interval of a summary is: all that is known to vary, but for the seeds."""
    known = [name for name in ("stimuli and subjects", "stimuli", "subjects") if name in found]
    return known[0] if known else ""


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
                "p": _p_above_chance(cells, name, task, metric, n_permutations, seed),
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
) -> float:
    # Only for the whole gallery, whose hits are kept one by one. An oracle has no p: it has chosen by the labels.
    k = {f"top-{k}": k for k in KS}.get(metric)
    if k is None:
        return np.nan
    ranked = [cell.tasks[task] for cell in cells if cell.estimator == name and task in cell.tasks]
    hits = [(each.target, each.top[:, :k], len(each.gallery)) for each in ranked]
    return permutation_p(hits, np.random.default_rng(seed), n_permutations)


def interval_table(found: Estimates, confidence: float) -> pd.DataFrame:
    """One row for each estimator, task, metric and source of variation."""
    import pandas as pd

    rows = []
    for (name, task, metric), estimate in found.items():
        for over, spread in estimate.spreads.items():
            interval = difference_interval if over == "seeds" else share_interval
            low, high = np.clip(interval(estimate.mean, spread, confidence), 0, 1).tolist()
            row = (name, task, metric, over, estimate.mean, low, high)
            rows.append(row)
    return pd.DataFrame(rows, columns=["estimator", "task", "metric", "over", "mean", "low", "high"])


def comparison_table(
    found: Estimates, task: str, metric: str, confidence: float, n_permutations: int, seed: int
) -> pd.DataFrame:
    """One row for each pair of estimators: difference, interval, p by sign flips, and p corrected by Holm."""
    import pandas as pd

    chosen = {key[0]: estimate for key, estimate in found.items() if key[1:] == (task, metric)}
    rows = []
    for first, second in combinations(chosen, 2):
        difference = _paired(chosen[first], chosen[second])
        if difference.size == 0:
            continue
        spread_of = spreads(difference)
        over, low, high = headline_source(spread_of), np.nan, np.nan
        mean = float(np.nanmean(difference, axis=1).mean())
        if over:
            low, high = difference_interval(mean, spread_of[over], confidence)
        unit = "subjects" if len(difference) >= _MIN_SUBJECTS else "stimuli"
        paired = np.nanmean(difference, axis=1 if unit == "subjects" else 0)
        p = sign_flip_p(paired, np.random.default_rng(seed), n_permutations)
        rows.append((first, second, mean, low, high, p, unit))
    columns = ["estimator", "minus", "difference", "low", "high", "p", "flipped"]
    table = pd.DataFrame(rows, columns=columns)
    table.insert(6, "p_holm", holm(table["p"].to_numpy(dtype=float)))
    return table


def _paired(first: Estimate, second: Estimate) -> np.ndarray:
    """Differences over the people and stimuli that both have, without empty rows and columns."""
    places = [
        np.intersect1d(a, b, return_indices=True)[1:]
        for a, b in ((first.subjects, second.subjects), (first.stimuli, second.stimuli))
    ]
    (mine, theirs), (my_stimuli, their_stimuli) = places
    difference = first.matrix[np.ix_(mine, my_stimuli)] - second.matrix[np.ix_(theirs, their_stimuli)]
    seen = np.isfinite(difference)
    return difference[seen.any(axis=1)][:, seen.any(axis=0)]
