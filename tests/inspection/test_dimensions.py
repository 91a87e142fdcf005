"""Dimensions that are decoded: against scipy, exact permutations, planted windows, and null data."""

from itertools import permutations

import mne
import numpy as np
import pytest
from scipy import stats
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from skeegclip import DimensionDecoder, EEGEncoder, EmbeddingTable, EpochsView
from skeegclip.inspection import dimension_correlations, dimensions_over_time
from skeegclip.model_selection import WithinSubject

NAMES = ["animal-related", "round", "red"]


def table_of(n, rng, n_dims=3):
    names = NAMES if n_dims == 3 else [f"d{i}" for i in range(n_dims)]
    return EmbeddingTable(
        [f"object {i:03d}" for i in range(n)], rng.gamma(0.5, size=(n, n_dims)), meta={"names": names}
    )


def flattened(X):
    return np.asarray(X).reshape(len(X), -1)


def test_correlations_are_scipys_over_objects_whose_rows_are_averaged():
    rng = np.random.default_rng(0)
    table = table_of(40, rng)
    rows = rng.permutation(np.repeat(np.arange(30), 3))
    values = table.vectors[rows] + rng.normal(size=(90, 3))
    report = dimension_correlations(values, table.ids[rows], table)
    means = np.array([values[rows == i].mean(axis=0) for i in range(30)])
    expected = [stats.pearsonr(means[:, k], table.vectors[:30, k]).statistic for k in range(3)]
    np.testing.assert_allclose(report.table["r"], expected)
    assert report.table["dimension"].tolist() == NAMES
    assert report.objects == tuple(table.ids[:30])
    assert report.identification["mean_r"].item() == pytest.approx(np.mean(expected))


def test_p_is_that_of_all_permutations_where_they_are_few():
    rng = np.random.default_rng(1)
    table = table_of(9, rng, n_dims=2)
    values = table.vectors[:5] + 0.5 * rng.normal(size=(5, 2))
    report = dimension_correlations(values, table.ids[:5], table, n_permutations=200)
    null = np.array(
        [
            [np.corrcoef(values[:, k], table.vectors[list(order), k])[0, 1] for k in range(2)]
            for order in permutations(range(5))
        ]
    )
    r = report.table["r"].to_numpy()
    np.testing.assert_allclose(report.table["p"], (null >= r - 1e-9).mean(axis=0))
    np.testing.assert_allclose(
        report.table["p_corrected"], (null.max(axis=1)[:, None] >= r - 1e-9).mean(axis=0)
    )
    assert report.threshold == pytest.approx(np.quantile(null.max(axis=1), 0.95))


def test_identification_by_hand():
    rng = np.random.default_rng(2)
    table = table_of(20, rng)
    values = table.vectors[:12] + 0.4 * rng.normal(size=(12, 3))
    found = dimension_correlations(values, table.ids[:12], table).identification
    z = lambda part: (part - table.vectors.mean(0)) / table.vectors.std(0)  # noqa: E731
    similarity = np.corrcoef(z(values), z(table.vectors))[:12, 12:]
    better = [(similarity[i] > similarity[i, i]).sum() for i in range(12)]
    assert found["median_rank"].item() == np.median(better) + 1
    assert found["two_way"].item() == pytest.approx(1 - np.mean(better) / 19)
    better = [(similarity[i, :12] > similarity[i, i]).sum() for i in range(12)]
    assert found["two_way_tested"].item() == pytest.approx(1 - np.mean(better) / 11)


def test_what_was_planted_is_called_and_nothing_else():
    rng = np.random.default_rng(3)
    table = table_of(120, rng)
    values = table.vectors[:80] * [1, 0, 1] + rng.normal(size=(80, 3))
    report = dimension_correlations(values, table.ids[:80], table)
    assert set(report.significant()["dimension"]) == {"animal-related", "red"}
    assert report.significant()["r"].is_monotonic_decreasing
    assert (report.table["p_corrected"] >= report.table["p"]).all()
    named = {f"{name}/x": name for name in table.ids.tolist()}
    by_stimulus = dimension_correlations(values, list(named)[:80], table, concepts=named)
    np.testing.assert_array_equal(by_stimulus.table["p"], report.table["p"])


def test_the_correction_keeps_its_word_where_rows_of_an_object_are_alike():
    """Of 200 sets of values that know nothing, with 20 skewed dimensions, 5 % may call any: 20 at the most, by chance."""
    called = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        table = table_of(30, rng, n_dims=20)
        values = np.repeat(rng.normal(size=(30, 20)), 4, axis=0) + 0.1 * rng.normal(size=(120, 20))
        report = dimension_correlations(
            values, np.repeat(table.ids, 4), table, n_permutations=99, random_state=seed
        )
        called += len(report.significant()) > 0
    assert 1 <= called <= stats.binom.ppf(0.999, 200, 0.05)


@pytest.fixture(scope="module")
def recorded():
    """Two people who see 90 objects twice; "round" at .1 s, "red" at .3 s, and nothing of the third."""
    rng = np.random.default_rng(0)
    table = table_of(90, rng)
    y, subject = np.tile(np.repeat(table.ids, 2), 2), np.repeat(["ana", "ben"], 180)
    values = table.lookup(y)
    X = rng.normal(size=(360, 5, 40))
    for column, first in ((1, 10), (2, 30)):
        X[:, :, first : first + 10] += (values[:, [column]] * rng.normal(size=5))[:, :, None]
    view = EpochsView.from_arrays(X, stimulus=y, subject=subject, info=mne.create_info(5, 100.0, "eeg"))
    return table, view


@pytest.mark.parametrize("mode", ["sliding", "growing"])
def test_dimensions_appear_when_planted(recorded, mode):
    table, view = recorded
    decoder = make_pipeline(FunctionTransformer(flattened), DimensionDecoder(table))
    cv = WithinSubject(test_stimuli=table.ids[::2])
    report = dimensions_over_time(decoder, view, dimensions=table, cv=cv, mode=mode, step=0.1, n_jobs=1)
    assert len(report.table) == 4 * 3
    found = report.significant()
    when = {name: sorted(part["stop"].round(2)) for name, part in found.groupby("dimension")}
    expected = (
        {"round": [0.19], "red": [0.39]}
        if mode == "sliding"
        else {"round": [0.19, 0.29, 0.39], "red": [0.39]}
    )
    assert when == expected
    assert report.identification["start"].tolist() == (
        [0.0, 0.1, 0.2, 0.3] if mode == "sliding" else [0.0] * 4
    )
    assert report.objects == tuple(sorted(table.ids[::2]))


def test_a_run_is_taken_up(recorded, tmp_path):
    table, view = recorded
    decoder = make_pipeline(FunctionTransformer(flattened), DimensionDecoder(table))
    setting = {
        "dimensions": table,
        "cv": WithinSubject(test_stimuli=table.ids[::2]),
        "step": 0.2,
        "width": 0.2,
    }
    first = dimensions_over_time(decoder, view, folder=tmp_path, **setting)
    assert len(list(tmp_path.glob("*.arrays"))) == 4
    again = dimensions_over_time(decoder, view, folder=tmp_path, **setting)
    assert again.table.equals(first.table)


def test_what_is_refused():
    rng = np.random.default_rng(0)
    table = table_of(10, rng)
    with pytest.raises(ValueError, match="at least 3"):
        dimension_correlations(np.ones((2, 3)), table.ids[:2], table)
    with pytest.raises(ValueError, match="one column for each of the 3 dimensions, got 2"):
        dimension_correlations(np.ones((5, 2)), table.ids[:5], table)
    with pytest.raises(ValueError, match="5 rows of values, got 4"):
        dimension_correlations(np.ones((5, 3)), table.ids[:4], table)
    with pytest.raises(KeyError, match="unicorn"):
        dimension_correlations(np.ones((3, 3)), [*table.ids[:2], "unicorn"], table)
    constant = dimension_correlations(np.full((5, 3), 0.1), table.ids[:5], table)
    assert constant.table["r"].tolist() == [0, 0, 0]
    assert constant.table["p"].tolist() == [1, 1, 1]


@pytest.mark.slow
def test_a_network_in_a_pipeline_is_fitted_anew_in_each_window(recorded):
    """Against a loop by hand over windows; its seed is drawn from that of the analysis, not the one it was made with."""
    table, view = recorded
    view = view.select(subject="ana")
    seed = int(np.random.default_rng(7).integers(2**31))
    network = EEGEncoder("mlp", targets=table, max_epochs=2, batch_size=40, device="cpu", random_state=3)
    decoder = make_pipeline(network, DimensionDecoder(table))
    test = np.isin(view.stimulus, table.ids[::3])
    cv = WithinSubject(test_stimuli=table.ids[::3])
    report = dimensions_over_time(
        decoder,
        view,
        dimensions=table,
        cv=cv,
        width=0.2,
        step=0.2,
        average_test=False,
        n_jobs=1,
        random_state=7,
    )
    data, names = view.read(np.arange(len(view))), sorted(table.ids[::3])
    for number, window in enumerate((slice(0, 20), slice(20, 40))):
        own = clone(decoder).set_params(eegencoder__random_state=seed)
        own.fit(data[~test][:, :, window], view.stimulus[~test])
        values = own.predict(data[test][:, :, window])
        means = np.stack([values[view.stimulus[test] == name].mean(axis=0) for name in names])
        expected = [
            stats.pearsonr(a, b).statistic for a, b in zip(means.T, table.lookup(names).T, strict=True)
        ]
        np.testing.assert_allclose(report.table["r"][3 * number : 3 * number + 3], expected, atol=1e-5)
