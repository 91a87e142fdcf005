"""A fitted encoder as a folder of json and safetensors."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from .._utils.persistence import write_whole
from .._utils.plain import channels_from_plain, channels_to_plain, from_plain, to_plain
from .._utils.seen import Seen
from .._utils.stated import Stated
from .._version import __version__
from ..embeddings import EmbeddingTable
from ..nets.names import find_net, name_of
from ..nets.registry import get_net
from .fitted import FittedNet
from .sharing import rebuild_net, weights_of
from .spec import NetSpec

FORMAT = 1
_FACTS, _WEIGHTS = "encoder.json", "weights.safetensors"
_FITTED = ("n_chans_", "n_times_in_", "n_features_in_", "n_outputs_", "history_", "selection_")
_OF_THE_DOOR = ("n_chans_", "n_times_in_", "n_features_in_")
_TABLES = ("targets", "text_targets")
# What concerns the machine or the run, not the encoder.
_NOT_SHARED = (
    *_TABLES,
    "augment",
    "callbacks",
    "checkpoint_dir",
    "device",
    "random_state",
    "verbose",
    "warm_start",
)


def save_encoder(encoder: Any, folder: str | os.PathLike) -> None:
    """Write json + safetensors; the json comes last, so that a folder without it is not an encoder."""
    from safetensors.numpy import save

    folder = Path(folder)
    params = encoder.get_params(deep=False)
    tables = {name: params[name] for name in _TABLES if params[name] is not None}
    fitted = encoder.fitted_
    net_params = dict(fitted.spec.net_params)
    chs_info = net_params.pop("chs_info", None)
    shared = {name: value for name, value in params.items() if name not in _NOT_SHARED}
    shared["net"] = shared["net"] if isinstance(shared["net"], str) else None
    weights = save(weights_of(encoder.net_))
    facts = {
        "format": FORMAT,
        "skeegclip": __version__,
        "params": {name: _plain(name, value) for name, value in shared.items()},
        "fitted": {name: _plain(name, getattr(encoder, name)) for name in _FITTED},
        "trained_on": {name: seen.to_plain() for name, seen in fitted.trained_on.items()},
        "subjects": encoder.subjects_.tolist(),
        "ch_names": encoder.ch_names_,
        "input": _plain("input", asdict(fitted.stated)),
        "net": name_of(fitted.spec.net, encoder.net),
        "net_class": fitted.spec.net.__qualname__,
        "net_params": _plain("net_params", net_params),
        "chs_info": None if chs_info is None else channels_to_plain(chs_info),
        "criterion_params": _plain("criterion", fitted.spec.criterion_params),
        "tables": list(tables),
        "sha256": hashlib.sha256(weights).hexdigest(),
    }
    write_whole(folder / _WEIGHTS, weights)
    for name, table in tables.items():
        table.save(folder / f"{name}.safetensors")
    write_whole(folder / _FACTS, json.dumps(facts, indent=2).encode())
    for name in _TABLES:
        if name not in tables:  # of an earlier save
            (folder / f"{name}.safetensors").unlink(missing_ok=True)


def _plain(name: str, value: Any) -> Any:
    try:
        return to_plain(value)
    except TypeError as error:
        raise TypeError(
            f"{name} of this encoder has no place in a JSON file: {error}. Use joblib.dump, for your own use."
        ) from None


def load_encoder(encoder_class: type, folder: str | os.PathLike, *, net: type | None, device: str) -> Any:
    """Read what `save_encoder` wrote; a folder from anywhere runs no code."""
    folder = Path(folder)
    path = folder / _FACTS
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} does not exist: {folder} is not a folder that EEGEncoder.save wrote."
        )
    try:
        facts = json.loads(path.read_bytes())
        version = facts["format"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(
            f"{path} is not what EEGEncoder.save writes ({error}). Get the folder again."
        ) from None
    if version != FORMAT:
        raise ValueError(
            f"{path} has format {version!r}, this version reads {FORMAT}. It was written by skeegclip"
            f" {facts.get('skeegclip')}; install that version, or save again with this one."
        )
    if net is None and facts.get("net") is None:
        raise ValueError(
            f"{path}: the network is a class, {facts.get('net_class')!r}. Pass it: EEGEncoder.load(folder, net=...)."
        )
    weights = _read_weights(folder / _WEIGHTS, facts.get("sha256"))
    tables = {
        name: EmbeddingTable.load(folder / f"{name}.safetensors")
        for name in _TABLES
        if name in facts.get("tables", [])
    }
    try:
        return _assemble(encoder_class, facts, weights, tables, net, device)
    except (KeyError, TypeError, AttributeError, RuntimeError, ValueError) as error:
        raise ValueError(
            f"{path} does not describe an encoder that this version can build: {type(error).__name__}: {error}."
        ) from error


def _read_weights(path: Path, sha256: Any) -> dict[str, np.ndarray]:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist: the folder was not copied whole.")
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != sha256:
        raise ValueError(
            f"{path} is not the file that was saved with this {_FACTS} (another sha256): the copy is cut short, or"
            " the two are from different saves. Get the folder again."
        )
    try:
        return load(content)
    except SafetensorError as error:
        raise ValueError(f"{path} is not a readable safetensors file ({error}).") from None


def _assemble(
    encoder_class: type, facts: dict, weights: dict, tables: dict, net: type | None, device: str
) -> Any:
    params = from_plain(facts["params"])
    encoder = encoder_class()
    unknown = [name for name in params if name in _NOT_SHARED or name not in encoder.get_params(deep=False)]
    if unknown:
        raise ValueError(f"EEGEncoder has no parameter {unknown[0]!r} in a folder")
    if net is not None:
        params["net"] = net
    encoder.set_params(**params, **tables, device=device)
    told = from_plain(facts["fitted"])
    for name in _OF_THE_DOOR:
        setattr(encoder, name, told[name])
    encoder.ch_names_ = None if facts["ch_names"] is None else tuple(facts["ch_names"])
    net_params = from_plain(facts["net_params"])
    if facts["chs_info"] is not None:
        net_params["chs_info"] = channels_from_plain(facts["chs_info"])
    cls = find_net(facts["net"]) if net is None else get_net(net)[0]
    spec = NetSpec(cls, net_params, from_plain(facts["criterion_params"]))
    encoder.fitted_ = FittedNet(
        spec=spec,
        net=rebuild_net(spec, weights, device=device, precision=encoder.precision),
        subjects=np.array(facts["subjects"], dtype=str),
        n_outputs=told["n_outputs_"],
        history=told["history_"],
        selection=told["selection_"],
        # Older folders have no such records.
        trained_on={name: Seen.from_plain(p) for name, p in facts.get("trained_on", {}).items()},
        stated=Stated(**from_plain(facts.get("input", {"ch_names": encoder.ch_names_}))),
    )
    return encoder
