"""Leave-one-subject-out decoding of five superordinate categories from real evoked responses.

Data: THINGS-EEG1 category ERPs of 46 people (OpenNeuro ds003825), as ``erps.npz`` with ``X`` (46 subjects, 5
categories, 62 channels, 276 times), ``times``, ``cats``, ``ch_names`` and ``subjects``. One average per person and
category: 230 epochs, chance 20 %. Every estimator sees the same folds; no setting was chosen on them.

Run: ``python examples/benchmarks/category_erps.py path/to/erps.npz``
"""

import argparse
import time

import numpy as np
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import Ridge
from sklearn.model_selection import LeaveOneGroupOut, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from skeegclip import EEGEncoder, EpochsView, ZeroShotClassifier
from skeegclip.metrics import bootstrap_interval


def load(path):
    """Epochs after onset as a view that knows its subjects, and the category of each."""
    file = np.load(path)
    n_subjects, n_categories, n_chans, _ = file["X"].shape
    after = file["times"] >= 0
    X = file["X"][..., after].reshape(n_subjects * n_categories, n_chans, -1)
    subject = np.repeat(file["subjects"], n_categories)
    return EpochsView.from_arrays(X, subject=subject), np.tile(file["cats"], n_subjects)


def in_bins(view, n_bins=25):
    """Means over 40 ms, flat: what a linear classifier of 225 epochs can take."""
    X = np.asarray(view)
    X = X[:, :, : X.shape[2] // n_bins * n_bins]
    return X.reshape(len(X), X.shape[1], n_bins, -1).mean(axis=3).reshape(len(X), -1)


def estimators(n_passes):
    """The ones compared, by name."""
    network = {"max_epochs": n_passes, "lr": 1e-3, "batch_size": 256, "random_state": 0, "device": "cpu"}
    return {
        "LDA, shrinkage, 40 ms bins": make_pipeline(
            FunctionTransformer(in_bins), LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")
        ),
        "ZeroShotClassifier(Ridge(1e4))": ZeroShotClassifier(Ridge(1e4)),
        "ZeroShotClassifier(nice)": ZeroShotClassifier(EEGEncoder("nice", **network)),
        "ZeroShotClassifier(atm-s)": ZeroShotClassifier(EEGEncoder("atm-s", **network)),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("path", help="erps.npz")
    parser.add_argument("--passes", type=int, default=20, help="training passes of the networks")
    parser.add_argument("--jobs", type=int, default=2)
    args = parser.parse_args()
    view, y = load(args.path)
    print(f"{len(np.unique(view.subject))} people, {len(view)} epochs, chance {1 / len(np.unique(y)):.0%}")
    for name, estimator in estimators(args.passes).items():
        start = time.perf_counter()
        predicted = cross_val_predict(
            estimator, view, y, cv=LeaveOneGroupOut(), groups=view.subject, n_jobs=args.jobs
        )
        hits = (predicted == y).astype(float)
        low, high = bootstrap_interval(hits, groups=view.subject, random_state=0)
        seconds = time.perf_counter() - start
        print(
            f"{name:32s} {hits.mean():6.1%}  95 % interval over people {low:.1%} to {high:.1%}  ({seconds:.0f} s)",
            flush=True,
        )


if __name__ == "__main__":
    main()
