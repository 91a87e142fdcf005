"""Batches read in one indexed step, without a per-sample collate."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from .._utils.epoched import is_view
from .._utils.validation import check_finite
from .augment import Augment
from .ranks import ALONE, Ranks
from .targets import Targets


class EpochsDataset(Dataset):
    """Rows of X with their subject codes and targets.

    Parameters
    ----------
    X : ndarray of float32, shape (n_epochs, n_chans, n_times) | EpochsView
        All epochs; only `rows` of them belong to the set.
    subject : ndarray of int64, shape (n_epochs,)
        Subject codes, -1 = unknown.
    targets : Targets
        What to learn.
    rows : ndarray of int
        The rows of this set.
    device : str
        Where the batches go.
    places : ndarray of float32, shape (n_chans, 4) | None
        Where the channels are, of epochs that are not those of the fit.
    """

    def __init__(
        self,
        X: Any,
        subject: np.ndarray,
        targets: Targets,
        rows: np.ndarray,
        device: str,
        places: np.ndarray | None = None,
    ) -> None:
        self.X, self.rows, self.device, self.places = X, rows, device, places
        self.targets = targets
        self.subject = torch.from_numpy(subject).to(device)
        self.stimulus = torch.from_numpy(targets.stimulus).to(device)
        self.vectors = torch.from_numpy(writeable(targets.vectors)).to(device)
        self.text = None if targets.text is None else torch.from_numpy(writeable(targets.text)).to(device)
        weight = targets.weight
        self.weight = None if weight is None else torch.from_numpy(weight).to(device)
        self.first_pass = 0  # a resumed run goes on with the order of its next pass

    def __len__(self) -> int:
        return len(self.rows)

    def read(self, rows: np.ndarray) -> torch.Tensor:
        """Epochs of some rows."""
        if is_view(self.X):
            return torch.from_numpy(read_view(self.X, rows))
        if isinstance(self.X, torch.Tensor):
            return self.X[torch.from_numpy(rows).to(self.X.device)]
        return torch.from_numpy(self.X[rows])

    def batch(self, rows: np.ndarray, x: torch.Tensor) -> tuple[dict, dict]:
        """Inputs and targets of some rows, on the device."""
        index = torch.from_numpy(rows).to(self.device)
        stimulus = self.stimulus[index]
        target = {"target": self.vectors[stimulus], "stimulus": stimulus}
        if self.text is not None:
            target["text"] = self.text[stimulus]
        if self.weight is not None:
            target["weight"] = self.weight[index]
        inputs = {"x": x.to(self.device), "subject": self.subject[index]}
        if self.places is not None:
            inputs["places"] = told_places(self.places, len(rows), self.device)
        return inputs, target

    def __getitem__(self, item: int) -> tuple[dict, dict]:
        rows = self.rows[[item]]
        return self.batch(rows, self.read(rows))


class RowLoader:
    """Iterate a dataset of rows in batches of even size.

    A short last batch would weigh its rows more, and one of a single row breaks batch normalisation: n rows
    are dealt into ceil(n / batch_size) batches that differ by one row at most.

    Parameters
    ----------
    dataset : Dataset
        With `rows`, `first_pass` and `batch(rows)`.
    batch_size : int
        Largest batch.
    shuffle : bool
        New order in every pass.
    seed : int
        Seed of the orders: pass k has the same order whether or not the run was resumed before it.
    """

    def __init__(self, dataset: Any, batch_size: int, shuffle: bool = False, seed: int = 0) -> None:
        self.dataset, self.batch_size, self.shuffle, self.seed = dataset, batch_size, shuffle, seed
        self.passes = dataset.first_pass

    def __len__(self) -> int:
        return -(-len(self.dataset) // self.batch_size)

    def deal(self) -> list[np.ndarray]:
        """The rows of each batch of the next pass."""
        rows = self.dataset.rows
        if self.shuffle:
            rows = np.random.default_rng([self.seed, 2, self.passes]).permutation(rows)
        self.passes += 1
        # Within a batch the order does not matter to the loss, and a sorted read is faster from disk.
        return [np.sort(part) if self.shuffle else part for part in np.array_split(rows, len(self))]

    def __iter__(self) -> Iterator[tuple[dict, Any]]:
        return map(self.dataset.batch, self.deal())


class BatchLoader(RowLoader):
    """Iterate an EpochsDataset, of which the next batch is read while the last is worked on.

    Parameters
    ----------
    dataset : EpochsDataset
        The rows.
    batch_size, shuffle, seed
        As in `RowLoader`.
    augment : Augment | None
        What is done to each batch.
    ranks : Ranks
        The processes that share each batch: inputs are this one's rows, targets those of all.
    layer_mixing : float
        Probability that a row's targets are mixed by the weights of its own subject; 0 tells the loss no subjects.
    """

    def __init__(
        self,
        dataset: EpochsDataset,
        batch_size: int,
        shuffle: bool = False,
        seed: int = 0,
        augment: Augment | None = None,
        ranks: Ranks = ALONE,
        layer_mixing: float = 0.0,
    ) -> None:
        super().__init__(dataset, batch_size, shuffle, seed)
        self.augment, self.ranks, self.layer_mixing = augment, ranks, layer_mixing

    def __iter__(self) -> Iterator[tuple[dict, dict]]:
        if self.augment is not None:
            self.augment.start_pass(self.passes)
        # Not torch's generator: of that each process has its own, and all must mix alike.
        rng = np.random.default_rng([self.seed, 4, self.passes])
        parts = self.deal()
        ahead = read_ahead if is_view(self.dataset.X) else map
        shares = [part[self.ranks.share(len(part))] for part in parts]
        for part, x in zip(parts, ahead(self.dataset.read, shares), strict=True):
            inputs, target = self.dataset.batch(part, x)
            if self.layer_mixing:
                own = torch.from_numpy(rng.random(len(part)) < self.layer_mixing).to(inputs["subject"].device)
                target["subject"] = inputs["subject"].where(own, -1)
            inputs["subject"] = inputs["subject"][self.ranks.share(len(part))]
            if self.augment is not None:
                inputs["x"] = self.augment(inputs["x"])
            yield inputs, target


def told_places(places: np.ndarray, n_rows: int, device: str) -> torch.Tensor:
    """Where the channels are, for each epoch of a batch."""
    return torch.from_numpy(places).to(device).expand(n_rows, -1, -1)


def read_view(view: Any, rows: Any) -> np.ndarray:
    """Epochs of a view; NaN and inf are told of by their row in it."""
    block = view.read(rows)
    check_finite(block, ch_names=view.ch_names, rows=rows, mixed=view._told.mixed)
    return block


def read_ahead(read: Callable, parts: Sequence) -> Iterator[Any]:
    """``map(read, parts)``, with the next part read from disk while the last is worked on.

    What the reading raises comes up where its part is due. However the loop ends, the thread has ended after it.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="skeegclip-read") as pool:
        due = pool.submit(read, parts[0])
        for part in parts[1:]:
            block = due.result()
            due = pool.submit(read, part)
            yield block
        yield due.result()


def on_device(X: Any, device: str) -> Any:
    """Put an array or a view on a GPU whole if it takes at most half of the memory that is free there."""
    if device.startswith("cuda"):
        free, _ = torch.cuda.mem_get_info(device)
        if 4 * math.prod(X.shape) <= free // 2:
            return whole(X, device)
    return X


def whole(X: Any, device: str) -> torch.Tensor:
    """All of an array or of a view as a tensor; a view is read a part at a time."""
    if not is_view(X):
        return torch.from_numpy(writeable(X)).to(device)
    tensor = torch.empty(X.shape, dtype=torch.float32, device=device)
    parts = [range(start, min(start + 1024, len(X))) for start in range(0, len(X), 1024)]
    for part, block in zip(parts, read_ahead(partial(read_view, X), parts), strict=True):
        tensor[part.start : part.stop] = torch.from_numpy(block)
    return tensor


def writeable(array: np.ndarray) -> np.ndarray:
    """The array, or a copy of one that must not be written."""
    # torch warns of arrays that must not be written, such as the memory maps of joblib's workers.
    return array if array.flags.writeable else array.copy()
