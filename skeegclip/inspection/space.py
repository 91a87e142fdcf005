"""Where: decoders that see some channels only."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from .._evaluation.cuts import hide, mean_epoch, permute
from .._evaluation.queries import queries_of
from .._utils.params import check_number, check_option
from ..epochs.regions import regions as find_regions
from ..metrics.bootstrap import bootstrap_columns
from ._look import Arrays, Problem, fit, look, make_problem, only_true, run, stack, who
from ._statistics import N_RESAMPLES, chance, groups_of, join, with_intervals
from ._texts import shared_texts

if TYPE_CHECKING:
    import pandas as pd


@shared_texts
def region_importance(
    estimator: Any,
    X: Any,
    *,
    cv: Any,
    regions: Mapping[str, Sequence[str]] | None = None,
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
) -> pd.DataFrame:
    """Accuracy with each region of the head alone, and with each left out.

    Parameters
    ----------
    %(estimator)s
    %(X)s
    %(cv)s
    %(regions)s
    refit : bool
        Whether a decoder is trained for each set of channels: what those *hold*. False trains once, on all, and hides
        channels of the test epochs under the mean of the training epochs: what *this* decoder takes from them.
    %(groups)s
    %(targets)s
    %(average_test)s
    %(k)s
    %(interval)s
    %(running)s

    Returns
    -------
    DataFrame
        One row for all channels (``region`` "all"), then one for each region ``kept`` ("alone") and left out
        ("without"): ``n_channels``, ``accuracy`` with ``low`` and ``high``, ``similarity`` with its interval,
        ``difference`` of the accuracy from that of all channels with its paired interval (``difference_low``,
        ``difference_high``), and ``chance``.

    Raises
    ------
    ValueError, TypeError
        If the data or a parameter is not usable, or channels have no names.

    References
    ----------
    Li et al., "Visual Decoding and Reconstruction via EEG Embeddings with Guided Diffusion", NeurIPS 2024, section 3.5.

    Examples
    --------
    >>> import mne, numpy as np
    >>> from sklearn.linear_model import Ridge
    >>> from skeegclip import EmbeddingTable, EpochsView
    >>> from skeegclip.inspection import region_importance
    >>> from skeegclip.model_selection import WithinSubject
    >>> rng = np.random.default_rng(0)
    >>> table = EmbeddingTable([f"image_{i:02d}" for i in range(80)], rng.normal(size=(80, 5)))
    >>> y = np.repeat(table.ids, 2)
    >>> X = rng.normal(size=(len(y), 6, 40))
    >>> X[:, 4:] += (table.lookup(y) @ rng.normal(size=(5, 80))).reshape(-1, 2, 40)
    >>> info = mne.create_info(["Fp1", "Fp2", "C3", "C4", "O1", "O2"], 100.0, "eeg")
    >>> view = EpochsView.from_arrays(X, stimulus=y, info=info)
    >>> found = region_importance(Ridge(), view, targets=table, cv=WithinSubject(test_stimuli=table.ids[:20]))
    >>> found.query("kept == 'alone'").nlargest(1, "accuracy")[["region", "n_channels"]]
          region  n_channels
    3  occipital           2
    """
    problem = make_problem(estimator, X, cv, groups, targets, average_test, k, interval, random_state)
    sets = channels_of_regions(regions, problem)
    everything = list(range(problem.task.X.shape[1]))
    variants = [("all", "all", everything)]
    variants += [(region, "alone", kept) for region, kept in sets.items()]
    variants += [
        (region, "without", [c for c in everything if c not in set(left)])
        for region, left in sets.items()
        if len(left) < len(everything)
    ]
    table = _compare(
        problem,
        [kept for *_, kept in variants],
        refit,
        interval,
        n_jobs=n_jobs,
        verbose=verbose,
        folder=folder,
    )
    table.insert(0, "region", [region for region, *_ in variants])
    table.insert(1, "kept", [how for _, how, _ in variants])
    table.insert(2, "n_channels", [len(kept) for *_, kept in variants])
    return table


@shared_texts
def channel_importance(
    estimator: Any,
    X: Any,
    *,
    cv: Any,
    refit: bool = False,
    hide: str = "mean",
    n_repeats: int = 10,
    groups: Any = None,
    targets: Any = None,
    average_test: bool = True,
    k: int = 1,
    interval: str = "stimulus",
    n_jobs: int | None = None,
    verbose: int = 0,
    folder: str | os.PathLike | None = None,
    random_state: Any = 0,
) -> pd.DataFrame:
    """How much a decoder loses without each channel.

    Parameters
    ----------
    %(estimator)s
    %(X)s
    %(cv)s
    refit : bool
        False trains once, on all channels, and hides one after the other in the test epochs: what *this* decoder takes
        from a channel. True trains again without it: what *only* this channel holds, which is little where neighbours
        say the same.
    hide : {"mean", "permute"}
        How a channel is hidden: under the mean of the training epochs; or by exchanging it among the test queries of
        a person, `n_repeats` times, so that it shows what it does show, but of other epochs [1]_. Not used with ``refit=True``.
    n_repeats : int
        Permutations over which the loss of a channel is averaged, the same ones for every channel. Used only with
        ``hide="permute"``.
    %(groups)s
    %(targets)s
    %(average_test)s
    %(k)s
    %(interval)s
    %(running)s

    Returns
    -------
    DataFrame
        One row a channel: ``channel`` (its position, where there are no names), ``accuracy`` without it, and the loss
        against all channels in accuracy (``loss``, ``loss_low``, ``loss_high``) and in similarity
        (``similarity_loss``, ``similarity_loss_low``, ``similarity_loss_high``). Accuracy moves in steps of one query;
        similarity tells small losses apart.

    Raises
    ------
    ValueError, TypeError
        If the data or a parameter is not usable, or there is one channel only.

    References
    ----------
    .. [1] Breiman, "Random forests", Machine Learning 45, 2001 (permutation importance).

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import Ridge
    >>> from skeegclip import EmbeddingTable, EpochsView
    >>> from skeegclip.inspection import channel_importance
    >>> from skeegclip.model_selection import WithinSubject
    >>> rng = np.random.default_rng(0)
    >>> table = EmbeddingTable([f"image_{i:02d}" for i in range(80)], rng.normal(size=(80, 5)))
    >>> y = np.repeat(table.ids, 2)
    >>> X = rng.normal(size=(len(y), 6, 40))
    >>> X[:, 4] += table.lookup(y) @ rng.normal(size=(5, 40))
    >>> view = EpochsView.from_arrays(X, stimulus=y)
    >>> found = channel_importance(Ridge(), view, targets=table, cv=WithinSubject(test_stimuli=table.ids[:20]))
    >>> int(found["similarity_loss"].idxmax())
    4
    """
    check_option("hide", hide, ["mean", "permute"])
    check_number("n_repeats", n_repeats, low=1, integer=True)
    problem = make_problem(estimator, X, cv, groups, targets, average_test, k, interval, random_state)
    n = problem.task.X.shape[1]
    if n < 2:
        raise ValueError("X has one channel, so that nothing remains without it. Give two or more.")
    variants = [list(range(n)), *([c for c in range(n) if c != left] for left in range(n))]
    todo: dict[str, Any] = {"n_jobs": n_jobs, "verbose": verbose, "folder": folder}
    repeats = 0 if hide == "mean" else n_repeats
    table = _compare(problem, variants, refit, interval, n_repeats=repeats, **todo).iloc[1:]
    found = table.reset_index(drop=True)[["accuracy"]].copy()
    found.insert(0, "channel", range(n) if problem.info is None else list(problem.info["ch_names"]))
    for new, old in (("loss", "difference"), ("similarity_loss", "similarity_difference")):
        found[new] = 0.0 - table[old].to_numpy()
        found[f"{new}_low"], found[f"{new}_high"] = (
            -table[f"{old}_{end}"].to_numpy() for end in ("high", "low")
        )
    return found


def channels_of_regions(given: Any, problem: Problem) -> dict[str, list[int]]:
    """Positions of the channels of each region: those that are given, or those of the scalp."""
    if problem.info is None:
        raise ValueError(
            "the channels of X have no names. Make the view with them: EpochsView.from_arrays(X, info=...)."
        )
    place = {name: position for position, name in enumerate(problem.info["ch_names"])}
    members = {
        region: list(channels)
        for region, channels in (find_regions(problem.info) if given is None else given).items()
        if given is not None or channels
    }
    if not members:
        raise ValueError("regions: none is named. Name one at least, or pass None for the five of the scalp.")
    for region, channels in members.items():
        if not channels or (unknown := [name for name in channels if name not in place]):
            what = f"has channels that X lacks, first {unknown[0]!r}" if channels else "is empty"
            raise ValueError(f"regions: {region!r} {what}. Name channels of X.")
    return {region: [place[name] for name in channels] for region, channels in members.items()}


def _compare(
    problem: Problem,
    variants: list[list[int]],
    refit: bool,
    interval: str,
    *,
    n_repeats: int = 0,
    **todo: Any,
) -> pd.DataFrame:
    """Scores with each set of channels, and differences from the first; others hidden by permuting, if repeated."""
    check_option("refit", refit, [True, False])
    n = len(variants)
    if refit:
        jobs = [(train, test, kept) for train, test in problem.folds for kept in variants]
        results = run(problem, _refitted_channels, jobs, **todo)
        folds = [_joined(results[i * n : (i + 1) * n]) for i in range(len(problem.folds))]
    elif n_repeats:
        folds = run(
            problem, _permuted_channels, [(*fold, variants, n_repeats) for fold in problem.folds], **todo
        )
    else:
        folds = run(problem, _hidden_channels, [(*fold, variants) for fold in problem.folds], **todo)
    joined = join(folds)
    seed = problem.task.random_state
    table = with_intervals(joined, interval, seed)
    for name, key in (("difference", "hits"), ("similarity_difference", "similarity")):
        values = (joined[key] - joined[key][:1]).T
        table[name] = values.mean(axis=0)
        table[f"{name}_low"], table[f"{name}_high"] = bootstrap_columns(
            values, groups_of(joined, interval), 0.95, N_RESAMPLES, seed
        )
    table["chance"] = chance(folds, problem.k)
    return table


def _joined(parts: list[Arrays]) -> Arrays:
    people = ("subject", "stimulus", "concept")
    scores = [{name: values for name, values in part.items() if name not in people} for part in parts]
    return {**stack(scores), **{name: parts[0][name] for name in people}}


def _refitted_channels(problem: Problem, train: np.ndarray, test: np.ndarray, kept: list[int]) -> Arrays:
    task = replace(problem.task, X=problem.task.X.pick(kept))
    queries = queries_of(task, test)
    seen = look(fit(problem, task, train), task, queries, problem.k)
    return {**only_true(seen), **who(queries)}


def _hidden_channels(
    problem: Problem, train: np.ndarray, test: np.ndarray, variants: list[list[int]]
) -> Arrays:
    task = problem.task
    decoder, queries = fit(problem, task, train), queries_of(task, test)
    mean = mean_epoch(task.X, train)
    found = []
    for kept in variants:
        hidden = np.ones(mean.shape, dtype=bool)
        hidden[kept] = False
        found.append(
            only_true(look(decoder, task, replace(queries, X=hide(queries.X, hidden, mean)), problem.k))
        )
    return {**stack(found), **who(queries)}


def _permuted_channels(
    problem: Problem, train: np.ndarray, test: np.ndarray, variants: list[list[int]], n_repeats: int
) -> Arrays:
    task = problem.task
    decoder, queries = fit(problem, task, train), queries_of(task, test)
    rng = np.random.default_rng([task.random_state, 2])
    people = queries.who["subject"]
    orders = [_within(people, rng) for _ in range(n_repeats)]
    found = []
    for kept in variants:
        left = np.setdiff1d(np.arange(task.X.shape[1]), kept)
        seen = [
            only_true(look(decoder, task, replace(queries, X=permute(queries.X, left, order)), problem.k))
            for order in (orders if len(left) else [np.arange(len(people))])
        ]
        found.append({name: np.mean(values, axis=0) for name, values in stack(seen).items()})
    target = np.zeros((len(found), len(people)), dtype=int)  # that of `only_true`
    return {**stack(found), "target": target, **who(queries)}


def _within(people: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A random order of the queries in which each person's stay that person's."""
    order = np.arange(len(people))
    for person in np.unique(people):
        rows = np.flatnonzero(people == person)
        order[rows] = rng.permutation(rows)
    return order
