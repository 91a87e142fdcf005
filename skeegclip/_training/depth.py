"""How deep in a network each of its parameters is, and the learning rates that follow from it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from torch import nn

_PARAMETRIZED = ".parametrizations."


def depths_of(net: nn.Module, names: Collection[str]) -> tuple[dict[str, int], int]:
    """Depth of each parameter that stands before the head, and that of the head.

    Where a ModuleList or Sequential holds two blocks or more of one class, each of several layers, each block of the one
    with the most parameters is one deeper than the block before it; all that is defined before the first is of depth 0, and
    what is defined behind the last is as deep as the head. Else each module that has a weight matrix of its own is one deeper
    than the one before it, in order of definition, and vectors (biases, normalisation) go with the matrix before them.

    Parameters
    ----------
    net : Module
        The network.
    names : collection of str
        Its parameters before the head.

    Returns
    -------
    depths : dict of str to int
        By name.
    n : int
        Depth of the head.

    Examples
    --------
    >>> from torch import nn
    >>> net = nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4), nn.Linear(4, 4), nn.Linear(4, 2))
    >>> depths_of(net, ["0.weight", "0.bias", "1.weight", "1.bias", "2.weight", "2.bias"])
    ({'0.weight': 0, '0.bias': 0, '1.weight': 0, '1.bias': 0, '2.weight': 1, '2.bias': 1}, 2)
    """
    body = {name: p for name, p in net.named_parameters() if name in names}
    stack, n_blocks = _stack(net, body)
    depths: dict[str, int] = {}
    if stack is not None:
        places = {
            block: place for place, (block, _) in enumerate(net.get_submodule(stack).named_children(), 1)
        }
        reached = 0
        for name in body:
            inside = name.removeprefix(f"{stack}." if stack else "")
            if inside != name or not stack:
                reached = places.get(inside.split(".")[0], reached)
                depths[name] = reached
            else:
                depths[name] = 0 if reached == 0 else n_blocks + 1
        return depths, n_blocks + 1
    owner, depth = None, -1
    for name, p in body.items():
        of = name.partition(_PARAMETRIZED)[0] if _PARAMETRIZED in name else name.rpartition(".")[0]
        if p.ndim > 1 and of != owner:
            owner, depth = of, depth + 1
        depths[name] = max(depth, 0)
    return depths, depth + 1


def _stack(net: nn.Module, body: dict[str, Any]) -> tuple[str | None, int]:
    """The longest part of a network that is made of blocks, and how many."""
    best, most, n_blocks = None, 0, 0
    for name, module in net.named_modules():
        if not isinstance(module, (nn.ModuleList, nn.Sequential)):
            continue
        start = f"{name}." if name else ""
        blocks = [
            block
            for key, block in module.named_children()
            if any(n.startswith(f"{start}{key}.") for n in body)
        ]
        composite = [block for block in blocks if _n_layers(block) > 1]
        alike = len(composite) > 1 and len(composite) == len(blocks) and len({type(b) for b in blocks}) == 1
        size = sum(p.numel() for n, p in body.items() if n.startswith(start))
        if alike and size > most:
            best, most, n_blocks = name, size, len(module)
    return best, n_blocks


def _n_layers(block: nn.Module) -> int:
    return sum(any(True for _ in module.parameters(recurse=False)) for module in block.modules())


def rates_of(
    net: nn.Module, new: Collection[str], *, lr: float, layer_decay: float, head_lr: float | None
) -> dict[str, float]:
    """Learning rate of each parameter: ``lr * layer_decay ** (n - depth)``, with n the depth of the head.

    Parameters
    ----------
    net : Module
        The network.
    new : collection of str
        The head's parameters and all that start from random numbers, which learn at the head's own rate.
    lr, layer_decay, head_lr
        As in EEGEncoder.

    Returns
    -------
    dict of str to float
        By name.
    """
    depths, n = depths_of(net, [name for name, _ in net.named_parameters() if name not in set(new)])
    own = lr if head_lr is None else head_lr
    return {
        name: lr * layer_decay ** (n - depths[name]) if name in depths else own
        for name, _ in net.named_parameters()
    }
