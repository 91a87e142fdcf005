"""How much a network that a file describes would take, before it takes it."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.modules import module as hooks

from .._utils.seeding import seeded_torch
from ..losses import MixedLoss
from ..nets.build import build_net
from .sharing import WeightsError
from .spec import NetSpec

# Layers without weights (activations, dropout) come on top of those with.
_MODULES, _MODULES_EACH = 1000, 30
# Where a network cannot be tried without memory: no size in its arguments may be more than so many times the largest in
# its weights.
_FACTOR, _AT_LEAST = 64, 2**16


class TooLarge(ValueError):
    """A network that would be larger than its weights."""


def check_sizes(spec: NetSpec, weights: Mapping[str, np.ndarray]) -> None:
    """Refuse what a network cannot be that has these weights.

    It is built on torch's "meta" device, where tensors have shapes but no memory, and no further than its weights would
    allow. Few networks (of braindecode) compute with numbers while they are built, which meta has none of: of these the
    sizes among their arguments are compared with those of the weights.

    Parameters
    ----------
    spec : NetSpec
        What is to be built.
    weights : dict of str to ndarray
        As `weights_of` gives them.

    Raises
    ------
    ValueError
        If it would be larger than the weights, or have weights of other shapes.
    """
    largest = max((size for value in weights.values() for size in value.shape), default=1)
    limit = max(_AT_LEAST, _FACTOR * largest)
    for name, size in _integers([spec.net_params, spec.criterion_params]):
        if abs(size) > limit:
            raise TooLarge(f"{name} is {size}, but no weight has more than {largest} numbers in a row")
    try:
        with seeded_torch(0, "cpu"), torch.device("meta"), _at_most(_MODULES + _MODULES_EACH * len(weights)):
            parts = {
                "module_": build_net(spec.net, spec.net_params),
                "criterion_": MixedLoss(**spec.criterion_params),
            }
    except TooLarge:
        raise
    except Exception as error:
        if isinstance(error.__cause__, TooLarge):
            raise error.__cause__ from None
        return  # it will be built, and say for itself what is wrong
    wanted = {
        f"{part}.{key}": value for part, net in parts.items() for key, value in net.state_dict().items()
    }
    for key in [*wanted, *weights]:
        shapes = [tuple(where[key].shape) if key in where else None for where in (weights, wanted)]
        if shapes[0] != shapes[1]:
            raise WeightsError(key, *shapes)


def _integers(value: Any, name: str = "") -> Iterator[tuple[str, int]]:
    if isinstance(value, int):
        yield name, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _integers(item, str(key))
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _integers(item, name)


@contextlib.contextmanager
def _at_most(n_modules: int) -> Iterator[None]:
    """Stop this thread from building a network of more modules."""
    me, seen = threading.get_ident(), [0]

    def count(module: nn.Module, name: str, part: nn.Module | None) -> None:
        seen[0] += threading.get_ident() == me
        if seen[0] > n_modules:
            raise TooLarge(f"it has more than {n_modules} modules, but few weights")

    handle = hooks.register_module_module_registration_hook(count)
    try:
        yield
    finally:
        handle.remove()
