"""What arrives of weights that were trained before, and what is said of the rest."""

import warnings

import mne
import numpy as np
import pytest
import torch
from small_nets import Blocks
from torch import nn

from skeegclip import EEGEncoder, EpochsView
from skeegclip._training.pretrained import load_into, summary
from skeegclip._training.weights_source import read_pretrained
from skeegclip.nets import ATM
from skeegclip.nets.per_subject import SubjectLinear, WithSubjectLinear


def trained(**params):
    """A network whose every number differs from that of a new one."""
    net = Blocks(5, 2, 6, **params)
    with torch.no_grad():
        for value in net.state_dict().values():
            value.copy_(torch.arange(value.numel()).reshape(value.shape) % 7 + 1)
    return net.state_dict()


def load(state, net=None):
    net = Blocks(5, 2, 6) if net is None else net
    return net, load_into(net, read_pretrained(state))


def equal(net, state, names=None):
    own = net.state_dict()
    return all(torch.equal(own[name], state[name].to(own[name].dtype)) for name in names or state)


@pytest.mark.parametrize("prefix", ["", "module.", "student.", "model.encoder.", "backbone.net.0."])
@pytest.mark.parametrize("company", [False, True])
def test_names_are_found_behind_any_beginning(prefix, company):
    state = trained()
    file = {prefix + name: value for name, value in state.items()}
    if company:  # as in LaBraM's published file, where a mask and a second head lie beside the network
        file |= {"logit_scale": torch.ones(3), "lm_head.weight": torch.ones(4, 4)}
    net, report = load(file)
    assert equal(net, state)
    n = len(state)
    assert report["n_tensors"] == [n, n]
    assert report["n_parameters"] == [sum(p.numel() for p in net.parameters())] * 2
    assert report["not_arrived"] == {}
    assert report["left_over"] == (["lm_head.weight", "logit_scale"] if company else [])
    assert report["added"] == ""
    if company:
        assert report["dropped"] == prefix


def test_weights_go_behind_a_map_of_each_subject():
    state = trained()
    net, report = load(state, WithSubjectLinear(SubjectLinear(2, 2), Blocks(5, 2, 6)))
    assert equal(net.net, state)
    assert report["added"] == "net."
    assert list(report["not_arrived"]) == ["subject.shared"]


def test_a_head_of_another_size_is_told_as_such():
    state = trained() | {"final_layer.weight": torch.ones(9, 12), "final_layer.bias": torch.ones(9)}
    with warnings.catch_warnings(action="error"):
        net, report = load(state)
    assert report["not_arrived"] == {
        "final_layer.weight": "the head has another size: (9, 12) there, (5, 12) here",
        "final_layer.bias": "the head has another size: (9,) there, (5,) here",
    }
    assert report["left_over"] == ["final_layer.bias", "final_layer.weight"]
    assert equal(net, state, [name for name in state if not name.startswith("final_layer")])
    assert summary(report).startswith("pretrained: 18 of 20 tensors")


def test_other_shapes_and_names_are_told():
    state = trained()
    del state["norm.bias"]
    state["embed.weight"] = torch.ones(12, 99)
    net, report = load(state)
    before = Blocks(5, 2, 6).state_dict()["embed.weight"].shape
    assert net.state_dict()["embed.weight"].shape == before
    assert report["not_arrived"] == {
        "embed.weight": f"another shape: (12, 99) there, {tuple(before)} here",
        "norm.bias": "no such name",
    }


def test_nothing_is_an_error_that_shows_the_names():
    with pytest.raises(
        ValueError, match=r"none of the 2 tensors from state dict \(encoder.a, encoder.b\).*token"
    ):
        load({"encoder.a": torch.ones(3), "encoder.b": torch.ones(3)})
    with pytest.raises(
        ValueError, match=r"Equal names have other shapes: embed.weight \(another shape: \(2, 2\)"
    ):
        load({"embed.weight": torch.ones(2, 2)})
    # Counters and running means are no parameters.
    with pytest.raises(ValueError, match="none of the 1 tensors"):
        load({"batch_norm.running_mean": torch.ones(12)})


def test_little_is_a_warning():
    with pytest.warns(
        UserWarning, match=r"1 of 20 tensors \(12 of .* Less than half of what stands before the head"
    ):
        load({"token": torch.ones(12)})


def test_numbers_that_are_none_are_refused():
    state = trained()
    state["norm.weight"][3] = torch.nan
    with pytest.raises(ValueError, match="'norm.weight' holds NaN"):
        load(state)


@pytest.mark.parametrize("dtype", [torch.int8, torch.complex64])
def test_numbers_of_another_kind_do_not_arrive(dtype):
    state = trained()
    expected = state["norm.bias"].clone()
    state["norm.weight"] = (10 * state["norm.weight"]).to(dtype)
    net, report = load(state)
    assert report["not_arrived"]["norm.weight"] == f"another type: {dtype} there, torch.float32 here"
    assert torch.equal(net.state_dict()["norm.bias"], expected)
    with pytest.raises(ValueError, match="none of the 1 tensors.* other shapes: norm.weight"):
        load({"norm.weight": state["norm.weight"]})


@pytest.mark.parametrize("montage", [None, "positions"])
def test_channels_that_stand_elsewhere_are_told(rng, tmp_path, montage):
    names = ["Oz", "Pz", "Cz"]
    X, y = rng.normal(size=(20, 3, 6)).astype(np.float32), rng.normal(size=(20, 5)).astype(np.float32)

    def view(names):
        return EpochsView.from_arrays(X, info=mne.create_info(names, 100.0, "eeg"))

    common = {"montage": montage, "max_epochs": 1, "device": "cpu", "random_state": 0}
    EEGEncoder(Blocks, **common).fit(view(names), y).save(tmp_path / "first")
    again = EEGEncoder(Blocks, pretrained=tmp_path / "first", **common)
    again.fit(view(names), y)  # the same, and nothing is said
    with pytest.warns(
        UserWarning, match=r"2 of 3 channels .* learned of 'Oz', say, goes on as that of 'Cz'.*pick them"
    ):
        again.fit(view(names[::-1]), y)
    with pytest.warns(
        UserWarning, match="1 of 3 channels .*'Pz', say, goes on as that of 'Fz'.* look whether each"
    ):
        again.fit(view(["Oz", "Fz", "Cz"]), y)


def test_people_start_as_an_unknown_person():
    theirs = ATM(n_outputs=4, n_chans=3, n_times=80, n_subjects=3)
    mine = ATM(n_outputs=4, n_chans=3, n_times=80, n_subjects=3)
    _, report = load(theirs.state_dict(), mine)
    shared = theirs.subject.shared.detach()
    assert torch.equal(mine.subject.shared, shared)
    assert torch.equal(mine.subject.known, shared.expand(3, -1))
    assert report["not_arrived"] == {}
    assert report["left_over"] == ["subject.known"]


def test_an_encoder_says_what_arrived_and_starts_there(rng, capsys):
    X, y = rng.normal(size=(20, 2, 6)).astype(np.float32), rng.normal(size=(20, 5)).astype(np.float32)
    start = Blocks(5, 2, 6).state_dict()
    common = {"max_epochs": 1, "batch_size": 20, "validation": 0, "device": "cpu", "random_state": 0}
    encoder = EEGEncoder(Blocks, pretrained=start, lr=1e-12, verbose=1, **common).fit(X, y)
    own = encoder.net_.module_.state_dict()
    assert all(torch.allclose(own[name], start[name]) for name in start if "batch_norm" not in name)
    assert encoder.pretrained_["n_tensors"] == [20, 20]
    assert "pretrained: 20 of 20 tensors" in capsys.readouterr().out
    assert EEGEncoder(Blocks, **common).fit(X, y).pretrained_ is None
    with pytest.raises(ValueError, match="none of the 1 tensors"):
        EEGEncoder(Blocks, pretrained={"a": torch.ones(1)}, **common).fit(X, y)


def test_weights_that_bring_a_linear_path_keep_it(rng):
    X, y = rng.normal(size=(40, 3, 80)).astype(np.float32), rng.normal(size=(40, 4)).astype(np.float32)
    common = {"max_epochs": 1, "device": "cpu", "random_state": 0, "lr": 1e-12}
    first = EEGEncoder(**common).fit(X, y)
    state = first.net_.module_.state_dict()
    again = EEGEncoder(pretrained=state, **common).fit(X[::-1], y)
    assert torch.equal(again.net_.module_.linear.weight, state["linear.weight"])
    # Those of the published network have none: ridge regression starts it, and stands alone at first.
    without = {name: value for name, value in state.items() if not name.startswith(("linear", "gate"))}
    other = EEGEncoder(pretrained=without, **common).fit(X[::-1], y)
    assert set(other.pretrained_["not_arrived"]) == {"gate", "linear.weight", "linear.bias"}
    assert not torch.equal(other.net_.module_.linear.weight, state["linear.weight"])
    assert other.net_.module_.linear.weight.abs().max() > 0


def test_warm_start_goes_on_from_the_last_fit_not_from_the_file(rng):
    X, y = rng.normal(size=(20, 2, 6)).astype(np.float32), rng.normal(size=(20, 5)).astype(np.float32)
    encoder = EEGEncoder(
        Blocks, pretrained=trained(), warm_start=True, max_epochs=2, device="cpu", random_state=0
    )
    encoder.fit(X, y)
    before = {k: v.clone() for k, v in encoder.net_.module_.state_dict().items()}
    encoder.set_params(lr=1e-12).fit(X, y)
    after = encoder.net_.module_.state_dict()
    assert torch.allclose(after["embed.weight"], before["embed.weight"])
    assert encoder.pretrained_["n_tensors"] == [20, 20]


def test_a_module_of_any_class_is_a_source():
    module = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2))
    _, report = load(module, nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2)))
    assert report["source"] == "module Sequential"
