"""braindecode's augmentations in training: copied, and seeded by the run."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch

from .._utils.loaded import loaded

# What every torch module and every Transform has: no setting of the transform.
_NOT_SETTINGS = {"training", "rng", "transforms"}


class Augment:
    """Transforms of braindecode, applied to whole batches, that draw the same numbers in every equal run.

    A Transform draws from a generator of its own, or from numpy's global one if it was made without a seed. The
    copies here get new ones at the start of each pass, made of the run's seed and the number of the pass: so two
    fits are equal, a resumed run goes on as an uninterrupted one, and the user's objects are left alone.

    Parameters
    ----------
    augment : Transform | Compose | list of Transform
        As the user gave it.
    seed : int
        Seed of the run.

    Raises
    ------
    TypeError
        If it is something else.
    """

    def __init__(self, augment: Any, seed: int) -> None:
        self.transforms = copy.deepcopy(_flat(augment))
        self.seed = seed

    def start_pass(self, number: int) -> None:
        """Seed the transforms for pass `number`."""
        for place, transform in enumerate(self.transforms):
            sequence = np.random.SeedSequence([self.seed, 3, number, place])
            transform.rng = np.random.RandomState(np.random.MT19937(sequence))

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Augment a batch (batch, n_chans, n_times); the rows stay what and where they are."""
        rows = torch.arange(len(x), device=x.device)
        for transform in self.transforms:
            new, y = transform(x, rows)
            name = type(transform).__name__
            if not isinstance(y, torch.Tensor) or not torch.equal(y, rows):
                raise ValueError(
                    f"augment: {name} mixes epochs or changes their order, and with them their targets."
                    " Use transforms that change the signal alone."
                )
            if new.shape != x.shape:
                raise ValueError(
                    f"augment: {name} changes the shape of a batch from {tuple(x.shape)} to {tuple(new.shape)}."
                )
            if new.isnan().sum() > x.isnan().sum():
                raise ValueError(
                    f"augment: {name} makes NaN of numbers. If it mixes channels, it needs epochs that have all of them:"
                    " bring all to one cap first, with skeegclip.preprocessing.InterpolateChannels, or leave it out."
                )
            x = new.to(x.dtype)
        return x

    def settings(self) -> list:
        """What tells two augmentations apart, for the fingerprint of a run."""
        return [
            [
                f"{type(transform).__module__}.{type(transform).__qualname__}",
                transform.probability,
                {
                    name: _listed(value)
                    for name, value in sorted(vars(transform).items())
                    if not name.startswith("_") and name not in _NOT_SETTINGS
                },
                {name: _listed(value) for name, value in transform.state_dict().items()},
            ]
            for transform in self.transforms
        ]


def _listed(value: Any) -> Any:
    # The text of a long array leaves its middle out.
    return value.tolist() if isinstance(value, (np.ndarray, torch.Tensor)) else value


def _flat(augment: Any) -> list:
    transform = loaded("braindecode.augmentation", "Transform")
    if isinstance(augment, (list, tuple)):
        return [inner for item in augment for inner in _flat(item)]
    if transform is None or not isinstance(augment, transform):
        raise TypeError(
            "augment must be a Transform of braindecode.augmentation, or a list of them, got"
            f" {augment!r} of type {type(augment).__name__}."
        )
    inner = getattr(augment, "transforms", None)  # of a Compose
    return [augment] if inner is None else _flat(inner)
