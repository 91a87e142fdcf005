"""evaluate: estimators x folds x seeds, and a report."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from .._evaluation.cells import Cell, cell_path, load_cell, save_cell
from .._evaluation.fingerprint import cell_digest, data_digest, estimator_digest
from .._evaluation.parallel import in_parallel
from .._evaluation.queries import asked_of
from .._evaluation.run import run_cell
from .._evaluation.task import Task, make_task
from .._utils.params import check_number
from .._utils.seeding import draw_seed
from .._utils.shipping import Shipment, unpacked
from .folds import check_folds, split_rows
from .report import EvaluationReport


def evaluate(
    estimators: Any,
    X: Any,
    y: Any = None,
    *,
    cv: Any,
    subject: Any = None,
    groups: Any = None,
    concept: Any = None,
    targets: Any = None,
    candidates: Any = None,
    average_test: bool | str = True,
    n_seeds: int = 1,
    oracle: bool = False,
    folder: str | os.PathLike | None = None,
    n_jobs: int | None = None,
    verbose: int = 0,
    random_state: Any = 0,
) -> EvaluationReport:
    """Train and test estimators on every fold with every seed, and report what they gave.

    Each cell (an estimator, a fold, a seed) trains a clone on the training rows and then looks at the test rows, once.
    The pictures to choose from are the different stimuli of the fold's test rows.

    Parameters
    ----------
    estimators : dict of str to estimator | estimator
        What is compared, by name: :class:`~skeegclip.ImageRetriever`, :class:`~skeegclip.ZeroShotClassifier`, encoders
        (:class:`~skeegclip.EEGEncoder`, or any regressor that predicts embeddings), classifiers of labels, and
        pipelines that end in one of them.
    X : array-like, shape (n_epochs, n_chans, n_times) | EpochsView | Epochs
        All epochs. A view, or metadata, may carry subject, stimulus, concept and split.
    y : array-like of str, shape (n_epochs,) | None
        Stimulus ids; labels, for classifiers without targets. None takes the stimuli that X carries.
    cv : splitter | iterable of (train, test)
        Folds, such as :class:`~skeegclip.model_selection.LeaveOneSubjectOut` or
        :class:`~skeegclip.model_selection.WithinSubject`.
    subject : array-like of str, shape (n_epochs,) | None
        Person, where X does not carry it. None where X neither: all epochs count as one person's.
    groups : array-like, shape (n_epochs,) | None
        Groups for `cv`. None hands it the concepts if it is a :class:`~skeegclip.model_selection.ConceptKFold`, else
        the subjects.
    concept : mapping | array-like of str, shape (n_epochs,) | str | None
        Concept of each stimulus (a mapping) or epoch, or the name of a column of X. None takes the column "concept".
    targets : EmbeddingTable | None
        Vectors of the stimuli for estimators that have none of their own.
    candidates : EmbeddingTable | None
        Vectors of the concepts (names, say) for classification, which chooses among the concepts of the test rows.
        None leaves it out.
    average_test : bool | "embeddings"
        Whether the test epochs of one stimulus and person are averaged, as is usual with THINGS-EEG2. The report says
        how many trials a query stands for. "embeddings" averages what the estimator gives for each of them instead, and
        compares the averages by cosine, as the EEG-to-Image contest does (:doc:`/user_guide/contest`).
    n_seeds : int
        Trainings of each estimator on each fold, with other seeds. Estimators without any `random_state` are
        trained once.
    oracle : bool
        Whether to add, as "oracle" figures, those of the pass that is best *on the test set*: what older papers
        report. The weights of every pass are kept on disk while a cell runs and looked at afterwards; the test set
        does not enter training.
    folder : path-like | None
        Where finished cells are kept: an evaluation that was interrupted goes on from there. A cell is done again
        if anything has changed that decides its outcome, the code of your own functions and classes too; and, with a
        warning, if its file is not the one that was written. With workers on other machines, a folder that all of
        them see.
    n_jobs : int | None
        Cells at the same time, as in joblib; inside ``joblib.parallel_config("dask")`` on dask's workers.
    verbose : int
        1 shows a progress bar.
    random_state : int | RandomState | Generator | None
        All seeds of the estimators are drawn from it, in place of their own.

    Returns
    -------
    EvaluationReport
        Scores, intervals, tests, flags; ``report.save(folder)`` writes it.

    Raises
    ------
    ValueError, TypeError
        If X, y, a column or a parameter is not usable, or a fold has fewer than two stimuli to choose from.
    KeyError
        If stimuli are not in the targets.
    OSError
        If the disk is full. Finished cells are kept.
    RuntimeError
        If a worker process was killed. Finished cells are kept.

    Warns
    -----
    RuntimeWarning
        If the file of a cell is damaged, or an estimator cannot be told from others, so that its cells are not kept.
    LeakWarning
        If test data or test stimuli are in training, or in what was fitted before: see
        :func:`~skeegclip.model_selection.audit_split`. It comes before the training does.

    See Also
    --------
    skeegclip.model_selection.EvaluationReport : What can be read from the result.
    skeegclip.model_selection.audit_split : What training and test share.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import Ridge
    >>> from skeegclip import EmbeddingTable, evaluate
    >>> from skeegclip.model_selection import WithinSubject
    >>> rng = np.random.default_rng(0)
    >>> table = EmbeddingTable([f"image_{i:02d}" for i in range(60)], rng.normal(size=(60, 5)))
    >>> y = np.repeat(table.ids, 2)
    >>> X = (table.lookup(y) @ rng.normal(size=(5, 40))).reshape(120, 4, 10) + rng.normal(size=(120, 4, 10))
    >>> report = evaluate(
    ...     {"weak": Ridge(1e4), "strong": Ridge(1)}, X, y, targets=table, cv=WithinSubject(test_stimuli=table.ids[:20])
    ... )
    >>> report.summary(["top-1", "2-way"])[["estimator", "metric", "mean", "chance"]].round(2)
      estimator metric  mean  chance
    0      weak  top-1  0.45    0.05
    1      weak  2-way  0.93    0.50
    2    strong  top-1  1.00    0.05
    3    strong  2-way  1.00    0.50
    """
    check_number("n_seeds", n_seeds, low=1, integer=True)
    named = _named(estimators)
    task = make_task(
        X, y, subject, concept, targets, candidates, average_test, oracle, draw_seed(random_state)
    )
    splits = split_rows(cv, task, groups)
    names = _fold_names(splits, task)
    folds = dict(zip(names, splits, strict=True))
    _check_galleries(folds, task)
    audits = check_folds("evaluate", task, folds, named, stacklevel=2)
    jobs = [
        (name, fold, train, test, seed)
        for fold, (train, test) in zip(names, splits, strict=True)
        for name, estimator in named.items()
        for seed in range(n_seeds if _is_seeded(estimator) else 1)
    ]
    cells = _cells(task, named, jobs, folder, n_jobs, verbose)
    settings = {
        "cv": repr(cv) if hasattr(cv, "split") else f"{len(splits)} given splits",
        "n_folds": len(splits),
        "n_seeds": n_seeds,
        "average_test": average_test,
        "oracle": oracle,
        "n_epochs": len(task.y),
        "random_state": task.random_state,
    }
    described = {name: " ".join(repr(estimator).split()) for name, estimator in named.items()}
    return EvaluationReport(cells, audits=audits, estimators=described, settings=settings)


def _named(estimators: Any) -> dict[str, Any]:
    if not isinstance(estimators, Mapping):
        estimators = {type(estimators).__name__: estimators}
    if not estimators:
        raise ValueError("estimators must hold at least one estimator, got none.")
    for name, estimator in estimators.items():
        if not isinstance(name, str) or isinstance(estimator, type) or not hasattr(estimator, "get_params"):
            raise TypeError(
                f"estimators must map names to estimators, got {name!r}: {estimator!r}. Pass instances with get_params."
            )
    return dict(estimators)


def _is_seeded(estimator: Any) -> bool:
    return any(name.rpartition("__")[2] == "random_state" for name in estimator.get_params())


def _fold_names(splits: list, task: Task) -> list[str]:
    """Folds are called after the person tested, where that is one and no other fold tests the same."""
    people = [set() if task.subject is None else set(task.subject[test].tolist()) for _, test in splits]
    single = [next(iter(names)) if len(names) == 1 else "" for names in people]
    if all(single) and len(set(single)) == len(single):
        return single
    return [f"fold-{number}" for number in range(1, len(splits) + 1)]


def _check_galleries(folds: dict[str, tuple[np.ndarray, np.ndarray]], task: Task) -> None:
    for name, (train, test) in folds.items():
        for side, rows in (("training", train), ("test", test)):
            _check_rows(f"cv: fold {name!r}: the {side} rows", rows, len(task.y))
        if (n := len(np.unique(task.y[test]))) < 2:
            raise ValueError(
                f"cv: fold {name!r} tests {n} stimuli, so there is nothing to choose from. Test two or more at once."
            )


def _check_rows(what: str, rows: np.ndarray, n_rows: int) -> None:
    """Refuse rows that are none, or that X does not have, before anything is trained."""
    if len(rows) == 0:
        raise ValueError(f"{what} are none. Every fold needs rows to train on and to test.")
    if rows.dtype.kind not in "iub":
        raise ValueError(f"{what} must be row numbers or a mask, got {rows.dtype}.")
    beyond = len(rows) != n_rows if rows.dtype.kind == "b" else rows.max() >= n_rows or rows.min() < -n_rows
    if beyond:
        got = f"a mask of {len(rows)}" if rows.dtype.kind == "b" else f"{rows.min()} to {rows.max()}"
        raise ValueError(f"{what} must be among the {n_rows} rows of X, got {got}.")


def _cells(
    task: Task, named: dict[str, Any], jobs: list[tuple], folder: Any, n_jobs: int | None, verbose: int
) -> list[Cell]:
    """Finished cells from the folder, and the others; in the order of the jobs."""
    paths: list[Path | None] = [None] * len(jobs)
    if folder is not None:
        data = data_digest(task)
        digests = {name: estimator_digest(name, estimator) for name, estimator in named.items()}
        for place, (name, fold, train, test, seed) in enumerate(jobs):
            if (of_estimator := digests[name]) is not None:
                digest = cell_digest(of_estimator, data, train, test, seed)
                paths[place] = cell_path(Path(folder), name, fold, seed, digest)
    done = [_found(task, test, path) for (*_, test, _), path in zip(jobs, paths, strict=True)]
    todo = [(place, paths[place]) for place, cell in enumerate(done) if cell is None]
    work = in_parallel(
        _do, (task, named, jobs), todo, n_jobs=n_jobs, folder=folder, verbose=verbose, what="evaluating"
    )
    for place, cell in work:
        done[place] = cell
    # Equal estimators, and folds of the same rows, may share a file; each goes by its own name.
    return [
        replace(cell, estimator=name, fold=fold, seed=seed)
        for cell, (name, fold, *_, seed) in zip(done, jobs, strict=True)
        if cell is not None
    ]


def _found(task: Task, test: np.ndarray, path: Path | None) -> Cell | None:
    return None if path is None else load_cell(path, asked_of(task, test))


def _do(shared: Shipment, place: int, path: Path | None) -> tuple[int, Cell]:
    with unpacked(shared) as (task, named, jobs):
        name, fold, train, test, seed = jobs[place]
        # By a worker that died before it could tell.
        if path is not None and path.exists() and (found := _found(task, test, path)) is not None:
            return place, found
        try:
            cell = run_cell(task, name, named[name], fold, train, test, seed)
        except Exception as error:
            error.add_note(f"while evaluating estimator {name!r} on fold {fold!r} with seed {seed}")
            raise
    if path is not None:
        save_cell(path, cell)
    return place, cell
