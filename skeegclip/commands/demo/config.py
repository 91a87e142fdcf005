"""What the demo simulates and trains, in its full and its quick form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_TRAINING = {"lr": 1e-3, "validation": 0.1}
# NICE's published lengths are in samples at 250 Hz, and the simulation has 100 Hz: these keep the durations (100 ms,
# 200 ms and steps of 20 ms). On held-out training concepts ATM-S gained nothing from it, and took longer.
_NICE = {"net": "nice", "net_params": {"kernel_length": 10, "pool_length": 20, "pool_stride": 2}, **_TRAINING}
_ATM = {"net": "atm-s", **_TRAINING}


@dataclass(frozen=True)
class Config:
    """What one run of the demo simulates and trains.

    Parameters
    ----------
    name : str
        Name in the report.
    data : mapping
        Arguments of ``make_things_like``.
    encoders : mapping
        Name of a network -> arguments of its ``EEGEncoder``.
    alphas : tuple of float
        Penalties that the ridge regression chooses from.
    n_shown : int
        Test pictures in the figure of retrieved pictures.
    n_real_passes : int
        Of the network that tells real faces from houses.
    """

    name: str
    data: Mapping[str, Any]
    encoders: Mapping[str, Mapping[str, Any]]
    alphas: tuple[float, ...] = (1e1, 1e2, 1e3, 1e4, 1e5, 1e6)
    n_shown: int = 6
    n_real_passes: int = 15


# Single trials (against averages) and the batch size of the quick demo were chosen on held-out training concepts. The
# learning rate was not tuned; the passes are as many as the time allows.
FULL = Config(
    name="full",
    data={
        "n_train_concepts": 400,
        "n_images_per_concept": 5,
        "n_test_concepts": 200,
        "n_train_repetitions": 2,
        "n_test_repetitions": 8,
    },
    encoders={
        "ATM-S": {**_ATM, "batch_size": 256, "max_epochs": 11},
        "NICE": {**_NICE, "batch_size": 256, "max_epochs": 8},
    },
)
QUICK = Config(
    name="quick",
    data={
        "n_train_concepts": 200,
        "n_images_per_concept": 3,
        "n_test_concepts": 200,
        "n_train_repetitions": 2,
        "n_test_repetitions": 8,
        "snr": 4.0,  # so few trials say little else: this person answers twice as strongly
    },
    encoders={
        "ATM-S": {**_ATM, "batch_size": 64, "max_epochs": 5},
    },
    n_real_passes=5,
)
