"""P values against chance: by hand, by scipy, and how often they are small where there is nothing."""

import importlib
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import Ridge
from sklearn.metrics import balanced_accuracy_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from skeegclip import EmbeddingTable, evaluate
from skeegclip._evaluation.permutation import Answers, Exchanges, permutation_p
from skeegclip.model_selection import LeaveOneSubjectOut, WithinSubject

_BENCHMARKS = Path(__file__).parents[2] / "examples" / "benchmarks"


@pytest.fixture
def simulation(monkeypatch):
    monkeypatch.syspath_prepend(str(_BENCHMARKS))
    return importlib.import_module("type_one_error")


def answers(names, found, n_people=1):
    names, found = np.asarray(names), np.asarray(found).reshape(len(names), -1)
    return Answers(names, names, found, np.full(found.shape, 1 / (n_people * len(names))))


def pairings(truth, statistic):
    """The p value of scipy, which tries all pairings of what was shown with what was found."""
    result = stats.permutation_test(
        (truth,), statistic, permutation_type="pairings", alternative="greater", n_resamples=10_000
    )
    return result.pvalue


@pytest.mark.parametrize("n_people", [1, 3])
def test_all_orders_are_those_of_scipy(n_people):
    rng = np.random.default_rng(3)
    names = np.array(list("abcde"))
    for _ in range(5):
        found = np.where(rng.random((n_people, 5)) < 0.4, names, rng.choice(names, (n_people, 5)))
        p, smallest = permutation_p([answers(names, row, n_people) for row in found], rng, 1000)
        assert p == pytest.approx(pairings(names, lambda truth, found=found: np.mean(truth == found)))
        assert smallest == 1 / 120


def test_five_best_of_many():
    rng = np.random.default_rng(0)
    names = np.array([f"image_{i}" for i in range(7)])
    top = np.array([rng.permutation(names)[:5] for _ in range(7)])
    top[:5, 0] = names[:5]
    p, _ = permutation_p([answers(names, top)], rng, 5040)
    assert p == pytest.approx(pairings(names, lambda truth: np.mean(truth[:, None] == top)))


def test_drawn_orders_come_near_all_of_them():
    rng = np.random.default_rng(1)
    names = np.array(list("abcdefg"))
    found = np.where(np.arange(7) < 3, names, np.roll(names, 1))
    all_of_them, _ = permutation_p([answers(names, found)], rng, 5040)
    drawn, smallest = permutation_p([answers(names, found)], rng, 4000)
    assert drawn == pytest.approx(all_of_them, abs=4 * np.sqrt(all_of_them / 4000))
    assert smallest == 1 / 4001


def test_pictures_that_some_people_did_not_see_stay_where_they_are():
    # ann has not seen "d", bob not "a": only b, c and e may change places, in both.
    rng = np.random.default_rng(2)
    seen = {"ann": list("abce"), "bob": list("bcde")}
    found = {"ann": list("abca"), "bob": list("bcbe")}
    sets = [answers(seen[name], found[name], 2) for name in seen]
    p, smallest = permutation_p(sets, rng, 100)
    null = []
    for order in permutations("bce"):
        new = dict(zip("bce", order, strict=True)) | {"a": "a", "d": "d"}
        null.append(
            np.mean(
                [
                    np.mean([new[s] == f for s, f in zip(seen[name], found[name], strict=True)])
                    for name in seen
                ]
            )
        )
    assert p == np.mean(np.array(null) >= null[0] - 1e-9)
    assert smallest == 1 / 6


def test_where_nothing_can_be_exchanged_there_is_no_p():
    sets = [
        answers(list("ab"), list("ab")),
        answers(list("bc"), list("bc")),
        answers(list("cd"), list("cd")),
    ]
    assert Exchanges.of([part.unit for part in sets], 100).n == 1
    p, smallest = permutation_p(sets, np.random.default_rng(0), 100)
    assert np.isnan(p)
    assert np.isnan(smallest)


def test_hubs_alone_are_not_significant():
    # Everybody finds the same picture always: right once in n, for every order.
    names = np.array([f"image_{i:02d}" for i in range(40)])
    sets = [answers(names, np.full(40, names[0]), 5)] * 5
    assert permutation_p(sets, np.random.default_rng(0), 200)[0] == 1.0


# -- through evaluate ----------------------------------------------------------------------------------


def seen_by_all(rng, n_test, n_people, signal, n_looks=None):
    """People whose brains respond alike to each picture: to its targets with `signal`, else in another way."""
    ids = np.array([f"i{k:02d}" for k in range(30 + n_test)])
    table = EmbeddingTable(ids, rng.normal(size=(len(ids), 4)))
    response = signal * table.vectors @ rng.normal(size=(4, 12)) + rng.normal(size=(len(ids), 12))
    looks = np.arange(len(ids)) if n_looks is None else np.repeat(np.arange(len(ids)), n_looks)
    X = np.concatenate([response[looks] + 0.3 * rng.normal(size=(len(looks), 12)) for _ in range(n_people)])
    subject = np.repeat([f"s{p:02d}" for p in range(n_people)], len(looks))
    return X.reshape(len(X), 3, 4), np.tile(ids[looks], n_people), subject, table, ids[30:]


def p_of(data, cv=WithinSubject, **keywords):
    X, y, subject, table, test = data
    setting = {"subject": subject, "targets": table, "cv": cv(test_stimuli=test), **keywords}
    return evaluate({"ridge": Ridge(1)}, X, y, **setting).summary(["top-1"]).iloc[0]


@pytest.mark.parametrize("cv", [WithinSubject, LeaveOneSubjectOut])
@pytest.mark.parametrize("n_test", [5, 9])
def test_what_was_planted_is_found(cv, n_test):
    row = p_of(seen_by_all(np.random.default_rng(0), n_test, 3, signal=5), cv)
    assert row["p"] == row["p_smallest"] == (1 / 120 if n_test == 5 else 1 / 2001)


def test_so_few_pictures_cannot_show_anything_and_the_report_says_so():
    X, y, subject, table, test = seen_by_all(np.random.default_rng(0), 3, 4, signal=5)
    report = evaluate(Ridge(1), X, y, subject=subject, targets=table, cv=WithinSubject(test_stimuli=test))
    row = report.summary(["top-1"]).iloc[0]
    assert row["mean"] == 1
    assert row["p"] == row["p_smallest"] == pytest.approx(1 / 6)
    assert "none below 0.167 is possible" in report.to_markdown()


def test_a_picture_shown_more_often_counts_no_more():
    """The accuracy whose p is given is the one that is shown: a mean over pictures, and over people."""
    rng = np.random.default_rng(0)
    data = seen_by_all(rng, 6, 2, signal=0)
    X, y, subject, table, test = data
    often = np.flatnonzero((y == test[0]) & (subject == "s00"))
    more = [np.concatenate([part, np.repeat(part[often], 30, axis=0)]) for part in (X, y, subject)]
    want, got = p_of(data, average_test=False), p_of((*more, table, test), average_test=False)
    assert (got["mean"], got["p"]) == (pytest.approx(want["mean"]), want["p"])


def flat(X):
    return np.asarray(X).reshape(len(X), -1)


def balanced(truth, found):
    return np.mean([np.mean(found[truth == name] == name) for name in np.unique(truth)])


@pytest.mark.parametrize("sizes", [(5, 5), (4, 6)])
def test_classes_that_were_trained_on_are_exchanged_one_by_one(sizes):
    rng = np.random.default_rng(4)
    y = np.concatenate([np.repeat(["face", "house"], 20), np.repeat(["face", "house"], sizes)])
    X = rng.normal(size=(50, 1, 2)) + 1.2 * (y == "face")[:, None, None]
    train, test = np.arange(40), np.arange(40, 50)
    model = make_pipeline(FunctionTransformer(flat), LinearDiscriminantAnalysis())
    report = evaluate({"lda": model}, X, y, cv=[(train, test)], average_test=False)
    row = report.summary(["top-1"], n_permutations=20_000).iloc[0]
    found = model.fit(X[train], y[train]).predict(X[test])
    assert row["mean"] == pytest.approx(balanced_accuracy_score(y[test], found))
    expected = stats.permutation_test(
        (np.arange(10),),
        lambda order: balanced(y[test][np.asarray(order)], found),
        permutation_type="pairings",
        alternative="greater",
        n_resamples=3000,
        vectorized=False,
        random_state=0,
    )
    assert row["p"] == pytest.approx(expected.pvalue, abs=4 * np.sqrt(expected.pvalue / 3000))


# -- type I error --------------------------------------------------------------------------------------


def at_most_nominal(n_small, n_draws, alpha):
    return n_small <= stats.binom.isf(1e-4, n_draws, alpha)


@pytest.mark.slow
@pytest.mark.parametrize("n_classes", [3, 5, 7, 8, 12])
@pytest.mark.parametrize(("n_people", "shared"), [(1, False), (2, True), (8, False), (8, True), (46, True)])
def test_small_p_values_are_as_rare_as_they_say(simulation, n_classes, n_people, shared):
    n_draws, case = 500, (n_classes, n_people, shared)
    chance = np.array([simulation.against_chance(np.random.default_rng(i), *case) for i in range(n_draws)])
    pairs = np.array([simulation.in_pairs(np.random.default_rng(i), *case) for i in range(n_draws)])
    windows = np.array([simulation.any_window(np.random.default_rng(i), *case) for i in range(n_draws // 10)])
    for found in (chance, pairs, windows):
        for alpha in (0.01, 0.05, 0.2):
            assert at_most_nominal(np.sum(found <= alpha), len(found), alpha)
    if n_classes >= 5:
        planted = [simulation.against_chance(np.random.default_rng(i), *case, signal=0.9) for i in range(50)]
        assert np.mean(np.array(planted) <= 0.05) > 0.9


@pytest.mark.slow
@pytest.mark.parametrize(("n_test", "n_people", "cv"), [(5, 8, WithinSubject), (7, 3, LeaveOneSubjectOut)])
def test_small_p_values_are_rare_in_whole_evaluations(n_test, n_people, cv):
    n_draws = 150
    p = [p_of(seen_by_all(np.random.default_rng(i), n_test, n_people, 0), cv)["p"] for i in range(n_draws)]
    for alpha in (0.05, 0.2):
        assert at_most_nominal(np.sum(np.array(p) <= alpha), n_draws, alpha)
