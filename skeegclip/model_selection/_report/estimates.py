"""Hits of the queries, and the accuracy of one estimator in one task and metric."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from ..._evaluation.cells import Cell, Ranked
from ..._evaluation.statistics import Spread, spreads
from ...metrics.counts import hit_probability
from ...metrics.table import N_WAYS

if TYPE_CHECKING:
    import pandas as pd

KS = (1, 5)
ORACLE = "oracle "


def metric_names(n_gallery: int) -> dict[str, tuple[int, int]]:
    """Metrics that a gallery allows: name -> (n_way, k); n_way 0 stands for the whole gallery."""
    names = {f"top-{k}": (0, k) for k in KS if k < n_gallery}
    for n_way in N_WAYS:
        for k in KS:
            if k < n_way <= n_gallery:
                names[f"{n_way}-way" + (f" top-{k}" if k > 1 else "")] = (n_way, k)
    return names


def query_table(cells: list[Cell]) -> pd.DataFrame:
    """One row for each query of each cell and task: who saw what, and where the true item came.

    Oracle rows (column `oracle`) stand for the pass that is best on the test set, for each person and cell.
    """
    import pandas as pd

    parts = []
    for cell in cells:
        for task, ranked in cell.tasks.items():
            counts = {False: (ranked.better, ranked.equal)}
            if ranked.pass_better is not None:
                counts[True] = _best_pass(ranked)
            for oracle, (better, equal) in counts.items():
                columns = {
                    "estimator": cell.estimator,
                    "task": task,
                    "oracle": oracle,
                    "fold": cell.fold,
                    "seed": cell.seed,
                    "subject": ranked.subject,
                    "stimulus": ranked.stimulus,
                    "n_gallery": len(ranked.gallery),
                    "better": better,
                    "equal": equal,
                }
                parts.append(pd.DataFrame(columns))
    return pd.concat(parts, ignore_index=True)


def _best_pass(ranked: Ranked) -> tuple[np.ndarray, np.ndarray]:
    """Counts at the pass with the best top-1 (then top-5, then the earliest), for each person."""
    n_gallery = len(ranked.gallery)
    assert ranked.pass_better is not None
    assert ranked.pass_equal is not None
    passes = list(zip(ranked.pass_better, ranked.pass_equal, strict=True))
    hits = np.stack(
        [
            [hit_probability(*counts, n_gallery, n_gallery, k) for k in KS if k < n_gallery]
            for counts in passes
        ]
    )  # passes, k, queries
    better, equal = ranked.better.copy(), ranked.equal.copy()
    for name in np.unique(ranked.subject):
        rows = ranked.subject == name
        scores = hits[:, :, rows].mean(axis=2).tolist()
        best = max(range(len(scores)), key=lambda number: (scores[number], -number))
        better[rows], equal[rows] = passes[best][0][rows], passes[best][1][rows]
    return better, equal


class Estimate:
    """Accuracies of one estimator in one task and metric.

    Attributes
    ----------
    subjects, stimuli, seeds : ndarray of str | ndarray of int
        Names.
    cube : ndarray, shape (n_subjects, n_stimuli, n_seeds)
        Mean probability of a hit; NaN where there is no query.
    matrix : ndarray, shape (n_subjects, n_stimuli)
        Means over seeds.
    by_subject : ndarray, shape (n_subjects,)
        Means over stimuli of these.
    mean, chance : float
        Mean of the subjects' means, and of a decoder that knows nothing.
    """

    def __init__(self, names: tuple, cube: np.ndarray, chance: float) -> None:
        self.subjects, self.stimuli, self.seeds = names
        self.cube, self.chance = cube, chance
        self.matrix = np.nanmean(cube, axis=2) if cube.shape[2] > 1 else cube[:, :, 0]
        self.by_subject = np.nanmean(self.matrix, axis=1)
        self.mean = float(self.by_subject.mean())

    @property
    def by_subject_and_seed(self) -> np.ndarray:
        """Means over stimuli, shape (n_subjects, n_seeds)."""
        return np.nanmean(self.cube, axis=1)

    @property
    def spreads(self) -> dict[str, Spread]:
        """Variance of the mean by source."""
        return spreads(self.matrix, self.by_subject_and_seed.mean(axis=0))


def query_weights(queries: pd.DataFrame) -> np.ndarray:
    """Weight of each query in the mean over people of their means over stimuli, of those over seeds, of their queries.

    The columns are subject, stimulus and seed. A trial more of one picture, or a picture more that one person saw, does not make either
    count for more.
    """
    weights = 1.0 / queries["subject"].nunique()
    for of, inner in ((["subject"], "stimulus"), (["subject", "stimulus"], "seed")):
        weights = weights / queries.groupby(of)[inner].transform("nunique")
    cells = queries.groupby(["subject", "stimulus", "seed"])["seed"]
    return (weights / cells.transform("size")).to_numpy()


def estimates(queries: pd.DataFrame) -> Iterator[tuple[tuple[str, str, str], Estimate]]:
    """Estimates of all (estimator, task, metric), by estimator, then task; an oracle's after the honest ones."""
    for (name, task, oracle), part in queries.groupby(["estimator", "task", "oracle"], sort=False):
        axes = [
            np.unique(part[key].to_numpy(), return_inverse=True) for key in ("subject", "stimulus", "seed")
        ]
        shape = tuple(len(names) for names, _ in axes)
        place = np.ravel_multi_index([codes for _, codes in axes], shape)
        counts = np.bincount(place, minlength=np.prod(shape)).reshape(shape)
        better, equal, sizes = (part[key].to_numpy() for key in ("better", "equal", "n_gallery"))
        weights = query_weights(part)
        for metric, (n_way, k) in metric_names(int(sizes.min())).items():
            hits, chance = np.empty(len(part)), 0.0
            for size in np.unique(sizes).tolist():
                rows = sizes == size
                hits[rows] = hit_probability(better[rows], equal[rows], size, n_way or size, k)
                chance += float(weights[rows].sum()) * k / (n_way or size)
            sums = np.bincount(place, weights=hits, minlength=counts.size).reshape(shape)
            cube = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
            yield (
                (name, task, (ORACLE if oracle else "") + metric),
                Estimate(tuple(names for names, _ in axes), cube, chance),
            )
