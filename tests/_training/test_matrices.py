"""Training on rows of matrices, against closed forms: the loop that all estimators share."""

import math

import numpy as np
import pytest
import skorch
import torch
from skorch.callbacks import Callback
from torch import nn

from skeegclip._training.build import warmup_cosine
from skeegclip._training.callbacks import AveragedWeights
from skeegclip._training.checkpoint import RunCheckpoint
from skeegclip._training.matrices import MatrixRows, train_module
from skeegclip._utils.seeding import seeded_torch


class Pull(nn.Module):
    """One weight, which is its own prediction."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, x):
        return self.weight.expand(len(x))


class Goal(MatrixRows):
    """Rows that all ask for one number; `seen` gets the rows of each batch."""

    def __init__(self, rows, goal=3.0):
        super().__init__(rows)
        self.goal, self.seen = goal, []

    def batch(self, rows):
        self.seen.append(rows)
        return {"x": torch.zeros(len(rows))}, torch.full((len(rows),), float(self.goal))


class Steps(Callback):
    """The weight after every step."""

    def __init__(self):
        self.values = []

    def on_batch_end(self, net, training, **kwargs):
        if training:
            self.values.append(float(net.module_.weight.detach()))


def run(train=None, valid=None, callbacks=(), **params):
    """Train one weight towards 3; return it, its value after every step, history and selection."""
    net, steps = Pull(), Steps()
    defaults = {"lr": 0.1, "weight_decay": 0.0, "batch_size": 4, "max_epochs": 5, "device": "cpu", "seed": 0}
    history, selection = train_module(
        net,
        train or Goal(np.arange(12)),
        valid,
        callbacks=[("steps", steps), *callbacks],
        **{**defaults, **params},
    )
    return net, steps.values, history, selection


def test_it_learns_and_reports():
    net, seen, history, selection = run(max_epochs=40)
    assert len(seen) == 40 * 3
    assert abs(float(net.weight) - 3) < abs(seen[0] - 3) / 10
    assert [row["epoch"] for row in history] == list(range(1, 41))
    assert history[-1]["train_loss"] < history[0]["train_loss"]
    assert set(history[0]) == {"epoch", "train_loss", "dur", "chosen"}
    assert selection == {"rule": "last", "epoch": 40}
    assert not net.training
    assert not net.weight.requires_grad


def test_steps_are_those_of_torch_alone():
    """AdamW by hand: warm-up, cosine and clipping, as diffusers and torch do them."""
    from diffusers.optimization import get_cosine_schedule_with_warmup

    weight = nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.AdamW([weight], lr=0.1, weight_decay=0.02)
    schedule = get_cosine_schedule_with_warmup(optimizer, 4, 15)
    expected = []
    for _ in range(15):
        optimizer.zero_grad()
        (weight - 3).square().sum().backward()
        nn.utils.clip_grad_norm_([weight], 1.0)
        optimizer.step()
        schedule.step()
        expected.append(float(weight.detach()))
    np.testing.assert_allclose(run(n_warmup=4, weight_decay=0.02)[1], expected, rtol=1e-5, atol=1e-7)


def test_the_learning_rate_is_diffusers():
    from diffusers.optimization import get_cosine_schedule_with_warmup

    optimizers = [torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.5) for _ in range(2)]
    factor = warmup_cosine(7, 40).kwargs["lr_lambda"]
    ours = torch.optim.lr_scheduler.LambdaLR(optimizers[0], factor)
    theirs = get_cosine_schedule_with_warmup(optimizers[1], 7, 40)
    for _ in range(40):
        assert ours.get_last_lr() == pytest.approx(theirs.get_last_lr())
        for optimizer, schedule in zip(optimizers, (ours, theirs), strict=True):
            optimizer.step()
            schedule.step()


def test_gradients_are_clipped_at_norm_one():
    norms = []

    class Watch(Callback):
        def on_grad_computed(self, net, named_parameters, **kwargs):
            norms.append(float(sum(p.grad.square().sum() for _, p in named_parameters)))

    run(Goal(np.arange(12), goal=1000.0), callbacks=[("watch", Watch())], max_epochs=1)
    assert norms == pytest.approx([1.0] * 3, rel=1e-4)


def test_the_moving_average_is_what_is_kept():
    after = run(max_epochs=6)[1]
    expected = after[0]
    for step, value in enumerate(after[1:], start=2):
        decay = min(0.9, step / (9 + step))
        expected = decay * expected + (1 - decay) * value
    net, seen, *_ = run(max_epochs=6, ema=0.9)
    assert seen == after  # training goes on with the weights themselves
    assert float(net.weight) == pytest.approx(expected, rel=1e-5)


class Aims(MatrixRows):
    """Held-out rows whose loss is what it is told to be; `kept` gets the weight that is judged."""

    def __init__(self, losses):
        super().__init__(np.arange(3))
        self.losses, self.kept = iter(losses), []

    def batch(self, rows):
        return {"x": torch.zeros(1)}, _Aim(next(self.losses), self.kept)


class _Aim(torch.Tensor):
    @staticmethod
    def __new__(cls, loss, kept):
        aim = torch.Tensor._make_subclass(cls, torch.tensor([float(loss)]))
        aim.kept = kept
        return aim


@pytest.fixture
def judged(monkeypatch):
    """The squared error, but of an aim the loss that it names."""
    true = nn.MSELoss.forward

    def forward(self, input, target):
        if isinstance(target, _Aim):
            target.kept.append(float(input[0]))
            return target.as_subclass(torch.Tensor)[0]
        return true(self, input, target)

    monkeypatch.setattr(nn.MSELoss, "forward", forward)


@pytest.mark.usefixtures("judged")
@pytest.mark.parametrize("ema", [None, 0.9])
def test_the_best_pass_is_kept_and_patience_ends_the_run(ema):
    aims = Aims([5.0, 4.0, 1.0, 2.0, 2.0, 0.5])
    net, _, history, selection = run(valid=aims, max_epochs=50, patience=2, ema=ema)
    assert selection == {"rule": "validation", "epoch": 3}
    assert [row["valid_loss"] for row in history] == [5, 4, 1, 2, 2]
    assert float(net.weight) == aims.kept[2]  # with a moving average that is what was judged
    assert [row["chosen"] for row in history] == [False, False, True, False, False]


def test_a_batch_is_a_part_of_the_rows_in_a_new_order_each_pass():
    train = Goal(np.arange(12))
    run(train, batch_size=5, max_epochs=2)
    assert [len(rows) for rows in train.seen] == [4, 4, 4] * 2
    first, second = np.concatenate(train.seen[:3]), np.concatenate(train.seen[3:])
    assert sorted(first) == sorted(second) == list(range(12))
    assert first.tolist() != second.tolist()


def test_the_loss_of_a_pass_weighs_rows_alike():
    class Rising(Goal):
        def batch(self, rows):
            return {"x": torch.zeros(len(rows))}, torch.from_numpy(rows.astype(np.float32))

    history = run(Rising(np.arange(7)), batch_size=4, lr=1e-12, max_epochs=1)[2]
    assert history[0]["train_loss"] == pytest.approx(np.mean(np.arange(7) ** 2))


@pytest.mark.usefixtures("judged")
def test_a_loss_that_is_not_finite_ends_the_run():
    with pytest.raises(ValueError, match=r"The train loss became nan in pass 1\. Lower lr \(now 0\.1\)"):
        run(Goal(np.arange(12), goal=math.nan))
    with pytest.raises(ValueError, match=r"The valid loss became inf in pass 1"):
        run(valid=Aims([math.inf]))


def test_ctrl_c_goes_through():
    class Press(Callback):
        def on_epoch_end(self, net, **kwargs):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(callbacks=[("press", Press())])


class Drop(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(3, 16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 2))

    def forward(self, x):
        return self.net(x)


class Noisy(MatrixRows):
    def batch(self, rows):
        x = torch.from_numpy(np.sin(np.outer(rows, [1, 2, 3])).astype(np.float32))
        return {"x": x + 0.1 * torch.randn(len(rows), 3)}, x[:, :2] * x[:, 1:]


def test_a_run_that_is_cut_goes_on_as_if_it_had_not_been(tmp_path):
    """Weights, moving average, learning rate, order, dropout, noise, patience: all but the time that it took."""

    class Cut(Callback):
        def on_epoch_begin(self, net, **kwargs):
            if len(net.history) == 4:
                raise KeyboardInterrupt

    def fit(*callbacks):
        net = Drop()
        with seeded_torch(0, "cpu"):
            for parameter in net.parameters():
                nn.init.normal_(parameter)
            told = train_module(
                net, Noisy(np.arange(40)), Noisy(np.arange(40, 60)), lr=0.03, weight_decay=0.01, batch_size=8,
                max_epochs=9, n_warmup=5, ema=0.9, patience=4, device="cpu", seed=3, callbacks=list(callbacks),
            )  # fmt: skip
        for row in told[0]:
            del row["dur"]
        return net.state_dict(), told

    whole, told = fit()
    path = tmp_path / "run.pt"
    with pytest.raises(KeyboardInterrupt):
        fit(("cut", Cut()), ("checkpoint", RunCheckpoint(path)))
    assert path.exists()
    resumed, again = fit(("checkpoint", RunCheckpoint(path)))
    assert again == told
    assert all(torch.equal(resumed[key], whole[key]) for key in whole)
    assert not path.exists()


def test_nothing_is_kept_of_each_batch():
    seen = []

    class Watch(Callback):
        def on_train_end(self, net, **kwargs):
            seen.append(net)

    run(callbacks=[("watch", Watch())])
    assert isinstance(seen[0], skorch.NeuralNet)
    assert all(not row["batches"] for row in seen[0].history)
    assert not any(isinstance(callback, AveragedWeights) for _, callback in seen[0].callbacks_)
