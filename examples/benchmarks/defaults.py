"""EEGEncoder at its defaults against linear classifiers, from 100 to 10,000 rows and from 4 to 300 channels.

Planted classes: four patterns in noise that is correlated over time and channels. Retrieval: ``make_things_like``,
one person, averaged test pictures among 100 whose concepts were never trained on. Real, where given: evoked responses
of 46 people to five categories (THINGS-EEG1, ``erps.npz``), folds over people; faces and houses, one person with four
channels (eeg-notebooks, ``n170_subject1.npz``), folds over stretches of time. The linear ones get means over 25 time
bins (10 for 300 channels), logistic regression and ridge regression with a penalty chosen by cross-validation within
the training rows. The defaults were chosen on seeds 0 and 1 of the planted classes and on seed 0 of the retrieval;
the table begins at 100.

Run: ``python examples/benchmarks/defaults.py [--data folder] [--seeds 3] [--most-rows 10000] [--out defaults.csv]``

Every fit is written to ``--out`` as it ends: the same command goes on from there.
"""

import argparse
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.ndimage import gaussian_filter1d
from sklearn.base import clone
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegressionCV, RidgeCV
from sklearn.model_selection import GroupKFold, KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from skeegclip import AveragedTraining, EEGEncoder, EmbeddingTable, ImageRetriever, ZeroShotClassifier
from skeegclip.datasets import make_things_like

FIRST_SEED, PENALTIES = 100, np.logspace(0, 8, 9)
# Rows, channels, and the size of the patterns: the more rows, the smaller, so that there is something left to learn.
PLANTED = [
    (100, 4, 0.6),
    (100, 63, 0.2),
    (200, 16, 0.25),
    (1_000, 4, 0.4),
    (1_000, 16, 0.12),
    (1_000, 300, 0.03),
    (4_000, 16, 0.08),
    (10_000, 4, 0.3),
    (10_000, 16, 0.06),
]
CONCEPTS = [25, 100, 300, 1_000, 2_500]  # four rows each


def planted(n_rows, n_chans, size, seed, n_times=50, n_tested=1_000):
    """Training and test epochs of four classes."""
    rng = np.random.default_rng(seed)

    def noise(*shape):
        return gaussian_filter1d(rng.normal(size=shape), 2, axis=-1)

    patterns = noise(4, n_chans, n_times)
    mixing = np.eye(n_chans) + rng.normal(size=(n_chans, n_chans)) / np.sqrt(n_chans)
    y = rng.integers(0, 4, n_rows + n_tested)
    X = 20 * (size * patterns[y] + mixing @ noise(len(y), n_chans, n_times))
    y = y.astype(str)
    return X[:n_rows], y[:n_rows], X[n_rows:], y[n_rows:]


def in_bins(X):
    """Means over time bins, flat."""
    X = np.asarray(X)
    n_bins = min(25 if X.shape[1] < 300 else 10, X.shape[2])
    X = X[:, :, : X.shape[2] // n_bins * n_bins]
    return X.reshape(*X.shape[:2], n_bins, -1).mean(axis=3).reshape(len(X), -1)


def classifiers(seed):
    """What is compared where classes are named."""
    bins, scale = FunctionTransformer(in_bins), StandardScaler()
    logistic = LogisticRegressionCV(
        Cs=[1e-5, 1e-4, 1e-3, 1e-2, 1e-1],
        l1_ratios=(0,),
        cv=3,
        max_iter=300,
        scoring="accuracy",
        use_legacy_attributes=False,
    )
    return {
        "default": ZeroShotClassifier(EEGEncoder(random_state=seed)),
        "logistic": make_pipeline(bins, scale, logistic),
        "LDA": make_pipeline(bins, LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")),
        "ridge": ZeroShotClassifier(make_pipeline(bins, RidgeCV(PENALTIES))),
    }


def cells(args):
    """Name, channels, and what yields (name of the estimator, hits) of each set; nothing is fitted yet."""
    for seed in range(FIRST_SEED, FIRST_SEED + args.seeds):
        for n_rows, n_chans, size in PLANTED:
            if n_rows <= args.most_rows:
                yield (
                    "planted classes",
                    n_rows,
                    n_chans,
                    seed,
                    lambda *a: score(*planted(*a)),
                    (n_rows, n_chans, size, seed),
                )
        for n_concepts in CONCEPTS:
            if 4 * n_concepts <= args.most_rows:
                yield "retrieval of 100", 4 * n_concepts, 63, seed, retrieve, (n_concepts, seed)
    if args.data:
        yield "real: categories", 184, 62, FIRST_SEED, erps, (args.data,)
        yield "real: faces", 902, 4, FIRST_SEED, faces, (args.data,)


def score(X, y, X_test, y_test, seed=FIRST_SEED):
    """Accuracy of every classifier."""
    return {name: one.fit(X, y).score(X_test, y_test) for name, one in classifiers(seed).items()}


def retrieve(n_concepts, seed):
    """Top-1 of the averaged test pictures."""
    data = make_things_like(
        n_train_concepts=n_concepts, n_images_per_concept=2, n_test_concepts=100, n_test_repetitions=4,
        sfreq=62.5, duration=0.8, n_dims=64, snr=3, random_state=seed,
    )  # fmt: skip
    train, stimuli, table = (
        data.split == "train",
        np.unique(data.y[data.split == "test"]),
        data.image_embeddings,
    )
    X_test = np.stack([data.X[data.y == stimulus].mean(axis=0) for stimulus in stimuli])
    # Leaving one out, of averages, leaves a picture out; what all targets share says nothing of which it was.
    ridge = AveragedTraining(make_pipeline(FunctionTransformer(in_bins), RidgeCV(PENALTIES)))
    shared = table.lookup(np.unique(data.y[train])).mean(axis=0)
    centred = EmbeddingTable(table.ids, table.vectors - shared)
    encoders = {"default": (EEGEncoder(random_state=seed), table), "ridge": (ridge, centred)}
    return {
        name: ImageRetriever(one, targets=targets, gallery=targets.subset(stimuli))
        .fit(data.X[train], data.y[train])
        .score(X_test, stimuli)
        for name, (one, targets) in encoders.items()
    }


def folds(X, y, cv, groups=None):
    """Mean accuracy over folds."""
    parts = list(cv.split(X, y, groups))
    return {
        name: float(
            np.mean(np.concatenate([clone(one).fit(X[a], y[a]).predict(X[b]) == y[b] for a, b in parts]))
        )
        for name, one in classifiers(FIRST_SEED).items()
    }


def erps(folder):
    """Five categories, people left out (five folds)."""
    file = np.load(Path(folder) / "things_eeg1_category_erps" / "erps.npz")
    X = file["X"][..., file["times"] >= 0]
    people, n_categories, *shape = X.shape
    y = np.tile(file["cats"], people)
    return folds(X.reshape(-1, *shape), y, GroupKFold(5), np.repeat(np.arange(people), n_categories))


def faces(folder):
    """Faces and houses, five stretches of time."""
    file = np.load(Path(folder) / "n170_subject1.npz")
    return folds(file["X"].astype(np.float32), file["y"].astype(str), KFold(5))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="folder of the real sets")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--most-rows", type=int, default=10_000)
    parser.add_argument("--out", default="defaults.csv")
    args = parser.parse_args()
    warnings.filterwarnings("ignore", message="Epochs of n_times")
    keys = ["set", "rows", "channels", "seed"]
    done = pd.read_csv(args.out) if Path(args.out).exists() else pd.DataFrame(columns=keys)
    for name, n_rows, n_chans, seed, measure, given in cells(args):
        key = (name, n_rows, n_chans, seed)
        if key in set(done[keys].itertuples(index=False, name=None)):
            continue
        start = time.process_time()
        row = {**dict(zip(keys, key, strict=True)), **measure(*given), "cpu_s": time.process_time() - start}
        done = (
            pd.DataFrame([row]) if done.empty else pd.concat([done, pd.DataFrame([row])], ignore_index=True)
        )
        done.to_csv(args.out, index=False)
        print({k: round(v, 3) if isinstance(v, float) else v for k, v in row.items()}, flush=True)
    linear = done[["logistic", "LDA", "ridge"]].max(axis=1)
    done["lead"] = done["default"] - linear
    table = done.groupby(keys[:3], sort=False)
    means = table[["default", "logistic", "LDA", "ridge", "lead"]].mean()
    means["least lead"], means["seeds"] = table["lead"].min(), table.size()
    print(means.round(3).to_string())


if __name__ == "__main__":
    main()
