"""Fit on a fold and look at its test epochs: what all analyses share."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import rankdata

from .._evaluation.cuts import as_view
from .._evaluation.decoder import as_decoder, class_scores, targets_of
from .._evaluation.decoder import fit as fit_on
from .._evaluation.files import DamagedFileError, read_result, warn_of_damage, write_result
from .._evaluation.fingerprint import data_digest, estimator_digest
from .._evaluation.parallel import in_parallel
from .._evaluation.queries import Queries
from .._evaluation.task import Task, make_task
from .._utils.absent import refuse_mixed
from .._utils.identity import identity
from .._utils.params import check_number, check_option
from .._utils.seeding import draw_seed, set_seeds
from .._utils.shipping import Shipment, unpacked
from .._version import __version__
from ..metrics.counts import hit_probability
from ..metrics.of_estimators import image_similarity
from ..model_selection.folds import check_folds, split_rows
from ._statistics import groups_of

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Problem:
    """An estimator, the data as `evaluate` sees them, and the folds."""

    estimator: Any
    task: Task
    folds: list[tuple[np.ndarray, np.ndarray]]
    times: np.ndarray | None
    info: Any
    k: int


def make_problem(
    estimator: Any,
    X: Any,
    cv: Any,
    groups: Any,
    targets: Any,
    average_test: bool,
    k: int,
    interval: str,
    random_state: Any,
) -> Problem:
    """Check the parameters that all analyses share."""
    if isinstance(estimator, type) or not hasattr(estimator, "get_params"):
        raise TypeError(f"estimator must be an instance with get_params, got {estimator!r}.")
    check_number("k", k, low=1, integer=True)
    check_option("average_test", average_test, [True, False])
    view = as_view(X)
    refuse_mixed(view._told, "an analysis")
    task = make_task(view, None, None, None, targets, None, average_test, False, draw_seed(random_state))
    folds = split_rows(cv, task, groups)
    for number, (_, test) in enumerate(folds, 1):
        if (n := len(np.unique(task.y[test]))) <= k:
            raise ValueError(
                f"cv: fold {number} tests {n} stimuli, too few to choose {k} from. Test more at once, or lower k."
            )
    tested = np.concatenate([test for _, test in folds])
    people = np.zeros(len(tested)) if task.subject is None else task.subject[tested]
    groups_of({"stimulus": task.y[tested], "subject": people}, interval)  # now, not after hours of training
    named = {f"fold-{number}": fold for number, fold in enumerate(folds, 1)}
    check_folds("inspection", task, named, {"": estimator}, stacklevel=3)
    times = view.times.round(9) if view.sfreq else None
    return Problem(estimator, task, folds, times, view.info, k)


def fit(problem: Problem, task: Task, train: np.ndarray) -> Any:
    """Fit a clone on the training rows of `task`, which may show a part of the epochs."""
    decoder = as_decoder(problem.estimator, task.targets)
    set_seeds(decoder, np.random.default_rng(task.random_state))
    fit_on(decoder, task, train)
    return decoder


def look(decoder: Any, task: Task, queries: Queries, k: int) -> Arrays:
    """Rank everything that could be the answer, for each query.

    Returns
    -------
    dict of ndarray
        ``hits`` (n_queries, n_gallery), the probability of a hit if that item were the true one, which the
        permutation test needs; ``target`` (n_queries,), the true item; ``similarity`` (n_queries,), of the true item,
        less the mean of the others; ``n_gallery``; ``labels``, whether the items are classes that were trained on.
    """
    table = targets_of(decoder)
    if table is not None:
        gallery = np.unique(queries.y)
        scores = image_similarity(decoder, queries.X, table, gallery, queries.params)
    else:
        scores, classes = class_scores(decoder, queries)
        gallery = np.array([str(label) for label in classes.tolist()])
        order = np.argsort(gallery)
        gallery, scores = gallery[order], scores[:, order]
        if len(unknown := np.setdiff1d(queries.y, gallery)):
            raise ValueError(
                f"{len(unknown)} labels of the test set were not in training (first: {str(unknown[0])!r}): a classifier"
                " without targets cannot name them. Pass targets=EmbeddingTable(...), or another cv."
            )
    target = np.searchsorted(gallery, queries.y)
    return {"target": target, "labels": np.array(table is None), **ranked(np.asarray(scores), target, k)}


def ranked(scores: np.ndarray, target: np.ndarray, k: int) -> Arrays:
    n = scores.shape[1]
    first, last = (rankdata(-scores, method=method, axis=1).astype(int) for method in ("min", "max"))
    true = scores[np.arange(len(scores)), target].astype(np.float64)
    return {
        "hits": hit_probability(first - 1, last - first, n, n, k).astype(np.float32),
        "similarity": true - (scores.sum(axis=1, dtype=np.float64) - true) / (n - 1),
        "n_gallery": np.array(n),
    }


def only_true(looks: Arrays) -> Arrays:
    """Keep the hits of the true items alone, where there is no permutation test: much less to hold."""
    hits = np.take_along_axis(looks["hits"], looks["target"][..., None], axis=-1)
    return {**looks, "hits": hits, "target": np.zeros_like(looks["target"])}


def who(queries: Queries) -> Arrays:
    """Return who saw what, of each query."""
    known = {**queries.who, "concept": queries.y if queries.concept is None else queries.concept}
    return {name: np.asarray(values).astype(str) for name, values in known.items()}


def stack(parts: list[Arrays]) -> Arrays:
    """Stack what looks at the same queries gave, along a new first axis."""
    return {name: np.stack([part[name] for part in parts]) for name in parts[0]}


def run(
    problem: Problem,
    function: Callable[..., Arrays],
    jobs: list[tuple],
    *,
    n_jobs: int | None,
    verbose: int,
    folder: str | os.PathLike | None,
) -> list[Arrays]:
    """Do ``function(problem, *job)`` for every job, in parallel; finished ones are found again in `folder`."""
    paths: list[Path | None] = [None] * len(jobs)
    if folder is not None and (of_estimator := estimator_digest("estimator", problem.estimator)) is not None:
        name = function.__name__.strip("_")
        base = (__version__, of_estimator, data_digest(problem.task), problem.k, name)
        paths = [Path(folder) / f"{name}-{identity((base, job))}.arrays" for job in jobs]
    work = in_parallel(
        _do,
        (problem, function, jobs),
        list(enumerate(paths)),
        n_jobs=n_jobs,
        folder=folder,
        verbose=verbose,
        what="inspecting",
    )
    done = dict(work)
    return [done[place] for place in range(len(jobs))]


def _do(shared: Shipment, place: int, path: Path | None) -> tuple[int, Arrays]:
    if path is not None and (found := _load(path)) is not None:
        return place, found
    with unpacked(shared) as (problem, function, jobs):
        result = function(problem, *jobs[place])
    if path is not None:
        write_result(path, {"file": path.name}, result)
    return place, result


def _load(path: Path) -> Arrays | None:
    try:
        facts, arrays = read_result(path)
        if facts != {"file": path.name}:
            raise DamagedFileError("it belongs to other work")
        return arrays
    except FileNotFoundError:
        return None
    except ValueError as error:
        warn_of_damage(path, error)
        return None
