"""Which layers of a network are its last ones, and a linear map in their place."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from .channel_layer import WithChannelLayer
from .per_subject import WithSubjectLatent, WithSubjectLinear

_NAMES = ("final_layer", "head", "classifier", "fc")


class Probe(nn.Linear):
    """A linear map of all that comes in, of whatever shape.

    Parameters
    ----------
    n_inputs, n_outputs : int
        Numbers of an epoch that come in and go out.

    Examples
    --------
    >>> import torch
    >>> Probe(12, 8)(torch.zeros(3, 4, 3)).shape
    torch.Size([3, 8])
    """

    def __init__(self, n_inputs: int, n_outputs: int) -> None:
        super().__init__(n_inputs, n_outputs)

    def forward(self, input: Tensor, *others: Any) -> Tensor:
        """Map (batch, ...) to (batch, n_outputs); what else a network tells its last layer is not looked at."""
        return super().forward(input.flatten(1))


def head_of(net: nn.Module) -> tuple[str, ...]:
    """Names of the last layers of a network, modules or parameters.

    A network may name them itself, in an attribute `last_layers`. Else it is the child called ``final_layer`` (as in all of
    braindecode's networks), ``head``, ``classifier`` or ``fc``, and if there is none the last child, in order of
    definition, with a weight matrix; and what is defined behind it. Where a single child holds all weights, it is looked
    at instead.

    Examples
    --------
    >>> from torch import nn
    >>> head_of(nn.Sequential(nn.Linear(4, 4), nn.GELU(), nn.Linear(4, 2), nn.LayerNorm(2)))
    ('2', '3')
    """
    if isinstance(net, WithSubjectLatent):
        return ("head",)
    if isinstance(net, (WithSubjectLinear, WithChannelLayer)):
        return tuple(f"net.{name}" for name in head_of(net.net))
    if (own := getattr(net, "last_layers", None)) is not None:
        return tuple(own)
    children = [
        (name, child) for name, child in net.named_children() if any(True for _ in child.parameters())
    ]
    named = [name for name in _NAMES if name in dict(children)]
    matrices = [name for name, child in children if any(p.ndim > 1 for p in child.parameters())]
    if named:
        first = named[0]
    elif len(children) > 1 and matrices:
        first = matrices[-1]
    elif children and any(True for _ in children[0][1].children()):
        name, child = children[0]
        return tuple(f"{name}.{inner}" for inner in head_of(child)) or (name,)
    else:
        return tuple(name for name, _ in children) or tuple(name for name, _ in net.named_parameters())
    names = [name for name, _ in children]
    inside = net.get_submodule(first)
    behind = tuple(names[names.index(first) + 1 :])
    if isinstance(inside, nn.ModuleList) and first not in _NAMES:  # of which the last one comes last
        return (f"{first}.{len(inside) - 1}", *behind)
    return (first, *behind)


def beginnings(net: nn.Module) -> list[str]:
    """What stands before the names of a network behind layers of channels or people: nothing, "net.", or "net.net."."""
    found = [""]
    while isinstance(net, (WithSubjectLinear, WithChannelLayer)):
        net = net.net
        found.append(f"{found[-1]}net.")
    return found


def put_probe(net: nn.Module, layer: str, behind: list[str], n_inputs: int, n_outputs: int) -> None:
    """Put a probe in the place of a network's last layer; the layers `behind` it do nothing any more."""
    net.set_submodule(layer, Probe(n_inputs, n_outputs))
    for name in behind:
        net.set_submodule(name, nn.Identity())


def probe_of(net: nn.Module, x: Tensor) -> dict[str, Any]:
    """What `put_probe` has to know of a network, whose output for epochs `x` is a vector each.

    Raises
    ------
    ValueError
        If its last layer is not called once with one tensor an epoch, or what it gives does not go straight out.
    """
    names = [name for name in head_of(net) if _is_module(net, name)]
    if not names:
        raise ValueError("its last layer is a bare parameter")
    layer, behind = names[0], names[1:]
    with torch.no_grad(), features_of(net, layer) as seen:
        n_outputs = net.eval()(x).shape[1]
    net.train()
    if len(seen) != 1 or len(seen[0]) != len(x):
        raise ValueError(f"{layer!r}, its last layer, is not called once with all epochs")
    return {
        "layer": layer,
        "behind": behind,
        "n_inputs": math.prod(seen[0].shape[1:]),
        "n_outputs": n_outputs,
    }


def _is_module(net: nn.Module, name: str) -> bool:
    try:
        net.get_submodule(name)
    except AttributeError:
        return False
    return True


@contextlib.contextmanager
def features_of(net: nn.Module, layer: str) -> Iterator[list[Tensor]]:
    """A block in which what goes into a layer is kept."""
    seen: list[Tensor] = []

    def keep(module: nn.Module, inputs: tuple[Any, ...]) -> None:
        seen.append(inputs[0].detach())

    handle = net.get_submodule(layer).register_forward_pre_hook(keep)
    try:
        yield seen
    finally:
        handle.remove()
