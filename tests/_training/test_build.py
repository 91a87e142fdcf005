"""From parameters to a net: what reaches the network, the optimizer and the callbacks."""

import functools

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback, LRScheduler
from torch import nn

from skeegclip._training.build import make_callbacks, make_net, net_spec, scheduler_of
from skeegclip._training.callbacks import AveragedWeights, BestWeights, Patience
from skeegclip._training.spec import NetSpec
from skeegclip._utils.epoched import Epoched
from skeegclip._utils.stated import Stated


class Net(nn.Module):
    def __init__(
        self,
        n_outputs,
        n_chans,
        n_times,
        sfreq=None,
        chs_info=None,
        n_subjects=0,
        unknown_subject=None,
        width=2,
    ):
        super().__init__()
        self.given = {"sfreq": sfreq, "chs_info": chs_info, "n_subjects": n_subjects, "width": width}
        self.map = nn.Linear(n_chans * n_times, n_outputs)

    def forward(self, x):
        return self.map(x.flatten(1))


class Plain(nn.Module):
    def __init__(self, n_outputs, n_chans, n_times):
        super().__init__()
        self.map = nn.Linear(n_chans * n_times, n_outputs)

    def forward(self, x):
        return self.map(x.flatten(1))


READ = Epoched(
    np.zeros((4, 3, 8), dtype=np.float32), chs_info=[{"ch_name": "Fz"}] * 3, stated=Stated(sfreq=100.0)
)


def spec(net=Net, net_params=None, read=READ, subject_layer="token"):
    return net_spec(
        net,
        net_params,
        read,
        5,
        n_subjects=2,
        subject_layer=subject_layer,
        unknown_subject="mean",
        input_spread=3.0,
        output_spread=7.0,
    )


def test_a_network_gets_the_facts_that_it_has_parameters_for():
    cls, params = spec()
    assert cls is Net
    assert params == {
        "n_outputs": 5, "n_chans": 3, "n_times": 8, "sfreq": 100.0, "chs_info": READ.chs_info,
        "n_subjects": 2, "unknown_subject": "mean", "input_spread": 3.0,
    }  # fmt: skip
    assert spec(Plain)[1] == {"n_outputs": 5, "n_chans": 3, "n_times": 8, "input_spread": 3.0}
    # What X does not tell is left to the network's own default.
    assert "sfreq" not in spec(read=Epoched(READ.X))[1]


def test_embeddings_are_rescaled_for_networks_made_for_unit_size_only():
    assert spec("eegproject")[1]["output_spread"] == 7.0
    assert "output_spread" not in spec()[1]  # a network of one's own has its own scale


def test_own_arguments_go_before_facts_and_unknown_ones_are_refused():
    assert spec(net_params={"width": 7, "sfreq": 50.0})[1]["sfreq"] == 50.0
    with pytest.raises(ValueError, match="net_params: Net has no parameter 'with'; it takes width"):
        spec(net_params={"with": 7})


def test_subjects_are_the_networks_or_a_layer_before_it_or_nobodys():
    assert spec(subject_layer="none")[1]["n_subjects"] == 0
    params = spec(net_params={"subject_dropout": 0.3}, subject_layer="linear")[1]
    assert params["n_subjects"] == 0
    assert params["subject_linear"] == {"n_subjects": 2, "n_chans": 3, "unknown": "mean", "dropout": 0.3}
    with pytest.raises(ValueError, match="no parameter 'subject_dropout'"):
        spec(net_params={"subject_dropout": 0.3})


def net_of(**params):
    return make_net(NetSpec(*spec(), {"loss_weight": 0.5}), device="cpu", precision="float32", **params)


@pytest.mark.parametrize(
    ("optimizer", "expected"),
    [
        ("adamw", torch.optim.AdamW),
        ("adam", torch.optim.Adam),
        ("sgd", torch.optim.SGD),
        (torch.optim.Adamax,) * 2,
    ],
)
def test_optimizers(optimizer, expected):
    net = net_of(optimizer=optimizer, lr=0.25, optimizer_params={"weight_decay": 0.125})
    assert isinstance(net.optimizer_, expected)
    group = net.optimizer_.param_groups[0]
    assert (group["lr"], group["weight_decay"]) == (0.25, 0.125)
    learned = {id(p) for g in net.optimizer_.param_groups for p in g["params"]}
    # The temperature of the loss is learned too.
    assert learned == {id(p) for part in (net.module_, net.criterion_) for p in part.parameters()}


def test_adam_is_fused_unless_asked_otherwise():
    assert net_of().optimizer_.param_groups[0]["fused"]
    assert not net_of(optimizer_params={"fused": False}).optimizer_.param_groups[0]["fused"]
    assert not net_of(optimizer_params={"foreach": True}).optimizer_.param_groups[0]["fused"]
    with pytest.raises(ValueError, match="optimizer must be one of 'adamw', 'adam', 'sgd'"):
        net_of(optimizer="adamm")


def test_a_net_that_is_only_used_has_no_optimizer():
    assert not hasattr(net_of(optimizer=None), "optimizer_")


def callbacks(**params):
    scheduler = scheduler_of(params.pop("lr_scheduler", None), params.pop("max_epochs", 10))
    defaults = {"validated": True, "patience": None, "scheduler": scheduler, "ema": None, "user": []}
    return [callback for _, callback in make_callbacks(**{**defaults, **params})]


def test_warm_up_takes_a_tenth_of_the_steps_of_all_passes():
    factor = scheduler_of("warmup-cosine", 10, 8).kwargs["lr_lambda"]
    rates = [factor(step) for step in range(81)]
    assert rates[:9] == [step / 8 for step in range(9)]
    assert rates[8:] == sorted(rates[8:], reverse=True)
    assert rates[-1] == 0


def test_callbacks_come_in_the_order_in_which_they_must_run():
    mine = Callback()
    made = callbacks(patience=3, lr_scheduler="cosine", ema=0.9, user=[("mine", mine)])
    # The average must be in the net when it is judged, and everybody must have looked before the run is stopped.
    assert [type(callback) for callback in made] == [
        LRScheduler,
        AveragedWeights,
        BestWeights,
        Callback,
        Patience,
    ]
    assert made[3] is mine
    assert made[1].decay == 0.9
    stopping = made[-1]
    assert (stopping.monitor, stopping.patience, stopping.threshold) == ("valid_loss", 3, 0)


def test_nothing_is_chosen_where_nothing_is_held_out():
    assert callbacks(validated=False, patience=3) == []
    assert [type(callback) for callback in callbacks()] == [BestWeights]


def test_schedules():
    net = net_of(lr=1.0)
    cosine = callbacks(lr_scheduler="cosine", max_epochs=4)[0]
    cosine.initialize().on_train_begin(net)
    rates = []
    for _ in range(4):
        rates.append(net.optimizer_.param_groups[0]["lr"])
        net.optimizer_.step()
        cosine.lr_scheduler_.step()
    np.testing.assert_allclose(rates, (1 + np.cos(np.pi * np.arange(4) / 4)) / 2, atol=1e-7)
    steps = functools.partial(torch.optim.lr_scheduler.StepLR, step_size=2, gamma=0.1)
    made = callbacks(lr_scheduler=steps)[0]
    assert made.policy is torch.optim.lr_scheduler.StepLR
    assert made.kwargs == {"step_size": 2, "gamma": 0.1}
    for bad in (3, torch.optim.Adam, functools.partial(print)):
        with pytest.raises(
            TypeError,
            match='lr_scheduler must be None, "cosine", "warmup-cosine", or a torch LRScheduler class',
        ):
            callbacks(lr_scheduler=bad)
