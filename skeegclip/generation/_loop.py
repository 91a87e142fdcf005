"""One training loop for networks that learn from matrices: average of the weights, best pass on held-out rows."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm.auto import tqdm

if TYPE_CHECKING:
    import torch


def train(
    net: torch.nn.Module,
    loss_of: Callable[[Any, np.ndarray], torch.Tensor],
    rows: np.ndarray,
    *,
    valid_loss: Callable[[Any], float] | None,
    lr: float,
    weight_decay: float,
    batch_size: int,
    max_epochs: int,
    n_warmup: int,
    ema_decay: float,
    patience: int | None,
    seed: int,
    verbose: Any,
) -> tuple[list[dict], dict]:
    """Train `net` in place; at the end it has the weights of the chosen pass.

    Parameters
    ----------
    net : Module
        The network.
    loss_of : callable
        ``loss_of(net, rows)`` gives the loss of a batch of rows.
    rows : ndarray of int
        The rows to train on.
    valid_loss : callable | None
        ``valid_loss(net)`` gives the loss on held-out rows, in evaluation mode; None chooses the last pass.
    lr, weight_decay, batch_size, max_epochs
        As in torch; AdamW, cosine decay of the learning rate after `n_warmup` steps, gradients clipped at norm 1.
    n_warmup : int
        Steps over which the learning rate rises.
    ema_decay : float
        Decay of the moving average of the weights, which is what is validated and kept; 0 keeps the weights themselves.
    patience : int | None
        Passes without a lower validation loss after which to stop.
    seed : int
        Seed of the order of the rows.
    verbose : int
        Whether to show a progress bar.

    Returns
    -------
    history : list of dict
        Per pass: epoch, train_loss, valid_loss (where there is one), dur, chosen.
    selection : dict
        ``rule`` ("validation" or "last") and ``epoch``.
    """
    import torch
    from diffusers.optimization import get_cosine_schedule_with_warmup
    from torch.optim.swa_utils import AveragedModel

    parameters = [p for p in net.parameters() if p.requires_grad]
    fused = parameters[0].device.type in ("cpu", "cuda")
    optimizer = torch.optim.AdamW(parameters, lr=lr, weight_decay=weight_decay, fused=fused)
    n_batches = -(-len(rows) // batch_size)
    schedule = get_cosine_schedule_with_warmup(optimizer, n_warmup, n_batches * max_epochs)
    average = AveragedModel(net, multi_avg_fn=_moving_average(ema_decay)) if ema_decay else None
    kept = average.module if average is not None else net
    rng = np.random.default_rng([seed, 3])
    history: list[dict] = []
    best: dict[str, Any] = {"loss": math.inf, "epoch": 0, "weights": None}
    bar = tqdm(total=max_epochs, desc="training", unit="pass") if verbose else None
    try:
        for epoch in range(1, max_epochs + 1):
            start, total = time.perf_counter(), torch.zeros((), device=parameters[0].device)
            net.train()
            for part in np.array_split(rng.permutation(rows), n_batches):
                loss = loss_of(net, part)
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                torch.nn.utils.clip_grad_norm_(parameters, 1.0)
                optimizer.step()
                schedule.step()
                if average is not None:
                    average.update_parameters(net)
                total += loss.detach() * len(part)
            row: dict[str, Any] = {"epoch": epoch, "train_loss": _finite(float(total) / len(rows), epoch, lr)}
            if valid_loss is not None:
                with torch.inference_mode():
                    row["valid_loss"] = _finite(valid_loss(kept.eval()), epoch, lr)
                if row["valid_loss"] < best["loss"]:
                    best = {
                        "loss": row["valid_loss"],
                        "epoch": epoch,
                        "weights": copy.deepcopy(kept.state_dict()),
                    }
            history.append({**row, "dur": time.perf_counter() - start})
            if bar is not None:
                bar.update()
                bar.set_postfix({name: f"{row[name]:.3g}" for name in row if name.endswith("loss")})
            if valid_loss is not None and patience is not None and epoch - best["epoch"] >= patience:
                break
    finally:
        if bar is not None:
            bar.close()
    chosen = best["epoch"] or len(history)
    net.load_state_dict(best["weights"] or kept.state_dict())
    net.eval().requires_grad_(False)
    for row in history:
        row["chosen"] = row["epoch"] == chosen
    return history, {"rule": "last" if valid_loss is None else "validation", "epoch": chosen}


def _moving_average(decay: float) -> Callable:
    import torch

    def update(averaged, current, n_averaged):
        # A short run would otherwise end near its random start: the decay rises to its value, as in diffusers.
        steps = float(n_averaged)
        weight = 1 - min(decay, (1 + steps) / (10 + steps))
        torch._foreach_lerp_(averaged, current, weight)

    return update


def _finite(loss: float, epoch: int, lr: float) -> float:
    if not math.isfinite(loss):
        raise ValueError(
            f"The loss became {loss} in pass {epoch}. Lower lr (now {lr:g}), or look for rows with extreme values."
        )
    return loss
