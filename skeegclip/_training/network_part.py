"""Whether the network beside a linear path is better than the path alone, judged by epochs held out."""

from __future__ import annotations

import numpy as np
import torch
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from .callbacks import get_weights, set_weights
from .loader import BatchLoader, EpochsDataset
from .net import EncoderNet, evaluating

_STANDARD_ERRORS = 1.0
_LOG_TEMPERATURES = (np.log(0.02), np.log(20.0))


def earns_its_place(net: EncoderNet, start: dict, held_out: EpochsDataset) -> bool:
    """Whether a trained net names the classes of epochs held out better than with the weights it had at the start.

    By one standard error of the difference at least: what the path finds is known, and a network that finds nothing more
    adds noise. The net keeps the weights it has.
    """
    after = class_losses(net, held_out)
    trained = get_weights(net)
    set_weights(net, start)
    before = class_losses(net, held_out)
    set_weights(net, trained)
    weight = held_out.targets.weight
    share = np.ones(len(before)) if weight is None else weight[held_out.rows].astype(np.float64)
    share /= share.sum()
    gain = before - after
    mean = share @ gain
    # Of equal weights the usual one, sqrt(variance / (n - 1)).
    error = np.sqrt(share**2 @ (gain - mean) ** 2 / (1 - share @ share))
    return bool(mean > _STANDARD_ERRORS * error)


def class_losses(net: EncoderNet, dataset: EpochsDataset) -> np.ndarray:
    """Cross-entropy of each epoch among the classes: of cosines or of projections, whichever its mean is least for.

    Each at the temperature that suits it best, for a linear path knows of none. It tells by the length of an embedding how
    sure it is; a network that is trained by directions, by the angle. Of cosines alone any small random vector beside the
    path would seem to help, since it turns short embeddings away from what they are not sure of.
    """
    with evaluating(net):
        z = torch.cat([net.infer(inputs) for inputs, _ in BatchLoader(dataset, 512)])
        codes = torch.nn.functional.normalize(net.criterion_.project(dataset.vectors), dim=1)
        projection = (z @ codes.T).cpu().numpy().astype(np.float64)
        length = z.norm(dim=1, keepdim=True).cpu().numpy().astype(np.float64)
    truth = dataset.targets.stimulus[dataset.rows]
    weight = None if dataset.targets.weight is None else dataset.targets.weight[dataset.rows]

    def losses(scores: np.ndarray, log_temperature: float) -> np.ndarray:
        return -log_softmax(scores / np.exp(log_temperature), axis=1)[np.arange(len(truth)), truth]

    found = []
    for scores in (projection / np.maximum(length, 1e-12), projection / (length.mean() or 1.0)):
        best = minimize_scalar(
            lambda t, scores=scores: np.average(losses(scores, t), weights=weight),
            bounds=_LOG_TEMPERATURES,
            method="bounded",
        )
        found.append((best.fun, losses(scores, best.x)))
    return min(found, key=lambda one: one[0])[1]
