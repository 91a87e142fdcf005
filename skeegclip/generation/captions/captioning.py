"""How an EEGCaptioner learns and writes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.preprocessing import normalize
from sklearn.utils import gen_batches

from ..._training.targets import Targets, hold_out_stimuli
from ..._utils.device import resolve_device, resolve_precision
from ..._utils.ids import as_ids, positions, unique_ids
from ..._utils.progress import tqdm
from ..._utils.scratch import scratch_folder
from ..._utils.seeding import draw_seed, seeded_torch
from ..._utils.validation import check_same_length
from ...embeddings.table import check_table
from ...metrics import cosine_similarity
from .._sharing import device_of
from ..generators.training import check_images, picture_of
from .git import Git, as_name, captions_of, load_git, tokens_of

if TYPE_CHECKING:
    import torch

_N_WARMUP = 100


# -- the nearest stimulus ------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class FittedNearest:
    """What a fit gives: attributes of an EEGCaptioner, without their underscores."""

    captions: list[str]
    vectors: np.ndarray


def fit_nearest(captioner: Any, Z: np.ndarray, y: Any) -> FittedNearest:
    """One vector and one caption per stimulus; `captioner` is only read."""
    labels = as_ids(y, name="y")
    check_same_length(len(Z), len(labels), name="Z")
    ids, group = np.unique(labels, return_inverse=True)
    texts = ids.tolist() if captioner.captions is None else _captions(captioner.captions, ids)
    if captioner.targets is not None:
        check_table("targets", captioner.targets)
        if captioner.captions is None:
            raise ValueError(
                "targets are looked up by stimulus id, but without captions= y holds the captions. Pass captions=, a mapping"
                " from id to caption."
            )
        vectors = captioner.targets.lookup(ids)
        if vectors.shape[1] != Z.shape[1]:
            raise ValueError(
                f"targets have {vectors.shape[1]} dimensions, but Z has {Z.shape[1]}. Embed both in one space."
            )
    else:
        total = np.zeros((len(ids), Z.shape[1]))
        np.add.at(total, group, Z)
        vectors = total / np.bincount(group)[:, None]
    return FittedNearest(texts, normalize(vectors).astype(np.float32))


def _captions(captions: Any, ids: np.ndarray) -> list[str]:
    if not isinstance(captions, Mapping) and not hasattr(captions, "keys"):
        raise TypeError(
            f"captions must be a mapping from stimulus id to text, got {type(captions).__name__}."
        )
    missing = [name for name in ids.tolist() if name not in captions]
    if missing:
        raise KeyError(
            f"captions has no entry for {len(missing)} ids (first: {missing[0]!r}). Add them to the mapping."
        )
    texts = [captions[name] for name in ids.tolist()]
    wrong = next((text for text in texts if not isinstance(text, str)), None)
    if wrong is not None:
        raise TypeError(f"captions must map ids to text, got {wrong!r} of type {type(wrong).__name__}.")
    return texts


# -- GIT -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class FittedGit:
    """What a fit gives: attributes of an EEGCaptioner, without their underscores."""

    net: torch.nn.Module
    token_shape: tuple[int, int]
    mean: np.ndarray
    scale: np.ndarray
    history: list[dict]
    selection: dict[str, Any]


def fit_git(captioner: Any, Z: np.ndarray, y: Any) -> FittedGit:
    """Train a projector as `captioner` asks, which is only read, on tokens that are read a batch at a time."""
    from ..._training.matrices import train_module
    from ..low_level.nets.pixel_projector import PixelProjector
    from .token_rows import TokenRows

    as_name(captioner.model)
    seed, device = draw_seed(captioner.random_state), resolve_device(captioner.device)
    with scratch_folder("tokens") as folder:
        stimulus, read, shape = _read_tokens(captioner, y, len(Z), folder)
        # Only their number counts in dealing stimuli out.
        targets = Targets(np.zeros((int(stimulus.max()) + 1, 1), np.float32), stimulus)
        train_rows, valid_rows = hold_out_stimuli(targets, captioner.validation, seed)
        mean, scale = Z[train_rows].mean(axis=0), Z[train_rows].std(axis=0)
        scale = np.where(scale > 0, scale, 1).astype(np.float32)
        parts: Any = [
            None if rows is None else TokenRows((Z - mean) / scale, stimulus, read, rows, device)
            for rows in (train_rows, valid_rows)
        ]
        with seeded_torch(seed, device):
            net = PixelProjector(Z.shape[1], *shape).to(device)
            history, selection = train_module(
                net,
                *parts,
                lr=captioner.lr,
                weight_decay=0.01,
                batch_size=captioner.batch_size,
                max_epochs=captioner.max_epochs,
                n_warmup=_N_WARMUP,
                precision=resolve_precision(captioner.precision, device),
                device=device,
                seed=seed,
                verbose=captioner.verbose,
            )
    return FittedGit(net, shape, mean, scale, history, selection)


def _read_tokens(
    captioner: Any, y: Any, n_rows: int, folder: Path
) -> tuple[np.ndarray, Callable[[np.ndarray], Any], tuple[int, int]]:
    """Stimulus of each row, a function that reads tokens of stimuli, and their shape."""
    if captioner.tokens is None and captioner.images is None:
        given = np.asarray(y)
        if given.ndim != 3:
            raise ValueError(
                "tokens and images are None, so y must hold the tokens themselves, (n, n_tokens, width); got shape"
                f" {given.shape}. Pass y as ids with tokens= or images=."
            )
        check_same_length(n_rows, len(given), name="Z")
        return np.arange(n_rows), given.__getitem__, given.shape[1:]
    labels = as_ids(y, name="y")
    check_same_length(n_rows, len(labels), name="Z")
    ids, stimulus = np.unique(labels, return_inverse=True)
    if captioner.tokens is not None:
        read, shape = _given_tokens(captioner.tokens, ids)
    else:
        read, shape = _computed_tokens(captioner, ids, folder)
    return stimulus, read, shape


def _given_tokens(tokens: Any, ids: np.ndarray) -> tuple[Callable[[np.ndarray], Any], tuple[int, int]]:
    if isinstance(tokens, tuple) and len(tokens) == 2:
        names, array = tokens
        _, place = unique_ids(names, name="tokens")
        if getattr(array, "ndim", 0) != 3 or len(array) != len(place):
            raise ValueError(
                f"tokens must pair {len(place)} ids with an array ({len(place)}, n_tokens, width), got shape"
                f" {getattr(array, 'shape', None)}."
            )
        rows = positions(place, ids, name="y", what="tokens")
        return lambda stimulus: array[rows[stimulus]], array.shape[1:]
    if not isinstance(tokens, Mapping) and not hasattr(tokens, "keys"):
        raise TypeError(
            "tokens must be a mapping from id to array, or a pair of ids and an array, got"
            f" {type(tokens).__name__}."
        )
    missing = [name for name in ids.tolist() if name not in tokens]
    if missing:
        raise KeyError(f"tokens has no entry for {len(missing)} ids (first: {missing[0]!r}).")
    shape = np.shape(tokens[ids[0]])
    if len(shape) != 2:
        raise ValueError(f"tokens[{str(ids[0])!r}] must have shape (n_tokens, width), got {shape}.")
    return lambda stimulus: np.stack([tokens[name] for name in ids[stimulus].tolist()]), shape


def _computed_tokens(
    captioner: Any, ids: np.ndarray, folder: Path
) -> tuple[Callable[[np.ndarray], Any], tuple[int, int]]:
    """Tokens of the pictures, computed once into a file of half-precision numbers."""
    check_images(captioner.images)
    pictures = [picture_of(captioner.images, name) for name in ids.tolist()]
    git = git_of(captioner)
    shape = git.token_shape
    array = np.lib.format.open_memmap(
        folder / "tokens.npy", mode="w+", dtype=np.float16, shape=(len(ids), *shape)
    )
    start = 0
    for part in _shown(tokens_of(git, pictures, captioner.batch_size), len(ids), captioner, "looking"):
        array[start : start + len(part)] = part
        start += len(part)
    return array.__getitem__, shape


def git_of(captioner: Any) -> Git:
    """The model of `captioner`, loaded once."""
    name = as_name(captioner.model)
    loaded = getattr(captioner, "_loaded_git", None)
    if loaded is None or loaded[0] != name:
        captioner._loaded_git = loaded = (name, load_git(name, resolve_device(captioner.device)))
    return loaded[1]


def tokens_of_batch(captioner: Any, Z: np.ndarray) -> torch.Tensor:
    """Tokens of one batch of embeddings."""
    import torch

    with torch.inference_mode():
        z = torch.from_numpy((Z - captioner.mean_) / captioner.scale_)
        return captioner.net_(z.to(device_of(captioner.net_)))


def write_captions(captioner: Any, Z: np.ndarray) -> list[str]:
    """One caption per embedding."""
    if captioner.caption == "nearest":
        nearest = cosine_similarity(Z, captioner.vectors_).argmax(axis=1)
        return [captioner.captions_[row] for row in nearest]
    git = git_of(captioner)
    if git.token_shape != tuple(captioner.token_shape_):
        raise ValueError(
            f"model={captioner.model!r} sees {git.token_shape[0]} tokens of width {git.token_shape[1]}, but the projector was"
            f" trained for {captioner.token_shape_[0]} of {captioner.token_shape_[1]}. Pass the model whose tokens it learned."
        )
    precision = resolve_precision(captioner.precision, str(git.model.device))
    parts = (Z[rows] for rows in gen_batches(len(Z), captioner.batch_size))
    texts: list[str] = []
    for part in _shown(parts, len(Z), captioner, "captions"):
        texts += captions_of(git, tokens_of_batch(captioner, part), captioner.max_new_tokens, precision)
    return texts


def _shown(parts: Any, n: int, captioner: Any, what: str) -> Any:
    total = -(-n // captioner.batch_size)
    return tqdm(parts, total=total, desc=what, unit="batch") if captioner.verbose else parts
