"""From how many repetitions: accuracy against averaged trials, and how far it could go."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .._evaluation.decoder import class_scores, targets_of
from .._evaluation.queries import Queries
from .._evaluation.task import Task
from .._utils.estimators import embed
from .._utils.groups import group_rows
from .._utils.params import check_number
from ..metrics import cosine_similarity
from ..preprocessing import average_repetitions
from ._look import Arrays, Problem, fit, look, make_problem, only_true, ranked, run, who
from ._statistics import chance, join, with_intervals
from ._texts import shared_texts

if TYPE_CHECKING:
    import pandas as pd


@shared_texts
def repetition_curve(
    estimator: Any,
    X: Any,
    *,
    cv: Any,
    n_repetitions: Sequence[int] | None = None,
    n_draws: int = 10,
    groups: Any = None,
    targets: Any = None,
    k: int = 1,
    interval: str = "stimulus",
    n_jobs: int | None = None,
    verbose: int = 0,
    folder: str | os.PathLike | None = None,
    random_state: Any = 0,
) -> pd.DataFrame:
    """Accuracy against the number of test repetitions averaged, beside the noise ceiling.

    The decoder is trained once a fold; only the test epochs change.

    Parameters
    ----------
    %(estimator)s
    %(X)s
    %(cv)s
    n_repetitions : sequence of int | None
        Numbers of repetitions to average. None takes 1, 2, 4, ... and all, where "all" is what the stimulus with the
        fewest repetitions has.
    n_draws : int
        Random choices of repetitions, and random halves, over which a point is averaged.
    %(groups)s
    %(targets)s
    %(k)s
    %(interval)s
    %(running)s

    Returns
    -------
    DataFrame
        One row a number of repetitions: ``n_repetitions``, ``accuracy`` with ``low`` and ``high``, ``similarity`` with
        its interval, ``chance``, ``ceiling_low`` and ``ceiling_high`` (accuracies), and ``reliability``.

    Raises
    ------
    ValueError, TypeError
        If the data or a parameter is not usable, or a test stimulus has one repetition only.

    Notes
    -----
    The ceilings ask how well the decoder's output for one recording of a stimulus can be told from those for others if
    the *best templates to be had* replace the pictures' vectors: a person's own outputs. The query is the output for
    the mean of n repetitions, the gallery the outputs for means of the same person's other repetitions
    (``ceiling_low``: the templates are noisy, so a perfect decoder may do better; NaN where none are left), or of all
    of them, the query's among them (``ceiling_high``: query and template share noise, so no decoder with this output
    should do better). Each is centred over stimuli. This carries the two bounds of [1]_ over to retrieval.

    ``reliability`` is the correlation over stimuli, all dimensions pooled, of the outputs for two disjoint halves of
    the repetitions, brought from the length of a half, h, to n repetitions by the Spearman-Brown formula [2]_,
    :math:`r_n = m r / (1 + (m - 1) r)` with :math:`m = n / h`. Its square root bounds the correlation of the outputs
    with anything that depends on the stimulus alone.

    All three are those of *this* decoder's output, not of the recording: another decoder may keep more of it.

    References
    ----------
    .. [1] Nili et al., "A toolbox for representational similarity analysis", PLoS Computational Biology 10, 2014.
    .. [2] Spearman, "Correlation calculated from faulty data", and Brown, "Some experimental results in the correlation
       of mental abilities", British Journal of Psychology 3, 1910.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import Ridge
    >>> from skeegclip import EmbeddingTable, EpochsView
    >>> from skeegclip.inspection import repetition_curve
    >>> from skeegclip.model_selection import WithinSubject
    >>> rng = np.random.default_rng(0)
    >>> table = EmbeddingTable([f"image_{i:02d}" for i in range(80)], rng.normal(size=(80, 5)))
    >>> y = np.repeat(table.ids, 4)
    >>> X = rng.normal(size=(len(y), 6, 40))
    >>> X += 0.15 * (table.lookup(y) @ rng.normal(size=(5, 240))).reshape(-1, 6, 40)
    >>> view = EpochsView.from_arrays(X, stimulus=y)
    >>> curve = repetition_curve(Ridge(), view, targets=table, cv=WithinSubject(test_stimuli=table.ids[:20]))
    >>> curve["n_repetitions"].tolist(), bool(curve["accuracy"].is_monotonic_increasing)
    ([1, 2, 4], True)
    """
    check_number("n_draws", n_draws, low=1, integer=True)
    problem = make_problem(estimator, X, cv, groups, targets, True, k, interval, random_state)
    numbers = _numbers(n_repetitions, _fewest(problem))
    jobs = [(train, test, n_draws, numbers) for train, test in problem.folds]
    results = run(problem, _repeated, jobs, n_jobs=n_jobs, verbose=verbose, folder=folder)
    rows = []
    for n in numbers:
        folds = [_of(result, f"{n}/") for result in results]
        row = with_intervals(join(folds), interval, problem.task.random_state)
        row.insert(0, "n_repetitions", n)
        row["chance"] = chance(folds, k)
        for name in ("ceiling_low", "ceiling_high", "reliability"):
            row[name] = np.mean([result[f"{n}/{name}"] for result in results])
        rows.append(row)
    import pandas as pd

    return pd.concat(rows, ignore_index=True)


def _fewest(problem: Problem) -> int:
    fewest = min(len(rows) for _, test in problem.folds for rows in _groups(problem.task, test))
    if fewest < 2:
        raise ValueError(
            "repetitions: a test stimulus was shown to a person once only, so that nothing can be averaged."
            " Pass single trials, not averages."
        )
    return fewest


def _numbers(given: Sequence[int] | None, fewest: int) -> list[int]:
    if given is None:
        return sorted({*(2**i for i in range(fewest.bit_length())), fewest})
    return sorted({check_number("n_repetitions", n, low=1, high=fewest, integer=True) for n in given})


def _groups(task: Task, test: np.ndarray) -> list[np.ndarray]:
    """Test rows of each person and stimulus."""
    keys = [task.y[test]] if task.subject is None else [task.y[test], task.subject[test]]
    return [test[rows] for rows in group_rows(keys)]


def _of(result: Arrays, start: str) -> Arrays:
    return {name.removeprefix(start): values for name, values in result.items() if name.startswith(start)}


def _repeated(
    problem: Problem, train: np.ndarray, test: np.ndarray, n_draws: int, numbers: list[int]
) -> Arrays:
    task = problem.task
    decoder = fit(problem, task, train)
    groups = _groups(task, test)
    rng = np.random.default_rng([task.random_state, 2])
    everything = _output(decoder, _mean(task, groups))
    half = min(len(rows) for rows in groups) // 2
    pairs = []
    for _ in range(n_draws):
        shuffled = [rng.permutation(rows) for rows in groups]
        halves = [_mean(task, [rows[i * half : (i + 1) * half] for rows in shuffled]) for i in range(2)]
        pairs.append(_correlation(*(_centred(_output(decoder, part), part) for part in halves)))
    r = float(np.mean(pairs))

    found: Arrays = {}
    for n in numbers:
        # All of them can be chosen in one way only.
        draws = 1 if math.comb(max(len(rows) for rows in groups), n) == 1 else n_draws
        looks, low, high = [], [], []
        for _ in range(draws):
            shuffled = [rng.permutation(rows) for rows in groups]
            queries = _mean(task, [rows[:n] for rows in shuffled])
            looks.append({**only_true(look(decoder, task, queries, problem.k)), **who(queries)})
            z = _output(decoder, queries)
            high.append(_told_apart(z, everything, queries, problem.k))
            if min(len(rows) for rows in groups) > n:
                rest = _output(decoder, _mean(task, [rows[n:] for rows in shuffled]))
                low.append(_told_apart(z, rest, queries, problem.k))
        joined = {
            name: np.concatenate([part[name] for part in looks]) for name in looks[0] if looks[0][name].ndim
        }
        people = ("subject", "stimulus", "concept")
        found |= {
            f"{n}/{name}": values if name in people else values[None] for name, values in joined.items()
        }
        found[f"{n}/n_gallery"] = looks[0]["n_gallery"][None]
        found[f"{n}/ceiling_low"] = np.array(np.mean(low) if low else np.nan)
        found[f"{n}/ceiling_high"] = np.array(np.mean(high))
        found[f"{n}/reliability"] = np.array(_spearman_brown(r, n / half))
    return found


def _mean(task: Task, groups: list[np.ndarray]) -> Queries:
    """Queries from given rows of each person and stimulus."""
    rows = np.concatenate(groups)
    subject = None if task.subject is None else task.subject[rows]
    X, y, people = average_repetitions(task.X[rows], task.y[rows], subject)
    return Queries(X, y, people, None, np.array([len(group) for group in groups]))


def _output(decoder: Any, queries: Queries) -> np.ndarray:
    """What the decoder says of each query: embeddings, or scores of the classes."""
    if targets_of(decoder) is None:
        return np.asarray(class_scores(decoder, queries)[0], dtype=np.float64)
    return np.asarray(embed(decoder, queries.X, queries.params), dtype=np.float64)


def _people(queries: Queries) -> list[np.ndarray]:
    who_saw = queries.who["subject"]
    return [np.flatnonzero(who_saw == person) for person in np.unique(who_saw)]


def _centred(z: np.ndarray, queries: Queries) -> np.ndarray:
    z = z.copy()
    for rows in _people(queries):
        z[rows] -= z[rows].mean(axis=0)
    return z


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    size = np.sqrt((a**2).sum() * (b**2).sum())
    return float((a * b).sum() / size) if size > 0 else 0.0


def _spearman_brown(r: float, m: float) -> float:
    """Reliability of measurements m times as long; one that is not positive stays what it is."""
    return m * r / (1 + (m - 1) * r) if r > 0 else r


def _told_apart(queries_z: np.ndarray, templates_z: np.ndarray, queries: Queries, k: int) -> float:
    """Accuracy of finding each query's own stimulus among one person's templates."""
    a, b = _centred(queries_z, queries), _centred(templates_z, queries)
    hits = [
        only_true({"target": target, **ranked(cosine_similarity(a[rows], b[rows]), target, k)})["hits"]
        for rows in _people(queries)
        for target in [np.arange(len(rows))]
    ]
    return float(np.concatenate(hits).mean())
