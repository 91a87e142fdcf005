"""Networks of LowLevelDecoder on simulated recordings: its ridge regression and the published network.

The latents are the simulated pictures themselves, 64 x 64, as red, green, blue and light: the size (4, 64, 64) of the
latents of a 512-pixel picture, without an autoencoder's weights. Training epochs are means of four repetitions, test
epochs of sixteen, of other concepts.

Run: ``python examples/benchmarks/low_level.py [--quick]``
"""

import argparse
import time

import numpy as np

from skeegclip import LowLevelDecoder
from skeegclip.datasets import make_things_like
from skeegclip.metrics import reconstruction_scores
from skeegclip.preprocessing import average_repetitions


def as_latents(pictures):
    """Four channels in -1..1."""
    colours = np.moveaxis(pictures, 3, 1).astype(np.float32) / 127.5 - 1
    return np.concatenate([colours, colours.mean(axis=1, keepdims=True)], axis=1)


def as_pictures(latents):
    """Undo `as_latents`."""
    return np.moveaxis((latents[:, :3].clip(-1, 1) + 1) * 127.5, 1, 3).round().astype(np.uint8)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer pictures, a narrow reference network")
    parser.add_argument("--passes", type=int, default=40)
    parser.add_argument("--nets", nargs="+", default=["linear", "reference"])
    args = parser.parse_args()
    data = make_things_like(
        n_train_concepts=60 if args.quick else 400,
        n_images_per_concept=2,
        n_test_concepts=50 if args.quick else 200,
        n_train_repetitions=4,
        n_test_repetitions=16,
        random_state=0,
    )
    test = data.split == "test"
    X, y, _ = average_repetitions(data.X[~test], data.y[~test])
    X_test, y_test, _ = average_repetitions(data.X[test], data.y[test])
    latents, pictures = as_latents(data.images.lookup(y)), data.images.lookup(y_test)
    truth, mean = as_latents(pictures), latents.mean(axis=0)

    def show(name, predicted, seconds, n_weights):
        explained = 1 - np.sum((predicted - truth) ** 2) / np.sum((mean - truth) ** 2)
        scores = reconstruction_scores(pictures, as_pictures(predicted), metrics=["PixCorr", "SSIM"])
        cells = "  ".join(f"{column} {scores[column].iloc[0]:.3f}" for column in scores.columns[:2])
        print(
            f"{name:28s} {n_weights:>11,} weights  R2 {explained:6.3f}  {cells}  ({seconds:.0f} s)",
            flush=True,
        )

    show("mean picture", np.broadcast_to(mean, truth.shape), 0, 0)
    for net in args.nets:
        small = {"net_params": {"width": 8, "n_maps": 128}} if args.quick and net == "reference" else {}
        for loss in ("l2",) if net == "linear" else ("l2", "l1"):
            decoder = LowLevelDecoder(
                net=net, loss=loss, max_epochs=args.passes, random_state=0, device="cpu", **small
            )
            start = time.perf_counter()
            predicted = decoder.fit(X, latents).predict_latents(X_test)
            took = time.perf_counter() - start
            encoder = decoder.encoder_
            if net == "linear":
                show("linear", predicted, took, encoder.coefficients_.size)
            else:
                n_weights = sum(p.numel() for p in encoder.net_.module_.parameters())
                show(f"{net}, {loss}, pass {encoder.selection_['epoch']}", predicted, took, n_weights)


if __name__ == "__main__":
    main()
