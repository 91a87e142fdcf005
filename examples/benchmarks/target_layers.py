"""Several tables of targets, where everybody's epochs show the pictures as layers of another depth do.

Eight layers that share half of their variance; four people whose depth, between layers 1 and 4, is planted, with 300 pictures
each; 200 other pictures to find. Top-1 in per cent, and the correlation of learned with planted weights; then differences
to the mixture, paired over seeds, with 95 % intervals of Student's t. The single layer is the one that is best *on the test
pictures*: better than can be known.

Run: ``OMP_NUM_THREADS=1 python examples/benchmarks/target_layers.py --seeds 5``
"""

import argparse

import numpy as np
from scipy import stats
from sklearn.preprocessing import normalize

from skeegclip import EEGEncoder, EmbeddingTable, ImageRetriever
from skeegclip.augmentation import MovingAverage
from skeegclip.embeddings import join_tables

N_PEOPLE, N_LAYERS, N_DIMS, N_TRAIN, N_TEST, SHAPE = 4, 8, 32, 300, 200, (8, 20)


def planted(seed, noise):
    """Tables of the layers, each person's weights, and sets of (epochs, ids, people) to train and to test."""
    rng = np.random.default_rng(seed)
    n = N_TRAIN + N_TEST
    common = rng.normal(size=(n, N_DIMS))
    layers = np.array([normalize(common + rng.normal(size=(n, N_DIMS))) for _ in range(N_LAYERS)])
    depth = np.linspace(1, 4, N_PEOPLE)[:, None]
    weights = np.exp(-((np.arange(N_LAYERS) - depth) ** 2) / (2 * 0.6**2))
    weights /= weights.sum(1, keepdims=True)
    ids = np.array([f"picture {i:03d}" for i in range(n)])
    response = rng.normal(size=(N_DIMS, np.prod(SHAPE)))
    X = np.array([normalize(np.tensordot(own, layers, 1)) @ response for own in weights])
    X = (X + noise * X.std() * rng.normal(size=X.shape)).reshape(N_PEOPLE, n, *SHAPE)
    people = np.array([f"person {i}" for i in range(N_PEOPLE)])
    sets = [
        (np.concatenate(X[:, rows]), np.tile(ids[rows], N_PEOPLE), np.repeat(people, len(ids[rows])))
        for rows in (slice(N_TRAIN), slice(N_TRAIN, n))
    ]
    return [EmbeddingTable(ids, vectors) for vectors in layers], weights, *sets


def found(targets, train, test, seed, **params):
    """Top-1 among the test pictures, and the encoder."""
    encoder = EEGEncoder(
        "eegproject",
        targets=targets,
        subject_layer="linear",
        **{"max_epochs": 40, "batch_size": 128, "lr": 1e-3, "validation": 0.1, **params},
        random_state=seed,
        device="cpu",
    )
    table = join_tables(targets) if isinstance(targets, list) else targets
    retriever = ImageRetriever(encoder, gallery=table.subset(np.unique(test[1])))
    retriever.fit(train[0], train[1], subject=train[2])
    return 100 * retriever.score(test[0], test[1], subject=test[2]), retriever.encoder_


def run(seed, noise):
    """Top-1 by way, and the correlation of weights."""
    tables, weights, train, test = planted(seed, noise)
    mean = EmbeddingTable(tables[0].ids, np.mean([normalize(table.vectors) for table in tables], axis=0))
    fade = (*np.linspace(0.9, 0.2, 13), *np.zeros(27))
    top1 = {}
    top1["mixture"], encoder = found(tables, train, test, seed)
    top1["one mixture for everybody"], _ = found(tables, train, test, seed, layer_mixing=0)
    top1["mean of the layers"], _ = found(mean, train, test, seed)
    top1["best single layer"] = max(found(table, train, test, seed)[0] for table in tables)
    top1["mixture, start by MMD"], _ = found(tables, train, test, seed, mmd_weight=fade)
    top1["mixture, smoothed epochs"], _ = found(tables, train, test, seed, augment=MovingAverage())
    return top1, np.corrcoef(encoder.layer_weights_[:-1].ravel(), weights.ravel())[0, 1]


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument(
        "--noise", type=float, default=2.5, help="Noise in standard deviations of the signal."
    )
    options = parser.parse_args()
    runs = [run(seed, options.noise) for seed in range(options.seeds)]
    print("correlation of weights:", ", ".join(f"{r:.3f}" for _, r in runs))
    values = {name: np.array([top1[name] for top1, _ in runs]) for name in runs[0][0]}
    for name, own in values.items():
        line = f"{name:28s} {own.mean():5.1f}"
        if name != "mixture" and len(own) > 1:
            difference = own - values["mixture"]
            low, high = stats.t.interval(0.95, len(own) - 1, difference.mean(), stats.sem(difference))
            line += f"   {difference.mean():+5.1f} [{low:+.1f}, {high:+.1f}]"
        print(line)


if __name__ == "__main__":
    main()
