"""Optimizers that leave torch's compiler alone."""

import pickle

import pytest
import torch

from skeegclip._training.optimizers import OPTIMIZERS

TORCHS = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam, "sgd": torch.optim.SGD}


def trained(cls, *, resumed=False, **params):
    """Weights after four steps on the same losses; in the middle another optimizer may take over."""
    torch.manual_seed(0)
    weight, bias = torch.randn(4, 3, requires_grad=True), torch.zeros(3, requires_grad=True)
    x, y = torch.randn(8, 4), torch.randn(8, 3)
    optimizer = cls([{"params": [weight], "lr": 0.1}, {"params": [bias]}], lr=0.01, **params)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
    for number in range(4):
        optimizer.zero_grad()
        assert weight.grad is None
        loss = (x @ weight + bias - y).square().mean()
        loss.backward()
        optimizer.step()
        schedule.step()
        if resumed and number == 1:
            state = optimizer.state_dict()
            optimizer = cls([{"params": [weight]}, {"params": [bias]}], **params)
            optimizer.load_state_dict(state)
            schedule.optimizer = optimizer
    return weight.detach(), bias.detach()


@pytest.mark.parametrize("resumed", [False, True])
@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("adamw", {"fused": True, "weight_decay": 0.1}),
        ("adamw", {"foreach": True}),
        ("adam", {"amsgrad": True}),
        ("sgd", {"momentum": 0.9, "nesterov": True}),
    ],
)
def test_they_step_as_torchs_own_do(name, params, resumed):
    own = trained(OPTIMIZERS[name], resumed=resumed, **params)
    for value, expected in zip(own, trained(TORCHS[name], **params), strict=True):
        torch.testing.assert_close(value, expected, rtol=0, atol=0)
        assert value.abs().min() > 0


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_hooks_and_closures_are_called_as_torchs_own_call_them(name):
    weight = torch.ones(2, requires_grad=True)
    optimizer = OPTIMIZERS[name]([weight], lr=0.1)
    assert isinstance(optimizer, TORCHS[name])
    called = []
    optimizer.register_step_pre_hook(lambda *_: called.append("before"))
    optimizer.register_step_post_hook(lambda *_: called.append("after"))

    def closure():
        called.append("closure")
        loss = weight.square().sum()  # with gradients, though a step has none
        loss.backward()
        return loss

    assert optimizer.step(closure).item() == 2
    assert called == ["before", "closure", "after"]
    assert weight.sum().item() < 2
    assert torch.is_grad_enabled()


def test_a_step_can_be_differentiated_where_torchs_own_can():
    lr = torch.tensor(0.1, requires_grad=True)
    start = torch.ones(2, requires_grad=True)
    weight = start.clone()
    optimizer = OPTIMIZERS["sgd"]([weight], lr=lr, differentiable=True)
    weight.grad = torch.tensor([1.0, 2.0])
    optimizer.step()
    weight.sum().backward()
    assert float(lr.grad) == -3
    assert start.grad.tolist() == [1, 1]


def test_they_go_to_other_processes():
    optimizer = OPTIMIZERS["adamw"]([torch.ones(2, requires_grad=True)], lr=0.25)
    again = pickle.loads(pickle.dumps(optimizer))
    assert type(again) is OPTIMIZERS["adamw"]
    assert again.param_groups[0]["lr"] == 0.25
