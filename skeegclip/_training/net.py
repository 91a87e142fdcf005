"""The skorch net that an EEGEncoder builds in fit."""

from __future__ import annotations

import contextlib
import functools
import inspect
import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from skorch import NeuralNet
from skorch.callbacks import EarlyStopping, EpochTimer

from .._utils.epoched import is_view
from ..nets.build import build_net
from ..nets.over_ranks import batch_norm_over_ranks
from .given import explain_missing
from .loader import EpochsDataset, read_ahead, read_view, writeable
from .ranks import ALONE, Ranks


class EncoderNet(NeuralNet):
    """skorch NeuralNet that trains on batches of an EpochsDataset.

    Other than its parent it reads the loss from the device once per pass, not once per batch, stops at a loss
    that is not finite, hands the subject to networks that take one, and reports validation top-1.
    Callbacks see what skorch's own nets show them: batches of inputs and target vectors, and a history with
    ``train_loss_best``, ``valid_loss_best`` and the counts of batches.

    Parameters
    ----------
    module, *args, **kwargs
        As in skorch.
    precision : {"float32", "bfloat16"}
        Type of the matrix products; losses are float32 always.
    ranks : Ranks
        The processes that train it together.
    watched : bool
        Whether somebody else's callbacks are there: only for them is the loss of each batch read from the device.
    """

    def __init__(
        self,
        module: Any,
        *args: Any,
        precision: str = "float32",
        ranks: Ranks = ALONE,
        watched: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(module, *args, **kwargs)
        self.precision, self.ranks, self.watched = precision, ranks, watched

    @property
    def _default_callbacks(self) -> list:
        return [("epoch_timer", EpochTimer())]

    def initialize_module(self) -> EncoderNet:
        self.module_ = build_net(self.module, self.get_params_for("module"))
        self.takes_subject_ = "subject" in inspect.signature(self.module_.forward).parameters
        return self

    def initialize_optimizer(self, triggered_directly: Any = None) -> EncoderNet:
        return self if self.optimizer is None else super().initialize_optimizer(triggered_directly)

    def infer(self, x: dict, **fit_params: Any) -> torch.Tensor:
        device = torch.device(self.device)
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=self.precision == "bfloat16"):
            z = self.module_(x["x"], subject=x["subject"]) if self.takes_subject_ else self.module_(x["x"])
        if z.ndim != 2:
            raise ValueError(
                f"net must map (n_epochs, n_chans, n_times) to (n_epochs, n_outputs), got output shape {tuple(z.shape)}."
                " Choose a model with one vector per epoch."
            )
        return z.float()

    def get_loss(self, y_pred: torch.Tensor, y_true: dict, *args: Any, **kwargs: Any) -> torch.Tensor:
        # Of the whole batch: every epoch is compared with those that other processes embedded.
        return super().get_loss(self._gathered(y_pred, y_true), y_true, *args, **kwargs)

    def train_step_single(self, batch: tuple, **fit_params: Any) -> dict:
        step = super().train_step_single(batch, **fit_params)
        self.ranks.sum_gradients(self.module_, self.criterion_)
        return step

    def _gathered(self, z: torch.Tensor, target: dict) -> torch.Tensor:
        return self.ranks.gather(z, len(target["stimulus"]))

    def notify(self, method_name: str, **kwargs: Any) -> None:
        getattr(self, method_name)(self, **kwargs)
        for _, callback in self.callbacks_:
            try:
                getattr(callback, method_name)(self, **kwargs)
            except KeyError as error:
                explain_missing(error, callback, validated=self.train_split is not None)
                raise

    def run_single_epoch(self, iterator, training, prefix, step_fn, **fit_params) -> None:
        if iterator is None:
            return
        total, weight, embeddings = 0.0, 0.0, []
        for batch in iterator:
            inputs, target = batch
            size = len(target["stimulus"])
            shown = inputs, target["target"][self.ranks.share(size)]  # the vectors of the rows in `inputs`
            self.notify("on_batch_begin", batch=shown, training=training)
            step = step_fn(batch, **fit_params)
            heft = float(target["weight"].sum()) if "weight" in target else size
            total = total + step["loss"].detach() * heft
            weight += heft
            if not training:
                embeddings.append(self._gathered(step["y_pred"], target))
            if self.watched:
                self.history.record_batch(f"{prefix}_loss", step["loss"].item())
            self.history.record_batch(f"{prefix}_batch_size", size)
            self.notify("on_batch_end", batch=shown, training=training, **step)
        self.history.record(f"{prefix}_batch_count", len(iterator))
        loss = self.ranks.agree(float(total / weight))  # which pass is the best, all must see alike
        if not math.isfinite(loss):
            raise ValueError(
                f"The {prefix} loss became {loss} in pass {len(self.history)}. Lower lr (now {self.lr:g}), or look for"
                " epochs with extreme values (preprocessing scales and whitens them)."
            )
        best = min((row[f"{prefix}_loss"] for row in self.history[:-1]), default=math.inf)
        self.history.record(f"{prefix}_loss", loss)
        self.history.record(f"{prefix}_loss_best", loss < best)
        if not training:
            self.history.record(
                "valid_top1", top1(torch.cat(embeddings), iterator.dataset, self.criterion_.project)
            )

    def fit_passes(self, dataset: EpochsDataset) -> None:
        """Train for what is left of `max_epochs`; early stopping ends it, Ctrl-C goes through."""
        self.passes_done_ = (
            0  # RunCheckpoint knows better; skorch's LoadInitState starts from another run's weights
        )
        self.notify("on_train_begin", X=dataset, y=None)
        dataset.first_pass = len(self.history)
        together = batch_norm_over_ranks(self.module_) if self.ranks.size > 1 else contextlib.nullcontext()
        try:
            with together:
                self.fit_loop(dataset, None, epochs=self.max_epochs - self.passes_done_)
        except KeyboardInterrupt:
            # skorch's EarlyStopping stops by raising what Ctrl-C raises.
            if not any(_ran_out_of_patience(callback) for _, callback in self.callbacks_):
                raise
        self.notify("on_train_end", X=dataset, y=None)


def _ran_out_of_patience(callback: Any) -> bool:
    return isinstance(callback, EarlyStopping) and callback.misses_ == callback.patience


def top1(z: torch.Tensor, dataset: EpochsDataset, project: Callable) -> float:
    """Share of rows whose own stimulus is the nearest of the set's stimuli, by cosine."""
    index = torch.from_numpy(dataset.rows).to(z.device)
    gallery, truth = dataset.stimulus[index].unique(return_inverse=True)
    with torch.no_grad():
        vectors = torch.nn.functional.normalize(project(dataset.vectors[gallery]), dim=1)
    # Row lengths do not change which is nearest, so only the gallery is normalised.
    return float(((z @ vectors.T).argmax(dim=1) == truth).float().mean())


def embed(net: EncoderNet, X: Any, subject: Any, batch_size: int = 512) -> torch.Tensor:
    """Embeddings of all epochs, in order, on the CPU."""
    with evaluating(net):
        return torch.cat([net.infer(inputs).cpu() for inputs in batches(net, X, subject, batch_size)])


@contextlib.contextmanager
def evaluating(net: EncoderNet) -> Iterator[None]:
    """A block in which the network is used, not trained."""
    net.module_.eval()
    with torch.inference_mode():
        yield


def batches(net: EncoderNet, X: Any, subject: Any, batch_size: int) -> Iterator[dict]:
    """All epochs in order, with their subjects' codes, as `EncoderNet.infer` takes them."""
    rows = [range(start, min(start + batch_size, len(X))) for start in range(0, len(X), batch_size)]
    if is_view(X):
        blocks = read_ahead(functools.partial(read_view, X), rows)
    else:
        blocks = (writeable(X[part.start : part.stop]) for part in rows)
    for part, block in zip(rows, blocks, strict=True):
        codes = torch.from_numpy(subject[part.start : part.stop]).to(net.device)
        yield {"x": torch.from_numpy(block).to(net.device), "subject": codes}
