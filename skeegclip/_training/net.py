"""The skorch net that an EEGEncoder builds in fit."""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

from .._utils.company import is_up_to_rounding
from .._utils.epoched import is_view
from ..nets.build import build_net
from ..nets.channel_layer import WithChannelLayer
from ..nets.over_ranks import batch_norm_over_ranks
from .loader import EpochsDataset, read_ahead, read_view, told_places, writeable
from .ranks import ALONE, Ranks
from .trainer import Trainer

_ROWS_OF_A_BLOCK = 48
_SIZES_OF_BLOCKS = 16, 24, _ROWS_OF_A_BLOCK


class EncoderNet(Trainer):
    """Trainer of batches of an EpochsDataset.

    It hands the subject to networks that take one, reports validation top-1, and may train together with other
    processes. Callbacks are shown batches of inputs and target vectors.

    Parameters
    ----------
    module, *args, **kwargs
        As in `Trainer`.
    ranks : Ranks
        The processes that train it together.
    """

    suspects = "epochs with extreme values (preprocessing scales and whitens them)"

    def __init__(self, module: Any, *args: Any, ranks: Ranks = ALONE, **kwargs: Any) -> None:
        super().__init__(module, *args, **kwargs)
        self.ranks = ranks
        self.groups: list[dict[str, Any]] | None = None  # of the optimizer, where not all learn alike

    def get_params_for_optimizer(self, prefix: str, named_parameters: Any) -> tuple[tuple, dict]:
        args, kwargs = super().get_params_for_optimizer(prefix, named_parameters)
        return args if self.groups is None else (self.groups,), kwargs

    def initialize_module(self) -> EncoderNet:
        self.module_ = build_net(self.module, self.get_params_for("module"))
        inner = self.module_.net if isinstance(self.module_, WithChannelLayer) else self.module_
        self.takes_subject_ = "subject" in inspect.signature(inner.forward).parameters
        return self

    def on_epoch_begin(self, net: Any, dataset_train: Any = None, **kwargs: Any) -> None:
        super().on_epoch_begin(net, dataset_train=dataset_train, **kwargs)
        done = self.passes_done_ + len(self.history) - 1 - dataset_train.first_pass
        self.criterion_.share = min(1.0, done / max(1, self.max_epochs - 1))

    def forward_of(self, x: dict) -> torch.Tensor:
        asked = ("subject", "places") if self.takes_subject_ else ("places",)
        z = self.module_(x["x"], **{name: x[name] for name in asked if name in x})
        if z.ndim != 2:
            raise ValueError(
                "net must map (n_epochs, n_chans, n_times) to (n_epochs, n_outputs), got output shape (n_epochs,"
                f" {', '.join(map(str, z.shape[1:]))})."
                " Choose a model with one vector per epoch."
            )
        return z

    def get_loss(self, y_pred: torch.Tensor, y_true: dict, *args: Any, **kwargs: Any) -> torch.Tensor:
        # Of the whole batch: every epoch is compared with those that other processes embedded.
        return super().get_loss(self._gathered(y_pred, y_true), y_true, *args, **kwargs)

    def train_step_single(self, batch: tuple, **fit_params: Any) -> dict:
        step = super().train_step_single(batch, **fit_params)
        self.ranks.sum_gradients(self.module_, self.criterion_)
        return step

    def validation_step(self, batch: tuple, **fit_params: Any) -> dict:
        step = super().validation_step(batch, **fit_params)
        self.embedded_.append(self._gathered(step["y_pred"], batch[1]))
        return step

    def _gathered(self, z: torch.Tensor, target: dict) -> torch.Tensor:
        return self.ranks.gather(z, len(target["stimulus"]))

    def shown(self, batch: tuple) -> tuple:
        inputs, target = batch  # the vectors of the rows in `inputs`
        return inputs, target["target"][self.ranks.share(len(target["stimulus"]))]

    def size_of(self, batch: tuple) -> tuple[int, float]:
        target = batch[1]
        size = len(target["stimulus"])
        return size, float(target["weight"].sum()) if "weight" in target else size

    def agree(self, loss: float) -> float:
        return self.ranks.agree(loss)  # which pass is the best, all must see alike

    def record_pass(self, prefix: str, dataset: EpochsDataset) -> None:
        if prefix == "valid":
            self.history.record(
                "valid_top1", top1(torch.cat(self.embedded_), dataset, self.criterion_.project)
            )
        self.embedded_: list[torch.Tensor] = []

    def fit_passes(self, dataset: EpochsDataset) -> None:
        """Train as the parent does; the statistics of batches are those of all processes."""
        self.embedded_ = []
        with batch_norm_over_ranks(self.module_) if self.ranks.size > 1 else contextlib.nullcontext():
            super().fit_passes(dataset)


def top1(z: torch.Tensor, dataset: EpochsDataset, project: Callable) -> float:
    """Share of rows whose own stimulus is the nearest of the set's stimuli, by cosine."""
    index = torch.from_numpy(dataset.rows).to(z.device)
    gallery, truth = dataset.stimulus[index].unique(return_inverse=True)
    with torch.no_grad():
        vectors = torch.nn.functional.normalize(project(dataset.vectors[gallery]), dim=1)
    # Row lengths do not change which is nearest, so only the gallery is normalised.
    return float(((z @ vectors.T).argmax(dim=1) == truth).float().mean())


def embed(
    net: EncoderNet, X: Any, subject: Any, batch_size: int = 10 * _ROWS_OF_A_BLOCK, *, places: Any = None
) -> torch.Tensor:
    """Embeddings of all epochs, in order, on the CPU; of each the same to rounding in any company (see `_in_blocks`)."""
    with evaluating(net):
        parts = (
            net.infer(block)[:rows]
            for inputs in batches(net, X, subject, batch_size, places)
            for rows, block in _in_blocks(inputs)
        )
        return torch.cat([part.cpu() for part in parts])


def _in_blocks(inputs: dict) -> Iterator[tuple[int, dict]]:
    """The epochs in blocks of 48, the last one filled with copies of its first to 16, 24 or 48; how many are its own.

    How a matrix product sums depends on how many rows it has, and on where among them a row stands: few rows are
    multiplied by another kernel than many, and what remains of a kernel's rows (4, 6, 8, 12) by another again. In
    blocks of these sizes all rows are summed alike by the kernels of AVX-512 that were tried, and by those of AVX2 and
    SSE4 more often than in others. One epoch takes up to six times as long for it, and whoever cannot wait asks for
    equality `up_to_rounding` alone. Of the kernels of graphics cards nothing is known.
    """
    n = len(inputs["x"])
    if is_up_to_rounding() or inputs["x"].device.type != "cpu":
        yield n, inputs
        return
    for start in range(0, n, _ROWS_OF_A_BLOCK):
        rows = min(_ROWS_OF_A_BLOCK, n - start)
        size = next(size for size in _SIZES_OF_BLOCKS if size >= rows)
        block = {name: value[start : start + rows] for name, value in inputs.items()}
        if size > rows:
            block = {name: torch.cat([value, value[[0] * (size - rows)]]) for name, value in block.items()}
        yield rows, block


@contextlib.contextmanager
def evaluating(net: EncoderNet) -> Iterator[None]:
    """A block in which the network is used, not trained."""
    net.module_.eval()
    with torch.inference_mode():
        yield


def batches(
    net: EncoderNet, X: Any, subject: Any, batch_size: int, places: np.ndarray | None = None
) -> Iterator[dict]:
    """All epochs in order, with their subjects' codes, and where their channels are, as `EncoderNet.infer` takes them."""
    rows = [range(start, min(start + batch_size, len(X))) for start in range(0, len(X), batch_size)]
    if is_view(X):
        blocks = read_ahead(functools.partial(read_view, X), rows)
    else:
        blocks = (writeable(X[part.start : part.stop]) for part in rows)
    for part, block in zip(rows, blocks, strict=True):
        codes = torch.from_numpy(subject[part.start : part.stop]).to(net.device)
        told = {} if places is None else {"places": told_places(places, len(block), net.device)}
        yield {"x": torch.from_numpy(block).to(net.device), "subject": codes, **told}
