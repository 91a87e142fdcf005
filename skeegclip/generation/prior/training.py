"""The fit of a DiffusionPrior."""

from __future__ import annotations

import inspect
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from ..._training.targets import Targets, hold_out_stimuli
from ..._utils.device import resolve_device, resolve_precision
from ..._utils.seeding import draw_seed, seeded_torch
from .._loop import train
from .gaussian import GaussianModel, fit_gaussian

if TYPE_CHECKING:
    import torch

NETS = ("unet", "mlp", "gaussian")
_VALID_DRAWS = 1024  # rows of validation, repeated with other noise where there are fewer


def build_net(
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


def fit_prior(prior: Any, Z: np.ndarray, targets: Targets) -> None:
    """Fit the network of `prior` and set its fitted attributes."""
    prior.seed_ = draw_seed(prior.random_state)
    prior.n_dims_ = targets.vectors.shape[1]
    device = resolve_device(prior.device)
    # The Gaussian chooses by cross-validation, and holds no rows out.
    fraction = 0 if prior.net == "gaussian" else prior.validation
    train_rows, valid_rows = hold_out_stimuli(targets, fraction, prior.seed_)
    shown = targets.vectors[targets.stimulus]
    standardize = not prior.reference_quirks
    prior.condition_mean_, prior.condition_scale_ = _location_scale(Z[train_rows], standardize)
    prior.target_mean_, prior.target_scale_ = _location_scale(shown[train_rows], standardize)
    C = (Z - prior.condition_mean_) / prior.condition_scale_
    X = (shown - prior.target_mean_) / prior.target_scale_
    with seeded_torch(prior.seed_, device):
        net = prior._build_net().to(device)
        means, start = None, time.perf_counter()
        if not prior.reference_quirks:
            model = fit_gaussian(
                C[train_rows], X[train_rows], targets.stimulus[train_rows], prior.seed_, units=_units(prior)
            )
            _fill(getattr(net, "gaussian", net), model, prior)
            # The network corrects what the Gaussian says of rows that it has not seen: of the others it knows too much.
            means = C @ model.coefficients.astype(np.float32)
            means[train_rows] = model.means
        if prior.net == "gaussian":
            prior.history_, prior.selection_ = _told(model, time.perf_counter() - start)
            net.eval()
        else:
            noising = _Noising(prior, getattr(net, "gaussian", None), C, X, means, device)
            prior.history_, prior.selection_ = train(
                getattr(net, "network", net),
                noising.loss,
                train_rows,
                valid_loss=None if valid_rows is None else noising.make_valid_loss(valid_rows),
                lr=prior.lr,
                weight_decay=prior.weight_decay,
                batch_size=prior.batch_size,
                max_epochs=prior.max_epochs,
                n_warmup=prior.n_warmup,
                ema_decay=0.0 if prior.reference_quirks else prior.ema_decay,
                patience=prior.patience,
                seed=prior.seed_,
                verbose=prior.verbose,
            )
    held = 0 if valid_rows is None else len(np.unique(targets.stimulus[valid_rows]))
    prior.selection_["n_stimuli_held_out"] = held
    prior.net_ = net


def _units(prior: Any) -> np.ndarray | None:
    """What a standardised condition is in standardised embeddings, where one is meant to be the other."""
    same_width = prior.n_features_in_ == prior.n_dims_
    return prior.condition_scale_.astype(float) / prior.target_scale_ if same_width else None


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


class _Noising:
    """Rows of conditions and embeddings on the device, and the loss of a batch of them under fresh noise."""

    def __init__(
        self, prior: Any, gaussian: Any, C: np.ndarray, X: np.ndarray, means: np.ndarray | None, device: str
    ) -> None:
        import torch

        self.c, self.x = torch.from_numpy(C).to(device), torch.from_numpy(X).to(device)
        self.gaussian, self.means = gaussian, None if means is None else torch.from_numpy(means).to(device)
        self.device, self.precision = torch.device(device), resolve_precision(prior.precision, device)
        self.kept = prior._scheduler("ddpm").alphas_cumprod.to(device)
        self.prediction = prior.prediction_
        self.dropout, self.drops_batches = prior.condition_dropout, prior.reference_quirks

    def loss(self, net: Any, rows: np.ndarray) -> torch.Tensor:
        import torch

        index = torch.from_numpy(rows).to(self.device)
        t = torch.randint(len(self.kept), (len(index),), device=self.device)
        noise = torch.randn(len(index), self.x.shape[1], device=self.device)
        keep = torch.rand(1 if self.drops_batches else len(index), device=self.device) >= self.dropout
        return self._error(net, index, noise, t, keep)

    def make_valid_loss(self, rows: np.ndarray) -> Any:
        """The loss on held-out rows, always with the same noise at evenly spread time steps."""
        import torch

        index = torch.from_numpy(np.tile(rows, -(-_VALID_DRAWS // len(rows)))).to(self.device)
        t = torch.linspace(0, len(self.kept) - 1, len(index), device=self.device).long()
        t = t[torch.randperm(len(t), device=self.device)]
        noise = torch.randn(len(index), self.x.shape[1], device=self.device)

        def valid_loss(net: Any) -> float:
            total = 0.0
            for i, e, s in zip(index.split(512), noise.split(512), t.split(512), strict=True):
                total += float(self._error(net, i, e, s, None)) * len(i)
            return total / len(index)

        return valid_loss

    def _error(self, net: Any, index: Any, noise: Any, t: Any, keep: Any) -> torch.Tensor:
        import torch

        from .nets.corrected import as_prediction

        x, c, kept = self.x[index], self.c[index], self.kept[t][:, None]
        noisy = kept.sqrt() * x + (1 - kept).sqrt() * noise
        goal = as_prediction(x, noisy, kept, self.prediction)
        if self.gaussian is not None and self.means is not None:
            clean = self.gaussian.denoise(noisy, kept, self.means[index])
            if keep is not None:
                clean = torch.where(keep[:, None], clean, self.gaussian.denoise(noisy, kept, None))
            goal = goal - as_prediction(clean, noisy, kept, self.prediction)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bfloat16"):
            predicted = net(noisy, t, c, keep)
        return torch.nn.functional.mse_loss(predicted.float(), goal)


def _location_scale(rows: np.ndarray, standardize: bool) -> tuple[np.ndarray, np.ndarray]:
    if not standardize:
        return np.zeros(rows.shape[1], np.float32), np.ones(rows.shape[1], np.float32)
    mean, scale = rows.mean(axis=0, dtype=np.float64), rows.std(axis=0, dtype=np.float64)
    # Rounding gives a constant column of large values a tiny spread.
    constant = scale <= 1e-6 * np.abs(rows).max(axis=0)
    return mean.astype(np.float32), np.where(constant, 1, scale).astype(np.float32)
