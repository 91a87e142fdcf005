"""Ridge regression in closed form, as the start of a network that has a linear path."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from .._utils.ridge import held_out_errors, solve, spectrum_of
from ..nets.heads import Probe, features_of
from ..nets.linear_path import LinearPath
from .loader import EpochsDataset
from .net import EncoderNet, evaluating

# Memory does not grow with the data: of more rows, or more numbers in them, than these, so many are drawn.
_MOST_ROWS, _MOST_NUMBERS = 2**14, 2**25
_ROWS_AT_ONCE = 512
_N_FOLDS = 5
_PENALTIES = np.logspace(-4, 3, 15)  # times the mean squared length of a row


def start_linear(net: EncoderNet, train: EpochsDataset, *, directions: bool, seed: int) -> None:
    """Set the linear path of a network that has one, from the rows that it will be trained on; the rest adds nothing yet."""
    set_linear(net, train, directions=directions, seed=seed)
    if (part := _with_path(net)) is not None:
        with torch.no_grad():
            part.gate.zero_()


def set_linear(net: EncoderNet, train: EpochsDataset, *, directions: bool, seed: int) -> None:
    """Set the linear path of a network that has one.

    Where only directions count (`directions`, the CLIP loss) the path's embeddings are of unit length on average, and the
    mean of the targets is left out: it is what all predictions would share. Of classes with weights only their plain mean
    is: that of the rows says which class weighs much, and without it one that weighs more is found less. (How frequent
    classes are by chance is left out all the same: of few rows it would say more than the epochs do.)
    """
    if (part := _with_path(net)) is None:
        return
    path: Any = part.linear
    rng = np.random.default_rng([seed, 4])
    rows = _drawn(train, path.weight.shape[1], rng)
    # A linear layer of subjects that stands before it is the identity still.
    F = _features(path, train, rows, getattr(net.module_, "channel_layer", None))
    F /= net.get_params_for("module")["input_spread"]
    scale = np.repeat(_channel_spread(F, path.n_bins), path.n_bins)
    path.set_map(*_map_to_targets(net, train, rows, F, scale, directions=directions, rng=rng))


def linear_path_of(net: torch.nn.Module) -> Any:
    """The part of a network that has a linear path, if any."""
    parts = (part for part in net.modules() if isinstance(getattr(part, "linear", None), LinearPath))
    return next(parts, None)


def _with_path(net: EncoderNet) -> Any:
    if "subject_latent" in net.get_params_for("module"):  # what the network gives is no embedding yet
        return None
    return linear_path_of(net.module_)


def set_probe(net: EncoderNet, train: EpochsDataset, *, directions: bool, seed: int) -> None:
    """Set the probe that a network ends with, as `start_linear` does, from what reaches it of the rows to be trained on."""
    name, probe = next((n, part) for n, part in net.module_.named_modules() if isinstance(part, Probe))
    rng = np.random.default_rng([seed, 4])
    rows = _drawn(train, probe.in_features, rng)
    with evaluating(net), features_of(net.module_, name) as seen:
        for part in np.array_split(rows, -(-len(rows) // _ROWS_AT_ONCE)):
            net.infer(train.batch(part, train.read(part))[0])
    F = torch.cat(seen).flatten(1).cpu().numpy().astype(np.float64)
    spread = F.std(axis=0)
    scale = np.where(spread > 1e-9 * np.abs(F).max(initial=1e-12), spread, 1.0)
    weight, bias = _map_to_targets(net, train, rows, F, scale, directions=directions, rng=rng)
    with torch.no_grad():
        probe.weight.copy_(weight)
        probe.bias.copy_(bias)


def _drawn(train: EpochsDataset, n_features: int, rng: np.random.Generator) -> np.ndarray:
    most = min(_MOST_ROWS, _MOST_NUMBERS // n_features)
    return np.sort(rng.permutation(train.rows)[:most])


def _map_to_targets(
    net: EncoderNet,
    train: EpochsDataset,
    rows: np.ndarray,
    F: np.ndarray,
    scale: np.ndarray,
    *,
    directions: bool,
    rng: np.random.Generator,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Weight and bias of the map from features, divided by `scale` where the penalty counts, to the targets of rows."""
    sizes = net.get_params_for("module")
    with torch.no_grad():
        vectors = net.criterion_.project(train.vectors).cpu().numpy().astype(np.float64)
    stimulus = train.targets.stimulus[rows]
    weight = None if train.targets.weight is None else train.targets.weight[rows].astype(np.float64)
    # A picture that is told from itself would ask for too small a penalty.
    unit = np.arange(len(rows)) if train.targets.are_codes else stimulus
    fold = rng.permutation(unit.max() + 1)[unit] % _N_FOLDS
    W, f_mean, y_mean = ridge(F / scale, vectors[stimulus] / sizes.get("output_spread", 1.0), fold, weight)
    W, f_mean = W / scale[:, None], f_mean * scale
    if directions:
        weighed = train.targets.are_codes and weight is not None and np.ptp(weight) > 0
        y_mean = y_mean - vectors.mean(axis=0) / sizes.get("output_spread", 1.0) if weighed else 0 * y_mean
        length = np.linalg.norm(y_mean + (F - f_mean) @ W, axis=1).mean() or 1.0
        W, y_mean = W / length, y_mean / length
    return torch.from_numpy(W.T), torch.from_numpy(y_mean - f_mean @ W)


def _features(path: LinearPath, train: EpochsDataset, rows: np.ndarray, layer: Any) -> np.ndarray:
    parts = np.array_split(rows, -(-len(rows) // _ROWS_AT_ONCE))
    blocks = (train.read(part) for part in parts)
    if layer is not None:
        blocks = (layer(block.to(train.device)) for block in blocks)
    with torch.no_grad():
        return np.concatenate([path.features(block).cpu().numpy().astype(np.float64) for block in blocks])


def _channel_spread(F: np.ndarray, n_bins: int) -> np.ndarray:
    """Spread of each channel, by its median deviation: one that is huge must not decide on the penalty of all."""
    bins = F.reshape(len(F), -1, n_bins)
    deviation = np.abs(bins - np.median(bins, axis=(0, 2), keepdims=True))
    spread = np.median(deviation, axis=(0, 2))
    return np.where(spread > 0, spread, 1.0)


def ridge(
    F: np.ndarray, Y: np.ndarray, fold: np.ndarray, weight: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ridge regression whose penalty is that of the least squared error on folds held out.

    Parameters
    ----------
    F : ndarray of float64, shape (n, n_features)
        Predictors.
    Y : ndarray of float64, shape (n, n_targets)
        What is predicted.
    fold : ndarray of int, shape (n,)
        The fold in which a row is held out.
    weight : ndarray of float64, shape (n,) | None
        Weight of each row.

    Returns
    -------
    weights : ndarray of float64, shape (n_features, n_targets)
        The map of centred predictors to centred targets.
    f_mean, y_mean : ndarray of float64
        Means of predictors and targets.
    """
    f_mean, y_mean = np.average(F, axis=0, weights=weight), np.average(Y, axis=0, weights=weight)
    F, Y = F - f_mean, Y - y_mean
    if weight is not None:
        F, Y = F * np.sqrt(weight)[:, None], Y * np.sqrt(weight)[:, None]
    basis = None
    if len(F) < F.shape[1]:
        # The map lies in the span of the rows: fewer unknowns, the same solution.
        U, s, basis = np.linalg.svd(F, full_matrices=False)
        F = U * s
    penalties = _PENALTIES * (np.mean(np.sum(F**2, axis=1)) or 1.0)
    gram, cross = F.T @ F, F.T @ Y
    penalty = penalties[len(penalties) // 2]
    if len(folds := np.unique(fold)) > 1:
        errors = np.zeros(len(penalties))
        for k in folds:
            held = F[fold == k].T @ F[fold == k], F[fold == k].T @ Y[fold == k]
            errors += held_out_errors(spectrum_of(gram - held[0]), cross - held[1], *held, penalties)[0]
        penalty = penalties[np.argmin(errors)]
    W = solve(spectrum_of(gram), cross, penalty)
    return W if basis is None else basis.T @ W, f_mean, y_mean
