"""Encoders as weights and plain facts: for pickles, and for folders to share."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from .._utils.device import resolve_device, resolve_precision
from .._utils.persistence import write_whole
from .._version import __version__
from ..embeddings import EmbeddingTable
from .build import make_net
from .net import EncoderNet

_FORMAT = 1
_FITTED = ("n_chans_", "n_times_in_", "n_features_in_", "n_outputs_", "history_", "selection_")
_TABLES = ("targets", "text_targets")


def weights_of(net: EncoderNet) -> dict[str, np.ndarray]:
    """Weights of the network and of the loss, as float arrays on the CPU."""
    return {
        f"{part}.{key}": value.detach().cpu().numpy().copy()
        for part in ("module_", "criterion_")
        for key, value in getattr(net, part).state_dict().items()
    }


def rebuild_net(spec: tuple, weights: dict[str, np.ndarray], *, device: str, precision: str) -> EncoderNet:
    """A net as it was when `weights_of` was called, on a device that this machine has."""
    import torch

    try:
        device = resolve_device(device)
    except ValueError:
        device = "cpu"  # fitted on a GPU, opened where there is none
    with torch.random.fork_rng(devices=[]):
        # Building draws initial weights from the global generator.
        net = make_net(*spec, device=device, precision=resolve_precision(precision, device))
    for part in ("module_", "criterion_"):
        own = {
            k.removeprefix(f"{part}."): torch.tensor(v)
            for k, v in weights.items()
            if k.startswith(f"{part}.")
        }
        getattr(net, part).load_state_dict(own)
    net.module_.eval()
    return net


def save_encoder(encoder: Any, folder: str | os.PathLike) -> None:
    """Write json + safetensors; the json comes last, so that a folder without it is not an encoder."""
    from safetensors.numpy import save

    folder = Path(folder)
    params = encoder.get_params(deep=False)
    tables = {name: params.pop(name) for name in _TABLES}
    for name in ("callbacks", "checkpoint_dir", "random_state", "verbose", "device"):
        params.pop(name)
    (cls, net_params), criterion_params = encoder._spec
    params["net"] = params["net"] if isinstance(params["net"], str) else None
    facts = {
        "format": _FORMAT,
        "skeegclip": __version__,
        "params": params,
        "fitted": {name: getattr(encoder, name) for name in _FITTED},
        "subjects": encoder.subjects_.tolist(),
        "ch_names": encoder.ch_names_,
        "net_class": cls.__qualname__,
        "net_params": {k: v for k, v in net_params.items() if k != "chs_info"},
        "criterion_params": criterion_params,
        "tables": [name for name, table in tables.items() if table is not None],
    }
    try:
        text = json.dumps(facts, indent=2, default=_plain)
    except TypeError as error:
        raise TypeError(
            f"a parameter of this encoder has no place in a JSON file ({error}). Use joblib.dump."
        ) from error
    write_whole(folder / "weights.safetensors", save(weights_of(encoder.net_)))
    for name, table in tables.items():
        if table is not None:
            table.save(folder / f"{name}.safetensors")
    write_whole(folder / "encoder.json", text.encode())


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{value!r} of type {type(value).__name__}")


def load_encoder(encoder_class: type, folder: str | os.PathLike, *, net: type | None, device: str) -> Any:
    """Read what `save_encoder` wrote."""
    from safetensors.numpy import load_file

    from ..nets.registry import get_net

    folder = Path(folder)
    path = folder / "encoder.json"
    if not path.exists():
        raise FileNotFoundError(
            f"{path} does not exist: {folder} is not a folder that EEGEncoder.save wrote."
        )
    facts = json.loads(path.read_text())
    if facts.get("format") != _FORMAT:
        raise ValueError(
            f"{path} has format {facts.get('format')!r}, this version reads {_FORMAT}. It was written by skeegclip"
            f" {facts.get('skeegclip')}; install that version, or save again with this one."
        )
    if net is None and facts["params"]["net"] is None:
        raise ValueError(
            f"{path}: the network is a class, {facts['net_class']!r}. Pass it: EEGEncoder.load(folder, net=...)."
        )
    cls = net if net is not None else get_net(facts["params"]["net"])[0]
    tables = {name: EmbeddingTable.load(folder / f"{name}.safetensors") for name in facts["tables"]}
    encoder = encoder_class(
        **{**facts["params"], **tables, "device": device, "net": net or facts["params"]["net"]}
    )
    for name, value in facts["fitted"].items():
        setattr(encoder, name, value)
    encoder.subjects_ = np.array(facts["subjects"], dtype=str)
    encoder.ch_names_ = None if facts["ch_names"] is None else tuple(facts["ch_names"])
    encoder._spec = (cls, facts["net_params"]), facts["criterion_params"]
    weights = load_file(folder / "weights.safetensors")
    encoder.net_ = rebuild_net(encoder._spec, weights, device=device, precision=encoder.precision)
    return encoder
