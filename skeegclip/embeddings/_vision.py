"""Image networks of transformers and diffusers: what names their weights, and how they are loaded."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

from .._utils.autoencoders import autoencoder_class
from .._utils.hub import file_sha256, first_line, from_hub, lacks_file
from .._utils.persistence import read_regular
from .._utils.seeding import seeded_torch
from ._weights import Weights

_CONFIG = "config.json"
_PROCESSORS = ["preprocessor_config.json", "processor_config.json"]
_REPOSITORY = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?")
_LIMIT = 2**24  # bytes of a configuration


def find_vision(model: Any, revision: Any) -> Weights:
    """Name the weights that `model` and `revision` ask for, without loading them.

    Parameters
    ----------
    model : path-like
        A folder as ``save_pretrained`` fills it, or ``owner/name`` on the hub.
    revision : str | None
        Commit, tag or branch of the hub.

    Returns
    -------
    Weights
        For :func:`load_vision`; its `path` is the folder, which may hold no more than a configuration yet.
    """
    if not isinstance(model, (str, os.PathLike)):
        raise TypeError(
            f"model must be a folder or the name of a hub repository, got {type(model).__name__}."
        )
    if revision is not None and not isinstance(revision, str):
        raise TypeError(f"revision must be a commit, tag or branch, or None, got {type(revision).__name__}.")
    name = os.fspath(model)
    folder = Path(name).expanduser()
    if folder.is_dir():
        if revision is not None:
            raise ValueError(
                f"revision must be None where model is a folder, got {revision!r}: a folder has no history."
            )
        return _of_folder(name, folder)
    if isinstance(model, os.PathLike) or not _REPOSITORY.fullmatch(name):
        raise FileNotFoundError(
            f"model={name!r} is neither a folder nor the name of a hub repository (owner/name). Check the path."
        )
    snapshot = Path(_of_repository(name, [_CONFIG], revision)).parent
    published = {"hf_hub": name, "revision": snapshot.name}
    return Weights(name, {"model": name, "commit": snapshot.name}, str(snapshot), published)


def _of_folder(name: str, folder: Path) -> Weights:
    if not (folder / _CONFIG).is_file():
        raise FileNotFoundError(
            f"model={name!r}: there is no {_CONFIG} in that folder. It must hold that file and the weights, as"
            " save_pretrained writes them; in a pipeline of diffusers the autoencoder is its folder vae."
        )
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        raise FileNotFoundError(
            f"model={name!r}: there are no weights in that folder (.safetensors; pickles such as .bin are not read,"
            " as they can run code)."
        )
    files = [path for path in (folder / file for file in [_CONFIG, *_PROCESSORS]) if path.is_file()]
    identity = {"model": "folder", "sha256": [file_sha256(str(path)) for path in [*files, *weights]]}
    return Weights(name, identity, str(folder))


def _of_repository(repository: str, names: list[str], revision: str | None) -> str:
    pinned = "" if revision is None else f" --revision {revision}"
    try:
        return from_hub(
            repository,
            names,
            repository,
            revision,
            command=f"hf download {repository}{pinned}",
            instead="pass a folder as model=",
        )
    except OSError as error:
        if not lacks_file(error):
            raise
        raise ValueError(
            f"model={repository!r}: that repository has no {' or '.join(names)}; take one of transformers or diffusers"
            " with weights in safetensors (pickles are not read, as they can run code)."
        ) from error


def load_vision(weights: Weights, device: str) -> tuple[Any, Any]:
    """Build the network and load its weights, in evaluation mode and without gradients.

    Parameters
    ----------
    weights : Weights
        From :func:`find_vision`.
    device : str
        Torch device.

    Returns
    -------
    net : nn.Module
        The image tower of a model of transformers, or an autoencoder of diffusers.
    processor : object | None
        What prepares its pictures; an autoencoder has none.
    """
    assert weights.path is not None
    config = _config(weights)
    if weights.published:
        _fetch(weights, config)
    load = _autoencoder if "_class_name" in config else _tower
    try:
        with seeded_torch(0, "cpu"):
            net, processor = load(weights.path, config)
    except Exception as error:  # what a stranger's files do to a library is of many kinds
        if isinstance(error, MemoryError):
            raise
        raise ValueError(
            f"model={weights.model!r} cannot be loaded as an image network of transformers or diffusers with weights in"
            f" safetensors, without code that comes with it ({first_line(error)})."
        ) from error
    return net.eval().requires_grad_(False).to(device), processor


def _config(weights: Weights) -> dict[str, Any]:
    assert weights.path is not None
    path = Path(weights.path, _CONFIG)
    try:
        config = json.loads(read_regular(path.resolve(), limit=_LIMIT))
        if not isinstance(config, dict):
            raise TypeError("it is no object")
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(
            f"model={weights.model!r}: its {_CONFIG} cannot be read ({first_line(error)})."
        ) from error
    return config


def _fetch(weights: Weights, config: dict[str, Any]) -> None:
    """Bring what a repository has of a model into the snapshot where its configuration lies."""
    repository, commit = weights.published["hf_hub"], weights.published["revision"]
    stem = "diffusion_pytorch_model" if "_class_name" in config else "model"
    if not ("_class_name" in config or "architecture" in config):  # timm's says all in its configuration
        _of_repository(repository, _PROCESSORS, commit)
    found = _of_repository(repository, [f"{stem}.safetensors", f"{stem}.safetensors.index.json"], commit)
    if found.endswith(".json"):
        parts = json.loads(read_regular(Path(found).resolve(), limit=_LIMIT))["weight_map"].values()
        for part in sorted(set(parts)):
            _of_repository(repository, [part], commit)


def _autoencoder(folder: str, config: dict[str, Any]) -> tuple[Any, None]:
    import torch

    cls = autoencoder_class(config)
    return cls.from_pretrained(
        folder, torch_dtype=torch.float32, use_safetensors=True, local_files_only=True
    ), None


def _tower(folder: str, config: dict[str, Any]) -> tuple[Any, Any]:
    import torch
    from transformers import AutoImageProcessor, AutoModel

    if ":" in str(config.get("architecture")) or "checkpoint_path" in (config.get("model_args") or {}):
        raise ValueError("its configuration of timm names weights that lie elsewhere")
    safe: dict[str, Any] = {"trust_remote_code": False, "local_files_only": True}
    processor = AutoImageProcessor.from_pretrained(folder, **safe)
    net, report = AutoModel.from_pretrained(
        folder, use_safetensors=True, dtype=torch.float32, output_loading_info=True, **safe
    )
    tower = getattr(net, "vision_model", net)  # of a model of pictures and texts
    if getattr(tower, "main_input_name", None) != "pixel_values":
        raise ValueError(f"{type(net).__name__} does not take pictures")
    if getattr(tower.config, "mask_ratio", 0):
        raise ValueError(f"{type(net).__name__} hides patches at random")
    # Missing tensors would be random; nothing here looks at the pooler, which many weights lack.
    missing = sorted(name for name in report["missing_keys"] if "pooler" not in name.split("."))
    if missing:
        raise ValueError(f"the weights lack {len(missing)} tensors, the first being {missing[0]}")
    return tower, processor
