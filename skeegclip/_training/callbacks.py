"""Callbacks of training: best weights, progress bar."""

from __future__ import annotations

from typing import Any

from skorch.callbacks import Callback
from tqdm.auto import tqdm


class BestWeights(Callback):
    """Keep the weights of the pass with the lowest validation loss, and put them back at the end."""

    def on_train_begin(self, net, **kwargs) -> None:
        self.loss_, self.pass_ = float("inf"), 0
        self.weights_: dict | None = None

    def on_epoch_end(self, net, **kwargs) -> None:
        loss = net.history[-1, "valid_loss"]
        if loss < self.loss_:
            self.loss_, self.pass_ = loss, len(net.history)
            self.weights_ = {
                part: {key: value.detach().clone() for key, value in getattr(net, part).state_dict().items()}
                for part in ("module_", "criterion_")
            }

    def on_train_end(self, net, **kwargs) -> None:
        if self.weights_ is None:
            return
        for part, weights in self.weights_.items():
            getattr(net, part).load_state_dict(weights)
        self.weights_ = None


class Progress(Callback):
    """Show passes, losses and validation top-1 on a tqdm bar; a context that closes it whatever happens."""

    def __init__(self, verbose: Any, total: int) -> None:
        # Not a disabled bar where nothing is to be shown: it too starts a thread.
        self.bar = tqdm(total=total, desc="training", unit="pass") if verbose else None

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
