"""Leaks planted on purpose, and honest splits: what `evaluate` says of each.

The table in the user guide (evaluation) was made by it. Simulated people; nothing is downloaded.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import Ridge
from sklearn.model_selection import GroupKFold, KFold, LeaveOneGroupOut
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from skeegclip import (
    EEGEncoder,
    EmbeddingTable,
    ImageRetriever,
    SubjectWhitening,
    ZeroShotClassifier,
    evaluate,
)
from skeegclip.datasets import make_things_like
from skeegclip.model_selection import LeaveOneSubjectOut, WithinSubject


@dataclass(frozen=True)
class Data:
    """Arguments of `evaluate`."""

    X: np.ndarray
    y: np.ndarray
    subject: np.ndarray | None
    concept: np.ndarray | None
    targets: EmbeddingTable | None
    cv: Any
    estimator: Any = field(default_factory=lambda: Ridge(1e3))
    more: dict = field(default_factory=dict)

    def flags(self) -> Any:
        """Flags of the evaluation."""
        known = {"subject": self.subject, "concept": self.concept, "targets": self.targets}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return evaluate(self.estimator, self.X, self.y, cv=self.cv, **known, **self.more).flags


def simulate() -> tuple[Data, np.ndarray, np.ndarray]:
    """Three people; the data, and the training and test rows."""
    data = make_things_like(
        n_subjects=3,
        n_train_concepts=40,
        n_images_per_concept=2,
        n_test_concepts=20,
        n_train_repetitions=2,
        n_test_repetitions=4,
        n_dims=32,
        random_state=0,
    )
    train, test = (np.flatnonzero(data.split == name) for name in ("train", "test"))
    one = Data(data.X, data.y, data.subject, data.concept, data.image_embeddings, [(train, test)])
    return one, train, test


def planted(data: Data, train: np.ndarray, test: np.ndarray) -> Iterator[tuple[str, str, Data]]:
    """Name, level that is right, and the data of each leak."""
    rng = np.random.default_rng(0)
    X, y, s, table = data.X, data.y, data.subject, data.targets
    assert s is not None
    assert table is not None
    ids = np.unique(y[test])
    place = train[: len(test)]

    def copied(change: Callable[[np.ndarray], np.ndarray]) -> Data:
        """Test epochs in place of training epochs, under these' names."""
        made = X.astype(np.float64)
        made[place] = change(X[test].astype(np.float64))
        return replace(data, X=made)

    def renamed(name: Callable[[str], str], noise: float = 0.0, vectors: Any = None) -> Data:
        """Noise of its own (no copies) in training, under other names of the test stimuli."""
        others = [name(i) for i in ids]
        here = table.lookup(ids) if vectors is None else vectors
        both = EmbeddingTable(
            [*table.ids, *others], np.r_[table.vectors, here + noise * rng.normal(size=here.shape)]
        )
        shown = y.copy().astype(object)
        shown[place] = [name(i) for i in y[test]]
        made = X.copy()
        made[place] = made[test] + 30 * rng.normal(size=made[test].shape)
        return replace(data, X=made, y=shown.astype(str), targets=both, concept=None)

    yield "same rows on both sides", "leak", replace(data, cv=[(np.r_[train, test[:9]], test)])
    yield "repetitions on both sides", "leak", replace(data, cv=KFold(3, shuffle=True, random_state=0))
    stimuli = [(np.flatnonzero(s != p), np.flatnonzero((s == p) & np.isin(y, ids))) for p in np.unique(s)]
    yield "pictures on both sides, other people", "leak", replace(data, cv=stimuli)
    yield "copies of test epochs, other names", "leak", copied(lambda a: a)
    yield "copies in another unit, with an offset", "leak", copied(lambda a: 1e-6 * a + 0.01)
    yield "copies of the other polarity, half precision", "leak", copied(lambda a: (-a).astype(np.float16))
    yield "copies with 5 % noise", "leak", copied(lambda a: a + 0.05 * a.std() * rng.normal(size=a.shape))
    yield "copies with 30 % noise", "warning", copied(lambda a: a + 0.3 * a.std() * rng.normal(size=a.shape))
    yield "copies shifted by 7 samples", "leak", copied(lambda a: np.roll(a, 7, axis=2))
    yield "half-overlapping windows", "leak", copied(lambda a: np.roll(a, 50, axis=2))
    means = np.array([X[(y == i) & (s == p)].mean(axis=0) for p in np.unique(s) for i in ids])
    made = X.copy()
    made[train[: len(means)]] = means
    yield "averages of test epochs in training", "leak", replace(data, X=made)
    yield "test vectors under other names", "leak", renamed(lambda i: "p_" + i[::-1])
    yield "near-duplicate pictures (cosine > .999)", "leak", renamed(lambda i: "p_" + i[::-1], 0.002)
    far = rng.normal(size=(len(ids), table.n_dims))
    yield "names that differ in case", "leak", renamed(str.upper, vectors=far)
    yield "names that differ in the extension", "leak", renamed(lambda i: i + ".jpg", vectors=far)
    yield "names with a folder before them", "leak", renamed(lambda i: "images/" + i, vectors=far)
    yield (
        "names with a space, other Unicode",
        "leak",
        renamed(lambda i: f" {i}".replace("o", "\uff4f"), vectors=far),
    )
    yield (
        "names with other zeros (_1, _01)",
        "warning",
        renamed(lambda i: i.replace("_01", "_1"), vectors=far),
    )
    kind = [(train[np.char.endswith(y[train], "_01")], train[~np.char.endswith(y[train], "_01")])]
    yield "other pictures of the same concepts", "warning", replace(data, cv=kind)
    third = s == "sub-03"
    other = np.where(third & np.isin(y, y[train]), "sub-03b", s)
    yield (
        "a person under another name",
        "warning",
        replace(data, subject=other, cv=[(train, test[s[test] == "sub-03"])]),
    )
    twice = replace(data, X=np.r_[X, X[third]], y=np.r_[y, y[third]], subject=np.r_[s, ["new"] * third.sum()])
    two = LeaveOneSubjectOut(test_stimuli=ids)
    yield "a recording under two names", "warning", replace(twice, concept=None, cv=two)
    yield "whitening by person", "warning", replace(data, estimator=SubjectWhitening(Ridge(1e3)))
    centred = make_pipeline(FunctionTransformer(_centre), ImageRetriever(Ridge(1e3), targets=table))
    yield "a step that centres what it is given", "warning", replace(data, estimator=centred)
    fitted = ImageRetriever(Ridge(1e3), targets=table).fit(X, y)
    yield "frozen, fitted on everything", "leak", replace(data, estimator=FrozenEstimator(fitted))
    net = _net(table).fit(X[test], y[test], s[test])
    yield (
        "frozen network inside a retriever",
        "leak",
        replace(data, estimator=ImageRetriever(FrozenEstimator(net))),
    )
    own = _net(table).fit(X[train], y[train], np.where(s[train] == "sub-03", "sub-01", s[train]))
    own.calibrate(X[test][s[test] == "sub-03"], y[test][s[test] == "sub-03"], "sub-03", max_epochs=1)
    yield "calibrated with test pictures", "leak", replace(data, estimator=FrozenEstimator(own))
    yield (
        "the best pass on the test set",
        "warning",
        replace(data, estimator=_net(table), more={"oracle": True}),
    )


def _net(table: EmbeddingTable | None) -> EEGEncoder:
    once = {"max_epochs": 1, "validation": 0, "device": "cpu", "random_state": 0}
    return EEGEncoder("eegproject", targets=table, subject_layer="linear", **once)


def _centre(X: Any) -> np.ndarray:
    X = np.asarray(X)
    return X - X.mean(axis=0)


def honest(data: Data, train: np.ndarray, test: np.ndarray) -> Iterator[tuple[str, Data]]:
    """Splits in which nothing is wrong."""
    rng = np.random.default_rng(1)
    X, y, s, table = data.X, data.y, data.subject, data.targets
    assert s is not None
    ids = np.unique(y[test])
    yield "within each person", replace(data, cv=WithinSubject(test_stimuli=ids))
    yield "leaving people out", replace(data, cv=LeaveOneSubjectOut(test_stimuli=ids))
    yield "whole concepts held out", replace(data, cv=GroupKFold(4), more={"groups": data.concept})
    flat = X.copy()
    flat[rng.permutation(len(X))[:90]] = 0
    yield "flat epochs on both sides", replace(data, X=flat)
    drift = X + 300 * rng.normal(size=(len(X), X.shape[1], 1)) * np.linspace(-1, 1, X.shape[2])
    yield "large slow drifts", replace(data, X=drift)
    pop = X.copy()
    pop[::20, 5] += 5e3 * np.linspace(-1, 1, X.shape[2])
    yield "the same artefact of one channel in many epochs", replace(data, X=pop)
    yield "a large common answer in all epochs", replace(data, X=X + 60 * X[:200].mean(axis=0))
    means = [np.flatnonzero((y == i) & (s == p)) for p in np.unique(s) for i in np.unique(y)]
    kept = np.array([rows[0] for rows in means])
    mean = np.array([X[rows].mean(axis=0) for rows in means])
    part = [(np.flatnonzero(~np.isin(y[kept], ids)), np.flatnonzero(np.isin(y[kept], ids)))]
    yield "averaged epochs", Data(mean, y[kept], s[kept], None, table, part)
    yield "every other sample", replace(data, X=X[:, :, ::2])
    yield "four channels", replace(data, X=X[:, :4])
    same = EmbeddingTable(table.ids, table.vectors + 50) if table is not None else None
    yield "vectors with a large common part", replace(data, targets=same)
    numbers = np.unique(y, return_inverse=True)[1]
    yield (
        "pictures that are numbered",
        replace(
            data,
            y=np.array([f"{i:04d}" for i in numbers]),
            targets=None
            if table is None
            else EmbeddingTable([f"{i:04d}" for i in range(len(np.unique(y)))], table.lookup(np.unique(y))),
        ),
    )
    labels = np.array(["face", "house", "tool"])[numbers % 3]
    yield (
        "labels of classes, new people",
        Data(
            X,
            labels,
            s,
            None,
            None,
            LeaveOneGroupOut(),
            ZeroShotClassifier(Ridge(1e3)),
            {"average_test": False},
        ),
    )
    few = EmbeddingTable(["face", "house", "tool"], np.eye(3, 12))
    yield "few stimuli that everybody sees, new people", Data(X, labels, s, None, few, LeaveOneGroupOut())
    yield "a network", replace(data, estimator=_net(table))
    fitted = FrozenEstimator(ImageRetriever(Ridge(1e3), targets=table).fit(X[train], y[train]))
    yield "frozen, fitted on the training rows", replace(data, estimator=fitted)


def worst(flags: Any) -> tuple[str, str]:
    """The worst level, and what it is about."""
    for level in ("leak", "warning", "note"):
        about = flags.loc[flags["level"] == level, "about"].tolist()
        if about:
            return level, ", ".join(dict.fromkeys(about))
    return "", ""


def main() -> None:
    """Print both tables."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    data, train, test = simulate()
    start, right = time.perf_counter(), 0
    print(f"{'leak':48} {'should be':9} {'is':8} about")
    rows = list(planted(data, train, test))
    for name, level, case in rows:
        found, about = worst(case.flags())
        right += found == level
        print(f"{name:48} {level:9} {found:8} {about}", flush=True)
    print(f"\n{right} of {len(rows)} at the right level\n\n{'honest split':48} {'worst':8} about")
    alarms = {"leak": 0, "warning": 0}
    rows_of = list(honest(data, train, test))
    for name, case in rows_of:
        found, about = worst(case.flags())
        if found in alarms:
            alarms[found] += 1
        print(f"{name:48} {found:8} {about}", flush=True)
    print(
        f"\n{alarms['leak']} of {len(rows_of)} called leaks, {alarms['warning']} warned of; {time.perf_counter() - start:.0f} s"
    )


if __name__ == "__main__":
    main()
