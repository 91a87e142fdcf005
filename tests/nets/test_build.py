"""What a network of braindecode cannot take is said in one sentence."""

from __future__ import annotations

import pytest
import torch

from skeegclip.nets.build import build_net
from skeegclip.nets.registry import get_net


def _build(name, n_times=250, sfreq=250.0, **params):
    return build_net(
        get_net(name)[0], {"n_outputs": 8, "n_chans": 5, "n_times": n_times, "sfreq": sfreq, **params}
    )


@pytest.mark.parametrize(
    ("name", "params", "reason", "remedy"),
    [
        (
            "CBraMod",
            {},
            "can't divide axis of length 250",
            "It reads patches of 200 samples: crop or resample",
        ),
        ("LUNA", {"patch_size": 48}, "can't divide axis of length 250", "It reads patches of 48 samples"),
        ("SignalJEPA", {}, "chs_info is required", "names and places of the channels: pass epochs"),
        ("DGCNN", {"sfreq": None}, "chs_info not specified", "names and places of the channels: pass epochs"),
        ("HybridNet", {}, "Kernel size can't be greater", "Crop or resample the epochs, set its net_params"),
        (
            "EEGInceptionERP",
            {"sfreq": None},
            "sfreq could not be inferred",
            "It needs the sampling rate: pass",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore:n_times|enable_nested_tensor")
def test_misfits_are_told_with_the_remedy(name, params, reason, remedy):
    with pytest.raises(
        ValueError, match=f"net='{name}' cannot take epochs of n_chans=5, n_times=250 and"
    ) as caught:
        _build(name, **params)
    assert reason in str(caught.value)
    assert remedy in str(caught.value)
    assert caught.value.__cause__ is not None


def test_a_file_that_cannot_be_fetched(monkeypatch, tmp_path):
    import socket

    def refuse(*args, **kwargs):
        raise OSError("no network in tests")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setenv("MNE_DATA", str(tmp_path))
    with pytest.raises(
        ValueError, match="net='REVE' cannot take epochs .*It fetches a file when it is built"
    ):
        _build("REVE", n_times=200, sfreq=200.0)


def test_more_than_one_vector_per_epoch():
    class Sequence(torch.nn.Module):
        __module__ = "braindecode.models.sequence"

        def __init__(self, n_outputs, n_chans, n_times, sfreq, as_dict=False):
            super().__init__()
            self.as_dict = as_dict

        def forward(self, x):
            return {"features": x} if self.as_dict else x

    sizes = {"n_outputs": 8, "n_chans": 5, "n_times": 250, "sfreq": 250.0}
    with pytest.raises(
        ValueError, match=r"net must map .* got output shape \(n_epochs, 5, 250\) from Sequence"
    ):
        build_net(Sequence, sizes)
    with pytest.raises(ValueError, match="net='Sequence' .* it returns a dict, not one tensor"):
        build_net(Sequence, {**sizes, "as_dict": True})
    # One that takes epochs of any length cannot be tried here.
    assert isinstance(build_net(get_net("TCN")[0], {"n_outputs": 8, "n_chans": 5}), torch.nn.Module)


def test_errors_of_ones_own_network_are_left_alone():
    class Own(torch.nn.Module):
        def __init__(self, n_outputs, n_chans, n_times):
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        build_net(Own, {"n_outputs": 8, "n_chans": 5, "n_times": 250})


def test_trying_it_leaves_the_network_ready_to_train():
    net = _build("ShallowFBCSPNet")
    assert all(module.training for module in net.modules())
    assert net.bnorm.num_batches_tracked == 0
    assert all(p.grad is None for p in net.parameters())
