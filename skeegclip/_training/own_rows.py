"""One subject's row of a table of parameters, fitted while all else stays as it is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from skorch.helper import predefined_split
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils.data import Dataset

from .build import make_callbacks
from .callbacks import BestWeights, Patience, Progress, chosen_pass
from .loader import BatchLoader, EpochsDataset
from .net import EncoderNet
from .optimizers import Adam
from .trainer import Trainer


class OwnRows(nn.Module):
    """The row several times over, to be fitted to several sets of epochs side by side.

    The network is in evaluation mode (no dropout, no statistics that move) and its own parameters are never written: a
    row is put into the table on the way.

    Parameters
    ----------
    net : EncoderNet
        The net, which is not trained.
    key : str
        The table's name in its network.
    place : int
        The row in the table, which all begin as.
    n_rows : int
        How often.
    """

    def __init__(self, net: EncoderNet, key: str, place: int, n_rows: int) -> None:
        super().__init__()
        self.key, self.place = key, place
        self.around = (net.module_,)  # torch does not look into tuples: it is no part of what is trained
        self.known = (net.module_.get_parameter(key),)
        row = self.known[0][place : place + 1].detach()
        self.rows = nn.ParameterList(nn.Parameter(row.clone()) for _ in range(n_rows))

    def forward(self, x: Tensor, subject: Tensor, fold: int, **told: Tensor) -> Tensor:
        known = self.known[0].detach()
        table = torch.cat([known[: self.place], self.rows[fold], known[self.place + 1 :]])
        return functional_call(self.around[0], {self.key: table}, (x, subject), told)

    def keep(self, fold: int) -> None:
        """Write a row into the network."""
        with torch.no_grad():
            self.known[0][self.place] = self.rows[fold][0]


class FoldRows(Dataset):
    """Several sets of epochs, for a row each."""

    def __init__(self, parts: list[EpochsDataset]) -> None:
        self.parts, self.first_pass = parts, 0

    def __len__(self) -> int:
        return sum(map(len, self.parts))


class FoldLoader:
    """Iterate all batches of one set after the other, with the number of the set."""

    def __init__(self, dataset: FoldRows, batch_size: int, shuffle: bool = False, seed: int = 0) -> None:
        self.dataset = dataset
        self.loaders = [BatchLoader(part, batch_size, shuffle, seed) for part in dataset.parts]

    def __len__(self) -> int:
        return sum(map(len, self.loaders))

    def __iter__(self) -> Iterator[tuple[dict, dict]]:
        for fold, loader in enumerate(self.loaders):
            for inputs, target in loader:
                yield {**inputs, "fold": fold}, target


class _RowTrainer(Trainer):
    def size_of(self, batch: tuple) -> tuple[int, float]:
        return len(batch[1]["stimulus"]), 1.0  # every fold counts alike


class _Fixed(nn.Module):
    """A loss with parameters of its own, which are not trained."""

    def __init__(self, loss: nn.Module) -> None:
        super().__init__()
        self.loss = (loss,)

    def forward(self, z: Tensor, target: dict) -> Tensor:
        return self.loss[0](z, target)


def fit_rows(
    own: OwnRows,
    criterion: nn.Module,
    train: FoldRows,
    valid: FoldRows,
    *,
    lr: float,
    batch_size: int,
    max_epochs: int,
    patience: int,
    seed: int,
    device: str,
    verbose: Any,
) -> int:
    """Fit the rows; return after which pass the loss on what is held out was lowest, whose rows they then are.

    That may be none, and the rows as they were.
    """
    network = own.around[0].eval().requires_grad_(False)
    callbacks = make_callbacks(validated=True, patience=patience, scheduler=None, ema=None, user=[])
    with Progress(verbose, max_epochs, "calibrating") as progress:
        net = _RowTrainer(
            own,
            criterion=_Fixed(criterion),
            optimizer=Adam,
            lr=lr,
            batch_size=batch_size,
            max_epochs=max_epochs,
            iterator_train=FoldLoader,
            iterator_train__shuffle=True,
            iterator_train__seed=seed,
            iterator_valid=FoldLoader,
            iterator_valid__batch_size=len(valid),  # a fold at once
            train_split=predefined_split(valid),
            callbacks=[*callbacks, ("skeegclip_progress", progress)],
            device=device,
            verbose=0,
        ).initialize()
        start = net.loss_on(valid)
        for _, callback in net.callbacks_:
            if isinstance(callback, (BestWeights, Patience)):
                callback.start = start
        net.fit_passes(train)
    network.requires_grad_(True)
    return chosen_pass(net)
