"""Time a whole pass over the training epochs, and the evaluation behind it, against the plain script.

One side is `EEGEncoder.fit` for one pass with its own engine, then `transform` and the exact n-way figures; the other
is `plain_training` in float32: a DataLoader that collates epoch by epoch, the loss read at each step, and an evaluation
that takes the 200 test epochs one by one for each of six numbers of ways. Both train the same network with the same
batch size on the same random epochs. Research code evaluates after every pass; the longer the pass, the less that
counts, and the nearer the ratio of both comes to that of the pass alone.

    python examples/benchmarks/bench_epoch.py --epochs 512 --batch 256 --threads 2 --repeats 5
"""

from __future__ import annotations

import argparse

from turns import in_turns, show

import numpy as np  # isort: skip
import torch
from plain_training import EpochsAndImages, evaluate, make_training, train

from skeegclip import EEGEncoder, EmbeddingTable
from skeegclip.metrics import cosine_similarity, n_way_table

N_TEST = 200


def make_data(n_epochs, n_chans, n_times, n_dims=1024):
    """Return training epochs, test epochs, and a table of images: those of training, then those of the test."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n_epochs + N_TEST, n_chans, n_times), dtype=np.float32)
    image = np.r_[np.arange(n_epochs) // 4, n_epochs // 4 + 1 + np.arange(N_TEST)]
    vectors = rng.standard_normal((image[-1] + 1, n_dims), dtype=np.float32)
    return (
        X[:n_epochs],
        X[n_epochs:],
        image,
        EmbeddingTable([f"{i:06d}" for i in range(len(vectors))], vectors),
    )


def main():
    """Read the arguments, run the rounds, print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--net", choices=["atm-s", "nice"], default="atm-s")
    parser.add_argument("--epochs", type=int, default=512, help="training epochs in a pass")
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    X, X_test, image, table = make_data(args.epochs, 63, 250)
    gallery = table.vectors[-N_TEST:].copy()
    train_set = EpochsAndImages(X, image[: args.epochs], table.vectors.copy())
    test_set = EpochsAndImages(X_test, range(N_TEST), gallery)

    def plain_fit():
        state = make_training(args.net, 1024, 63, 250)
        train(*state, train_set, n_passes=1, batch_size=args.batch)
        return state[0]

    def fit(precision="float32"):
        encoder = EEGEncoder(
            args.net, targets=table, validation=0, batch_size=args.batch, max_epochs=1, precision=precision,
            device="cpu", random_state=0,
        )  # fmt: skip
        return encoder.fit(X, table.ids[image[: args.epochs]])

    def exact(encoder):
        return n_way_table(cosine_similarity(encoder.transform(X_test), gallery), np.arange(N_TEST))

    def figures(n_resamples):
        return n_way_table(similarity, np.arange(N_TEST), n_resamples=n_resamples)

    print(f"\nOne pass over {args.epochs} epochs, batch {args.batch}\n")
    plain, fast = "plain script", "skeegclip, "
    passes = {plain: plain_fit, fast + "float32": fit, fast + "bfloat16": lambda: fit("bfloat16")}
    show(in_turns(passes, args.repeats), plain)

    net, encoder = plain_fit(), fit()
    torch_gallery = torch.from_numpy(gallery)
    print(f"\nEvaluation of {N_TEST} test epochs, 2- to 200-way\n")
    evaluations = {
        plain: lambda: evaluate(net, test_set, torch_gallery),
        "skeegclip": lambda: exact(encoder),
    }
    show(in_turns(evaluations, args.repeats), plain)

    print("\nOne pass and evaluation\n")
    whole = {
        plain: lambda: evaluate(plain_fit(), test_set, torch_gallery),
        fast + "float32": lambda: exact(fit()),
        fast + "bfloat16": lambda: exact(fit("bfloat16")),
    }
    show(in_turns(whole, args.repeats, warm_up=0), plain)

    similarity = cosine_similarity(encoder.transform(X_test), gallery)
    print("\nExact figures of a 200 x 200 similarity matrix\n")
    tables = {
        "with bootstrap intervals": lambda: figures(2000),
        "without": lambda: figures(0),
    }
    show(in_turns(tables, 5 * args.repeats), "with bootstrap intervals")


if __name__ == "__main__":
    main()
