"""Rerun the ablations of the ATM paper (arXiv:2403.07721, Tables 3 and 4), within subject.

Every variant is trained on each person's single trials and finds, among all test pictures, the one that was seen, from
the mean of its repetitions. All get the same passes, learning rate, batches and seeds; nothing was tuned for any. The
paper's figures stand beside: they are of other data, and are the mean test accuracy of the last ten passes.

On simulated recordings: ``python examples/benchmarks/ablations.py [--quick]``
On a store:              ``... --store FOLDER --targets images.safetensors``
On arrays:               ``... --arrays file.npz --targets images.safetensors``

A store's rows, or the arrays beside ``X`` in the file, are ``stimulus``, ``split`` ("train", "test") and, for several
people, ``subject``; the targets are a saved EmbeddingTable. For THINGS-EEG2 as in the paper: ``--passes 40 --lr 3e-4
--batch 1024 --jobs 1 --device cuda``.
"""

import argparse
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # a fit has one core; several run side by side

import time
import warnings

import joblib
import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from skeegclip import EEGEncoder, EmbeddingTable, EpochsStore, EpochsView
from skeegclip.datasets import make_things_like
from skeegclip.metrics import bootstrap_interval, cosine_similarity, ranks

FULL = "ATM-S"
# Name -> arguments of ATM, and the paper's top-1 / top-5. "Flatten" of Table 4 is "without convolution" here: without
# one, the tokens are put in a row before the projection in any case. Whatever the paper's was, it differed.
TABLE_3 = {
    "MLP alone": ({"attention": False, "conv_position": "none"}, "8.11 / 26.83"),
    "MLP, convolution": ({"attention": False}, "21.65 / 51.34"),
    "MLP, attention": ({"conv_position": "none"}, "23.73 / 52.71"),
    FULL: ({}, "28.64 / 58.47"),
    "MLP, EEGNet": ({"attention": False, "conv": "eegnet"}, "17.95 / 43.10"),
    "ATM-EEGNet": ({"conv": "eegnet"}, "24.92 / 54.78"),  # ATM-E as the paper describes it
}
TABLE_4 = {
    "attention gives: mean token": ({"aggregation": "mean", "conv_position": "none"}, "7.29 / 23.11"),
    "token embedding: conv1d": ({"token_embedding": "conv1d"}, "24.81 / 55.68"),
    "feed-forward: spatial": ({"feed_forward": "spatial"}, "19.92 / 47.59"),
    "feed-forward: none": ({"feed_forward": "none"}, "26.45 / 57.00"),
    "positions: learnable": ({"positional_encoding": "learnable"}, "26.66 / 56.95"),
    "positions: none": ({"positional_encoding": "none"}, "28.64 / 58.47"),
    "convolution: before attention": ({"conv_position": "before"}, "14.23 / 37.44"),
    "convolution: before and after": ({"conv_position": "both"}, "25.37 / 57.07"),
}
VARIANTS = {**TABLE_3, **TABLE_4}


def simulated(n_subjects, quick):
    """A view of simulated recordings, and the table of targets."""
    size = {"n_subjects": 1, "n_train_concepts": 20, "n_test_concepts": 10}
    if not quick:
        size = {"n_subjects": n_subjects, "n_train_concepts": 250, "n_test_concepts": 100}
    data = make_things_like(
        **size, n_images_per_concept=2, sfreq=125, duration=0.8, snr=3, n_dims=128, random_state=12
    )
    rows = pd.DataFrame({"split": data.split, "subject": data.subject, "stimulus": data.y})
    return EpochsView.from_arrays(data.X, info=data.info, rows=rows), data.image_embeddings


def from_arrays(path):
    """A view of the arrays in a file."""
    file = np.load(path)
    rows = {name: file[name] for name in ("stimulus", "split", "subject") if name in file}
    return EpochsView.from_arrays(file["X"], rows=pd.DataFrame(rows))


def fit_and_test(name, person, seed, train, test, table, training):
    """Train one variant for one person; per test picture, whether it was first, and among the first five."""
    encoder = EEGEncoder("atm-s", net_params=VARIANTS[name][0], targets=table, random_state=seed, **training)
    encoder.fit(train, train.stimulus)
    seconds = float(np.median([row["dur"] for row in encoder.history_]))
    z = encoder.transform(test)
    rank = ranks(cosine_similarity(z, table.lookup(test.stimulus)), np.arange(len(test)))
    n_parameters = sum(p.numel() for p in encoder.net_.module_.parameters())
    frame = pd.DataFrame({"stimulus": test.stimulus, "top1": rank == 1, "top5": rank <= 5})
    return frame.assign(variant=name, person=person, seed=seed, n_parameters=n_parameters, seconds=seconds)


def run(view, table, *, names=None, seeds=1, jobs=2, **training):
    """Fit every variant for every person and seed.

    Parameters
    ----------
    view : EpochsView
        Epochs with the rows stimulus, split and, for several people, subject.
    table : EmbeddingTable
        Targets by stimulus.
    names : list of str, optional
        Variants; all of both tables if not given.
    seeds : int
        Fits of each variant and person.
    jobs : int
        Fits side by side.
    **training
        Arguments of EEGEncoder.

    Returns
    -------
    DataFrame
        One row for each variant, person, seed and test picture.
    """
    people = [None] if view.subject is None else np.unique(view.subject)
    work = []
    for person in people:
        own = view if person is None else view.select(subject=person)
        train, test = own.select(split="train"), own.select(split="test").average().load()
        for name in names or VARIANTS:
            for seed in range(seeds):
                work.append(
                    joblib.delayed(fit_and_test)(name, person or "", seed, train, test, table, training)
                )
    parallel = joblib.Parallel(n_jobs=jobs, return_as="generator")
    return pd.concat(tqdm(parallel(work), total=len(work), desc="fits"), ignore_index=True)


def summary(results):
    """One line a variant: accuracies with 95 % intervals over test pictures, and how it differs from the full ATM-S."""
    keys = ["person", "seed", "stimulus"]
    full = results[results["variant"] == FULL].set_index(keys)
    lines = []
    for name, part in results.groupby("variant", sort=False):
        line = {"variant": name, "parameters": f"{part['n_parameters'].iloc[0]:,}"}
        for top in ("top1", "top5"):
            line[top] = _with_interval(part[top].astype(float), part["stimulus"])
        if len(full) and name != FULL:
            # On the same pictures: what makes a picture hard is taken out of the comparison.
            gain = part.set_index(keys)["top1"].astype(float) - full["top1"].astype(float)
            line["top1 - ATM-S"] = _with_interval(gain, gain.index.get_level_values("stimulus"), sign="+")
        line["s/pass"] = f"{part['seconds'].median():.2f}"
        line["paper"] = VARIANTS[name][1]
        lines.append(line)
    return pd.DataFrame(lines).fillna("")


def _with_interval(values, stimulus, sign=""):
    low, high = bootstrap_interval(values.to_numpy(), groups=np.asarray(stimulus), random_state=0)
    return f"{100 * values.mean():{sign}.1f} [{100 * low:{sign}.1f}, {100 * high:{sign}.1f}]"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--store", help="folder of an EpochsStore")
    source.add_argument("--arrays", help="npz file with X, stimulus, split and, for several people, subject")
    parser.add_argument("--targets", help="EmbeddingTable of the pictures; needed with --store and --arrays")
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, metavar="NAME", help="default: all")
    parser.add_argument("--subjects", type=int, default=3, help="simulated people")
    parser.add_argument("--passes", type=int, default=20)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--seeds", type=int, default=1, help="fits of each variant and person")
    parser.add_argument("--jobs", type=int, default=2, help="fits side by side")
    parser.add_argument("--device", default="cpu")
    parser.add_argument(
        "--quick", action="store_true", help="a minute: see that it runs, not what it measures"
    )
    args = parser.parse_args()
    if (args.store or args.arrays) and not args.targets:
        parser.error("--store and --arrays need --targets, a saved EmbeddingTable of the pictures")
    if args.store:
        view = EpochsStore.open(args.store).view()
    elif args.arrays:
        view = from_arrays(args.arrays)
    else:
        view, table = simulated(args.subjects, args.quick)
    if args.targets:
        table = EmbeddingTable.load(args.targets)
    warnings.filterwarnings("ignore", message="Epochs of n_times|Tokens of width")
    start = time.perf_counter()
    results = run(
        view,
        table,
        names=args.variants,
        seeds=args.seeds,
        jobs=args.jobs,
        max_epochs=2 if args.quick else args.passes,
        lr=args.lr,
        batch_size=args.batch,
        validation=0.0,
        device=args.device,
    )
    print(summary(results).to_string(index=False))
    n_pictures, n_people = results["stimulus"].nunique(), results["person"].nunique()
    print(
        f"\nPer cent found among {n_pictures} pictures (chance {100 / n_pictures:.1f} and {100 * min(1, 5 / n_pictures):.1f}), with"
        f" 95 % bootstrap intervals over pictures; {n_people} people, {args.seeds} fits each;"
        f" {time.perf_counter() - start:.0f} s in all."
    )


if __name__ == "__main__":
    main()
