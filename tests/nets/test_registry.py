"""Networks by name, and the list of them."""

from __future__ import annotations

import pytest
import torch

from skeegclip.nets import ATM, NICE, get_net, list_nets


def test_get_net_by_name_and_class():
    assert get_net("atm-s") == (ATM, {})
    assert get_net("NICE") == (NICE, {})
    assert get_net(torch.nn.Identity) == (torch.nn.Identity, {})


def test_unknown_name_lists_the_known_and_guesses():
    with pytest.raises(
        ValueError, match=r"net='atms' is not known. Did you mean 'atm-s'\? Known names: 'atm-s', 'nice'"
    ):
        get_net("atms")
    with pytest.raises(ValueError, match=r"net='zzz' is not known. Known names"):
        get_net("zzz")


@pytest.mark.parametrize("net", [torch.nn.Identity(), 3, None, int])
def test_neither_name_nor_class(net):
    with pytest.raises(TypeError, match="give the class, not an instance"):
        get_net(net)


def test_list_nets_counts_parameters_without_drawing_random_numbers():
    torch.manual_seed(0)
    state = torch.get_rng_state()
    table = list_nets(n_chans=3, n_times=80, n_outputs=5).set_index("name")
    assert torch.equal(torch.get_rng_state(), state)
    for name, row in table.iterrows():
        net = get_net(name)[0](5, 3, 80)
        assert row["n_parameters"] == sum(p.numel() for p in net.parameters())
        assert row["class"] == type(net).__name__
    assert table["takes_subject"].to_dict() == {
        "atm-s": True,
        "nice": False,
        "mlp": False,
        "eegproject": False,
    }


def test_parameters_match_the_published_counts():
    # Published, less what was never used: the loss's scale and, in ATM-S, 127,250 weights and nine unused subjects.
    counts = list_nets().set_index("name")["n_parameters"]
    assert counts["nice"] == 2_630_913 - 1
    assert counts["mlp"] == 3_425_460 - 1
    assert counts["atm-s"] == 3_075_163 - 1 - 10 * 250 + 250
