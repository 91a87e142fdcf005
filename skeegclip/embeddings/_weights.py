"""Where a CLIP model's weights come from: what names them, and how they are loaded."""

from __future__ import annotations

import difflib
import hashlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .._utils.hub import file_sha256, first_line, from_hub
from .._utils.seeding import seeded_torch

HUB, FOLDER = "hf-hub:", "local-dir:"
_CONFIG = "open_clip_config.json"
_PREPROCESS = ("mean", "std", "interpolation", "resize_mode")


@dataclass(frozen=True)
class Weights:
    """Weights that have a name, and need not be on this machine yet.

    Attributes
    ----------
    model : str
        Name of open_clip, or ``local-dir:...``.
    path : str | None
        Weights file, where it is known.
    published : dict
        What open_clip knows of a published set of weights: hub, preprocessing, activation.
    identity : dict
        What decides the vectors; holds no path, so that a file may be moved.
    preprocess : dict
        How pictures are prepared, where the file itself does not say.
    """

    model: str
    identity: dict[str, Any]
    path: str | None = None
    published: dict[str, Any] = field(default_factory=dict)
    preprocess: dict[str, Any] = field(default_factory=dict)


def import_open_clip() -> Any:
    """Import open_clip, or say in one sentence why that fails."""
    try:
        import open_clip
    # A torchvision that does not fit torch raises RuntimeError, a library that is missing OSError.
    except (ImportError, OSError, RuntimeError) as error:
        raise ImportError(
            f"CLIPEmbedder needs open_clip, which cannot be imported ({error}). Install open_clip_torch, and a"
            " torchvision that pairs with the installed torch."
        ) from error
    return open_clip


def find_weights(model: Any, pretrained: Any) -> Weights:
    """Name the weights that `model` and `pretrained` ask for, without loading them.

    Parameters
    ----------
    model : str
        A model of open_clip, ``hf-hub:owner/name`` or ``local-dir:path``.
    pretrained : path-like
        A tag of open_clip or a weights file; not looked at with ``hf-hub:`` and ``local-dir:``.

    Returns
    -------
    Weights
        For :func:`load_weights`.
    """
    if not isinstance(model, str):
        raise TypeError(f"model must be the name of an open_clip model, got {type(model).__name__}.")
    open_clip = import_open_clip()
    if model.startswith(FOLDER):
        return _of_folder(Path(model.removeprefix(FOLDER)))
    if model.startswith(HUB):
        return _of_hub(model)
    name = model.replace("/", "-")
    config = open_clip.get_model_config(name)
    if config is None:
        close = difflib.get_close_matches(name, open_clip.list_models(), n=3)
        hint = f" Did you mean {' or '.join(map(repr, close))}?" if close else ""
        raise ValueError(
            f"model must be one of open_clip.list_models(), {HUB}owner/name or {FOLDER}path, got {model!r}.{hint}"
        )
    identity: dict[str, Any] = {
        "model": name,
        "config": hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest(),
    }
    published = open_clip.get_pretrained_cfg(name, pretrained) if isinstance(pretrained, str) else {}
    if published:
        preprocess = {key: published[key] for key in _PREPROCESS if published.get(key) is not None}
        identity |= {"pretrained": pretrained.lower().replace("-", "_"), "preprocess": preprocess}
        return Weights(name, identity, published=published, preprocess=preprocess)
    path = os.fspath(pretrained) if isinstance(pretrained, (str, os.PathLike)) else None
    if path is None or not os.path.isfile(path):
        tags = open_clip.list_pretrained_tags_by_model(name)
        raise ValueError(
            f"pretrained must be a weights file, or a tag of {name} ({', '.join(tags) or 'it has none'}),"
            f" got {pretrained!r}."
        )
    preprocess = _agreed_preprocess(name)
    identity |= {"sha256": file_sha256(path), "preprocess": preprocess}
    return Weights(name, identity, path=path, preprocess=preprocess)


def _of_folder(folder: Path) -> Weights:
    if not (folder / _CONFIG).is_file():
        raise FileNotFoundError(
            f"model={FOLDER + str(folder)!r}: there is no {_CONFIG} in that folder. It must hold that file and"
            " the weights, as open_clip.push_to_hf_hub writes them."
        )
    files = [folder / _CONFIG, *_weights_in(folder)]
    if len(files) == 1:
        raise FileNotFoundError(
            f"model={FOLDER + str(folder)!r}: there are no weights in that folder (.safetensors, .bin, .pth)."
        )
    identity = {"model": FOLDER, "sha256": [file_sha256(str(file)) for file in files]}
    return Weights(FOLDER + str(folder), identity)


def _weights_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix in {".safetensors", ".bin", ".pth"})


def _of_hub(model: str) -> Weights:
    # A snapshot in the hub's cache is a folder with the configuration and the weights, named by its commit.
    repository = model.removeprefix(HUB)
    snapshot = Path(_of_repository(repository, [_CONFIG], model)).parent
    identity = {"model": model, "commit": snapshot.name}
    published = {"hf_hub": repository + "/", "revision": snapshot.name}
    return Weights(FOLDER + str(snapshot), identity, published=published)


def _agreed_preprocess(name: str) -> dict[str, Any]:
    """How pictures are prepared for the published weights of a model, if all of them agree.

    A weights file does not say, and open_clip would take the values of OpenAI's models for every file: wrong for the
    SigLIP, CLIPA, MobileCLIP and PE families.
    """
    open_clip = import_open_clip()
    found = []
    for tag in open_clip.list_pretrained_tags_by_model(name):
        published = open_clip.get_pretrained_cfg(name, tag)
        found.append({key: published[key] for key in _PREPROCESS if published.get(key) is not None})
    return found[0] if found and all(each == found[0] for each in found) else {}


def load_weights(weights: Weights, device: str) -> Any:
    """Build the model and load its weights, in evaluation mode and without gradients.

    Parameters
    ----------
    weights : Weights
        From :func:`find_weights`.
    device : str
        Torch device.

    Returns
    -------
    nn.Module
        A model of open_clip.
    """
    open_clip = import_open_clip()
    _refuse_code(weights.model)
    path = weights.path or _published_file(weights)
    # open_clip only warns where OpenAI's weights meet the plain activation; the vectors would be others.
    activation = {"force_quick_gelu": True} if weights.published.get("quick_gelu") else {}
    try:
        # A new network draws its weights from the global generator before the real ones are put in.
        with seeded_torch(0, "cpu"):
            net = open_clip.create_model(
                weights.model,
                pretrained=path,
                require_pretrained=True,
                force_preprocess_cfg=weights.preprocess,
                weights_only=True,
                **activation,
            )
    except Exception as error:
        if isinstance(error, (OSError, MemoryError)):
            raise
        raise ValueError(
            f"pretrained: {path or weights.model} does not hold weights of {weights.model} that can be loaded"
            f" safely ({first_line(error)}). Name the model that the file belongs to, and save it as a state"
            " dict or as safetensors."
        ) from error
    return net.eval().requires_grad_(False).to(device)


def _published_file(weights: Weights) -> str | None:
    """Path of the weights of a tag or a hub repository, downloaded if need be; None for a folder."""
    hub = weights.published.get("hf_hub")
    if hub:
        from open_clip.constants import HF_SAFE_WEIGHTS_NAME, HF_WEIGHTS_NAME

        repository, name = os.path.split(hub)
        names = [name] if name else [HF_SAFE_WEIGHTS_NAME, HF_WEIGHTS_NAME]
        path = _of_repository(repository, names, weights.identity["model"], weights.published.get("revision"))
        return None if weights.model.startswith(FOLDER) else path
    if weights.published:
        return _from_url(weights)
    return None


def _of_repository(repository: str, names: list[str], model: str, revision: str | None = None) -> str:
    command = f"hf download {repository}" + ("" if names == [_CONFIG] else f" {names[0]}")
    return from_hub(
        repository, names, model, revision, command=command, instead="pass a weights file as pretrained="
    )


def _from_url(weights: Weights) -> str:
    open_clip = import_open_clip()
    try:
        return open_clip.download_pretrained(weights.published)
    except Exception as error:
        raise OSError(
            f"The weights of {weights.model} are not on this machine and cannot be downloaded"
            f" ({first_line(error)}): download {weights.published['url']} where there is a network and pass the file"
            " as pretrained=."
        ) from error


def load_tokenizer(model: str) -> Any:
    """The tokenizer that belongs to a model (as the user named it)."""
    open_clip = import_open_clip()
    # A configuration from elsewhere might ask for code to be run, and transformers would ask on the terminal.
    guarded = {"trust_remote_code": False} if _text_config(model).get("hf_tokenizer_name") else {}
    try:
        return open_clip.get_tokenizer(model if ":" in model else model.replace("/", "-"), **guarded)
    except OSError as error:
        raise OSError(
            f"The tokenizer of {model} is not on this machine and cannot be downloaded ({first_line(error)}): run"
            " embed_texts once where there is a network and copy the hub's cache folder here."
        ) from error
    except ValueError as error:
        raise ValueError(
            f"model={model!r}: its tokenizer cannot be loaded ({first_line(error)}). Code that comes with a model is not"
            " run: take another one."
        ) from error


def _text_config(model: str) -> dict[str, Any]:
    """What the configuration of a folder or of the hub says of the text model; nothing for open_clip's own models."""
    if model.startswith(FOLDER):
        path = Path(model.removeprefix(FOLDER)) / _CONFIG
    elif model.startswith(HUB):
        path = Path(_of_repository(model.removeprefix(HUB), [_CONFIG], model))
    else:
        return {}
    config = json.loads(path.read_text(encoding="utf-8"))
    return dict(config.get("model_cfg", {}).get("text_cfg", {}))


def _refuse_code(model: str) -> None:
    """Refuse a model whose configuration names a text model that comes with code of its own.

    open_clip hands that name on to transformers, which asks on the terminal whether to run the code.
    """
    name = _text_config(model).get("hf_model_name")
    if not name:
        return
    from transformers import AutoConfig

    try:
        AutoConfig.from_pretrained(name, trust_remote_code=False)
    except ValueError as error:
        raise ValueError(
            f"model={model!r}: the text model that its {_CONFIG} names, {name!r:.200}, cannot be read without running code"
            f" that comes with it ({first_line(error)}). Take another model."
        ) from error
