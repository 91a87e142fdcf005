"""How many epochs a batch holds and how many passes are made, where that is left to the size of the data."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

_SMALLEST, _LARGEST = 32, 1024
_STEPS_OF_A_PASS = 16
_PASSES, _STEPS = 40, 320


@dataclass(frozen=True)
class Budget:
    """What a fit was given to learn with.

    Attributes
    ----------
    batch_size : int
        Largest number of epochs in a batch, of all processes together.
    max_epochs : int
        Passes over the training data, at most.
    """

    batch_size: int
    max_epochs: int


def resolve(batch_size: Any, max_epochs: Any, n_rows: int, n_processes: int = 1) -> Budget:
    """A budget of numbers; "auto" asks how many rows there are, those held out included.

    A batch is a sixteenth of the rows, to the nearest power of two within 32 and 1024, and large enough to give each
    process two rows. Passes are as many as the paper's, 40, and more where these would be fewer than 320 steps.
    """
    if batch_size == "auto":
        nearest = 2 ** round(math.log2(n_rows / _STEPS_OF_A_PASS))
        shared = 2 ** math.ceil(math.log2(2 * n_processes))
        batch_size = max(min(max(nearest, _SMALLEST), _LARGEST), shared)
    if max_epochs == "auto":
        max_epochs = max(_PASSES, math.ceil(_STEPS / math.ceil(n_rows / batch_size)))
    return Budget(int(batch_size), int(max_epochs))
