"""The repetition curve and its ceiling."""

import numpy as np
import pytest
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import Ridge

from skeegclip import EmbeddingTable, EpochsView, ImageRetriever
from skeegclip.inspection import repetition_curve
from skeegclip.model_selection import WithinSubject

from .conftest import simulate, view_of


def test_the_curve_rises_below_its_ceiling(view, setting):
    curve = repetition_curve(X=view, **setting)
    assert curve["n_repetitions"].tolist() == [1, 2, 4, 8]
    assert curve["similarity"].is_monotonic_increasing
    assert curve["accuracy"].iloc[-1] > curve["accuracy"].iloc[0]
    assert (curve["accuracy"] <= curve["ceiling_high"]).all()
    assert (curve["ceiling_low"].dropna() <= curve["ceiling_high"].iloc[:3]).all()
    assert np.isnan(curve["ceiling_low"].iloc[-1])
    assert curve["ceiling_low"].notna().sum() == 3
    assert curve["reliability"].is_monotonic_increasing
    assert curve["reliability"].between(0, 1).all()
    assert curve["ceiling_low"].iloc[0] > 3 * curve["chance"].iloc[0]


def test_without_signal_the_lower_ceiling_is_chance():
    data = simulate(snr=0.0, random_state=1)
    # A person's own response to a picture, which no feature predicts, repeats too: exchanged among the pictures.
    test = np.flatnonzero(data.split == "test")
    data.X[test] = data.X[np.random.default_rng(0).permutation(test)]
    view = view_of(data)
    curve = repetition_curve(
        Ridge(1e4), view, targets=data.image_embeddings, cv=WithinSubject(), n_repetitions=[1, 4]
    )
    np.testing.assert_allclose(curve["ceiling_low"], 1 / 40, atol=0.05)
    assert curve["reliability"].abs().max() < 0.25


@pytest.mark.filterwarnings(
    "ignore::skeegclip.model_selection.LeakWarning"
)  # it knows the pictures, on purpose
@pytest.mark.slow
def test_reliability_is_the_true_one():
    """Signal of variance one and noise of variance four: n repetitions have reliability n / (n + 4)."""
    rng = np.random.default_rng(0)
    ids = [f"image_{i:03d}" for i in range(300)]
    table = EmbeddingTable(ids, rng.normal(size=(300, 20)))
    y = np.repeat(ids, 8)
    X = (table.lookup(y) + 2 * rng.normal(size=(2400, 20)))[:, :, None]
    decoder = ImageRetriever(Ridge(1e-3), targets=table).fit(table.vectors[:, :, None], ids)
    rows = np.arange(2400)
    view = EpochsView.from_arrays(X, stimulus=y)
    curve = repetition_curve(
        FrozenEstimator(decoder), view, targets=table, cv=[(rows, rows)], n_repetitions=[1, 2, 4, 8]
    )
    n = curve["n_repetitions"]
    np.testing.assert_allclose(curve["reliability"], n / (n + 4), atol=0.04)
    # These embeddings have the true templates, so the decoder lies between the bounds.
    known = curve.iloc[:3]
    assert (known["ceiling_low"] <= known["accuracy"]).all()
    assert (known["accuracy"] <= known["ceiling_high"]).all()


def test_bad_input(view, setting):
    with pytest.raises(ValueError, match=r"n_repetitions must lie in \[1, 8\]"):
        repetition_curve(X=view, n_repetitions=[9], **setting)
    with pytest.raises(ValueError, match="n_draws must lie in"):
        repetition_curve(X=view, n_draws=0, **setting)
    means = view.average(by=("subject", "stimulus"))
    with pytest.raises(ValueError, match="shown to a person once only"):
        repetition_curve(X=means, **setting)
