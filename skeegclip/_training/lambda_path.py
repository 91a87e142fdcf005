"""Networks for a row of lambdas, each trained on from the one before it."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from .._utils.device import resolve_device
from .._utils.epoched import Epoched
from .._utils.seeding import draw_seed
from ..losses import MixedLoss
from ..losses.schedule import values_of
from .budget import resolve
from .fit import fit_encoder, without_weightless
from .fitted import FittedNet, subject_codes
from .loader import BatchLoader, EpochsDataset
from .net import top1
from .ranks import Ranks
from .targets import hold_out, read_targets

# Two numbers and an offset are fitted to so many epochs, in so many steps; a pass over the data costs far more.
_ROWS, _STEPS = 512, 6


@dataclass(frozen=True)
class LambdaScores:
    """What the networks of a path are worth on what was held out.

    Attributes
    ----------
    rows : ndarray of int
        The rows of X that were held out; empty where none could be, and figures are NaN.
    top1, error : ndarray of float, shape (n_nets,)
        Share of epochs whose own stimulus is the nearest, and mean squared error over the variance of the targets.
    """

    rows: np.ndarray
    top1: np.ndarray
    error: np.ndarray


def fit_path(
    encoder: Any,
    read: Epoched,
    y: Any,
    sample_weight: Any = None,
    *,
    loss_weights: Sequence[float],
    share: float,
) -> tuple[list[FittedNet], LambdaScores]:
    """Train one net for each of `loss_weights`, in this order: the first as `encoder` asks for, the others going on.

    Each of the others is trained for a `share` of the passes of the first, at least one. Before, its embeddings are
    scaled and moved to where its own loss is least (`moved`). Where nothing can be held out, there is the first alone.
    """
    kept = np.arange(len(read.X))
    if sample_weight is not None:
        weighed = np.asarray(sample_weight)
        read, y, sample_weight = without_weightless(read, y, sample_weight)
        kept = kept if len(read.X) == len(kept) else np.flatnonzero(weighed)
    ranks = Ranks.current()
    seed = ranks.agree(draw_seed(encoder.random_state))

    def with_params(**params: Any) -> Any:
        varied = copy.copy(encoder)  # no clone: callbacks are the user's own
        for name, value in params.items():
            setattr(varied, name, value)
        return varied

    targets = read_targets(
        y, len(read.X), table=encoder.targets, text_table=encoder.text_targets, owner=type(encoder).__name__
    )
    targets = replace(targets, weight=sample_weight)
    batch_size = resolve(encoder.batch_size, encoder.max_epochs, len(read.X), ranks.size).batch_size
    train_rows, valid_rows = hold_out(targets, encoder.validation, batch_size, seed)
    first = with_params(loss_weight=loss_weights[0], random_state=seed)
    if valid_rows is None:
        fitted = [fit_encoder(first, read, y, sample_weight)]
        return fitted, LambdaScores(np.array([], dtype=np.int64), np.array([np.nan]), np.array([np.nan]))
    runs: list = []
    fitted = [fit_encoder(first, read, y, sample_weight, runs=runs)]
    codes = np.full(len(read.X), -1, dtype=np.int64)
    if read.subject is not None and encoder.subject_layer != "none":
        codes = subject_codes(read.subject, fitted[0].subjects)
    device = resolve_device(encoder.device)

    def part(rows: np.ndarray) -> EpochsDataset:
        return EpochsDataset(read.X, codes, targets, rows, device)

    some = part(np.random.default_rng([seed, 3]).permutation(train_rows)[:_ROWS])
    passes = max(1, int(share * len(fitted[0].history)))
    end = values_of(encoder.mmd_weight)[-1]  # what begins and fades has done so in the first
    for loss_weight in loss_weights[1:]:
        more = with_params(loss_weight=loss_weight, mmd_weight=end, random_state=seed, max_epochs=passes)
        before = ranks.agree(moved(fitted[-1], loss_weight, some, batch_size))
        start = replace(fitted[-1], spec=replace(fitted[-1].spec, net_params=before))
        fitted.append(fit_encoder(more, read, y, sample_weight, before=start, runs=runs))
    if ranks.rank == 0:
        for path in runs:
            path.unlink(missing_ok=True)
    held = part(valid_rows)
    figures = np.array([_figures(net, held) for net in fitted])
    return fitted, LambdaScores(kept[valid_rows], figures[:, 0], figures[:, 1])


def moved(fitted: FittedNet, loss_weight: float, dataset: EpochsDataset, batch_size: int) -> dict[str, Any]:
    """Arguments of the network whose embeddings are multiplied by a number and moved by a vector.

    Of both those are taken for which the loss of `loss_weight` is least. The CLIP loss knows nothing of the length of
    embeddings, nor where their mean lies, and a few steps of an optimizer do not take them to where the squared error
    wants them, least in networks that end with a normalisation.
    """
    params = fitted.spec.net_params
    if getattr(fitted.net.module_, "unit_norm", False):
        return params
    of_loss = fitted.spec.criterion_params
    end = values_of(of_loss.get("mmd_weight", 0.0))[-1]
    criterion = MixedLoss(**{**of_loss, "loss_weight": loss_weight, "mmd_weight": end})
    criterion.load_state_dict(fitted.net.criterion_.state_dict())
    criterion = criterion.to(dataset.device).requires_grad_(False)
    batches = _embedded(fitted, dataset, batch_size)
    squares = sum(float((z * z).sum()) for z, _ in batches)
    if squares == 0:
        return params
    product = sum(float((z * criterion.project(target["target"])).sum()) for z, target in batches)
    width = batches[0][0].shape[1]
    by = torch.tensor(product / squares, device=dataset.device).clamp_min(1e-6).requires_grad_()
    plus = torch.zeros(width, device=dataset.device, requires_grad=True)
    optimizer = torch.optim.LBFGS([by, plus], max_iter=_STEPS, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        value = sum(criterion(by * z + plus, target) for z, target in batches) / len(batches)
        value.backward()
        return value

    optimizer.step(loss)
    number, vector = float(by.detach()), plus.detach().cpu().numpy()
    if not (np.isfinite(number) and np.isfinite(vector).all()):
        return params
    old = params.get("output_offset", np.zeros(width, dtype=np.float32))
    return {
        **params,
        "output_spread": params.get("output_spread", 1.0) * number,
        "output_offset": old * np.float32(number) + vector,
    }


def _figures(fitted: FittedNet, held: EpochsDataset) -> tuple[float, float]:
    """Top-1 and scaled error."""
    project = fitted.net.criterion_.project
    z, squares = [], 0.0
    for batch, target in _embedded(fitted, held, 512):
        z.append(batch)
        with torch.no_grad():
            squares += float((batch - project(target["target"])).double().square().mean(1).sum())
    error = squares / len(held) / fitted.spec.criterion_params["target_variance"]
    return top1(torch.cat(z), held, project), error


def _embedded(fitted: FittedNet, dataset: EpochsDataset, batch_size: int) -> list[tuple[torch.Tensor, dict]]:
    with torch.no_grad():  # inference mode would make targets that no gradient may pass
        return [(fitted.net.infer(inputs), target) for inputs, target in BatchLoader(dataset, batch_size)]
