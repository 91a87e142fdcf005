"""The fit of a DiffusionPrior."""

from __future__ import annotations

import inspect
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..._training.idle import warn_of_given
from ..._training.matrices import train_module
from ..._training.targets import Targets, hold_out_stimuli
from ..._utils.device import resolve_device, resolve_precision
from ..._utils.seeding import draw_seed, seeded_torch
from .gaussian import GaussianModel, fit_gaussian

if TYPE_CHECKING:
    import torch

NETS = ("unet", "mlp", "gaussian")
_OF_THE_NETWORK = (
    "lr",
    "n_warmup",
    "weight_decay",
    "batch_size",
    "max_epochs",
    "condition_dropout",
    "validation",
    "patience",
    "ema",
)


def build_prior_net(
    name: str,
    n_dims: int,
    n_conditions: int,
    params: dict | None,
    n_train_steps: int,
    prediction: str,
    bare: bool,
) -> torch.nn.Module:
    """The network of a prior: on top of a Gaussian, unless it is `bare`, as the reference's is."""
    from .nets.corrected import PriorCorrected, start_at_zero
    from .nets.gaussian import PriorGaussian
    from .nets.mlp import PriorMLP
    from .nets.unet import PriorUNet

    nets: dict[str, Any] = {"unet": PriorUNet, "mlp": PriorMLP, "gaussian": PriorGaussian}
    accepted = [] if name == "gaussian" else list(inspect.signature(nets[name]).parameters)[2:]
    given = dict(params or {})
    unknown = sorted(set(given) - set(accepted))
    if unknown:
        raise ValueError(
            f"net_params: the network {name!r} has no parameter {unknown[0]!r}; it takes"
            f" {', '.join(accepted) or 'none'}."
        )
    if name == "gaussian":
        return PriorGaussian(n_dims, n_conditions, n_train_steps)
    network = nets[name](n_dims, n_conditions, **given)
    if bare:
        return network
    start_at_zero(network)
    return PriorCorrected(PriorGaussian(n_dims, n_conditions, n_train_steps), network, prediction)


@dataclass(frozen=True, eq=False)
class FittedPrior:
    """What a fit gives: the fitted attributes of a DiffusionPrior, without their underscores."""

    net: torch.nn.Module
    condition_mean: np.ndarray
    condition_scale: np.ndarray
    target_mean: np.ndarray
    target_scale: np.ndarray
    history: list[dict]
    selection: dict[str, Any]
    n_dims: int
    seed: int


def fit_prior(prior: Any, Z: np.ndarray, targets: Targets) -> FittedPrior:
    """Fit a network as the parameters of `prior` ask for, which is only read."""
    seed, n_dims = draw_seed(prior.random_state), targets.vectors.shape[1]
    device = resolve_device(prior.device)
    # The Gaussian chooses by cross-validation, and holds no rows out.
    fraction = 0 if prior.net == "gaussian" else prior.validation
    train_rows, valid_rows = hold_out_stimuli(targets, fraction, seed)
    warn_of_given(prior, _idle(prior, validated=valid_rows is not None), stacklevel=5)
    shown = targets.vectors[targets.stimulus]
    standardize = not prior.reference_quirks
    c_mean, c_scale = _location_scale(Z[train_rows], standardize)
    x_mean, x_scale = _location_scale(shown[train_rows], standardize)
    C, X = (Z - c_mean) / c_scale, (shown - x_mean) / x_scale
    with seeded_torch(seed, device):
        net = prior._net_of(n_dims, Z.shape[1]).to(device)
        means, start = None, time.perf_counter()
        if not prior.reference_quirks:
            units = c_scale.astype(float) / x_scale if Z.shape[1] == n_dims else None
            stimulus = targets.stimulus[train_rows]
            model = fit_gaussian(C[train_rows], X[train_rows], stimulus, seed, units=units)
            _fill(getattr(net, "gaussian", net), model, prior)
            # The network corrects what the Gaussian says of rows that it has not seen: of the others it knows too much.
            means = C @ model.coefficients.astype(np.float32)
            means[train_rows] = model.means
        if prior.net == "gaussian":
            history, selection = _told(model, time.perf_counter() - start)
            net.eval()
        else:
            from .noising import Noised, NoisedOnce

            kept = prior._scheduler("ddpm").alphas_cumprod
            noised = Noised(prior, getattr(net, "gaussian", None), C, X, means, kept, train_rows, device)
            history, selection = train_module(
                getattr(net, "network", net),
                noised,
                None if valid_rows is None else NoisedOnce(noised, valid_rows),
                lr=prior.lr,
                weight_decay=prior.weight_decay,
                batch_size=prior.batch_size,
                valid_batch_size=512,
                max_epochs=prior.max_epochs,
                n_warmup=prior.n_warmup,
                ema=None if prior.reference_quirks else prior.ema,
                patience=prior.patience,
                precision=resolve_precision(prior.precision, device),
                device=device,
                seed=seed,
                verbose=prior.verbose,
            )
            net.eval()
    held = 0 if valid_rows is None else len(np.unique(targets.stimulus[valid_rows]))
    selection = {**selection, "n_stimuli_held_out": held}
    return FittedPrior(net, c_mean, c_scale, x_mean, x_scale, history, selection, n_dims, seed)


def _idle(prior: Any, *, validated: bool) -> Iterator[tuple[str, str]]:
    """Parameters that change nothing in this fit, and why."""
    if prior.net == "gaussian":
        for name in _OF_THE_NETWORK:
            yield name, 'net="gaussian" is solved in closed form and chosen by cross-validation'
    elif not validated:
        yield "patience", f"too few stimuli are held out, so that all {prior.max_epochs} passes are trained"
    if prior.reference_quirks:
        yield "ema", "reference_quirks trains as the published code does, which has no moving average"


def _fill(gaussian: Any, model: GaussianModel, prior: Any) -> None:
    import torch

    matrices = [torch.from_numpy(m) for m in (model.coefficients, model.conditional, model.marginal)]
    gaussian.set_model(*matrices, prior._scheduler("ddpm").alphas_cumprod)


def _told(model: GaussianModel, seconds: float) -> tuple[list, dict]:
    """History and selection of a Gaussian alone."""
    row = {"epoch": 1, "valid_loss": model.valid_loss, "dur": seconds, "chosen": True}
    selection = {
        "rule": "cross-validation",
        "epoch": 1,
        "penalty": model.penalty,
        "identity": model.identity,
    }
    return [row], selection


def _location_scale(rows: np.ndarray, standardize: bool) -> tuple[np.ndarray, np.ndarray]:
    if not standardize:
        return np.zeros(rows.shape[1], np.float32), np.ones(rows.shape[1], np.float32)
    mean, scale = rows.mean(axis=0, dtype=np.float64), rows.std(axis=0, dtype=np.float64)
    # Rounding gives a constant column of large values a tiny spread.
    constant = scale <= 1e-6 * np.abs(rows).max(axis=0)
    return mean.astype(np.float32), np.where(constant, 1, scale).astype(np.float32)
