"""The training loop of matrices."""

import numpy as np
import pytest
import torch
from torch import nn

from skeegclip.generation._loop import train


def run(loss_of=None, valid_loss=None, **params):
    """Train one weight towards 3, and return it with its value after every step."""
    torch.manual_seed(0)
    net, seen = nn.Linear(1, 1, bias=False), []

    def pull(net, rows):
        seen.append(float(net.weight.detach()))
        return (net.weight - 3).square().sum()

    defaults = {
        "lr": 0.1,
        "weight_decay": 0.0,
        "batch_size": 4,
        "max_epochs": 5,
        "n_warmup": 0,
        "ema_decay": 0.0,
    }
    defaults |= {"patience": None, "seed": 0, "verbose": 0}
    history, selection = train(
        net, loss_of or pull, np.arange(12), valid_loss=valid_loss, **{**defaults, **params}
    )
    return net, seen, history, selection


def test_it_learns_and_reports():
    net, seen, history, selection = run(max_epochs=40)
    assert len(seen) == 40 * 3
    assert abs(float(net.weight) - 3) < abs(seen[0] - 3) / 10
    assert [row["epoch"] for row in history] == list(range(1, 41))
    assert history[-1]["train_loss"] < history[0]["train_loss"]
    assert selection == {"rule": "last", "epoch": 40}
    assert not net.training
    assert not net.weight.requires_grad


def test_the_moving_average_is_what_is_kept():
    *_, seen = run(max_epochs=6, ema_decay=0.0)[:2]
    after = [*seen[1:], float(run(max_epochs=6)[0].weight)]  # of every step
    expected = after[0]
    for n_averaged, value in enumerate(after[1:], start=1):
        decay = min(0.9, (1 + n_averaged) / (10 + n_averaged))
        expected = decay * expected + (1 - decay) * value
    assert float(run(max_epochs=6, ema_decay=0.9)[0].weight) == pytest.approx(expected, rel=1e-5)


def test_the_best_pass_is_kept_and_patience_ends_the_run():
    aims = iter([5.0, 4.0, 1.0, 2.0, 2.0, 0.5])
    kept = []

    def valid_loss(net):
        kept.append(float(net.weight))
        return next(aims)

    net, _, history, selection = run(valid_loss=valid_loss, max_epochs=50, patience=2)
    assert selection == {"rule": "validation", "epoch": 3}
    assert len(history) == 5
    assert float(net.weight) == kept[2]
    assert [row["chosen"] for row in history] == [False, False, True, False, False]


def test_the_learning_rate_rises_and_falls():
    steps = np.abs(np.diff(run(max_epochs=20, n_warmup=10, lr=0.01)[1]))
    assert steps[:10].argmax() == 9  # AdamW's step is the learning rate, while the slope keeps its sign
    assert steps[-1] < steps[12] / 5


def test_a_batch_is_a_part_of_the_rows_in_a_new_order_each_pass():
    batches = []

    def loss_of(net, rows):
        batches.append(rows)
        return net.weight.square().sum()

    run(loss_of=loss_of, batch_size=5, max_epochs=2)
    assert [len(rows) for rows in batches] == [4, 4, 4] * 2
    first, second = np.concatenate(batches[:3]), np.concatenate(batches[3:])
    assert sorted(first) == sorted(second) == list(range(12))
    assert first.tolist() != second.tolist()


def test_a_loss_that_is_not_finite_ends_the_run():
    with pytest.raises(ValueError, match=r"The loss became nan in pass 1\. Lower lr \(now 0\.1\)"):
        run(loss_of=lambda net, rows: net.weight.sum() * torch.nan)
    with pytest.raises(ValueError, match=r"The loss became inf in pass 1"):
        run(valid_loss=lambda net: float("inf"))
