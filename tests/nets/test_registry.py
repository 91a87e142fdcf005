"""Networks by name, and the list of them."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch

from skeegclip.nets import ATM, NICE, get_net, list_nets

PAPERS = [
    "atm-s",
    "atm-e",
    "nice",
    "eegnet",
    "eegconformer",
    "eegitnet",
    "shallow",
    "atcnet",
    "mlp",
    "brain-module",
    "eegproject",
]


def test_get_net_by_name_and_class():
    assert get_net("atm-s") == (ATM, {})
    assert get_net("ATM-E") == (ATM, {"conv": "eegnet"})
    assert get_net("NICE") == (NICE, {})
    assert get_net(torch.nn.Identity) == (torch.nn.Identity, {})


def test_capitals_tell_braindecodes_own_defaults_from_the_papers():
    import braindecode.models

    assert get_net("EEGNet") == (braindecode.models.EEGNet, {})
    assert get_net(braindecode.models.EEGNet) == (braindecode.models.EEGNet, {})
    assert get_net("Deep4Net") == (braindecode.models.Deep4Net, {})
    cls, params = get_net("eegnet")
    assert cls is braindecode.models.EEGNet
    assert (params["F1"], params["D"], params["F2"], params["kernel_length"]) == (8, 20, 160, 4)


def test_unknown_name_lists_the_known_and_guesses():
    with pytest.raises(
        ValueError, match=r"net='atms' is not known. Did you mean 'atm-s'\? Known names: 'atm-s', 'atm-e'"
    ):
        get_net("atms")
    for name in ("zzz", "Zzz", "EEGClassifier"):
        with pytest.raises(ValueError, match=f"net='{name}' is not known.*classes of braindecode.models"):
            get_net(name)


@pytest.mark.parametrize("net", [torch.nn.Identity(), 3, None, int])
def test_neither_name_nor_class(net):
    with pytest.raises(TypeError, match="give the class, not an instance"):
        get_net(net)


def test_list_nets_counts_parameters_without_drawing_random_numbers():
    torch.manual_seed(0)
    state = torch.get_rng_state()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        table = list_nets(n_chans=3, n_times=80, n_outputs=5).set_index("name")
    assert torch.equal(torch.get_rng_state(), state)
    assert table.index.tolist() == PAPERS
    for name in ("atm-s", "nice", "eegconformer", "mlp"):
        cls, params = get_net(name, 80)
        net = cls(n_outputs=5, n_chans=3, n_times=80, **params)
        assert table["n_parameters"][name] == sum(p.numel() for p in net.parameters())
        assert table["class"][name] == type(net).__name__
    native = {"atm-s", "atm-e", "nice", "mlp", "eegproject"}
    assert set(table.index[table["source"] == "native"]) == native
    assert set(table.index[table["takes_subject"]]) == {"atm-s", "atm-e"}
    assert (table["note"] == "").all()


def test_list_nets_says_what_a_network_cannot_take():
    table = list_nets(n_chans=3, n_times=1, n_outputs=5).set_index("name")
    cannot = table.index[table["n_parameters"].isna()]
    assert set(cannot) == {"eegconformer", "eegitnet"}
    for name in cannot:
        assert "n_times=1 and sfreq=250" in table["note"][name]
    with pytest.raises(ValueError, match="n_times must be a whole number of at least 1, got 0"):
        list_nets(n_times=0)


# Published, or computed from the published code at (63, 250) -> 1024, less the loss's scale.
COUNTS = {
    # ATM-S: without 127,250 weights that were never used, and nine unused subjects of ten.
    "atm-s": 3_075_163 - 1 - 10 * 250 + 250,
    "nice": 2_630_913 - 1,
    "eegnet": 1_186_833 - 1,
    "eegconformer": 635_273 - 1,
    "shallow": 886_845 - 1,
    "atcnet": 114_793 - 1,
    "mlp": 3_425_460 - 1,
    # braindecode 1.8 corrected two things of the version used then: 433,863 became 218,584.
    "eegitnet": 218_584,
}


def test_parameters_match_the_published_counts():
    counts = list_nets().set_index("name")["n_parameters"]
    assert {name: counts[name] for name in COUNTS} == COUNTS


@pytest.mark.parametrize("name", ["eegnet", "eegconformer", "eegitnet", "shallow", "atcnet", "brain-module"])
@pytest.mark.parametrize("n_times", [2, 7, 15, 33, 61])
def test_short_epochs_shorten_the_lengths_of_braindecodes_networks(name, n_times):
    from skeegclip.nets.build import build_net

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        cls, params = get_net(name, n_times)
        net = build_net(cls, {"n_outputs": 4, "n_chans": 3, "n_times": n_times, "sfreq": 250.0, **params})
    z = net(torch.randn(5, 3, n_times))
    assert z.shape == (5, 4)
    assert torch.isfinite(z).all()
    told = any(f"n_times={n_times} are too short" in str(w.message) for w in caught)
    if name in ("eegnet", "eegconformer", "eegitnet", "shallow"):
        assert told == (params != get_net(name)[1])
        assert told or n_times > 15
    long = get_net(name, 250)[1]
    assert long == get_net(name)[1]


def test_outputs_of_braindecodes_networks_are_raw():
    # With a log-softmax, as in the published comparison, every output would be negative and their exponentials add
    # up to 1.
    from skeegclip.nets.build import build_net

    x = torch.randn(64, 3, 250)
    for name in ("eegnet", "eegconformer", "eegitnet", "shallow", "atcnet"):
        cls, params = get_net(name, 250)
        torch.manual_seed(0)
        net = build_net(cls, {"n_outputs": 16, "n_chans": 3, "n_times": 250, "sfreq": 250.0, **params})
        z = net.eval()(x).detach().numpy()
        assert (z > 0).mean() > 0.2, name
        assert np.ptp(np.log(np.exp(z).sum(axis=1))) > 1e-3, name
