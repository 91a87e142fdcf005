"""Training of a module on rows of matrices."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from skorch.callbacks import GradientNormClipping
from skorch.helper import predefined_split
from torch.utils.data import Dataset

from .build import make_callbacks, warmup_cosine
from .callbacks import Progress, chosen_pass
from .loader import RowLoader
from .optimizers import AdamW
from .trainer import Trainer, passes_of


class MatrixRows(Dataset):
    """Rows to learn from: `batch` makes the inputs (by the module's names for them) and the target of some of them.

    Parameters
    ----------
    rows : ndarray of int
        The rows of this set.
    """

    def __init__(self, rows: np.ndarray) -> None:
        self.rows, self.first_pass = rows, 0

    def __len__(self) -> int:
        return len(self.rows)

    def batch(self, rows: np.ndarray) -> tuple[dict[str, Any], torch.Tensor]:
        raise NotImplementedError

    def __getitem__(self, item: int) -> tuple[dict[str, Any], torch.Tensor]:
        return self.batch(self.rows[[item]])


def train_module(
    module: torch.nn.Module,
    train: MatrixRows,
    valid: MatrixRows | None,
    *,
    lr: float,
    weight_decay: float,
    batch_size: int,
    max_epochs: int,
    device: str,
    seed: int,
    n_warmup: int = 0,
    ema: float | None = None,
    patience: int | None = None,
    valid_batch_size: int | None = None,
    precision: str = "float32",
    verbose: Any = 0,
    callbacks: list[tuple[str, Any]] | None = None,
) -> tuple[list[dict], dict[str, Any]]:
    """Train `module` in place on the mean squared error; at the end it has the weights of the chosen pass, for use only.

    AdamW, gradients clipped at norm 1; the learning rate rises over `n_warmup` steps and decays as a cosine to the end of
    the last pass.

    Parameters
    ----------
    module : Module
        The network, on `device`.
    train, valid : MatrixRows
        What to learn from and what to choose the pass by; without the second it is the last one.
    lr, weight_decay, batch_size, max_epochs, ema, patience, precision, verbose
        As in EEGEncoder.
    device : str
        Where the module and its rows are.
    seed : int
        Seed of the order of the rows.
    n_warmup : int
        Steps over which the learning rate rises.
    valid_batch_size : int | None
        Rows of `valid` at once; None is `batch_size`.
    callbacks : list of (str, Callback) | None
        Further callbacks, after all others.

    Returns
    -------
    history : list of dict
        Per pass: epoch, train_loss, valid_loss (where there is one), dur, chosen.
    selection : dict
        ``rule`` ("validation" or "last") and ``epoch``.
    """
    n_steps = math.ceil(len(train) / batch_size) * max_epochs
    made = make_callbacks(
        validated=valid is not None,
        patience=patience,
        scheduler=warmup_cosine(n_warmup, n_steps),
        ema=ema,
        user=[("skeegclip_clipping", GradientNormClipping(1.0))],
    )
    with Progress(verbose, max_epochs) as progress:
        net = Trainer(
            module,
            criterion=torch.nn.MSELoss,
            optimizer=AdamW,
            optimizer__weight_decay=weight_decay,
            optimizer__fused=torch.device(device).type in ("cpu", "cuda"),
            lr=lr,
            max_epochs=max_epochs,
            batch_size=batch_size,
            iterator_train=RowLoader,
            iterator_train__shuffle=True,
            iterator_train__seed=seed,
            iterator_valid=RowLoader,
            iterator_valid__batch_size=valid_batch_size or batch_size,
            train_split=None if valid is None else predefined_split(valid),
            callbacks=[*made, ("skeegclip_progress", progress), *(callbacks or [])],
            device=device,
            precision=precision,
            verbose=0,
        ).initialize()
        net.fit_passes(train)
    module.eval().requires_grad_(False)
    chosen = chosen_pass(net)
    return passes_of(net, chosen), {"rule": "last" if valid is None else "validation", "epoch": chosen}
