import pytest

from skeegclip.model_selection import published_figures
from skeegclip.nets import list_nets


def test_the_table_is_complete_and_in_range():
    table = published_figures()
    assert (table["net"] != "").sum() == 9 * 2 * 5
    assert not table.duplicated(["encoder", "modality", "protocol", "metric"]).any()
    assert table["mean"].between(0, 1).all()
    assert table["sd"].dropna().between(0, 0.2).all()
    assert not table.drop(columns="sd").isna().any(axis=None)
    assert set(table["modality"]) == {"EEG", "MEG"}
    for protocol in ("within", "loso"):
        own = published_figures(protocol).query("net != ''")
        assert own["sd"].notna().all()
        wide = own.pivot(index="net", columns="metric", values="mean")
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


def test_later_work_is_there_with_how_it_was_selected():
    table = published_figures()
    # Where they were found: by its address.
    assert table["source"].str.contains(r"^(?:arXiv:\d{4}\.\d{5}|github\.com/)").all()
    assert table["source"].str.extract(r"(arXiv:\S+|github\.com/\S+)")[0].nunique() >= 20
    assert table.query("modality == 'MEG'")["encoder"].nunique() >= 3
    wide = table.query("net == ''").pivot(
        index=["encoder", "modality", "protocol"], columns="metric", values="mean"
    )
    assert (wide["top-5"] > wide["top-1"])[wide.notna().all(axis=1)].all()
    # Whoever was never seen, or is seen through MEG, is harder to decode.
    top = table.query("metric == 'top-1'").pivot(
        index="encoder", columns=["modality", "protocol"], values="mean"
    )
    for easy, hard in (
        (("EEG", "within"), ("EEG", "loso")),
        (("EEG", "within"), ("MEG", "within")),
        (("EEG", "loso"), ("MEG", "loso")),
    ):
        both = top[[easy, hard]].dropna()
        assert len(both) >= 3
        assert (both[easy] > both[hard]).sum() >= len(both) - 2  # two networks of table 8
    samga = table.query("encoder == 'SAMGA'")
    assert samga["selection"].str.startswith("best on the test set").all()


def test_protocols():
    with pytest.raises(ValueError, match="protocol must be one of None, 'within', 'loso'"):
        published_figures("both")


def test_every_network_of_the_table_can_be_trained():
    assert set(published_figures()["net"]) - {""} <= set(list_nets()["name"])
