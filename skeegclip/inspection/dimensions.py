"""Which dimensions of objects are decoded, how surely, and when."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import clone
from sklearn.utils.validation import check_array

from .._evaluation.cuts import crop, windows
from .._evaluation.decoder import fit as fit_on
from .._evaluation.permutation import TOLERANCE, Exchanges
from .._evaluation.queries import queries_of
from .._utils.estimators import wanted
from .._utils.html import html_card, html_table
from .._utils.ids import as_ids, mapping_to_array
from .._utils.params import check_number, check_option
from .._utils.seeding import draw_seed, set_seeds
from ..metrics import ranks
from ._look import Arrays, Problem, make_problem, run
from ._texts import shared_texts
from .time import times_of

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class DimensionReport:
    """Correlations of decoded and true values of objects, dimension by dimension.

    Made by :func:`dimension_correlations` and :func:`dimensions_over_time`.

    Parameters
    ----------
    table : DataFrame
        One row a dimension (and window): ``dimension``, ``r`` over objects, ``p`` (one-sided, by permutation of whole
        objects) and ``p_corrected``, for the number of dimensions and windows. Of windows also ``start`` and ``stop`` (s, times
        of the first and last sample).
    identification : DataFrame
        One row (a window): ``mean_r``; ``two_way``, the probability that the decoded values are more like those of
        their own object than like those of another in the table; ``two_way_tested``, of another that was tested; and
        ``median_rank`` of their own among all ``n_table`` objects.
    threshold : float
        The correlation that the largest one of all dimensions and windows surpasses in 5 % of the permutations.
    objects : tuple of str
        What was tested.

    See Also
    --------
    skeegclip.plotting.plot_dimensions : Draw it.

    Examples
    --------
    >>> import pandas as pd
    >>> from skeegclip.inspection import DimensionReport
    >>> table = pd.DataFrame({"dimension": ["round", "red"], "r": [0.1, 0.6], "p": [0.2, 0.001], "p_corrected": [0.3, 0.001]})
    >>> DimensionReport(table, pd.DataFrame(), 0.4, ("ball", "car")).significant()["dimension"].tolist()
    ['red']
    """

    table: pd.DataFrame
    identification: pd.DataFrame
    threshold: float
    objects: tuple[str, ...]

    def _repr_html_(self) -> str:
        facts = {"dimensions": self.table["dimension"].nunique(), "objects": f"{len(self.objects):,}"}
        facts["largest r by chance"] = f"{self.threshold:.3f}"
        best = self.table.sort_values("r", ascending=False)
        return html_card("DimensionReport", facts, body=html_table(best, most=5))

    def significant(self, alpha: float = 0.05) -> pd.DataFrame:
        """Return the dimensions that are decoded, the best first.

        Parameters
        ----------
        alpha : float
            Probability of naming any dimension, in any window, where there is nothing to decode.

        Returns
        -------
        DataFrame
            Rows of the table.

        Raises
        ------
        ValueError
            If `alpha` is not between 0 and 1.
        """
        check_number("alpha", alpha, low=0, high=1, open_low=True)
        found = self.table[self.table["p_corrected"] <= alpha]
        return found.sort_values("r", ascending=False, ignore_index=True)


def dimension_correlations(
    values: Any,
    y: Any,
    dimensions: Any,
    *,
    concepts: Any = None,
    n_permutations: int = 2000,
    random_state: Any = 0,
) -> DimensionReport:
    """Correlate decoded with true values on each dimension, and test that by permutation.

    Parameters
    ----------
    values : array-like, shape (n, n_dimensions)
        What a :class:`~skeegclip.DimensionDecoder` made of embeddings of objects that it had not been trained on.
    y : array-like of str, shape (n,)
        Object (or stimulus, with `concepts`) of each row.
    dimensions : EmbeddingTable
        True values of all objects: those of the table are what an object is found among.
    concepts : mapping | callable | None
        From stimulus id to object.
    n_permutations : int
        Permutations; where all there are are fewer, all are done.
    random_state : int | RandomState | Generator | None
        Seed of the permutations.

    Returns
    -------
    DimensionReport
        Correlations, p values, and how well objects are found by their values.

    Raises
    ------
    ValueError, TypeError
        If a parameter is not usable, or there are fewer than 3 objects.
    KeyError
        If an object is not in the table.

    See Also
    --------
    dimensions_over_time : In windows of time.

    Notes
    -----
    The rows of an object are averaged first: it is objects that are exchanged, not rows, for the pictures and epochs of one
    object are alike. ``p_corrected`` compares each correlation with the largest one of all dimensions of a permutation [1]_,
    which controls the probability that *any* is called decoded where none is. Where values come from cross-validation, means
    of training sets lean away from what is tested, so that p is a little too large, never too small.

    Values are compared with those of objects by their correlation over dimensions, each of which is standardised over all
    objects of the table.

    References
    ----------
    .. [1] Nichols and Holmes, "Nonparametric permutation tests for functional neuroimaging", Human Brain Mapping 15,
       2002.

    Examples
    --------
    >>> import numpy as np
    >>> from skeegclip import EmbeddingTable
    >>> from skeegclip.inspection import dimension_correlations
    >>> rng = np.random.default_rng(0)
    >>> objects = [f"object {i:03d}" for i in range(100)]
    >>> dimensions = EmbeddingTable(objects, rng.normal(size=(100, 2)), meta={"names": ["round", "red"]})
    >>> values = dimensions.vectors[:40] * [0, 1] + rng.normal(size=(40, 2))  # of "round" nothing was decoded
    >>> dimension_correlations(values, objects[:40], dimensions).significant()["dimension"].tolist()
    ['red']
    """
    values = check_array(values, dtype=np.float64, input_name="values")
    ids = as_ids(y, name="y")
    if len(ids) != len(values):
        raise ValueError(
            f"y must have one object for each of the {len(values)} rows of values, got {len(ids)}."
        )
    objects = ids if concepts is None else mapping_to_array(concepts, ids.tolist(), name="concepts")
    return _report(values[None], objects, [objects], dimensions, n_permutations, draw_seed(random_state))


@shared_texts
def dimensions_over_time(
    estimator: Any,
    X: Any,
    *,
    dimensions: Any,
    concepts: Any = None,
    cv: Any,
    mode: str = "sliding",
    width: float = 0.1,
    step: float | None = None,
    groups: Any = None,
    average_test: bool = True,
    n_jobs: int | None = None,
    verbose: int = 0,
    folder: str | os.PathLike | None = None,
    random_state: Any = 0,
) -> DimensionReport:
    """Correlate decoded with true values on each dimension, in windows of the epochs.

    Parameters
    ----------
    estimator : estimator
        What predicts values of epochs: a Pipeline of an encoder, with its targets, and a
        :class:`~skeegclip.DimensionDecoder`, which may be trained on pictures and frozen.
    %(X)s
    dimensions : EmbeddingTable
        True values of all objects.
    concepts : mapping | callable | None
        From stimulus id to object. None: the stimuli are the objects.
    %(cv)s
    %(mode)s
    %(width)s
    %(step)s
    %(groups)s
    %(average_test)s
    %(running)s

    Returns
    -------
    DimensionReport
        One row for each window and dimension.

    Raises
    ------
    ValueError, TypeError
        If the data or a parameter is not usable, or times are not known.

    See Also
    --------
    dimension_correlations : Of values that are there, with notes on the tests.

    Notes
    -----
    Each window has an estimator of its own. ``p_corrected`` is for all windows and dimensions together; objects change
    places only where the same folds tested them.

    Examples
    --------
    >>> import mne, numpy as np
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import FunctionTransformer
    >>> from skeegclip import DimensionDecoder, EmbeddingTable, EpochsView
    >>> from skeegclip.inspection import dimensions_over_time
    >>> from skeegclip.model_selection import WithinSubject
    >>> rng = np.random.default_rng(0)
    >>> ids, names = [f"object_{i:02d}" for i in range(80)], ["big", "red"]
    >>> table = EmbeddingTable(ids, rng.normal(size=(80, 2)), meta={"names": names})
    >>> y = np.repeat(table.ids, 2)
    >>> X = rng.normal(size=(len(y), 6, 40))
    >>> X[:, :, 20:30] += (table.lookup(y) @ rng.normal(size=(2, 60))).reshape(-1, 6, 10)
    >>> view = EpochsView.from_arrays(X, stimulus=y, info=mne.create_info(6, 100.0, "eeg"))
    >>> cv = WithinSubject(test_stimuli=table.ids[:20])
    >>> flat = FunctionTransformer(lambda X: np.asarray(X).reshape(len(X), -1))
    >>> decoder = make_pipeline(flat, DimensionDecoder(table))
    >>> report = dimensions_over_time(decoder, view, dimensions=table, cv=cv, step=0.1)
    >>> report.significant()["start"].unique().tolist()
    [0.2]
    """
    check_option("mode", mode, ["growing", "sliding"])
    problem = make_problem(estimator, X, cv, groups, None, average_test, 1, "stimulus", random_state)
    spans = windows(times_of(problem), mode, width, step)
    jobs = [(*fold, span) for fold in problem.folds for span in spans]
    found = run(problem, _decoded, jobs, n_jobs=n_jobs, verbose=verbose, folder=folder)
    n = len(spans)
    values = np.concatenate(
        [np.stack([part["values"] for part in found[i : i + n]]) for i in range(0, len(found), n)], axis=1
    )
    tested = [
        part if concepts is None else mapping_to_array(concepts, part.tolist(), name="concepts")
        for part in (found[i]["stimulus"].astype(str) for i in range(0, len(found), n))
    ]
    report = _report(values, np.concatenate(tested), tested, dimensions, 2000, problem.task.random_state)
    times = times_of(problem)
    start, stop = times[spans[:, 0]], times[spans[:, 1] - 1]
    each = len(report.table) // n
    report.table.insert(0, "start", np.repeat(start, each))
    report.table.insert(1, "stop", np.repeat(stop, each))
    report.identification.insert(0, "start", start)
    report.identification.insert(1, "stop", stop)
    return report


def _decoded(problem: Problem, train: np.ndarray, test: np.ndarray, span: np.ndarray) -> Arrays:
    task = replace(problem.task, X=crop(problem.task.X, *span))
    decoder = clone(problem.estimator)
    set_seeds(decoder, np.random.default_rng(task.random_state))
    fit_on(decoder, task, train)
    queries = queries_of(task, test)
    values = decoder.predict(queries.X, **wanted(decoder, "predict", queries.params))
    return {"values": np.asarray(values, dtype=np.float64), "stimulus": queries.y.astype(str)}


def _report(
    values: np.ndarray,
    objects: np.ndarray,
    tested: Sequence[np.ndarray],
    dimensions: Any,
    n_permutations: int,
    seed: int,
) -> DimensionReport:
    """Report of values (n_windows, n, n_dimensions) of rows of `objects`; `tested` are the sets that were tested together."""
    import pandas as pd

    check_number("n_permutations", n_permutations, low=1, integer=True)
    exchanges = Exchanges.of(tested, n_permutations)
    names, place = exchanges.names, np.searchsorted(exchanges.names, objects)
    if len(names) < 3:
        raise ValueError(f"y holds {len(names)} objects. A correlation needs at least 3.")
    true = dimensions.lookup(names).astype(np.float64)
    if values.shape[2] != true.shape[1]:
        raise ValueError(
            f"values must have one column for each of the {true.shape[1]} dimensions, got {values.shape[2]}."
        )
    means = np.zeros((len(values), len(names), true.shape[1]))
    for total, window in zip(means, values, strict=True):
        np.add.at(total, place, window)
    means /= np.bincount(place)[:, None]
    r, p, corrected, threshold = _tested(_standardised(means), _standardised(true), exchanges, seed)
    called = getattr(dimensions, "meta", {}).get("names") or [f"dimension {i}" for i in range(true.shape[1])]
    table = pd.DataFrame(
        {
            "dimension": np.tile(np.array(called, dtype=object), len(values)),
            "r": r.ravel(),
            "p": p.ravel(),
            "p_corrected": corrected.ravel(),
        }
    )
    rows = [
        {"mean_r": float(mean), **_identified(window, names, dimensions)}
        for mean, window in zip(r.mean(axis=1), means, strict=True)
    ]
    return DimensionReport(table, pd.DataFrame(rows), threshold, tuple(names.tolist()))


def _standardised(values: np.ndarray) -> np.ndarray:
    """Columns of mean 0 and length 1 over objects; 0 where they do not vary."""
    centred = values - values.mean(axis=-2, keepdims=True)
    length = np.linalg.norm(centred, axis=-2, keepdims=True)
    # What rounding leaves of a constant column is no variation.
    real = length > 1e-10 * np.abs(values).max(axis=-2, keepdims=True)
    return np.divide(centred, length, out=np.zeros_like(centred), where=real)


def _tested(
    means: np.ndarray, true: np.ndarray, exchanges: Exchanges, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """Correlations (n_windows, n_dimensions), their p, p corrected by the largest, and the 5 % point of the largest."""
    r = np.einsum("wnd,nd->wd", means, true)
    decoded = np.ascontiguousarray(means.transpose(2, 0, 1))  # dimensions, windows, objects
    single, largest, highest = np.zeros(r.shape), np.zeros(r.shape), []
    for orders in exchanges.draw(np.random.default_rng([seed, 2]), r.size + true.size):
        null = decoded @ true[orders].transpose(2, 1, 0)  # dimensions, windows, exchanges
        null = null.transpose(2, 1, 0)
        top = null.max(axis=(1, 2))
        single += (null >= r - TOLERANCE).sum(axis=0)
        largest += (top[:, None, None] >= r - TOLERANCE).sum(axis=0)
        highest.append(top)
    threshold = float(np.quantile(np.concatenate(highest), 0.95))
    return r, exchanges.p(single), exchanges.p(largest), threshold


def _identified(means: np.ndarray, names: np.ndarray, dimensions: Any) -> dict[str, float]:
    """How well objects are found by their decoded values."""
    table = dimensions.lookup(dimensions.ids).astype(np.float64)
    middle, spread = table.mean(axis=0), table.std(axis=0)
    kept = spread > 0
    if kept.sum() < 2:  # of one number there is no correlation
        return {"two_way": np.nan, "two_way_tested": np.nan, "median_rank": np.nan, "n_table": len(table)}
    like, among = (_standardised(((part - middle)[:, kept] / spread[kept]).T).T for part in (means, table))
    similarity = like @ among.T
    place = {key: row for row, key in enumerate(dimensions.ids.tolist())}
    own = np.array([place[name] for name in names.tolist()])
    rank = ranks(similarity, own)
    rank_tested = ranks(similarity[:, own], np.arange(len(own)))
    return {
        "two_way": float(1 - (rank.mean() - 1) / (len(table) - 1)) if len(table) > 1 else np.nan,
        "two_way_tested": float(1 - (rank_tested.mean() - 1) / (len(own) - 1)),
        "median_rank": float(np.median(rank)),
        "n_table": len(table),
    }
