"""Encoders as weights and plain facts: what pickles and folders hold, and a net made of them again."""

from __future__ import annotations

import numpy as np

from .._utils.device import device_here, resolve_precision
from .._utils.seeding import seeded_torch
from .._utils.state_dicts import arrays_of
from .build import make_net
from .net import EncoderNet
from .spec import NetSpec

_PARTS = ("module_", "criterion_")


class WeightsError(ValueError):
    """Weights that do not fit a network.

    Attributes
    ----------
    key : str
        The first weight that does not fit, as `weights_of` names it.
    got, wanted : tuple of int | None
        Its shape as given and as the network has it; None where there is none.
    """

    def __init__(self, key: str, got: tuple | None, wanted: tuple | None) -> None:
        self.key, self.got, self.wanted = key, got, wanted
        what = "missing" if got is None else f"of shape {got}"
        should = "not a weight of the network" if wanted is None else f"of shape {wanted} in the network"
        super().__init__(f"{key!r} is {what}, and {should}")


def weights_of(net: EncoderNet) -> dict[str, np.ndarray]:
    """Weights of the network and of the loss, as arrays on the CPU."""
    return {f"{part}.{key}": value for part in _PARTS for key, value in arrays_of(getattr(net, part)).items()}


def rebuild_net(spec: NetSpec, weights: dict[str, np.ndarray], *, device: str, precision: str) -> EncoderNet:
    """A net as it was when `weights_of` was called, on a device that this machine has."""
    import torch

    device = device_here(device)
    with seeded_torch(0, "cpu"):
        # Building draws initial weights from the global generator, which a fit in another thread may be using: it waits.
        # The first optimizer of a process makes torch load its compiler, which takes longer than all else here.
        net = make_net(spec, device=device, precision=resolve_precision(precision, device), optimizer=None)
    wanted = {
        f"{part}.{key}": value for part in _PARTS for key, value in getattr(net, part).state_dict().items()
    }
    for key in [*wanted, *weights]:
        shapes = [tuple(where[key].shape) if key in where else None for where in (weights, wanted)]
        if shapes[0] != shapes[1]:
            raise WeightsError(key, *shapes)
    for part in _PARTS:
        own = {k: torch.tensor(weights[k]) for k in wanted if k.startswith(f"{part}.")}
        getattr(net, part).load_state_dict({k.removeprefix(f"{part}."): v for k, v in own.items()})
    net.module_.eval()
    return net
