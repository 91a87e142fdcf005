"""Ridge regression in closed form, as the start of a network that has a linear path."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from .._utils.ridge import held_out_errors, solve, spectrum_of
from ..nets.linear_path import LinearPath
from .loader import EpochsDataset
from .net import EncoderNet

# Memory does not grow with the data: of more rows, or more numbers in them, than these, so many are drawn.
_MOST_ROWS, _MOST_NUMBERS = 2**14, 2**25
_ROWS_AT_ONCE = 512
_N_FOLDS = 5
_PENALTIES = np.logspace(-4, 3, 15)  # times the mean squared length of a row


def start_linear(net: EncoderNet, train: EpochsDataset, *, directions: bool, seed: int) -> None:
    """Set the linear path of a network that has one, from the rows that it will be trained on; the rest adds nothing yet."""
    set_linear(net, train, directions=directions, seed=seed)
    with torch.no_grad():
        for part in _with_path(net):
            part.gate.zero_()


def set_linear(net: EncoderNet, train: EpochsDataset, *, directions: bool, seed: int) -> None:
    """Set the linear path of a network that has one.

    Where only directions count (`directions`, the CLIP loss) the path's embeddings are of unit length on average, and the
    mean of the targets is left out: it is what all predictions would share. Of classes with weights only their plain mean
    is: that of the rows says which class weighs much, and without it one that weighs more is found less. (How frequent
    classes are by chance is left out all the same: of few rows it would say more than the epochs do.)
    """
    path: Any = next((part.linear for part in _with_path(net)), None)
    if path is None:
        return
    sizes = net.get_params_for("module")
    rng = np.random.default_rng([seed, 4])
    most = min(_MOST_ROWS, _MOST_NUMBERS // path.weight.shape[1])
    rows = np.sort(rng.permutation(train.rows)[:most])
    # A linear layer of subjects that stands before it is the identity still.
    F = _features(path, train, rows)
    F /= sizes["input_spread"]
    with torch.no_grad():
        vectors = net.criterion_.project(train.vectors).cpu().numpy().astype(np.float64)
    stimulus = train.targets.stimulus[rows]
    weight = None if train.targets.weight is None else train.targets.weight[rows].astype(np.float64)
    # A picture that is told from itself would ask for too small a penalty.
    unit = np.arange(len(rows)) if train.targets.are_codes else stimulus
    fold = rng.permutation(unit.max() + 1)[unit] % _N_FOLDS
    scale = np.repeat(_channel_spread(F, path.n_bins), path.n_bins)
    W, f_mean, y_mean = ridge(F / scale, vectors[stimulus] / sizes.get("output_spread", 1.0), fold, weight)
    W, f_mean = W / scale[:, None], f_mean * scale
    if directions:
        weighed = train.targets.are_codes and weight is not None and np.ptp(weight) > 0
        y_mean = y_mean - vectors.mean(axis=0) / sizes.get("output_spread", 1.0) if weighed else 0 * y_mean
        length = np.linalg.norm(y_mean + (F - f_mean) @ W, axis=1).mean() or 1.0
        W, y_mean = W / length, y_mean / length
    path.set_map(torch.from_numpy(W.T), torch.from_numpy(y_mean - f_mean @ W))


def _with_path(net: EncoderNet) -> list[Any]:
    if "subject_latent" in net.get_params_for("module"):  # what the network gives is no embedding yet
        return []
    return [part for part in net.module_.modules() if isinstance(getattr(part, "linear", None), LinearPath)]


def _features(path: LinearPath, train: EpochsDataset, rows: np.ndarray) -> np.ndarray:
    parts = np.array_split(rows, -(-len(rows) // _ROWS_AT_ONCE))
    return np.concatenate(
        [path.features(train.read(part)).cpu().numpy().astype(np.float64) for part in parts]
    )


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
