"""How much of a new person must be recorded: accuracy against minutes of calibration, with and without labels."""

from __future__ import annotations

import copy
import numbers
import os
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .._evaluation.columns import per_row
from .._evaluation.decoder import transductive_steps
from .._evaluation.queries import queries_of
from .._utils.estimators import is_pipeline, steps, unwrap
from .._utils.params import check_number
from ..metrics.intervals import group_spread, student_interval
from ..preprocessing import MVNN, EpochScaler, SubjectAligner
from ._look import Arrays, Problem, fit, look, make_problem, only_true, run, stack, who
from ._statistics import chance, groups_of, join, with_intervals
from ._texts import shared_texts

if TYPE_CHECKING:
    import pandas as pd


@shared_texts
def calibration_curve(
    estimator: Any,
    X: Any,
    *,
    cv: Any,
    minutes: Sequence[float],
    onset: Any = None,
    groups: Any = None,
    targets: Any = None,
    average_test: bool = False,
    k: int = 1,
    interval: str = "subject",
    n_jobs: int | None = None,
    verbose: int = 0,
    folder: str | os.PathLike | None = None,
    random_state: Any = 0,
) -> pd.DataFrame:
    """Accuracy for somebody new, or in a new session, against the minutes of their recording that come before the test.

    Each fold leaves recordings out (a recording is a session of a person): :class:`~sklearn.model_selection.LeaveOneGroupOut`
    by subject, or :class:`~skeegclip.model_selection.LeaveOneSessionOut`. The first minutes of them calibrate; what comes
    after the longest stretch is tested, the same for all lengths.

    Parameters
    ----------
    %(estimator)s
        Steps of a pipeline with `calibrate` (:class:`~skeegclip.preprocessing.SubjectAligner`,
        :class:`~skeegclip.preprocessing.MVNN`, :class:`~skeegclip.preprocessing.EpochScaler` by subject) learn without
        labels. Before the first minute nobody has calibrated them: ``unknown="pooled"`` tells them what to do then.
    %(X)s
    %(cv)s
    minutes : sequence of float
        Lengths of the stretch. 0 is without any.
    onset : array-like of float, shape (n_epochs,) | str | float | None
        Seconds at which each epoch began, on one clock for a recording; the name of a column of X; or a number, the
        seconds from one epoch of a recording to the next. None takes the column "onset".
    %(groups)s
    %(targets)s
    %(average_test)s
    %(k)s
    %(interval)s
    %(running)s

    Returns
    -------
    DataFrame
        A row for each use of labels and length: ``labels`` (bool), ``minutes``, ``n_epochs`` (calibrating, mean over
        folds), ``accuracy`` with ``low`` and ``high``, ``gain`` over the shortest stretch without labels, paired, with
        ``gain_low`` and ``gain_high``, ``similarity`` with its interval, and ``chance``.

    Raises
    ------
    ValueError, TypeError
        If the data or a parameter is not usable, or no test epochs are left after the longest stretch.

    Warns
    -----
    UserWarning
        If the estimator looks at all test epochs together: then it needs none for calibration.

    See Also
    --------
    skeegclip.plotting.plot_calibration_curve : Draw it.
    skeegclip.EEGEncoder.calibrate : Teach a fitted encoder somebody new, with labels.

    Notes
    -----
    *Without labels* the estimator is trained once a fold, and its steps learn the new recording. *With labels* it is
    trained anew on the calibration epochs together with the fold's training epochs, each counting alike; stimuli of
    the test that are not in training never calibrate.

    Accuracies have Wilson's intervals, gains Student's, over people or stimuli as `interval` says.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import Ridge
    >>> from sklearn.model_selection import LeaveOneGroupOut
    >>> from sklearn.pipeline import make_pipeline
    >>> from skeegclip import EpochsView, ZeroShotClassifier
    >>> from skeegclip.inspection import calibration_curve
    >>> from skeegclip.preprocessing import EpochScaler
    >>> rng = np.random.default_rng(0)
    >>> y, gain = rng.integers(2, size=400), rng.uniform(1, 20, size=4)
    >>> X = (rng.normal(size=(400, 3, 8)) + y[:, None, None]) * np.repeat(gain, 100)[:, None, None]
    >>> view = EpochsView.from_arrays(X, subject=np.repeat(list("abcd"), 100), stimulus=y)
    >>> scaled = make_pipeline(EpochScaler(per_subject=True, unknown="pooled"), ZeroShotClassifier(Ridge()))
    >>> table = calibration_curve(scaled, view, cv=LeaveOneGroupOut(), minutes=[0, 1], onset=3.0)
    >>> table[["labels", "minutes", "n_epochs"]].values.tolist()
    [[False, 0.0, 0.0], [False, 1.0, 20.0], [True, 0.0, 0.0], [True, 1.0, 20.0]]
    >>> bool(table["gain"][1] > 0)
    True
    """
    lengths = sorted({float(check_number("minutes", length, low=0)) for length in minutes})
    if not lengths:
        raise ValueError("minutes must hold at least one length, got none.")
    problem = make_problem(
        estimator,
        X,
        cv=cv,
        groups=groups,
        targets=targets,
        average_test=average_test,
        k=k,
        interval=interval,
        random_state=random_state,
    )
    recording, seconds = _clock(problem, onset)
    jobs = [_stretches(problem, recording, seconds, lengths, *fold) for fold in problem.folds]
    folds = run(problem, _calibrated, jobs, n_jobs=n_jobs, verbose=verbose, folder=folder)
    joined = join(folds)
    table = with_intervals(joined, interval, problem.task.random_state)
    gains = joined["hits"] - joined["hits"][0]
    people = groups_of(joined, interval)
    ends = [student_interval(float(row.mean()), group_spread(row, people), 0.95) for row in gains]
    table.insert(3, "gain", gains.mean(axis=1))
    table.insert(4, "gain_low", [low for low, _ in ends])
    table.insert(5, "gain_high", [high for _, high in ends])
    table.insert(0, "labels", np.repeat([False, True], len(lengths)))
    table.insert(1, "minutes", lengths * 2)
    table.insert(2, "n_epochs", [np.mean([len(job[2][i]) for job in jobs]) for i in range(len(lengths))] * 2)
    table["chance"] = chance(folds, k)
    return table


def _clock(problem: Problem, onset: Any) -> tuple[np.ndarray, np.ndarray]:
    """Recording of each epoch, and its seconds since that began."""
    task = problem.task
    n = len(task.y)
    known = [ids for ids in (task.subject, per_row("session", None, task.X, n)) if ids is not None]
    columns = np.stack(known, axis=1) if known else np.zeros((n, 1))
    recording = np.unique(columns, axis=0, return_inverse=True)[1].reshape(-1)
    if isinstance(onset, numbers.Real):
        check_number("onset", onset, low=0, open_low=True)
        order = np.argsort(recording, kind="stable")
        starts = np.searchsorted(recording[order], recording[order])
        seconds = np.empty(n)
        seconds[order] = float(onset) * (np.arange(n) - starts)
        return recording, seconds
    told = per_row("onset", onset, task.X, n)
    if told is None:
        raise ValueError(
            "onset: it is not known when the epochs began. Pass the seconds of each, or from one to the next, or X with"
            " a column 'onset'."
        )
    import pandas as pd

    seconds = pd.to_numeric(told, errors="coerce").astype(float)
    if not np.isfinite(seconds).all():
        bad = int(np.argmin(np.isfinite(seconds)))
        raise ValueError(
            f"onset must hold seconds, got {str(told[bad])!r} in row {bad}. Leave such epochs out."
        )
    first = np.full(recording.max() + 1, np.inf)
    np.minimum.at(first, recording, seconds)
    return recording, seconds - first[recording]


def _stretches(
    problem: Problem,
    recording: np.ndarray,
    seconds: np.ndarray,
    lengths: list[float],
    train: np.ndarray,
    test: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """Training rows, rows to test, and the calibrating rows of each length."""
    y = problem.task.y
    later = test[seconds[test] >= 60 * lengths[-1]]
    if len(np.unique(y[later])) <= problem.k:
        raise ValueError(
            f"minutes: after {lengths[-1]:g} minutes too few test epochs are left"
            f" ({len(later)} of {len(test)}) in a fold. Pass shorter stretches."
        )
    unseen = np.setdiff1d(y[test], y[train])
    may = np.isin(recording, recording[test]) & ~np.isin(y, unseen)
    may[train] = False
    return train, later, [np.flatnonzero(may & (seconds < 60 * length)) for length in lengths]


def _calibrated(problem: Problem, train: np.ndarray, test: np.ndarray, stretches: list[np.ndarray]) -> Arrays:
    task = problem.task
    decoder = fit(problem, task, train)
    for text in transductive_steps(decoder):
        warnings.warn(f"estimator: {text}, and so does not depend on calibration.", UserWarning, stacklevel=2)
    queries = queries_of(task, test)

    def asked(fitted: Any) -> Arrays:
        return only_true(look(fitted, task, queries, problem.k))

    without, given = [], []
    for rows in stretches:
        own = decoder
        if len(rows):
            own = copy.deepcopy(decoder)
            _learn_recording(own, task.X[rows])
        without.append(asked(own))
        joined = np.concatenate([train, rows])
        given.append(asked(fit(problem, task, joined)) if len(rows) else without[-1])
    return {**stack(without + given), **who(queries)}


def _learn_recording(estimator: Any, X: Any) -> None:
    """Let the steps of a fitted estimator that can do so learn a recording without labels."""
    estimator = unwrap(estimator)
    if is_pipeline(estimator):
        *before, last = steps(estimator)
        for step in before:
            if isinstance(step, (MVNN, EpochScaler, SubjectAligner)) and step.groups_.names:
                step.calibrate(X)
            X = step.transform(X)
        _learn_recording(last, X)
    elif not isinstance(
        getattr(estimator, "encoder_", "none"), str
    ):  # a retriever or a classifier around a pipeline
        _learn_recording(estimator.encoder_, X)
