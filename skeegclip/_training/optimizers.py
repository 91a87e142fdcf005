"""torch's optimizers that have a name here, without the compiler that torch loads for them.

With the first optimizer of a process torch loads its compiler, which takes seconds, to have it leave alone four methods that
it should not compile. Nothing is compiled here: these classes call the methods themselves.
"""

from __future__ import annotations

import inspect
from typing import Any

import torch


class _Uncompiled(torch.optim.Optimizer):
    """An optimizer whose methods are those that torch's decorators wrap."""

    add_param_group = inspect.unwrap(torch.optim.Optimizer.add_param_group)
    zero_grad = inspect.unwrap(torch.optim.Optimizer.zero_grad)
    state_dict = inspect.unwrap(torch.optim.Optimizer.state_dict)
    load_state_dict = inspect.unwrap(torch.optim.Optimizer.load_state_dict)

    def step(self, closure: Any = None) -> Any:
        """Take one step, through which gradients flow only if the optimizer was made so."""
        with torch.set_grad_enabled(self.defaults["differentiable"]):
            return inspect.unwrap(super().step)(self, closure)


class AdamW(_Uncompiled, torch.optim.AdamW):
    """torch's AdamW."""


class Adam(_Uncompiled, torch.optim.Adam):
    """torch's Adam."""


class SGD(_Uncompiled, torch.optim.SGD):
    """torch's stochastic gradient descent."""


OPTIMIZERS = {"adamw": AdamW, "adam": Adam, "sgd": SGD}
