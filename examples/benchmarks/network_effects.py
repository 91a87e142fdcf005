"""Effects of how networks are trained, on simulated people: means of repetitions, 17 or 63 channels, the targets' mean.

- ``averaging``: within one person, four repetitions of each training picture, alone or as their mean, with the same number
  of steps (arXiv 2601.21948 trains EEGProject on means).
- ``channels``: a new person, 63 channels or 17 posterior ones, after training on ``--people`` less one (recent work takes 17
  within a person and 63 for a new one). Epochs have 25 samples, too few for NICE.
- ``mean``: what all targets share in the predictions of ridge regression, or left out of them; the gallery keeps it, as
  in the start of the default network.

Test pictures are of other concepts, means of eight repetitions; a linear decoder in closed form beside the networks. Settings
were fixed before any of these figures was seen, and are the same for all.

Run: ``python examples/benchmarks/network_effects.py averaging --seeds 4``
"""

import argparse
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import time
import warnings

import numpy as np
from simulator_fit import POSTERIOR, ridge

from skeegclip import EEGEncoder
from skeegclip.datasets import make_things_like
from skeegclip.metrics import bootstrap_interval
from skeegclip.preprocessing import average_repetitions


def hits(net, X, y, tested, asked, table, *, steps, seed):
    """Which test pictures are found; the penalty of the ridge regression is chosen on training concepts held out."""
    if net == "ridge":
        center, concepts = table.vectors.mean(axis=0), [stimulus.rpartition("_")[0] for stimulus in y]
        predict = ridge(X.reshape(len(X), -1), table.lookup(y), concepts)
        found, gallery = predict(tested.reshape(len(tested), -1)) - center, table.lookup(asked) - center
    else:
        batch = 32
        encoder = EEGEncoder(
            net,
            targets=table,
            lr=3e-4,
            batch_size=batch,
            max_epochs=max(1, round(steps * batch / len(X))),
            validation=0.0,
            random_state=seed,
            device="cpu",
        ).fit(X, y)
        found, gallery = encoder.transform(tested), table.lookup(asked)
    return nearest(found, gallery)


def nearest(found, gallery):
    """1 where the nearest of the gallery is that of the row."""
    found, gallery = (one / np.linalg.norm(one, axis=1, keepdims=True) for one in (found, gallery))
    return ((found @ gallery.T).argmax(axis=1) == np.arange(len(gallery))).astype(float)


def averaging(net, seed, args):
    """Hits after single trials, and after means of four."""
    data = make_things_like(
        n_train_concepts=200, n_test_concepts=100, n_train_repetitions=4, snr=args.snr, random_state=seed
    )
    train = data.split == "train"
    tested, asked, _ = average_repetitions(data.X[~train], data.y[~train])
    single = data.X[train], data.y[train]
    for X, y in (single, average_repetitions(*single)[:2]):
        yield (
            "single trials, means",
            hits(net, X, y, tested, asked, data.image_embeddings, steps=args.steps, seed=seed),
        )


def channels(net, seed, args):
    """Hits for the last person with 17 channels and with 63, after training on all others."""
    data = make_things_like(
        n_subjects=args.people, n_train_concepts=100, n_test_concepts=100, sfreq=50, duration=0.5,
        snr=args.snr, random_state=seed,
    )  # fmt: skip
    few, train = np.isin(data.info["ch_names"], POSTERIOR), data.split == "train"
    new = data.subject == data.subject[-1]
    for picks in (few, slice(None)):
        X, y, _ = average_repetitions(
            data.X[train & ~new][:, picks], data.y[train & ~new], data.subject[train & ~new]
        )
        tested, asked, _ = average_repetitions(data.X[~train & new][:, picks], data.y[~train & new])
        yield (
            f"{args.people - 1} others: 17, 63",
            hits(net, X, y, tested, asked, data.image_embeddings, steps=args.steps, seed=seed),
        )


def mean(net, seed, args):
    """Hits of predictions with the targets' mean, and without."""
    data = make_things_like(
        n_train_concepts=300, n_images_per_concept=2, n_test_concepts=100, n_test_repetitions=4,
        sfreq=62.5, duration=0.8, n_dims=64, snr=args.snr, random_state=seed,
    )  # fmt: skip
    train, table = data.split == "train", data.image_embeddings
    X, Y = data.X[train].reshape(train.sum(), -1), table.lookup(data.y[train])
    tested, asked, _ = average_repetitions(data.X[~train], data.y[~train])
    found = ridge(X, Y, data.concept[train])(tested.reshape(len(tested), -1))
    for part in (found, found - Y.mean(axis=0)):
        yield "targets' mean: kept, left out", nearest(part, table.lookup(asked))


EFFECTS = {
    "averaging": (averaging, ["ridge", "nice", "eegproject"]),
    "channels": (channels, ["ridge", "eegproject"]),
    "mean": (mean, ["ridge"]),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("effect", choices=EFFECTS)
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--nets", nargs="+", help="names; ridge is the linear decoder")
    parser.add_argument("--people", type=int, default=4)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--snr", type=float, default=3.0)
    args = parser.parse_args()
    warnings.filterwarnings("ignore", message="Epochs of n_times")
    effect, nets = EFFECTS[args.effect]
    for net in args.nets or nets:
        start, found = time.process_time(), []
        for seed in range(args.seeds):
            pair = list(effect(net, seed, args))
            found.append([one for _, one in pair])
        one, other = np.concatenate(found, axis=1)
        low, high = bootstrap_interval(other - one, groups=np.arange(len(one)), random_state=0)
        gains = 100 * (np.array(found)[:, 1] - np.array(found)[:, 0]).mean(axis=1)
        print(
            f"{net:11s} {pair[0][0]}: {100 * one.mean():.1f} -> {100 * other.mean():.1f}"
            f"  {100 * (other - one).mean():+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]  by seed"
            f" {' '.join(f'{gain:+.0f}' for gain in gains)}  {time.process_time() - start:.0f} s",
            flush=True,
        )


if __name__ == "__main__":
    main()
