"""How often the intervals of a calibration curve hold the true value, and what of a planted drift is made up for.

Each simulated study has people whose channels have gains, offsets and a mixing of their own (a drift, if they are
sessions), and a decoder that learns from the others. The true accuracy, and the true gain, are the means over all
simulated studies. ``bound`` is the accuracy of the same decoder for people without any drift.

Run: ``python examples/benchmarks/calibration_coverage.py`` (five minutes)
"""

import argparse

import numpy as np
import pandas as pd
from sklearn.linear_model import Ridge
from sklearn.model_selection import LeaveOneGroupOut
from sklearn.pipeline import make_pipeline

from skeegclip import EpochsView, ZeroShotClassifier
from skeegclip.inspection import calibration_curve
from skeegclip.preprocessing import SubjectAligner

MINUTES, SECONDS = [0, 0.5, 1], 3.0


def study(seed, drift, n_people, n_epochs=60, n_chans=3, n_times=6):
    """Epochs of two categories; `drift` is how far each person is from all others."""
    rng = np.random.default_rng(seed)
    pattern = np.random.default_rng(0).standard_normal((n_chans, n_times))
    y = rng.integers(2, size=(n_people, n_epochs))
    signal = (
        0.35 * rng.lognormal(0, 0.3, n_people)[:, None, None, None] * (2 * y - 1)[..., None, None] * pattern
    )
    sources = signal + rng.standard_normal(signal.shape)
    mixing = np.eye(n_chans) + drift * rng.standard_normal((n_people, 1, n_chans, n_chans))
    X = mixing @ sources + 3 * drift * rng.standard_normal((n_people, 1, n_chans, n_times))
    subject = np.repeat([f"sub-{number:02d}" for number in range(n_people)], n_epochs)
    return EpochsView.from_arrays(
        10 * X.reshape(-1, n_chans, n_times), subject=subject, stimulus=y.ravel().astype(str)
    )


def curve(seed, drift, n_people):
    """The calibration curve of one simulated study."""
    decoder = make_pipeline(SubjectAligner(unknown="pooled"), ZeroShotClassifier(Ridge(10.0)))
    view = study(seed, drift, n_people)
    return calibration_curve(decoder, view, cv=LeaveOneGroupOut(), minutes=MINUTES, onset=SECONDS)


def coverage(curves, value, low, high):
    """Share of the curves whose interval holds the mean over all curves."""
    found = np.array([[table[name] for name in (value, low, high)] for table in curves])
    true = found[:, 0].mean(axis=0)
    return ((found[:, 1] <= true) & (true <= found[:, 2])).mean(axis=0), true


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=500, help="simulated studies")
    parser.add_argument("--people", type=int, default=12)
    parser.add_argument("--drift", type=float, default=0.4)
    args = parser.parse_args()
    curves = [curve(seed, args.drift, args.people) for seed in range(args.runs)]
    bound = np.mean(
        [curve(seed, 0.0, args.people)["accuracy"] for seed in range(max(1, args.runs // 10))], axis=0
    )
    held, accuracy = coverage(curves, "accuracy", "low", "high")
    held_gain, gain = coverage(curves, "gain", "gain_low", "gain_high")
    names = curves[0][["labels", "minutes"]].astype(str)
    table = names.assign(
        accuracy=accuracy, bound=bound, gain=gain, accuracy_covered=held, gain_covered=held_gain
    )
    with pd.option_context("display.width", 120):
        print(table.to_string(index=False, float_format=lambda share: f"{100 * share:.1f}"))


if __name__ == "__main__":
    main()
