"""Every encoder on the same folds: within one person, a new person, and real evoked responses of a new person.

Simulated recordings (``make_things_like``): retrieval of a test picture among all test pictures, from the mean of its
repetitions; test concepts are never in training. Real recordings, where given: THINGS-EEG1 category ERPs of 46 people
(OpenNeuro ds003825, ``erps.npz``), five superordinate categories, people held out. All networks get the same passes,
learning rate and batch; nothing was tuned for any of them on these folds, which favours none and flatters none.

Run: ``python examples/benchmarks/compare_encoders.py [--erps path/to/erps.npz] [--out folder] [--quick]``

With ``--out`` the two tables are written there as csv, and every fit as it ends: the same command goes on from there.
"""

import argparse
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # a fit has one core; two run side by side

import json
import time
import warnings
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
from sklearn.linear_model import Ridge
from sklearn.model_selection import GroupKFold, LeaveOneGroupOut
from tqdm.auto import tqdm

from skeegclip import EEGEncoder, EpochsView, ImageRetriever, ZeroShotClassifier
from skeegclip.datasets import make_things_like
from skeegclip.metrics import bootstrap_interval
from skeegclip.nets import list_nets

RIDGE = "ridge (baseline)"


def encoder(name, passes, targets=None):
    """One encoder, with the settings that all share; the baseline's penalty is fixed."""
    if name == RIDGE:
        return Ridge(1e5 if targets is not None else 1e4)
    return EEGEncoder(
        name,
        targets=targets,
        lr=1e-3,
        batch_size=128,
        max_epochs=passes,
        validation=0.0,
        random_state=0,
        device="cpu",
    )


def costs(fitted):
    """Number of parameters, and seconds a pass over the training data took."""
    if not hasattr(fitted, "net_"):
        return np.nan, np.nan
    n_parameters = sum(p.numel() for p in fitted.net_.module_.parameters())
    return n_parameters, float(np.median([row["dur"] for row in fitted.history_]))


def simulated(n_subjects, n_concepts, n_tested):
    """A view of several people's epochs, and the table of targets."""
    data = make_things_like(
        n_subjects=n_subjects,
        n_train_concepts=n_concepts,
        n_images_per_concept=2,
        n_test_concepts=n_tested,
        sfreq=125,
        duration=0.8,
        snr=3,
        random_state=11,
    )
    rows = pd.DataFrame({"split": data.split, "subject": data.subject, "stimulus": data.y})
    return EpochsView.from_arrays(data.X, info=data.info, rows=rows), data.image_embeddings


def retrieve(name, protocol, person, view, table, passes):
    """Hits of one person's test pictures, one value a picture."""
    known = view.subject == person if protocol == "within" else view.subject != person
    split = view.rows["split"].to_numpy()
    train = view[known & (split == "train")]
    test = view[(view.subject == person) & (split == "test")]
    stimuli = np.unique(test.stimulus)
    X = np.stack([np.asarray(test.select(stimulus=one)).mean(axis=0) for one in stimuli])
    test = EpochsView.from_arrays(X, subject=person, info=view.info)
    decoder = ImageRetriever(encoder(name, passes, table), targets=table, gallery=table.subset(stimuli))
    decoder.fit(train, train.stimulus)
    return {
        "net": name,
        "protocol": protocol,
        "person": person,
        "hits": (decoder.predict(test) == stimuli).astype(float),
        "group": stimuli,
        "costs": costs(decoder.encoder_),
    }


def load_erps(path):
    """Evoked responses after onset, every second sample of a moving mean of two, and their categories."""
    file = np.load(path)
    n_subjects, n_categories, n_chans, _ = file["X"].shape
    X = file["X"][..., file["times"] >= 0].reshape(n_subjects * n_categories, n_chans, -1)
    X = X[..., : X.shape[-1] // 2 * 2].reshape(*X.shape[:2], -1, 2).mean(axis=3)
    return X, np.repeat(file["subjects"], n_categories), np.tile(file["cats"], n_subjects)


def name_category(name, protocol, fold, train, test, X, subject, y, passes):
    """Hits of the people held out, one value an evoked response."""
    view = EpochsView.from_arrays(X, subject=subject)
    decoder = ZeroShotClassifier(encoder(name, passes)).fit(view[train], y[train])
    return {
        "net": name,
        "protocol": protocol,
        "person": int(fold),
        "hits": (decoder.predict(view[test]) == y[test]).astype(float),
        "group": subject[test],
        "costs": costs(decoder.encoder_),
    }


def cells(args):
    """All fits to be made."""
    names = [*(args.nets or list_nets()["name"]), RIDGE]
    view, table = simulated(args.subjects, args.concepts, args.tested)
    people = np.unique(view.subject)
    for name in names:
        for protocol in ("within", "loso"):
            for person in people:
                yield joblib.delayed(kept)(
                    args.out, retrieve, name, protocol, person, view, table, args.passes
                )
    if args.erps:
        X, subject, y = load_erps(args.erps)
        cv = GroupKFold(args.folds) if args.folds else LeaveOneGroupOut()
        for name in names:
            for fold, (train, test) in enumerate(cv.split(X, y, subject)):
                yield joblib.delayed(kept)(
                    args.out, name_category, name, "real", fold, train, test, X, subject, y, args.erp_passes
                )


def kept(folder, function, name, *args):
    """The result of a fit, read where it was written already; `args` are those that tell fits apart, then the data."""
    if folder is None:
        return function(name, *args)
    path = Path(folder) / "fits" / f"{function.__name__}_{name.split()[0]}_{args[0]}_{args[1]}.json"
    if not path.exists():
        result = function(name, *args)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        part.write_text(json.dumps(result, default=lambda array: array.tolist()), encoding="utf-8")
        part.replace(path)
    return json.loads(path.read_text(encoding="utf-8"))


def interval(hits, group):
    """Mean and 95 % interval over pictures (real: over people), in per cent."""
    low, high = bootstrap_interval(hits, groups=group, random_state=0)
    return f"{100 * hits.mean():.1f} [{100 * low:.1f}, {100 * high:.1f}]"


def tables_of(results):
    """Accuracy, size and seconds a pass of each network; and how far each is from the best of its column."""
    hits, group, costs_of = {}, {}, {}
    for result in results:
        key = result["protocol"], result["net"]
        hits.setdefault(key, []).extend(result["hits"])
        group.setdefault(key, []).extend(result["group"])
        if result["protocol"] == "loso":
            costs_of.setdefault(result["net"], []).append(result["costs"])
    accuracy = pd.DataFrame(index=pd.Index(list(costs_of), name="net"))
    difference = accuracy.copy()
    for protocol in dict.fromkeys(protocol for protocol, _ in hits):
        mean = {name: np.mean(hits[protocol, name]) for name in accuracy.index}
        best = max(mean, key=mean.get)
        for name in accuracy.index:
            one, groups = np.asarray(hits[protocol, name]), group[protocol, name]
            accuracy.loc[name, protocol] = interval(one, groups)
            to_best = "the best" if name == best else interval(one - hits[protocol, best], groups)
            difference.loc[name, protocol] = to_best
    for name, costs_of_fits in costs_of.items():
        n_parameters, seconds = np.median(np.asarray(costs_of_fits, dtype=float), axis=0)
        accuracy.loc[name, "parameters"] = "" if np.isnan(seconds) else f"{int(n_parameters):,}"
        accuracy.loc[name, "s/pass"] = "" if np.isnan(seconds) else f"{seconds:.2f}"
    return accuracy, difference


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--erps", help="erps.npz; without it only simulated data are decoded")
    parser.add_argument("--nets", nargs="+", help="names; default all of list_nets()")
    parser.add_argument("--passes", type=int, default=20)
    parser.add_argument("--erp-passes", type=int, default=60, help="of two batches each")
    parser.add_argument("--subjects", type=int, default=3)
    parser.add_argument(
        "--concepts", type=int, default=250, help="training concepts, two pictures each, shown twice"
    )
    parser.add_argument(
        "--tested", type=int, default=100, help="test concepts, one picture each, shown 8 times"
    )
    parser.add_argument(
        "--folds", type=int, default=0, help="folds over people for the ERPs; 0 leaves out one person"
    )
    parser.add_argument(
        "--out", help="folder for the tables and the fits; those found there are not made again"
    )
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument(
        "--quick", action="store_true", help="a minute: see that it runs, not what it measures"
    )
    args = parser.parse_args()
    if args.quick:
        args.passes, args.subjects, args.concepts, args.tested, args.folds = 2, 2, 20, 10, 2
        args.erp_passes = 2
    warnings.filterwarnings("ignore", message="Epochs of n_times")
    start = time.perf_counter()
    work = list(cells(args))
    parallel = joblib.Parallel(n_jobs=args.jobs, return_as="generator")
    results = list(tqdm(parallel(work), total=len(work), desc="fits"))
    accuracy, difference = tables_of(results)
    if args.out:
        accuracy.to_csv(Path(args.out) / "accuracy.csv")
        difference.to_csv(Path(args.out) / "difference.csv")
    print(accuracy.fillna("").to_string(), difference.to_string(), sep="\n\nDifference to the best:\n")
    print(
        f"\nTop-1 in per cent, 95 % bootstrap interval over pictures (real: over people). within, loso: simulated,"
        f" {args.subjects} people, {args.tested} pictures, chance {100 / args.tested:g}; real: 5 categories, chance 20."
        f"\n{args.passes} passes ({args.erp_passes} over the ERPs), one thread a fit; {time.perf_counter() - start:.0f} s in all."
    )


if __name__ == "__main__":
    main()
