"""How fitted networks travel: as weights in pickles, and as folders of json and safetensors."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .._utils.device import resolve_device
from .._utils.params import DictParams
from .._utils.persistence import write_whole
from .._version import __version__

if TYPE_CHECKING:
    import torch

_FORMAT, _WEIGHTS = 1, "weights.safetensors"


def device_of(net: torch.nn.Module) -> torch.device:
    """Where a network is."""
    return next(iter(net.state_dict().values())).device


def weights_of(net: torch.nn.Module) -> dict[str, np.ndarray]:
    """Weights as arrays on the CPU."""
    return {key: value.detach().cpu().numpy().copy() for key, value in net.state_dict().items()}


def restore(build: Any, weights: dict[str, np.ndarray], device: Any) -> torch.nn.Module:
    """A network as it was, for use, on a device that this machine has."""
    import torch

    try:
        device = resolve_device(device)
    except ValueError:
        device = "cpu"  # fitted on a GPU, opened where there is none
    with torch.device("meta"):  # no initial weights are drawn
        net = build()
    net.load_state_dict({key: torch.tensor(value) for key, value in weights.items()}, assign=True)
    return net.to(device).eval().requires_grad_(False)


class NetCarrier(DictParams):
    """Base of estimators with a fitted ``net_`` that ``_build_net()`` makes: pickled as weights."""

    net_: Any
    device: Any

    def _build_net(self) -> torch.nn.Module:
        raise NotImplementedError

    def __getstate__(self) -> dict:
        # A model trained on a GPU must open where there is none.
        state = dict(super().__getstate__())
        net = state.pop("net_", None)
        if net is not None:
            state["_weights"] = weights_of(net)
        return state

    def __setstate__(self, state: dict) -> None:
        state = dict(state)
        weights = state.pop("_weights", None)
        super().__setstate__(state)
        if weights is not None:
            self.net_ = restore(self._build_net, weights, self.device)


def write_folder(
    folder: str | os.PathLike, name: str, facts: dict, weights: dict[str, np.ndarray], *, owner: str
) -> None:
    """Write ``weights.safetensors``, then ``{name}.json``: a folder without it is not complete."""
    from safetensors.numpy import save

    from .._utils.plain import to_plain

    # safetensors writes the memory of an array as it lies, whatever its strides.
    content = save({key: np.ascontiguousarray(value) for key, value in weights.items()})
    digest = hashlib.sha256(content).hexdigest()
    facts = {"format": _FORMAT, "skeegclip": __version__, "sha256": digest, **facts}
    try:
        text = json.dumps(to_plain(facts), indent=2)
    except TypeError as error:
        raise TypeError(
            f"a parameter of this {owner} has no place in a JSON file: {error}. Use joblib.dump, for your own use."
        ) from None
    write_whole(Path(folder) / _WEIGHTS, content)
    write_whole(Path(folder) / f"{name}.json", text.encode())


def read_folder(folder: str | os.PathLike, name: str, *, owner: str) -> tuple[dict, dict[str, np.ndarray]]:
    """Read what `write_folder` wrote; a folder from anywhere runs no code."""
    from safetensors.numpy import load

    from .._utils.plain import from_plain

    path, weights = Path(folder) / f"{name}.json", Path(folder) / _WEIGHTS
    for file in (path, weights):
        if not file.is_file():
            raise FileNotFoundError(
                f"{file} does not exist: {folder} is not a whole folder that {owner}.save wrote."
            )
    try:
        facts = from_plain(json.loads(path.read_bytes()))
        version = facts["format"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"{path} is not what {owner}.save writes ({error}). Get the folder again.") from None
    if version != _FORMAT:
        raise ValueError(
            f"{path} has format {version!r}, this version reads {_FORMAT}. It was written by skeegclip"
            f" {facts.get('skeegclip')}; install that version, or save again with this one."
        )
    content = weights.read_bytes()
    if hashlib.sha256(content).hexdigest() != facts.get("sha256"):
        raise ValueError(
            f"{weights} is not the file that was saved with {path.name} (another sha256): the copy is cut short, or"
            " the two are from different saves. Get the folder again."
        )
    return facts, load(content)
