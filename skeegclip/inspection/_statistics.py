"""Accuracies with intervals, and a test against chance that knows how many windows were looked at."""

from __future__ import annotations

import numpy as np
import pandas as pd

from .._evaluation.permutation import Exchanges, trials
from .._utils.params import check_option
from ..metrics.bootstrap import bootstrap_columns
from ..metrics.intervals import group_spread, share_interval

Arrays = dict[str, np.ndarray]
N_RESAMPLES = 2000
N_PERMUTATIONS = 2000


def hits_of(looks: Arrays) -> np.ndarray:
    """Probability of a hit, shape (n_variants, n_queries)."""
    hits, target = looks["hits"], looks["target"]
    return np.take_along_axis(hits, target[..., None], axis=-1)[..., 0].astype(np.float64)


def join(folds: list[Arrays]) -> Arrays:
    """Hits and similarities of all folds side by side, (n_variants, n_queries), and whose they are."""
    joined = {
        "hits": np.concatenate([hits_of(fold) for fold in folds], axis=1),
        "similarity": np.concatenate([fold["similarity"] for fold in folds], axis=1),
    }
    for name in ("subject", "stimulus", "concept"):
        joined[name] = np.concatenate([fold[name] for fold in folds])
    return joined


def chance(folds: list[Arrays], k: int) -> float:
    """Mean chance level over the queries of all folds."""
    sizes = [fold["target"].shape[-1] for fold in folds]
    return float(np.average([k / fold["n_gallery"][0] for fold in folds], weights=sizes))


def groups_of(joined: Arrays, interval: str) -> np.ndarray:
    """What varies, to whose others an interval speaks."""
    check_option("interval", interval, ["stimulus", "subject"])
    if len(np.unique(joined[interval])) < 2:
        raise ValueError(
            f"interval={interval!r} needs at least two of them in the test set. Choose the other option."
        )
    return joined[interval]


def with_intervals(joined: Arrays, interval: str, seed: int) -> pd.DataFrame:
    """Mean accuracy and similarity of each variant, with 95 % intervals.

    Those of accuracies are Wilson's, as in a report of `evaluate`: near 0, where a window says nothing, a bootstrap is too narrow.
    """
    groups = groups_of(joined, interval)
    n_stimuli = len(np.unique(joined["stimulus"]))
    ends = [
        share_interval(float(row.mean()), group_spread(row, groups, n_stimuli), 0.95)
        for row in joined["hits"]
    ]
    low, high = np.array(ends).T
    values = joined["similarity"].T
    similarity = bootstrap_columns(values, groups, 0.95, N_RESAMPLES, seed)
    return pd.DataFrame(
        {
            "accuracy": joined["hits"].mean(axis=1),
            "low": low,
            "high": high,
            "similarity": values.mean(axis=0),
            "similarity_low": similarity[0],
            "similarity_high": similarity[1],
        }
    )


def p_values(
    folds: list[Arrays], seed: int, n_permutations: int = N_PERMUTATIONS
) -> tuple[np.ndarray, np.ndarray, float]:
    """p of each variant against chance, corrected for all by the largest accuracy (max statistic), and the smallest possible.

    Which picture is which is exchanged, alike for all people and folds, as in a report of `evaluate`, and alike in all variants,
    which keeps what they have in common.
    """
    truths = [fold["stimulus"] for fold in folds]
    units = truths
    if folds[0]["labels"].all():
        units = trials(
            (str(number), fold["subject"], truth)
            for number, (fold, truth) in enumerate(zip(folds, truths, strict=True))
        )
    exchanges = Exchanges.of(units, n_permutations)
    tables: dict[tuple, tuple] = {}  # people who saw the same are added up
    for fold, unit in zip(folds, units, strict=True):
        here, items, hits = _by_unit(fold, unit, exchanges.names)
        key = (here.tobytes(), items.tobytes(), hits.shape[1])
        tables[key] = (here, items, hits + tables[key][2] if key in tables else hits)
    seen = sum(hits_of(fold).sum(axis=1) for fold in folds) - 1e-6  # sums of float32
    single, largest = np.zeros(len(seen)), np.zeros(len(seen))
    width = len(seen) * max(len(here) for here, *_ in tables.values())
    for orders in exchanges.draw(np.random.default_rng([seed, 1]), width):
        null = np.zeros((len(orders), len(seen)))
        for here, items, hits in tables.values():
            columns = items[orders[:, here]]  # exchanges, units
            null += hits[np.arange(len(here)), columns].sum(axis=1)
        single += (null >= seen).sum(axis=0)
        largest += (null.max(axis=1)[:, None] >= seen).sum(axis=0)
    return exchanges.p(single), exchanges.p(largest), exchanges.smallest


def _by_unit(fold: Arrays, unit: np.ndarray, names: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Places (n_units,) of what is exchanged in a fold, the item of each place, and hits (n_units, n_items, n_variants)."""
    place = np.searchsorted(names, unit)
    items = np.full(len(names), -1)
    items[place] = fold["target"][0]
    order = np.argsort(place, kind="stable")
    here, first = np.unique(place[order], return_index=True)
    by_query = fold["hits"][:, order].transpose(1, 2, 0)
    return here, items, np.add.reduceat(by_query, first, axis=0, dtype=np.float64)
