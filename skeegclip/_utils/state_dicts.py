"""State dicts: a network's as arrays, and what a file holds, or what somebody saved in it, as a plain one."""

from __future__ import annotations

import json
import os
import pickle
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import torch

# What a training script, torch.nn.DataParallel and torch.compile put before every key.
_PREFIXES = ("module.", "_orig_mod.", "model.", "eeg_model.", "net.")
# Where training scripts keep the weights of the network among other things, most likely first.
_ENTRIES = ("state_dict", "model_state_dict", "model", "eeg_model", "net", "module")
# Weights in several files, as huggingface_hub names them, and the file that tells which tensor lies in which.
_PART = re.compile(r"(?P<name>.+)-\d{5}-of-(?P<n>\d{5})(?P<suffix>\.\w+)")
INDEX = ".index.json"


def arrays_of(net: torch.nn.Module) -> dict[str, np.ndarray]:
    """Weights of a network as arrays on the CPU, which are the caller's own."""
    return {key: value.detach().cpu().numpy().copy() for key, value in net.state_dict().items()}


def read_state_dict(source: Any, name: str = "path_or_state_dict") -> dict[str, Any]:
    """Return the state dict that a path, or a mapping in memory, holds, freed of wrappers and prefixes.

    Parameters
    ----------
    source : path-like | mapping of str to Tensor or ndarray
        A file written by ``torch.save`` or safetensors, the index of several, or what such a file holds.
    name : str
        The parameter that an error names.

    Returns
    -------
    dict of str to Tensor
        On the CPU; floating-point values as float32.

    Raises
    ------
    FileNotFoundError
        If there is no such file, or not all that an index names.
    TypeError
        If `source` is neither a path nor a mapping.
    ValueError
        If the file cannot be read without running code from it, holds no weights, or is one of several.
    """
    import torch

    if isinstance(source, torch.nn.Module):
        raise TypeError(f"{name} is the network itself ({type(source).__name__}); pass its state_dict().")
    if isinstance(source, (str, os.PathLike)):
        path = Path(source)
        if not path.is_file():
            raise FileNotFoundError(f"{name}: there is no file {path}.")
        state = _unwrapped(_read_file(path), str(path))
    elif isinstance(source, Mapping):
        state = _unwrapped(source, name)
    else:
        raise TypeError(f"{name} must be a path or a state dict, got {type(source).__name__}.")
    return {key: _plain(value) for key, value in _without_prefix(state).items()}


def files_of(path: Path) -> list[Path]:
    """The files whose tensors an index names, which must be there; of any other path, itself."""
    if not path.name.endswith(INDEX):
        return [path]
    names = part_names(path)
    lacking = [name for name in names if not (path.parent / name).is_file()]
    if lacking:
        raise FileNotFoundError(
            f"{path} names {len(names)} files of weights, and {len(lacking)} of them are not beside it:"
            f" {', '.join(lacking[:5])}{', ...' if len(lacking) > 5 else ''}. Copy all of them into one folder."
        )
    return [path.parent / name for name in names]


def part_names(index: Path) -> list[str]:
    """Names of the files that an index tells of."""
    return sorted(set(_index(index).values()))


def _index(path: Path) -> dict[str, str]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))["weight_map"]
        if any(Path(name).name != name or name in ("", "..") for name in found.values()):
            raise ValueError("a name is that of another folder")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is no index of files of weights ({error!r}). Download it again.") from error
    return found


def _read_file(path: Path) -> Any:
    if path.name.endswith(INDEX):
        named = _index(path)
        parts = {part.name: _unwrapped(_read_one(part), str(part)) for part in files_of(path)}
        whole = {name: value for part in parts.values() for name, value in part.items()}
        # What several files hold, an older one among them say, is that of the file that the index names.
        whole |= {name: parts[part][name] for name, part in named.items() if name in parts[part]}
        lacking = named.keys() - whole.keys()
        if lacking:
            raise ValueError(
                f"{path} names {len(lacking)} tensors that its files do not hold (one: {min(lacking)!r}). Download them again."
            )
        return whole
    part = _PART.fullmatch(path.name)
    if part is not None and int(part["n"]) > 1:
        index = f"{part['name']}{part['suffix']}{INDEX}"
        raise ValueError(
            f"{path} is one of {int(part['n'])} files that hold the weights together. Pass {index}, which names them and has"
            " to lie beside them, or the folder."
        )
    return _read_one(path)


def _read_one(path: Path) -> Any:
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if path.suffix == ".safetensors":
        try:
            return load_file(path)
        except SafetensorError as error:
            raise ValueError(f"{path} is not a whole safetensors file ({error}).") from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of foreign pickles, which it refuses all the same
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"{path} holds more than weights, or is no torch file; it was not opened, because that could run"
            " code from it. Load it where it was written and save only model.state_dict()."
        ) from error
    except Exception as error:  # a file of any content: torch's reader fails in many ways
        raise ValueError(
            f"{path} is not a whole torch file ({type(error).__name__}). Download it again."
        ) from error


def _are_weights(value: Any) -> bool:
    import numpy as np
    import torch

    return (
        isinstance(value, Mapping)
        and len(value) > 0
        and all(isinstance(k, str) and isinstance(v, (torch.Tensor, np.ndarray)) for k, v in value.items())
    )


def _unwrapped(content: Any, name: str) -> Mapping:
    if _are_weights(content):
        return content
    if isinstance(content, Mapping):
        inside = {key: value for key, value in content.items() if _are_weights(value)}
        for entry in _ENTRIES:
            if entry in inside:
                return inside[entry]
        if len(inside) == 1:
            return next(iter(inside.values()))
        holds = f"a dict with the entries {', '.join(map(repr, list(content)[:5]))}"
    else:
        holds = f"a {type(content).__name__}"
    raise ValueError(
        f"{name} holds {holds}, not one state dict (names and tensors). Pass the state dict that is in it."
    )


def _without_prefix(state: Mapping) -> dict[str, Any]:
    keys = list(state)
    while prefix := next((p for p in _PREFIXES if all(key.startswith(p) for key in keys)), None):
        keys = [key.removeprefix(prefix) for key in keys]
    return dict(zip(keys, state.values(), strict=True))


def _plain(value: Any) -> Any:
    import torch

    tensor = torch.as_tensor(value).detach().cpu()
    return tensor.float() if tensor.is_floating_point() else tensor
