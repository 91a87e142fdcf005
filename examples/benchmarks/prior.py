"""Does the diffusion prior help? Embeddings before and after it, beside ridge regression.

For each method: mean cosine to the embedding of the picture shown, top-1 and top-5 retrieval among the test pictures, and
length relative to that of the pictures' embeddings (1 = as a generator expects it).

``pairs``: THINGS-EEG2, subject 8, the 200 test pictures, as ``eeg_embeddings.npy`` and ``image_embeddings.npy`` of one
folder, (200, 1024) each. Everything is fitted on four fifths of the pictures and tested on the rest.

``simulated``: ``make_things_like``, 400 training concepts with 5 pictures shown 4 times; 200 test pictures of other
concepts, mean of 16 showings. The priors learn from out-of-fold embeddings.

Run: ``python examples/benchmarks/prior.py simulated [--quick]`` or ``... pairs --folder FOLDER [--quick]``
"""

import argparse
import time
from pathlib import Path

import numpy as np
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skeegclip import DiffusionPrior, EEGEncoder
from skeegclip.datasets import make_things_like
from skeegclip.generation._cross_fit import out_of_fold_embeddings
from skeegclip.metrics import cosine_similarity, top_k_accuracy
from skeegclip.preprocessing import average_repetitions

GUIDANCE = (1, 3, 5)


class Table:
    """Prints a row for each method, as it comes."""

    def __init__(self, truth):
        self.truth = truth
        self.length = np.linalg.norm(truth, axis=1).mean()
        print(f"{'':44s} cosine  top-1  top-5  length")

    def row(self, name, predicted):
        similarity, target = cosine_similarity(predicted, self.truth), np.arange(len(self.truth))
        cells = [np.diag(similarity).mean(), *(top_k_accuracy(similarity, target, k) for k in (1, 5))]
        length = np.linalg.norm(predicted, axis=1).mean() / self.length
        print(f"{name:44s} {cells[0]:6.3f} {cells[1]:6.1%} {cells[2]:6.1%} {length:6.2f}", flush=True)


def settings(full):
    """Names and parameters of sampling: expectations, and single draws and means of 8 at several guidances."""
    expected = {f"expectation, g {g:g}": {"guidance_scale": g, "n_samples": None} for g in GUIDANCE}
    draws = {f"one draw, g {g:g}": {"guidance_scale": g} for g in GUIDANCE}
    means = {f"mean of 8, g {g:g}": {"guidance_scale": g, "n_samples": 8} for g in GUIDANCE}
    if full:
        return {**expected, **draws, **means}
    return {name: params for name, params in {**expected, **draws}.items() if name.endswith("g 1")}


def sampled(prior, Z, full):
    """What a fitted prior makes of Z, by setting."""
    plain = {"guidance_scale": 1, "n_samples": 1}
    return {
        name: prior.set_params(**{**plain, **params}).transform(Z) for name, params in settings(full).items()
    }


def ridge():
    return make_pipeline(StandardScaler(), RidgeCV(np.logspace(1, 6, 11)))


def priors(quick, widths):
    """Priors by name, and whether to show all settings."""
    common = {"random_state": 0, "device": "cpu"}
    if quick:
        common |= {"max_epochs": 10}
    unet = {"net_params": {"widths": widths}}
    return {
        "gaussian": (DiffusionPrior(net="gaussian", **common), True),
        "unet": (DiffusionPrior(**unet, **common), True),
        "mlp": (DiffusionPrior(net="mlp", net_params={"width": widths[0]}, **common), False),
        "unet, epsilon": (DiffusionPrior(**unet, prediction="epsilon", **common), False),
        "unet, reference_quirks": (DiffusionPrior(**unet, reference_quirks=True, **common), False),
    }


def pairs(folder, quick):
    Z, images = (np.load(Path(folder) / f"{kind}_embeddings.npy") for kind in ("eeg", "image"))
    table = Table(images)
    folds = list(KFold(5, shuffle=True, random_state=0).split(Z))
    table.row("before", Z)

    def held_out(predict):
        """Predictions of each fifth, by name of the setting."""
        parts = [predict(train, test) for train, test in folds]
        out = {name: np.empty_like(images) for name in parts[0]}
        for (_, test), part in zip(folds, parts, strict=True):
            for name, predicted in part.items():
                out[name][test] = predicted
        return out

    def by_ridge(train, test):
        return {"": ridge().fit(Z[train], images[train]).predict(Z[test])}

    table.row("mean embedding", held_out(lambda a, b: {"": images[a].mean(0, keepdims=True)})[""])
    table.row("ridge regression", held_out(by_ridge)[""])
    for name, (prior, full) in priors(quick, (64, 32) if quick else (1024, 512, 256, 128, 64)).items():
        start = time.perf_counter()

        def by_prior(train, test, prior=prior, full=full):
            return sampled(prior.fit(Z[train], images[train]), Z[test], full and not quick)

        for setting, predicted in held_out(by_prior).items():
            table.row(f"{name}, {setting}", predicted)
        print(f"    ({time.perf_counter() - start:.0f} s)", flush=True)


def simulated(quick, overfit):
    data = make_things_like(
        n_train_concepts=60 if quick else 400,
        n_train_repetitions=4,
        n_test_concepts=50 if quick else 200,
        n_test_repetitions=16,
        random_state=0,
    )
    train, targets = data.split == "train", data.image_embeddings
    X, y = data.X[train], data.y[train]
    X_test, y_test, _ = average_repetitions(data.X[~train], data.y[~train])
    common = {"lr": 1e-3, "batch_size": 256, "random_state": 0, "device": "cpu"}
    memory = {"net_params": {"dropout": 0.0}, "max_epochs": 60, "validation": 0}
    encoder = EEGEncoder(
        "eegproject", targets=targets, **(memory if overfit else {"max_epochs": 12}), **common
    )
    rows = out_of_fold_embeddings(encoder, X, y, repetitions="both", random_state=0)
    encoder.fit(X, y)
    Z_test = encoder.transform(X_test)
    single, means = ~rows.is_average, rows.is_average
    learned_from = {
        "single epochs": (rows.Z[single], rows.y[single]),
        "means": (rows.Z[means], rows.y[means]),
        "both": (rows.Z, rows.y),
        "in-sample single epochs": (encoder.transform(X), y),
    }
    chosen = priors(quick, (64, 32) if quick else (512, 256, 128, 64))
    once = np.flatnonzero(~train & (data.repetition == 0))
    for shown, Z, names in (
        ("once", encoder.transform(data.X[once]), data.y[once]),
        ("16 times", Z_test, y_test),
    ):
        print(f"Test pictures shown {shown}")
        table = Table(targets.lookup(names))
        table.row("before", Z)
        mean = targets.lookup(np.unique(y)).mean(0, keepdims=True)
        table.row("mean embedding", np.repeat(mean, len(Z), axis=0))
        for what, (Z_train, ids) in learned_from.items():
            fitted = ridge().fit(Z_train, targets.lookup(ids))
            table.row(f"ridge regression, learned from {what}", fitted.predict(Z))
            prior = chosen["unet"][0].set_params(targets=targets).fit(Z_train, ids)
            table.row(f"unet, learned from {what}", sampled(prior, Z, False)["expectation, g 1"])
    if overfit:
        return
    for name, (prior, full) in chosen.items():
        start = time.perf_counter()
        prior.set_params(targets=targets).fit(*learned_from["means"])
        took = time.perf_counter() - start
        for setting, predicted in sampled(prior, Z_test, full and not quick).items():
            table.row(f"{name}, {setting}", predicted)
        print(f"    (fitted in {took:.0f} s, pass {prior.selection_['epoch']})", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", choices=["pairs", "simulated"])
    parser.add_argument("--folder", help="of the two .npy files of the pairs")
    parser.add_argument(
        "--overfit", action="store_true", help="simulated: an encoder that knows its training epochs by heart"
    )
    parser.add_argument("--quick", action="store_true", help="small networks, few passes: to try the script")
    args = parser.parse_args()
    if args.data == "pairs":
        pairs(args.folder, args.quick)
    else:
        simulated(args.quick, args.overfit)


if __name__ == "__main__":
    main()
