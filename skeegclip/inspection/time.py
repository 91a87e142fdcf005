"""When: decoders trained and tested on windows of time."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import numpy as np

from .._evaluation.cuts import crop, hide, mean_epoch, windows
from .._evaluation.queries import queries_of
from .._utils.params import check_option
from ._look import Arrays, Problem, fit, look, make_problem, only_true, run, stack, who
from ._statistics import chance, join, p_values, with_intervals
from ._texts import shared_texts
from .results import Generalization, TimeCourse


@shared_texts
def time_resolved(
    estimator: Any,
    X: Any,
    *,
    cv: Any,
    mode: str = "growing",
    width: float = 0.1,
    step: float | None = None,
    refit: bool = True,
    groups: Any = None,
    targets: Any = None,
    average_test: bool = True,
    k: int = 1,
    interval: str = "stimulus",
    n_jobs: int | None = None,
    verbose: int = 0,
    folder: str | os.PathLike | None = None,
    random_state: Any = 0,
) -> TimeCourse:
    """Accuracy and similarity in windows that grow, or slide, over the epochs.

    Parameters
    ----------
    %(estimator)s
    %(X)s
    %(cv)s
    %(mode)s
    %(width)s
    %(step)s
    refit : bool
        Whether each window has a decoder of its own: what *can be* decoded from it. False trains once, on whole
        epochs, and hides from the test epochs all but the window (under the mean of the training epochs): what *this*
        decoder takes from it.
    %(groups)s
    %(targets)s
    %(average_test)s
    %(k)s
    %(interval)s
    %(running)s

    Returns
    -------
    TimeCourse
        A table of the windows, the first one above chance, and the best one of each concept.

    Raises
    ------
    ValueError, TypeError
        If the data or a parameter is not usable, or times are not known.

    See Also
    --------
    temporal_generalization : Trained at one time, tested at another.

    Notes
    -----
    ``p_corrected`` controls the probability that *any* window is called above chance where there is nothing: which
    picture is which is exchanged 2000 times (or in all ways, if there are fewer), alike for all people, who saw the
    same pictures, and in all windows, and the accuracy of a window is compared with the largest one of all windows
    [2]_. ``p_smallest`` is the smallest p that so few pictures allow: 0.17 with three of them. Where classes were
    trained on, the classes of the queries are exchanged. The estimator must not have been chosen by the same test set.

    References
    ----------
    .. [1] Li et al., "Visual Decoding and Reconstruction via EEG Embeddings with Guided Diffusion", NeurIPS 2024,
       section 3.4.
    .. [2] Nichols and Holmes, "Nonparametric permutation tests for functional neuroimaging", Human Brain Mapping 15,
       2002.

    Examples
    --------
    >>> import mne, numpy as np
    >>> from sklearn.linear_model import Ridge
    >>> from skeegclip import EmbeddingTable, EpochsView
    >>> from skeegclip.inspection import time_resolved
    >>> from skeegclip.model_selection import WithinSubject
    >>> rng = np.random.default_rng(0)
    >>> table = EmbeddingTable([f"image_{i:02d}" for i in range(80)], rng.normal(size=(80, 5)))
    >>> y = np.repeat(table.ids, 2)
    >>> X = rng.normal(size=(len(y), 6, 40))
    >>> X[:, :, 20:30] += (table.lookup(y) @ rng.normal(size=(5, 60))).reshape(-1, 6, 10)
    >>> view = EpochsView.from_arrays(X, stimulus=y, info=mne.create_info(6, 100.0, "eeg"))
    >>> cv = WithinSubject(test_stimuli=table.ids[:20])
    >>> course = time_resolved(Ridge(), view, targets=table, cv=cv, mode="sliding")
    >>> course.first_above_chance()
    (0.15, 0.24)
    """
    check_option("mode", mode, ["growing", "sliding"])
    problem = make_problem(estimator, X, cv, groups, targets, average_test, k, interval, random_state)
    spans = windows(times_of(problem), mode, width, step)
    todo: dict[str, Any] = {"n_jobs": n_jobs, "verbose": verbose, "folder": folder}
    parts = [(fold, spans[i : i + 1]) for fold in problem.folds for i in range(len(spans))]
    if refit:
        results = run(problem, _refitted, [(*fold, span) for fold, span in parts], **todo)
        n = len(spans)
        folds = [_along(results[i * n : (i + 1) * n]) for i in range(len(problem.folds))]
    else:
        folds = run(problem, _masked, [(*fold, spans) for fold in problem.folds], **todo)
    return _course(problem, spans, folds, interval)


@shared_texts
def temporal_generalization(
    estimator: Any,
    X: Any,
    *,
    cv: Any,
    width: float = 0.1,
    step: float | None = None,
    groups: Any = None,
    targets: Any = None,
    average_test: bool = True,
    k: int = 1,
    interval: str = "stimulus",
    n_jobs: int | None = None,
    verbose: int = 0,
    folder: str | os.PathLike | None = None,
    random_state: Any = 0,
) -> Generalization:
    """Accuracy of a decoder trained on one window and tested on every other.

    Parameters
    ----------
    %(estimator)s
    %(X)s
    %(cv)s
    width : float
        Width of all windows in seconds.
    %(step)s
    %(groups)s
    %(targets)s
    %(average_test)s
    %(k)s
    %(interval)s
    %(running)s

    Returns
    -------
    Generalization
        Matrices of training by test windows.

    Raises
    ------
    ValueError, TypeError
        If the data or a parameter is not usable, or times are not known.

    References
    ----------
    King and Dehaene, "Characterizing the dynamics of mental representations: the temporal generalization method",
    Trends in Cognitive Sciences 18, 2014.

    Examples
    --------
    >>> import mne, numpy as np
    >>> from sklearn.linear_model import Ridge
    >>> from skeegclip import EmbeddingTable, EpochsView
    >>> from skeegclip.inspection import temporal_generalization
    >>> from skeegclip.model_selection import WithinSubject
    >>> rng = np.random.default_rng(0)
    >>> table = EmbeddingTable([f"image_{i:02d}" for i in range(80)], rng.normal(size=(80, 5)))
    >>> y = np.repeat(table.ids, 2)
    >>> X = rng.normal(size=(len(y), 6, 40))
    >>> X[:, :, 10:30] += (table.lookup(y) @ rng.normal(size=(5, 6)))[:, :, None]  # the same response all along
    >>> view = EpochsView.from_arrays(X, stimulus=y, info=mne.create_info(6, 100.0, "eeg"))
    >>> cv = WithinSubject(test_stimuli=table.ids[:20])
    >>> result = temporal_generalization(Ridge(), view, targets=table, cv=cv, step=0.1)
    >>> result.accuracy > 0.5
    array([[False, False, False, False],
           [False,  True,  True, False],
           [False,  True,  True, False],
           [False, False, False, False]])
    """
    problem = make_problem(estimator, X, cv, groups, targets, average_test, k, interval, random_state)
    times = times_of(problem)
    spans = windows(times, "sliding", width, step)
    n = len(spans)
    jobs = [(train, test, spans, i) for train, test in problem.folds for i in range(n)]
    results = run(problem, _generalized, jobs, n_jobs=n_jobs, verbose=verbose, folder=folder)
    folds = [_along(results[i * n : (i + 1) * n]) for i in range(len(problem.folds))]
    table = with_intervals(join(folds), interval, problem.task.random_state)
    square = {
        name: table[name].to_numpy().reshape(n, n) for name in ("accuracy", "low", "high", "similarity")
    }
    return Generalization(
        times[spans[:, 0]], times[spans[:, 1] - 1], **square, chance=chance(folds, problem.k)
    )


def times_of(problem: Problem) -> np.ndarray:
    if problem.times is None:
        raise ValueError(
            "the times of X are not known. Make the view with them: EpochsView.from_arrays(X, info=..., tmin=...);"
            " mne.create_info(n_channels, sfreq) will do."
        )
    return problem.times


def _along(parts: list[Arrays]) -> Arrays:
    """Put the variants of one fold, done in several jobs, one after the other."""
    shared = ("subject", "stimulus", "concept")
    joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0] if name not in shared}
    return {**joined, **{name: parts[0][name] for name in shared}}


def _refitted(problem: Problem, train: np.ndarray, test: np.ndarray, spans: np.ndarray) -> Arrays:
    found = []
    for first, stop in spans:
        task = replace(problem.task, X=crop(problem.task.X, first, stop))
        queries = queries_of(task, test)
        found.append(look(fit(problem, task, train), task, queries, problem.k))
    return {**stack(found), **who(queries)}


def _masked(problem: Problem, train: np.ndarray, test: np.ndarray, spans: np.ndarray) -> Arrays:
    task = problem.task
    decoder, queries, mean = (
        fit(problem, task, train),
        queries_of(task, test),
        mean_epoch(task.X, train),
    )
    found = []
    for first, stop in spans:
        hidden = np.ones(mean.shape, dtype=bool)
        hidden[:, first:stop] = False
        found.append(look(decoder, task, replace(queries, X=hide(queries.X, hidden, mean)), problem.k))
    return {**stack(found), **who(queries)}


def _generalized(
    problem: Problem, train: np.ndarray, test: np.ndarray, spans: np.ndarray, trained: int
) -> Arrays:
    task = problem.task
    decoder = fit(problem, replace(task, X=crop(task.X, *spans[trained])), train)
    queries = queries_of(task, test)
    found = [
        look(decoder, task, replace(queries, X=crop(queries.X, first, stop)), problem.k)
        for first, stop in spans
    ]
    return {**only_true(stack(found)), **who(queries)}


def _course(problem: Problem, spans: np.ndarray, folds: list[Arrays], interval: str) -> TimeCourse:
    import pandas as pd

    joined = join(folds)
    times, seed = times_of(problem), problem.task.random_state
    table = with_intervals(joined, interval, seed)
    table.insert(0, "start", times[spans[:, 0]])
    table.insert(1, "stop", times[spans[:, 1] - 1])
    table["chance"] = chance(folds, problem.k)
    table["p"], table["p_corrected"], table["p_smallest"] = p_values(folds, seed)
    queries = pd.DataFrame({name: joined[name] for name in ("subject", "stimulus", "concept")})
    return TimeCourse(table, queries, joined["hits"], joined["similarity"])
