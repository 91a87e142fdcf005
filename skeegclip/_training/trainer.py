"""The one training loop: skorch's, read from the device once a pass, and ended by a loss that is not finite."""

from __future__ import annotations

import math
from typing import Any

import torch
from skorch import NeuralNet
from skorch.callbacks import EarlyStopping, EpochTimer

from .given import explain_missing


class Trainer(NeuralNet):
    """skorch NeuralNet for batches that come whole from an iterator, as pairs of a dict of inputs and a target.

    Other than its parent it reads the loss from the device once per pass, not once per batch, weighs it by the rows of a
    batch, and stops at one that is not finite. Callbacks see what skorch's own nets show them, and a history with
    ``train_loss_best``, ``valid_loss_best`` and the counts of batches.

    Parameters
    ----------
    module, *args, **kwargs
        As in skorch. The dataset has an attribute `first_pass`, set to the number of passes done before.
    precision : {"float32", "bfloat16"}
        Type of the matrix products; losses are float32 always.
    watched : bool
        Whether somebody else's callbacks are there: only for them is each batch put into the history, and its loss read
        from the device.
    """

    # What to look for beside lr where the loss is not finite.
    suspects = "rows with extreme values"
    still: tuple[Any, ...] = ()  # modules that stay as in use while the others train

    def __init__(
        self, module: Any, *args: Any, precision: str = "float32", watched: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(module, *args, **kwargs)
        self.precision, self.watched = precision, watched

    @property
    def _default_callbacks(self) -> list:
        return [("epoch_timer", EpochTimer())]

    def initialize_optimizer(self, triggered_directly: Any = None) -> Trainer:
        return self if self.optimizer is None else super().initialize_optimizer(triggered_directly)

    def infer(self, x: dict, **fit_params: Any) -> torch.Tensor:
        device = torch.device(self.device)
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=self.precision == "bfloat16"):
            z = self.forward_of(x)
        return z.float()

    # -- what a kind of net has of its own ------------------------------------------------------------

    def forward_of(self, x: dict) -> torch.Tensor:
        """What the module makes of a batch."""
        return self.module_(**x)

    def shown(self, batch: tuple) -> tuple:
        """A batch as callbacks see it."""
        return batch

    def size_of(self, batch: tuple) -> tuple[int, float]:
        """Rows of a batch, and what its loss weighs in that of the pass."""
        return len(batch[1]), len(batch[1])

    def agree(self, loss: float) -> float:
        """The loss of a pass for all who train together."""
        return loss

    def record_pass(self, prefix: str, dataset: Any) -> None:
        """Put more about a pass into the history."""

    # -- the loop -------------------------------------------------------------------------------------

    def _set_training(self, training: bool = True) -> None:
        # Going through all layers takes as long as one of them, and they are mostly in that mode already.
        if self.module_.training != training or self.criterion_.training != training:
            super()._set_training(training)
            for module in self.still:
                module.training = False

    def on_batch_begin(self, net: Any, *args: Any, **kwargs: Any) -> None:
        if self.watched:
            self.history.new_batch()

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
        total, weight = 0.0, 0.0
        for batch in iterator:
            shown, (size, heft) = self.shown(batch), self.size_of(batch)
            self.notify("on_batch_begin", batch=shown, training=training)
            step = step_fn(batch, **fit_params)
            total = total + step["loss"].detach() * heft
            weight += heft
            if self.watched:
                self.history.record_batch(f"{prefix}_loss", step["loss"].item())
                self.history.record_batch(f"{prefix}_batch_size", size)
            self.notify("on_batch_end", batch=shown, training=training, **step)
        self.history.record(f"{prefix}_batch_count", len(iterator))
        loss = self.agree(float(total / weight))
        if not math.isfinite(loss):
            raise ValueError(
                f"The {prefix} loss became {loss} in pass {len(self.history)}. Lower lr (now {self.lr:g}), or look for"
                f" {self.suspects}."
            )
        best = min((row[f"{prefix}_loss"] for row in self.history[:-1]), default=math.inf)
        self.history.record(f"{prefix}_loss", loss)
        self.history.record(f"{prefix}_loss_best", loss < best)
        self.record_pass(prefix, iterator.dataset)

    def loss_on(self, dataset: Any) -> float:
        """The loss on a dataset as it is now, weighed as that of a pass."""
        total, weight = 0.0, 0.0
        for batch in self.get_iterator(dataset, training=False):
            heft = self.size_of(batch)[1]
            total, weight = total + float(self.validation_step(batch)["loss"]) * heft, weight + heft
        return total / weight

    def fit_passes(self, dataset: Any) -> None:
        """Train for what is left of `max_epochs`; early stopping ends it, Ctrl-C goes through."""
        # RunCheckpoint knows better; skorch's LoadInitState starts from another run's weights.
        self.passes_done_ = 0
        self.notify("on_train_begin", X=dataset, y=None)
        dataset.first_pass = len(self.history)
        try:
            self.fit_loop(dataset, None, epochs=self.max_epochs - self.passes_done_)
        except KeyboardInterrupt:
            # skorch's EarlyStopping stops by raising what Ctrl-C raises.
            if not any(_ran_out_of_patience(callback) for _, callback in self.callbacks_):
                raise
        self.notify("on_train_end", X=dataset, y=None)


def _ran_out_of_patience(callback: Any) -> bool:
    return isinstance(callback, EarlyStopping) and callback.misses_ == callback.patience


# What skorch's callbacks read in a net's history, of no interest afterwards.
_FOR_CALLBACKS = ("batches", "_batch_count", "_best")


def passes_of(net: Trainer, chosen: int) -> list[dict]:
    """The history as plain rows, one per pass, and whether a pass is the one whose weights were chosen."""
    rows = [
        {key: value for key, value in row.items() if not key.endswith(_FOR_CALLBACKS)} for row in net.history
    ]
    return [{**row, "chosen": row["epoch"] == chosen} for row in rows]
