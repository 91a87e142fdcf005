"""Train a reconstructor for each part of the epochs, or hide all other parts from one, and paint."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline

from .._evaluation.cuts import crop, hide, mean_epoch
from .._evaluation.decoder import fit
from .._evaluation.queries import queries_of
from .._evaluation.task import Task
from .._utils.estimators import inner_most, last_step, wanted
from .._utils.params import check_option
from .._utils.pictures import read_picture, to_uint8
from .._utils.seeding import set_seeds
from ..generation import EEGImageReconstructor
from ..generation.generators.training import picture_of
from ..generation.scores import identification
from ..metrics.bootstrap import bootstrap_columns
from ..metrics.reconstruction import pixel_scores
from ._look import Arrays, Problem, make_problem, run, stack, who
from ._statistics import N_RESAMPLES, groups_of
from .results import PartialReconstructions

if TYPE_CHECKING:
    import pandas as pd

SCORES = ("two-way", "PixCorr", "SSIM")


def painting_problem(
    reconstructor: Any, X: Any, cv: Any, groups: Any, average_test: bool, interval: str, random_state: Any
) -> Problem:
    """`make_problem` for what paints, with a reconstructor that writes no files."""
    last = inner_most(reconstructor)
    if isinstance(reconstructor, type) or not isinstance(last, EEGImageReconstructor):
        raise TypeError(
            f"reconstructor must be an EEGImageReconstructor, or a pipeline that ends in one, got {reconstructor!r}."
        )
    if last.images is None:
        raise ValueError(
            "reconstructor has images=None: there is nothing to compare with. Pass it the pictures."
        )
    reconstructor = step = clone(reconstructor)
    while isinstance(step, Pipeline):
        step = step.steps[-1][1]
    if not isinstance(step, FrozenEstimator):  # which is the user's own
        # Every part paints for itself: files of one must not be taken for those of another.
        step.set_params(out_dir=None, verbose=0)
    return make_problem(reconstructor, X, cv, groups, None, average_test, 1, interval, random_state)


def reconstructions(
    problem: Problem,
    stimuli: Any,
    parts: list[dict[str, Any]],
    what: Mapping[str, Any],
    refit: bool,
    interval: str,
    todo: Mapping[str, Any],
) -> PartialReconstructions:
    import pandas as pd

    check_option("refit", refit, [True, False])
    wanted, folds = _wanted_rows(problem, stimuli)
    jobs = [(train, test, wanted, parts) for train, test in folds]
    if refit:
        jobs = [(*fold, wanted, [part]) for fold in folds for part in parts]
        found = run(problem, _paint_refitted, jobs, **todo)
    else:
        found = run(problem, _paint_masked, jobs, **todo)
    n = len(parts) if refit else 1
    joined = _side_by_side([found[i * n : (i + 1) * n] for i in range(len(folds))])
    queries = pd.DataFrame({name: joined[name] for name in ("subject", "stimulus", "concept")})
    images = inner_most(problem.estimator).images
    shown = [to_uint8(read_picture(picture_of(images, name), "images")) for name in queries["stimulus"]]
    scores = {name: joined[name] for name in SCORES}
    table = pd.DataFrame(dict(what)).join(_summary(scores, joined, interval, problem.task.random_state))
    return PartialReconstructions(table, queries, shown, joined["pictures"], scores)


def _wanted_rows(problem: Problem, stimuli: Any) -> tuple[np.ndarray, list]:
    """Stimuli to paint, and the folds that test any of them."""
    y = problem.task.y
    tested = np.unique(np.concatenate([y[test] for _, test in problem.folds]))
    wanted = tested if stimuli is None else np.unique(np.asarray(stimuli).astype(str))
    if len(wanted) == 0 or len(unknown := np.setdiff1d(wanted, tested)):
        what = f"holds {str(unknown[0])!r}, which is in no test set of cv" if len(wanted) else "is empty"
        raise KeyError(f"stimuli {what}. Name test stimuli, such as {str(tested[0])!r}.")
    return wanted, [fold for fold in problem.folds if np.isin(y[fold[1]], wanted).any()]


def _summary(scores: Mapping[str, np.ndarray], joined: Arrays, interval: str, seed: int) -> pd.DataFrame:
    """Mean of each score of each part, with 95 % bootstrap intervals from the same resamples; NaN of one stimulus."""
    import pandas as pd

    single = interval == "stimulus" and len(np.unique(joined["stimulus"])) < 2
    columns: dict[str, np.ndarray] = {}
    for name, values in scores.items():
        columns[name] = values.mean(axis=1)
        low = high = np.full(len(values), np.nan)
        if not single:
            groups = groups_of(joined, interval)
            low, high = bootstrap_columns(values.T, groups, 0.95, N_RESAMPLES, seed, shares=name == "two-way")
        columns[f"{name}_low"], columns[f"{name}_high"] = low, high
    return pd.DataFrame(columns)


def _side_by_side(folds: list[list[Arrays]]) -> Arrays:
    """Jobs of one fold after each other along the parts, folds side by side along the queries."""
    people = ("subject", "stimulus", "concept")
    joined: Arrays = {name: np.concatenate([fold[0][name] for fold in folds]) for name in people}
    for name in ("pictures", *SCORES):
        joined[name] = np.concatenate(
            [np.concatenate([part[name] for part in fold]) for fold in folds], axis=1
        )
    return joined


def _paint_refitted(
    problem: Problem, train: np.ndarray, test: np.ndarray, wanted: np.ndarray, parts: list[dict]
) -> Arrays:
    found = []
    for part in parts:
        X = problem.task.X
        X = X.pick(part["channels"]) if "channels" in part else crop(X, part["first"], part["stop"])
        task = replace(problem.task, X=X)
        queries = queries_of(task, _rows(task, test, wanted))
        found.append(_painted(_trained(problem, task, train), task, test, queries))
    return {**stack(found), **who(queries)}


def _paint_masked(
    problem: Problem, train: np.ndarray, test: np.ndarray, wanted: np.ndarray, parts: list[dict]
) -> Arrays:
    task = problem.task
    reconstructor, mean = _trained(problem, task, train), mean_epoch(task.X, train)
    queries = queries_of(task, _rows(task, test, wanted))
    found = []
    for part in parts:
        hidden = np.ones(mean.shape, dtype=bool)
        hidden[part.get("channels", slice(None)), slice(part.get("first"), part.get("stop"))] = False
        seen = replace(queries, X=hide(queries.X, hidden, mean))
        found.append(_painted(reconstructor, task, test, seen))
    return {**stack(found), **who(queries)}


def _rows(task: Task, test: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    return test[np.isin(task.y[test], wanted)]


def _trained(problem: Problem, task: Task, train: np.ndarray) -> Any:
    reconstructor = clone(problem.estimator)  # a frozen one stays itself
    set_seeds(reconstructor, np.random.default_rng(task.random_state))
    fit(reconstructor, task, train)
    return reconstructor


def _painted(reconstructor: Any, task: Task, test: np.ndarray, queries: Any) -> Arrays:
    """Pictures of the queries and their scores; all pictures of the test set are there to be confused with."""
    last, X = last_step(reconstructor, queries.X, queries.params)
    last = copy.copy(last).set_params(out_dir=None, verbose=0)  # a frozen one is the user's own
    pictures = last.transform(X, **wanted(last, "transform", queries.params))
    _, shown = last._shown(task.y[test])
    own = [shown[name] for name in queries.y.tolist()]
    several = pictures if pictures.ndim == 5 else pictures[:, None]
    return {
        "pictures": pictures,
        "two-way": identification(several, queries.y, shown),
        **pixel_scores(own, list(pictures)),
    }
