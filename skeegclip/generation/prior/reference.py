"""Checkpoints of the published code as a DiffusionPrior."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..._utils.seeding import draw_seed
from ..._utils.state_dicts import read_state_dict
from .._sharing import restore


def reference_prior(cls: type, weights: Any, params: Mapping[str, Any]) -> Any:
    """A fitted prior from a state dict of the published code, or a file of one."""
    state = {key: value.numpy() for key, value in read_state_dict(weights).items()}
    net, net_params, n_dims, n_conditions = _shape_of(state)
    prior = cls(**{**params, "net": net, "net_params": net_params, "reference_quirks": True})
    prior._check_params()
    prior.n_dims_, prior.n_features_in_ = n_dims, n_conditions
    prior.seed_ = draw_seed(prior.random_state)
    for side, n in (("condition", n_conditions), ("target", n_dims)):
        setattr(prior, f"{side}_mean_", np.zeros(n, np.float32))
        setattr(prior, f"{side}_scale_", np.ones(n, np.float32))
    prior.history_, prior.selection_ = [], {"rule": "last", "epoch": None, "n_stimuli_held_out": 0}
    try:
        prior.net_ = restore(prior._build_net, state, prior.device)
    except ValueError as error:
        raise ValueError(
            f"weights: the {net} that these weights describe does not take them ({error}). Pass a whole state dict."
        ) from error
    return prior


def _shape_of(state: dict[str, np.ndarray]) -> tuple[str, dict, int, int]:
    """Network, its parameters, width of the embedding and of the condition."""
    try:
        width, n_dims = state["input_layer.0.weight"].shape
        if "cond_embedding.weight" in state:
            n_blocks = sum(key.startswith("hidden_layers.") and key.endswith(".0.weight") for key in state)
            time = state["time_embedding.linear_1.weight"].shape[1]
            params = {"width": width, "n_blocks": n_blocks, "n_time_features": time}
            return "mlp", params, n_dims, state["cond_embedding.weight"].shape[1]
        levels = sum(key.startswith("encode_layers.") and key.endswith(".0.weight") for key in state)
        widths = [width] + [state[f"encode_layers.{i}.0.weight"].shape[0] for i in range(levels)]
        time = state["encode_time_embedding.0.linear_1.weight"].shape[1]
        n_conditions = state["encode_cond_embedding.0.weight"].shape[1]
    except KeyError as error:
        raise ValueError(
            f"weights have no {error.args[0]!r}: not the state dict of the published DiffusionPriorUNet or DiffusionPrior"
            f" (first names: {', '.join(list(state)[:3])})."
        ) from None
    return "unet", {"widths": tuple(widths), "n_time_features": time}, n_dims, n_conditions
