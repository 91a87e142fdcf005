"""What aligning people is worth when each is left out, on real evoked responses and on simulated people.

Real: THINGS-EEG1 category ERPs of 46 people, five epochs each (see ``category_erps.py``); ridge regression with the
strength that ``examples/plot_real_erps.py`` had before there was an aligner, learned from 45 people. Differences to no
alignment are paired, and intervals are over people. With ``--choose`` the shrinkage is chosen anew among the 45 people
of each fold, so that the person tested had no part in it; with ``--lda`` the decoder is linear discriminant analysis
on 40 ms averages (5 s a fold).

Simulated (without a path): people whose channels mix the same sources in their own way, tested on the last 200 of 300
epochs, against the length of the first stretch from which they are aligned without labels.

Run: ``python examples/benchmarks/alignment.py [path/to/erps.npz] [--choose] [--lda]``
"""

import argparse

import numpy as np
from category_erps import in_bins, load
from sklearn.base import clone
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import Ridge
from sklearn.model_selection import GroupKFold, LeaveOneGroupOut, cross_val_predict, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from skeegclip import EpochsView, ZeroShotClassifier
from skeegclip.metrics import bootstrap_interval
from skeegclip.preprocessing import MVNN, EpochScaler, SubjectAligner

NAIVE, OWN = {"unknown": "pooled"}, {"unknown": "transductive"}
STEPS = {
    "as they are": FunctionTransformer(),
    "EpochScaler, everybody's": EpochScaler(),
    "MVNN, of others": MVNN(**NAIVE),
    "SubjectAligner, of others": SubjectAligner(**NAIVE),
    "each epoch": SubjectAligner("epoch"),
    "each epoch, without center": SubjectAligner("epoch", center=False),
    "EpochScaler, own test epochs": EpochScaler(per_subject=True, **OWN),
    "own test epochs": SubjectAligner(**OWN),
    "own test epochs, without center": SubjectAligner(center=False, **OWN),
    "own test epochs, mean reference": SubjectAligner(reference="mean", **OWN),
    "each epoch, then own test epochs": make_pipeline(
        SubjectAligner("epoch"), SubjectAligner(shrinkage=1.0, **OWN)
    ),
}
MAIN = ("as they are", "each epoch", "own test epochs")


SHRINKAGES = [0.01, 0.03, 0.1, 0.3, 1.0]


def leave_each_out(estimator, view, y, jobs):
    """Hits of every epoch by a decoder that has not seen its person."""
    predicted = cross_val_predict(estimator, view, y, cv=LeaveOneGroupOut(), groups=view.subject, n_jobs=jobs)
    return (predicted == y).astype(float)


def choose_each_time(step, view, y, jobs):
    """The same with the shrinkage that is best among the training people, by folds over them."""
    # Nobody's alignment depends on another person, so that it may be done once for all folds.
    aligned = [clone(step).set_params(shrinkage=share).fit_transform(view).load() for share in SHRINKAGES]
    hits, decoder = np.zeros(len(y)), ZeroShotClassifier(Ridge(1e4))
    for train, test in LeaveOneGroupOut().split(view, y, view.subject):
        inner = {"cv": GroupKFold(3), "groups": view.subject[train], "n_jobs": jobs}
        scores = [cross_val_score(decoder, X[train], y[train], **inner).mean() for X in aligned]
        best = aligned[int(np.argmax(scores))]
        hits[test] = decoder.fit(best[train], y[train]).predict(best[test]) == y[test]
    return hits


def compare(view, y, *, choose, lda, jobs):
    """Print a line for each way to align."""
    plain = None
    for name, step in STEPS.items():
        if (choose or lda) and name not in MAIN:
            continue
        if lda:
            flat = FunctionTransformer(in_bins)
            estimator = make_pipeline(step, flat, LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto"))
        else:
            estimator = make_pipeline(step, ZeroShotClassifier(Ridge(1e4)))
        may_choose = choose and isinstance(step, SubjectAligner)
        hits = (
            choose_each_time(step, view, y, jobs) if may_choose else leave_each_out(estimator, view, y, jobs)
        )
        low, high = bootstrap_interval(hits, groups=view.subject, random_state=0)
        line = f"{name:32s} {hits.mean():6.1%} [{low:.1%}, {high:.1%}]"
        if plain is None:
            plain = hits
        else:
            low, high = bootstrap_interval(hits - plain, groups=view.subject, random_state=0)
            line += f"  {100 * (hits - plain).mean():+5.1f} [{100 * low:+.1f}, {100 * high:+.1f}]"
        print(line, flush=True)


def simulated(seed, n_people=12, n_epochs=300, n_chans=16, n_times=30, mixing=0.6):
    """People who see five categories; their channels mix the same sources, each in a way of their own."""
    rng = np.random.default_rng(seed)
    patterns = 0.12 * rng.standard_normal((5, n_chans, n_times))
    to_channels = rng.standard_normal((n_chans, n_chans)) / np.sqrt(n_chans)
    X, y = [], rng.integers(5, size=(n_people, n_epochs))
    for categories in y:
        own = np.eye(n_chans) + mixing * rng.standard_normal((n_chans, n_chans)) / np.sqrt(n_chans)
        common = 0.5 * rng.standard_normal((n_chans, n_times))
        sources = patterns[categories] + common + rng.standard_normal((n_epochs, n_chans, n_times))
        X.append(10 * own @ to_channels @ sources)
    subject = np.repeat([f"sub-{number:02d}" for number in range(n_people)], n_epochs)
    return EpochsView.from_arrays(np.concatenate(X), subject=subject), y.ravel().astype(str)


def stretches(seeds, n_test=200):
    """Print accuracy against the length of the stretch that a new person is aligned by."""
    lengths = [2, 3, 5, 10, 20, 50, 100]
    names = ["as they are", "each epoch", *lengths, "own test epochs"]
    values = {name: [] for name in names}
    for seed in range(seeds):
        view, y = simulated(seed)
        for train, test in LeaveOneGroupOut().split(view, y, view.subject):
            first, last = test[:-n_test], test[-n_test:]
            for name in names:
                step = STEPS[name] if isinstance(name, str) else SubjectAligner()
                decoder = make_pipeline(step, ZeroShotClassifier(Ridge(1e4))).fit(view[train], y[train])
                if not isinstance(name, str):
                    decoder[0].calibrate(view[first[:name]])
                values[name].append(np.mean(decoder.predict(view[last]) == y[last]))
    for name, found in values.items():
        low, high = bootstrap_interval(found, random_state=0)
        text = name if isinstance(name, str) else f"first {name} epochs"
        print(f"{text:32s} {np.mean(found):6.1%} [{low:.1%}, {high:.1%}]", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("path", nargs="?", help="erps.npz")
    parser.add_argument(
        "--choose", action="store_true", help="choose the shrinkage among the training people"
    )
    parser.add_argument(
        "--lda", action="store_true", help="decode by discriminant analysis of 40 ms averages"
    )
    parser.add_argument("--seeds", type=int, default=3, help="simulated studies of twelve people")
    parser.add_argument("--jobs", type=int, default=1)
    args = parser.parse_args()
    if args.path is None:
        stretches(args.seeds)
        return
    view, y = load(args.path)
    print(f"{len(np.unique(view.subject))} people, {len(view)} epochs, chance {1 / len(np.unique(y)):.0%}")
    compare(view, y, choose=args.choose, lda=args.lda, jobs=args.jobs)


if __name__ == "__main__":
    main()
