import pytest

from skeegclip.model_selection import published_figures
from skeegclip.nets import list_nets


def test_the_table_is_complete_and_in_range():
    table = published_figures()
    assert len(table) == 9 * 2 * 5
    assert not table.duplicated(["net", "protocol", "metric"]).any()
    assert table["mean"].between(0, 1).all()
    assert table["sd"].between(0, 0.2).all()
    for protocol in ("within", "loso"):
        wide = published_figures(protocol).pivot(index="net", columns="metric", values="mean")
        assert (wide["2-way"] > wide["4-way"]).all()
        assert (wide["4-way"] > wide["10-way"]).all()
        assert (wide["10-way"] > wide["top-1"]).all()
        assert (wide["top-5"] > wide["top-1"]).all()
        # The paper's own encoder leads.
        assert wide["top-5"].idxmax() == "atm-s"


def test_a_few_figures():
    table = published_figures("loso").set_index(["encoder", "metric"])
    assert (table.loc[("ATM-S", "top-5"), "mean"], table.loc[("ATM-S", "top-5"), "sd"]) == (0.2536, 0.0624)
    assert table.loc[("NICE", "2-way"), "mean"] == 0.8388


def test_protocols():
    with pytest.raises(ValueError, match="protocol must be one of None, 'within', 'loso'"):
        published_figures("both")


def test_every_network_of_the_table_can_be_trained():
    assert set(published_figures()["net"]) <= set(list_nets()["name"])
