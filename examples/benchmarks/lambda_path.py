"""One LambdaPath against a separate fit of each lambda: what it costs, and how its networks differ.

Simulated recordings (``make_things_like``), one person at a time, repetitions averaged; retrieval among the pictures of
200 test concepts that are never in training. Nothing is chosen here: each lambda is compared with itself.

Run: ``python examples/benchmarks/lambda_path.py [--people 3] [--net atm-s eegproject] [--passes 24]``
"""

import argparse
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import time
import warnings

import numpy as np
import pandas as pd
from sklearn.base import clone

from skeegclip import EEGEncoder, EpochsView, LambdaPath
from skeegclip.datasets import make_things_like
from skeegclip.metrics import bootstrap_interval, cosine_similarity, ranks
from skeegclip.preprocessing import average_repetitions

LAMBDAS = [1.0, 0.9, 0.7, 0.5, 0.1, 0.0]


def person(number, n_concepts, n_tested):
    """Averaged epochs of training and test pictures of a simulated person, their ids, and the table."""
    data = make_things_like(
        n_train_concepts=n_concepts,
        n_images_per_concept=4,
        n_train_repetitions=4,
        n_test_concepts=n_tested,
        snr=3,
        random_state=number,
    )
    rows = pd.DataFrame({"split": data.split})
    view = EpochsView.from_arrays(data.X, stimulus=data.y, info=data.info, rows=rows)
    posterior = [name for name in view.ch_names if name.startswith(("P", "O"))]
    view = view.pick(posterior).crop(0.05, 0.6)
    sets = []
    for split in ("train", "test"):
        part = view.select(split=split)
        sets += average_repetitions(part, part.stimulus)[:2]
    return *sets, data.image_embeddings


def outcome(encoder, X, y, table, variance):
    """Per test picture: whether it was found, and its scaled error."""
    z, truth = encoder.transform(X), table.lookup(y)
    found = ranks(cosine_similarity(z, truth), np.arange(len(y))) == 1
    return pd.DataFrame({"top1": found.astype(float), "error": ((z - truth) ** 2).mean(1) / variance})


def compare(net, number, passes, n_concepts, n_tested):
    """All lambdas of a person, one at a time and as a path; a row for each lambda, way and test picture."""
    X, y, X_test, y_test, table = person(number, n_concepts, n_tested)
    variance = table.lookup(y).var(axis=0).mean()
    encoder = EEGEncoder(
        net,
        targets=table,
        lr=1e-3,
        batch_size=128,
        max_epochs=passes,
        validation=0.1,
        random_state=number,
        device="cpu",
    )
    clone(encoder).set_params(max_epochs=1).fit(X, y)  # what torch loads once is nobody's
    parts, seconds = [], []
    for value in LAMBDAS:
        start = time.process_time()
        fitted = clone(encoder).set_params(loss_weight=value).fit(X, y)
        seconds.append(time.process_time() - start)
        parts.append(
            outcome(fitted, X_test, y_test, table, variance).assign(way="separate", loss_weight=value)
        )
    start = time.process_time()
    path = LambdaPath(encoder, loss_weights=LAMBDAS).fit(X, y)
    of_path = time.process_time() - start
    for value, fitted in zip(LAMBDAS, path.lambda_path_, strict=True):
        parts.append(outcome(fitted, X_test, y_test, table, variance).assign(way="path", loss_weight=value))
    costs = {"path / one fit": of_path / seconds[0], "six fits / one fit": sum(seconds) / seconds[0]}
    return pd.concat(parts).assign(person=number).rename_axis("picture").reset_index(), costs


def summary(results):
    """A line for each lambda: both ways, and the paired difference with its 95 % interval over people and pictures."""
    lines = []
    for value in LAMBDAS:
        line = {"lambda": f"{value:g}"}
        for figure in ("top1", "error"):
            wide = results[results["loss_weight"] == value].pivot(
                index=["person", "picture"], columns="way", values=figure
            )
            gain = wide["path"] - wide["separate"]
            low, high = bootstrap_interval(gain.to_numpy(), random_state=0)
            scale, digits = (100, 1) if figure == "top1" else (1, 3)
            line[f"{figure}, separate"] = f"{scale * wide['separate'].mean():.{digits}f}"
            line[f"{figure}, path"] = f"{scale * wide['path'].mean():.{digits}f}"
            line[f"{figure}, difference"] = (
                f"{scale * gain.mean():+.{digits}f} [{scale * low:+.{digits}f}, {scale * high:+.{digits}f}]"
            )
        lines.append(line)
    return pd.DataFrame(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--people", type=int, default=3, help="simulated people; the seed of a fit is the person's"
    )
    parser.add_argument("--net", nargs="+", default=["atm-s", "eegproject"])
    parser.add_argument("--passes", type=int, default=24)
    parser.add_argument("--quick", action="store_true", help="see that it runs, not what it measures")
    args = parser.parse_args()
    if args.quick:
        args.people, args.passes, args.net = 1, 2, ["eegproject"]
    size = (20, 20) if args.quick else (200, 200)
    warnings.filterwarnings("ignore", message="Epochs of n_times|Tokens of width")
    for net in args.net:
        results, costs = zip(
            *(compare(net, number, args.passes, *size) for number in range(args.people)), strict=True
        )
        print(f"\n{net}, {args.people} people, {args.passes} passes")
        print(summary(pd.concat(results)).to_string(index=False))
        print("CPU time:", pd.DataFrame(costs).median().round(2).to_dict(), flush=True)


if __name__ == "__main__":
    main()
