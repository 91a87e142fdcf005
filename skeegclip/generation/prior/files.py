"""A DiffusionPrior on disk, and checkpoints of the published code."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..._utils.seeding import draw_seed
from ..._utils.state_dicts import read_state_dict
from ...embeddings import EmbeddingTable
from .._sharing import read_folder, restore, weights_of, write_folder

_FITTED = ("n_features_in_", "n_dims_", "seed_", "history_", "selection_")
_SCALES = ("condition_mean_", "condition_scale_", "target_mean_", "target_scale_")
_NOT_SHARED = ("targets", "device", "verbose", "random_state")


def save_prior(prior: Any, folder: str | os.PathLike) -> None:
    """Write json, safetensors and the targets."""
    params = prior.get_params(deep=False)
    for name in _NOT_SHARED:
        params.pop(name)
    if prior.targets is not None:
        prior.targets.save(Path(folder) / "targets.safetensors")
    facts = {
        "params": params,
        "fitted": {name: getattr(prior, name) for name in _FITTED},
        "has_targets": prior.targets is not None,
    }
    weights = {f"net.{key}": value for key, value in weights_of(prior.net_).items()}
    scales = {name: getattr(prior, name) for name in _SCALES}
    write_folder(folder, "prior", facts, {**weights, **scales}, owner=type(prior).__name__)


def load_prior(cls: type, folder: str | os.PathLike, *, device: str) -> Any:
    """Read what `save_prior` wrote."""
    facts, weights = read_folder(folder, "prior", owner=cls.__name__)
    targets = EmbeddingTable.load(Path(folder) / "targets.safetensors") if facts["has_targets"] else None
    prior = cls(**facts["params"], targets=targets, device=device)
    for name, value in facts["fitted"].items():
        setattr(prior, name, value)
    for name in _SCALES:
        setattr(prior, name, weights.pop(name))
    net = {key.removeprefix("net."): value for key, value in weights.items()}
    prior.net_ = restore(prior._build_net, net, device)
    return prior


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
    except RuntimeError as error:
        raise ValueError(
            f"weights: the {net} that these weights describe does not take them"
            f" ({str(error).splitlines()[-1].strip()}). Pass a whole state dict."
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
