"""Reconstructors as folders: one folder a part, weights as safetensors, facts as json."""

from __future__ import annotations

import importlib
import inspect
import io
import json
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.frozen import FrozenEstimator

from .._utils.persistence import write_whole
from .._version import __version__
from ..embeddings import EmbeddingTable
from ..nets.names import name_of
from ._sharing import read_folder, write_folder
from .generators.linear import LinearGenerator
from .generators.nearest import NearestImageGenerator
from .generators.sdxl import SDXLGenerator

_FORMAT = 1
_PARTS = ("encoder", "prior", "low_level", "captioner", "generator")
_PICKLE = "part.joblib"
# Parts that have save and load of their own, by class name.
_OWN = {
    "EEGEncoder": "skeegclip.decoders.encoder",
    "DiffusionPrior": "skeegclip.generation.prior.diffusion_prior",
    "LowLevelDecoder": "skeegclip.generation.low_level.decoder",
    "EEGCaptioner": "skeegclip.generation.captions.captioner",
}
# Generators: what fit found out, and the parameters that are not the machine's.
_LINEAR = ("mean_picture_", "components_", "coef_", "offset_", "intercept_", "alpha_")
_MACHINE = ("device", "offload", "cache_dir", "local_files_only", "progress", "batch_size")


def save_reconstructor(reconstructor: Any, folder: str | os.PathLike) -> None:
    """Write all parts, then ``reconstructor.json``: a folder without it is not complete."""
    folder = Path(folder)
    known = folder / "reconstructor.json"
    parts = {name: _thawed(getattr(reconstructor, f"{name}_")) for name in _PARTS}
    pickles = {name: _pickle(name, part) for name, part in parts.items() if _is_foreign(part)}
    known.unlink(missing_ok=True)  # while parts are replaced the folder is no reconstructor
    seed = reconstructor.random_state
    facts = {
        "format": _FORMAT,
        "skeegclip": __version__,
        "n_images": reconstructor.n_images,
        "random_state": int(seed) if isinstance(seed, (int, np.integer)) else None,
        "parts": {name: _save_part(part, folder / name, pickles.get(name)) for name, part in parts.items()},
        "needs": [f"{name}__{what}" for name, part in parts.items() for what in _needs(part)],
        "targets": reconstructor.targets_ is not None,
        "seen": None if reconstructor.seen_ is None else reconstructor.seen_.tolist(),
        "n_features_in": getattr(reconstructor, "n_features_in_", None),
    }
    if reconstructor.targets_ is not None:
        reconstructor.targets_.save(folder / "targets.safetensors")
    write_whole(known, json.dumps(facts, ensure_ascii=False, indent=1).encode())


def load_reconstructor(
    cls: type, folder: str | os.PathLike, *, images: Any, trusted: bool, device: str, given: dict[str, Any]
) -> Any:
    """Read what `save_reconstructor` wrote; every part comes frozen. `given` goes to the parts' own `load`."""
    folder = Path(folder)
    known = folder / "reconstructor.json"
    if not known.is_file():
        raise FileNotFoundError(
            f"{known} does not exist: {folder} is not a whole folder that EEGImageReconstructor.save wrote."
        )
    try:
        facts = json.loads(known.read_bytes())
        version, kinds = facts["format"], {name: facts["parts"][name] for name in _PARTS}
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{known} is not what EEGImageReconstructor.save writes ({error!r}). Get it again."
        ) from None
    if version != _FORMAT:
        raise ValueError(
            f"{known} has format {version!r}, this version reads {_FORMAT}. It was written by skeegclip"
            f" {facts.get('skeegclip')}; install that version, or save again with this one."
        )
    pickled = [name for name, kind in kinds.items() if kind == "joblib"]
    if pickled and not trusted:
        raise ValueError(
            f"{folder} holds pickles ({', '.join(f'{name}/{_PICKLE}' for name in pickled)}), which may run any code when"
            " opened. If you trust whoever made them, pass trusted=True."
        )
    _check_given(given, kinds, facts.get("needs", []), folder)
    parts = {
        name: _load_part(kind, folder / name, images, device, _of_part(name, given))
        for name, kind in kinds.items()
    }
    frozen = {
        name: part if part is None or isinstance(part, str) else FrozenEstimator(part)
        for name, part in parts.items()
    }
    targets = EmbeddingTable.load(folder / "targets.safetensors") if facts["targets"] else None
    reconstructor = cls(
        **frozen,
        targets=targets,
        images=images,
        n_images=facts["n_images"],
        random_state=facts["random_state"],
    )
    for name, part in frozen.items():
        setattr(reconstructor, f"{name}_", part)
    reconstructor.targets_ = targets
    reconstructor.seen_ = None if facts["seen"] is None else np.array(facts["seen"])
    if facts["n_features_in"] is not None:
        reconstructor.n_features_in_ = facts["n_features_in"]
    return reconstructor


def _thawed(part: Any) -> Any:
    while isinstance(part, FrozenEstimator):
        part = part.estimator
    return part


def _has_own_load(part: Any) -> bool:
    return _OWN.get(type(part).__name__) == type(part).__module__


def _is_foreign(part: Any) -> bool:
    generators = (LinearGenerator, NearestImageGenerator, SDXLGenerator)
    return not (part is None or isinstance(part, str) or _has_own_load(part) or type(part) in generators)


def _needs(part: Any) -> list[str]:
    """What a part's `load` has to be given: what was a class or a module of the user's, which no file may name."""
    needs = []
    if _has_own_load(part) and hasattr(part, "net") and part.net is not None:
        named = isinstance(part.net, str)
        if not named and hasattr(part, "fitted_"):
            named = name_of(part.fitted_.spec.net, part.net) is not None  # one of braindecode's
        needs += [] if named else ["net"]
    if _has_own_load(part) and not isinstance(getattr(part, "vae", None), (str, os.PathLike, type(None))):
        needs.append("vae")
    return needs


def _pickle(name: str, part: Any) -> bytes:
    import joblib

    buffer = io.BytesIO()
    try:
        joblib.dump(part, buffer)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise TypeError(
            f"{name} cannot be saved: {type(part).__name__} has no save of ours, and cannot be pickled ({error})."
            " Define its classes and functions in a module."
        ) from error
    return buffer.getvalue()


def _save_part(part: Any, folder: Path, pickled: bytes | None) -> str | None:
    """Write a part, and return what kind it is; nothing is written for None and "passthrough"."""
    if part is None or isinstance(part, str):
        return part
    if pickled is not None:
        write_whole(folder / _PICKLE, pickled)
        return "joblib"
    if _has_own_load(part):
        part.save(folder)
    elif type(part) is LinearGenerator:
        arrays = {key: np.ascontiguousarray(getattr(part, key)) for key in _LINEAR}
        _write_generator(part, folder, arrays, ("images",))
    elif type(part) is NearestImageGenerator:
        EmbeddingTable(part.ids_, part.vectors_).save(folder / "pictures.safetensors")
        _write_generator(part, folder, {}, ("images", "targets"))
    else:
        _write_generator(part, folder, {}, _MACHINE)
    return type(part).__name__


def _check_given(given: dict[str, Any], kinds: dict[str, Any], needs: list[str], folder: Path) -> None:
    """Whether all that the parts' loads need is there, and nothing that none of them takes."""
    possible = [
        f"{name}__{parameter}"
        for name, kind in kinds.items()
        if kind in _OWN
        for parameter in inspect.signature(_class_of(kind).load).parameters
        if parameter not in ("folder", "device")
    ]
    unknown = [name for name in given if name not in possible]
    if unknown:
        raise TypeError(
            f"load has no parameter {unknown[0]!r}; of the parts of {folder} it takes"
            f" {', '.join(possible) or 'none'}."
        )
    missing = [name for name in needs if given.get(name) is None]
    if missing:
        raise ValueError(
            f"{folder} was saved with a class or a module of your own as {' and '.join(missing)}, which no file names."
            f" Pass it: load(folder, {missing[0]}=...)."
        )


def _of_part(name: str, given: dict[str, Any]) -> dict[str, Any]:
    return {
        key.removeprefix(f"{name}__"): value for key, value in given.items() if key.startswith(f"{name}__")
    }


def _class_of(kind: str) -> Any:
    return getattr(importlib.import_module(_OWN[kind]), kind)


def _write_generator(part: Any, folder: Path, arrays: dict[str, np.ndarray], left_out: tuple) -> None:
    params = {
        key: os.fspath(value) if isinstance(value, os.PathLike) else value
        for key, value in part.get_params(deep=False).items()
        if key not in left_out
    }
    write_folder(folder, "generator", {"params": params}, arrays, owner=type(part).__name__)


def _load_part(kind: Any, folder: Path, images: Any, device: str, given: dict[str, Any]) -> Any:
    if kind is None or kind == "passthrough":
        return kind
    if kind in _OWN:
        return _class_of(kind).load(folder, device=device, **given)
    if kind == "joblib":
        import joblib

        return joblib.load(folder / _PICKLE)
    classes = {cls.__name__: cls for cls in (LinearGenerator, NearestImageGenerator, SDXLGenerator)}
    if kind not in classes:
        raise ValueError(f"{folder} holds a part of an unknown kind, {kind!r}. Get the folder again.")
    facts, arrays = read_folder(folder, "generator", owner="EEGImageReconstructor")
    part: Any = classes[kind](**facts["params"])
    if kind == "SDXLGenerator":
        part.set_params(device=device)
    elif kind == "LinearGenerator":
        for name in _LINEAR:
            setattr(part, name, arrays[name])
        part.n_features_in_ = len(part.coef_)
    else:
        if images is None:
            raise ValueError(
                'The generator "nearest" shows training pictures, which are not in the folder. Pass images=.'
            )
        table = EmbeddingTable.load(folder / "pictures.safetensors")
        part.set_params(images=images).fit(table.vectors, table.ids)
    return part
