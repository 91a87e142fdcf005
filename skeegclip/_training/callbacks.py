"""Callbacks of training: best weights, averaged weights, weights of every pass, progress bar."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import torch
from skorch.callbacks import Callback, EarlyStopping

from .._utils.progress import tqdm
from .adapting import merged_state


class BestWeights(Callback):
    """Keep the weights of the pass with the lowest validation loss, and put them back at the end.

    Parameters
    ----------
    start : float | None
        Validation loss of the weights before the first pass, where they may be kept too.
    """

    def __init__(self, start: float | None = None) -> None:
        self.start = start

    def on_train_begin(self, net, **kwargs) -> None:
        self.loss_, self.pass_ = float("inf") if self.start is None else self.start, 0
        self.weights_: dict | None = None if self.start is None else get_weights(net)

    def on_epoch_end(self, net, **kwargs) -> None:
        loss = net.history[-1, "valid_loss"]
        if loss < self.loss_:
            self.loss_, self.pass_ = loss, len(net.history)
            self.weights_ = get_weights(net)

    def on_train_end(self, net, **kwargs) -> None:
        if self.weights_ is None:
            return
        set_weights(net, self.weights_)
        self.weights_ = None


class Patience(EarlyStopping):
    """End the training after so many passes without a lower validation loss.

    Parameters
    ----------
    patience : int
        Number of passes.
    start : float | None
        As in `BestWeights`: a pass that is worse than the start does not help, even if it is the best so far.
    """

    def __init__(self, patience: int, start: float | None = None) -> None:
        super().__init__(monitor="valid_loss", patience=patience, threshold=0)
        self.start = start

    def on_train_begin(self, net, **kwargs) -> None:
        super().on_train_begin(net, **kwargs)
        if self.start is not None:
            self.dynamic_threshold_ = self.start


class AveragedWeights(Callback):
    """Exponential moving average of the weights: what is validated, and what is kept at the end.

    Training goes on with the weights themselves. From the first validation batch of a pass (or its end) until the
    next training batch the network holds the average, so that whoever looks at it then sees what would be kept.

    Parameters
    ----------
    decay : float
        Weight of the past at each step. It starts lower, as ``step / (9 + step)``, so that the random weights of the
        start are soon forgotten: a short run would otherwise end near them. This is the rule of diffusers' ``EMAModel``.
    """

    def __init__(self, decay: float) -> None:
        self.decay = decay

    def on_train_begin(self, net, **kwargs) -> None:
        self.step_ = 0
        self.average_: dict | None = None
        self.own_: dict | None = (
            None  # the weights that training goes on with, while the net holds the average
        )

    def on_batch_begin(self, net, training: bool, **kwargs) -> None:
        if not training:
            self._hold_average(net)
        elif self.own_ is not None:
            set_weights(net, self.own_)
            self.own_ = None

    def on_batch_end(self, net, training: bool, **kwargs) -> None:
        if not training:
            return
        self.step_ += 1
        if self.average_ is None:
            self.average_ = get_weights(net)
            return
        share = 1 - min(self.decay, self.step_ / (9 + self.step_))
        averages, values = [], []
        for part, average in self.average_.items():
            for key, value in getattr(net, part).state_dict().items():
                if value.is_floating_point():
                    averages.append(average[key])
                    values.append(value)
                else:  # a counter
                    average[key].copy_(value)
        torch._foreach_lerp_(averages, values, share)

    def on_epoch_end(self, net, **kwargs) -> None:
        self._hold_average(net)

    def on_train_end(self, net, **kwargs) -> None:
        self.average_ = self.own_ = None

    def _hold_average(self, net) -> None:
        if self.own_ is None and self.average_ is not None:
            self.own_ = get_weights(net)
            set_weights(net, self.average_)


class KeepPasses(Callback):
    """Write the weights of every pass to a folder, so that a finished run can be looked at pass by pass.

    Parameters
    ----------
    folder : path-like
        Each run makes a folder of its own in it, ``folder_``.
    """

    def __init__(self, folder: str | os.PathLike) -> None:
        self.folder = str(folder)

    def on_train_begin(self, net, **kwargs) -> None:
        self.folder_ = tempfile.mkdtemp(dir=self.folder)

    def on_epoch_end(self, net, **kwargs) -> None:
        weights = {**get_weights(net), "module_": merged_state(net.module_)}
        torch.save(weights, Path(self.folder_) / f"{len(net.history):06d}.pt")

    def passes(self) -> list[Path]:
        """Files of the passes, in order; none where a fit makes no pass."""
        return [] if not hasattr(self, "folder_") else sorted(Path(self.folder_).glob("*.pt"))


def chosen_pass(net: Any) -> int:
    """The pass whose weights the net has after training: the best one, or the last where none was chosen."""
    for _, callback in net.callbacks_:
        if isinstance(callback, BestWeights):
            return callback.pass_
    return len(net.history)


def get_weights(net: Any) -> dict[str, dict[str, torch.Tensor]]:
    """A copy of the weights of network and loss."""
    return {
        part: {key: value.detach().clone() for key, value in getattr(net, part).state_dict().items()}
        for part in ("module_", "criterion_")
    }


def set_weights(net: Any, weights: dict[str, dict[str, torch.Tensor]]) -> None:
    """Load what `get_weights` gave."""
    for part, values in weights.items():
        getattr(net, part).load_state_dict(values)


class Progress(Callback):
    """Show passes, losses and validation top-1 on a tqdm bar; a context that closes it whatever happens."""

    def __init__(self, verbose: Any, total: int, what: str = "training") -> None:
        # Not a disabled bar where nothing is to be shown: it too starts a thread.
        self.bar = tqdm(total=total, desc=what, unit="pass") if verbose else None

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *error: Any) -> None:
        if self.bar is not None:
            self.bar.close()

    def on_epoch_end(self, net, **kwargs) -> None:
        if self.bar is None:
            return
        self.bar.update(len(net.history) - self.bar.n)
        last = net.history[-1]
        shown = {name: f"{last[name]:.3g}" for name in ("train_loss", "valid_loss") if name in last}
        if "valid_top1" in last:
            shown["valid_top1"] = f"{last['valid_top1']:.1%}"
        self.bar.set_postfix(shown)
