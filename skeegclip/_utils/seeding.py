"""Randomness that is reproducible and leaves the global generators as they were."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np

# torch has one default generator a process: two fits in two threads (joblib's threading backend) would
# draw from it in turns, and neither could be repeated.
_ONE_FIT_AT_A_TIME = threading.RLock()


def draw_seed(random_state: Any) -> int:
    """Return an int seed for `random_state` (None, int, RandomState or Generator).

    Parameters
    ----------
    random_state : None | int | numpy.random.RandomState | numpy.random.Generator
        None gives fresh entropy; numpy's global generator is never used.

    Returns
    -------
    int
        In [0, 2**31).
    """
    if random_state is None:
        return int(np.random.SeedSequence().generate_state(1)[0] >> 1)
    if isinstance(random_state, np.random.Generator):
        return int(random_state.integers(2**31))
    if isinstance(random_state, np.random.RandomState):
        return int(random_state.randint(2**31))
    if isinstance(random_state, (int, np.integer)) and not isinstance(random_state, bool):
        if not 0 <= random_state < 2**32:
            raise ValueError(f"random_state must lie in [0, 2**32), got {random_state}.")
        return int(random_state)
    raise ValueError(
        "random_state must be None, an int, a numpy RandomState or a numpy Generator,"
        f" got {random_state!r} of type {type(random_state).__name__}."
    )


def set_seeds(estimator: Any, rng: np.random.Generator) -> bool:
    """Draw every `random_state` in an estimator, in the order of their names; False where there is none."""
    names = sorted(
        name for name in estimator.get_params() if name == "random_state" or name.endswith("__random_state")
    )
    estimator.set_params(**{name: int(rng.integers(2**31)) for name in names})
    return bool(names)


@contextlib.contextmanager
def seeded_torch(seed: int, device: Any) -> Iterator[None]:
    """Seed torch's default generator, and that of the one device in use, for the length of the block."""
    import torch

    with _ONE_FIT_AT_A_TIME, torch.random.fork_rng(devices=_cuda(device), device_type="cuda"):
        seed_torch(seed, device)
        yield


def seed_torch(seed: int, device: Any) -> None:
    """Seed torch's default generator, and that of the one device in use."""
    import torch

    # Not torch.manual_seed: it seeds every device of the machine.
    torch.default_generator.manual_seed(seed)
    for index in _cuda(device):
        torch.cuda.default_generators[index].manual_seed(seed)


def _cuda(device: Any) -> list[int]:
    import torch

    device = torch.device(device)
    if device.type != "cuda":
        return []
    return [torch.cuda.current_device() if device.index is None else device.index]
