"""Networks by name, and the list of them."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch

from skeegclip.nets import ATM, ATME, NICE, get_net, list_nets

PAPERS = [
    "atm-s",
    "atm-e",
    "atm-eegnet",
    "nice",
    "eegnet",
    "eegconformer",
    "eegitnet",
    "shallow",
    "atcnet",
    "mlp",
    "brain-module",
    "simpleconv",
    "eegproject",
]
OURS = ["ridge+atm-s"]


def test_get_net_by_name_and_class():
    assert get_net("atm-s") == (ATM, {})
    assert get_net("ATM-E") == (ATME, {})
    assert get_net("ATM-EEGNet") == (ATM, {"conv": "eegnet"})
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
    assert table.index.tolist() == PAPERS + OURS
    for name in ("atm-s", "nice", "eegconformer", "mlp"):
        cls, params = get_net(name, 80)
        net = cls(n_outputs=5, n_chans=3, n_times=80, **params)
        assert table["n_parameters"][name] == sum(p.numel() for p in net.parameters())
        assert table["class"][name] == type(net).__name__
    native = {"atm-s", "atm-e", "atm-eegnet", "nice", "mlp", "eegitnet", "brain-module", "eegproject", *OURS}
    assert set(table.index[table["source"] == "native"]) == native
    assert set(table.index[table["takes_subject"]]) == {"atm-s", "atm-eegnet", "ridge+atm-s"}
    assert (table["note"] == "").all()


def test_list_nets_says_what_a_network_cannot_take():
    table = list_nets(n_chans=3, n_times=1, n_outputs=5).set_index("name")
    cannot = table.index[table["n_parameters"].isna()]
    assert set(cannot) == {"eegconformer", "eegitnet"}
    for name in cannot:
        assert "n_times=1 and sfreq=250" in table["note"][name]
    with pytest.raises(ValueError, match="n_times must be a whole number of at least 1, got 0"):
        list_nets(n_times=0)


# Name: what the published code counts at (63, 250) -> 1024, and what of it is not here, with the reason.
LOSS, COPIED = 1, 276_539  # the loss's scale; a layer that torch copied, and left behind
PUBLISHED = {
    # Layers of subjects, a mask's token and a time embedding that the forward pass never reads; ten tokens of
    # subjects, of which a network here has as many as it is told of.
    "atm-s": (3_202_413, LOSS + 125_500 + 250 + 250 + 1_000 + 10 * 250, "unused"),
    "atm-e": (4_796_229, LOSS + COPIED, "unused"),
    "nice": (2_630_913, LOSS, ""),
    "eegnet": (1_186_833, LOSS, ""),
    "eegconformer": (635_273, LOSS, "its log-softmax, which has no weights, is left out"),
    "eegitnet": (433_863, LOSS, "its log-softmax, which has no weights, is left out"),
    "shallow": (886_845, LOSS, "its log-softmax, which has no weights, is left out"),
    "atcnet": (114_793, LOSS, "its log-softmax, which has no weights, is left out"),
    "mlp": (3_425_460, LOSS, ""),
    # The second head, for the squared error, which retrieval never reads.
    "brain-module": (3_416_900, LOSS + COPIED + 1_051_648, "unused"),
    # A linear layer of the flat epoch, one of the embedding, a layer normalisation: in the public code of its paper.
    "eegproject": ((63 * 250 + 1) * 1024 + 1025 * 1024 + 2048, 0, ""),
}
OTHERS = {
    "atm-eegnet": "ATM-E as the paper describes it",
    "simpleconv": "braindecode's, of another paper",
    "ridge+atm-s": "ATM-S and more",
}


def test_parameters_are_the_published_ones():
    counts = list_nets().set_index("name")["n_parameters"]
    assert {*PUBLISHED, *OTHERS} == set(counts.index)
    assert {name: counts[name] for name in PUBLISHED} == {
        name: published - missing for name, (published, missing, _) in PUBLISHED.items()
    }


def test_the_attention_of_atm_e_holds_half_of_the_papers_table_2():
    net = ATME(n_outputs=8, n_chans=63, n_times=250)
    assert 2 * sum(p.numel() for p in net.attention.parameters()) == 553_078


@pytest.mark.parametrize(
    "name", ["eegnet", "eegconformer", "eegitnet", "shallow", "atcnet", "simpleconv", "atm-e"]
)
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
