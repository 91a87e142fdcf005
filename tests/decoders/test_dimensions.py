"""DimensionDecoder: against scikit-learn's ridge, planted dimensions, and what must not leak."""

import numpy as np
import pytest
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_predict, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, normalize

from skeegclip import DimensionDecoder, EmbeddingTable
from skeegclip.decoders.dimensions import _mean_correlation

NAMES = ["animal-related", "round", "red"]


@pytest.fixture(scope="module")
def planted():
    """Embeddings of 3 pictures of each of 60 objects, whose dimensions are linear in their direction."""
    rng = np.random.default_rng(0)
    objects = np.repeat([f"object {i:02d}" for i in range(60)], 3)
    centre = np.repeat(rng.normal(size=(60, 12)), 3, axis=0)
    X = 7 * normalize(centre + 0.1 * rng.normal(size=centre.shape))
    values = normalize(centre[::3]) @ rng.normal(size=(12, 3)) + 5
    return X, objects, EmbeddingTable(objects[::3], values, meta={"names": NAMES})


def test_it_is_scikit_learns_ridge_of_unit_rows_at_the_penalty_chosen(planted):
    X, objects, table = planted
    decoder = DimensionDecoder(table).fit(X, objects)
    unit = normalize(X)
    scale = np.sqrt(np.linalg.norm(unit - unit.mean(0)) ** 2 / len(X) / min(X.shape))
    ridge = Ridge(decoder.penalty_ * scale**2).fit(unit, table.lookup(objects))
    np.testing.assert_allclose(decoder.predict(3 * X), ridge.predict(unit), atol=1e-4)


def test_rows_that_are_fewer_than_features_give_the_same_as_their_own_axes(planted):
    _, objects, table = planted
    X = np.random.default_rng(1).normal(size=(40, 300))
    decoder = DimensionDecoder(table).fit(X, objects[:40])
    unit = normalize(X)
    scale = np.sqrt(np.linalg.norm(unit - unit.mean(0)) ** 2 / 40 / 40)
    ridge = Ridge(decoder.penalty_ * scale**2).fit(unit, table.lookup(objects[:40]))
    np.testing.assert_allclose(decoder.predict(X), ridge.predict(unit), atol=1e-4)


def test_the_penalty_is_chosen_over_objects_not_rows():
    """Pictures of an object that are all alike tell nothing of other objects: rows held out alone would say they do."""
    rng = np.random.default_rng(0)
    objects = np.repeat([f"object {i}" for i in range(20)], 10)
    X = np.repeat(rng.normal(size=(20, 50)), 10, axis=0) + 0.01 * rng.normal(size=(200, 50))
    table = EmbeddingTable(np.unique(objects), rng.normal(size=(20, 4)))
    over_objects = DimensionDecoder(table).fit(X, objects).penalty_
    over_rows = DimensionDecoder().fit(X, table.lookup(objects) + 1e-4 * rng.normal(size=(200, 4))).penalty_
    assert over_objects > 100 * over_rows


def test_planted_dimensions_are_found_for_unseen_objects(planted):
    X, objects, table = planted
    values = cross_val_predict(DimensionDecoder(table), X, objects, groups=objects, cv=GroupKFold(5))
    r = [np.corrcoef(values[:, k], table.lookup(objects)[:, k])[0, 1] for k in range(3)]
    assert min(r) > 0.95
    scores = cross_val_score(DimensionDecoder(table), X, objects, groups=objects, cv=GroupKFold(5))
    assert scores.mean() > 0.9


def test_names_reach_pandas(planted):
    X, objects, table = planted
    frame = DimensionDecoder(table).fit(X, objects).set_output(transform="pandas").transform(X)
    assert frame.columns.tolist() == NAMES
    nameless = EmbeddingTable(table.ids, table.vectors)
    assert DimensionDecoder(nameless).fit(X, objects).names_ == ("dimension 0", "dimension 1", "dimension 2")


def test_stimuli_are_looked_up_by_their_object(planted):
    X, objects, table = planted
    stimuli = [f"{name}/{i}" for i, name in enumerate(objects)]
    concepts = {stimulus: stimulus.partition("/")[0] for stimulus in stimuli}
    by_stimulus = DimensionDecoder(table, concepts=concepts).fit(X, stimuli)
    np.testing.assert_array_equal(by_stimulus.coef_, DimensionDecoder(table).fit(X, objects).coef_)
    assert by_stimulus.score(X, stimuli) == DimensionDecoder(table).fit(X, objects).score(X, objects)


def test_values_themselves_are_the_same_as_a_table(planted):
    X, objects, table = planted
    given = DimensionDecoder().fit(X, table.lookup(objects))
    np.testing.assert_allclose(
        given.predict(X), DimensionDecoder(table).fit(X, objects).predict(X), atol=0.05
    )


def test_in_a_pipeline_searched_and_frozen(planted):
    X, objects, table = planted
    trained = DimensionDecoder(table).fit(X[:90], objects[:90])
    pipeline = make_pipeline(FunctionTransformer(), FrozenEstimator(trained)).fit(X, objects)
    np.testing.assert_array_equal(pipeline.predict(X), trained.predict(X))
    search = GridSearchCV(
        DimensionDecoder(table), {"n_folds": [2, 5]}, cv=GroupKFold(3), error_score="raise"
    ).fit(X, objects, groups=objects)
    assert search.best_score_ > 0.9


def test_the_score_is_a_weighted_correlation():
    rng = np.random.default_rng(0)
    values, true = rng.normal(size=(2, 30, 3))
    weight = rng.integers(0, 4, 30)
    rows = np.repeat(np.arange(30), weight)
    expected = np.mean([np.corrcoef(values[rows, k], true[rows, k])[0, 1] for k in range(3)])
    assert np.isclose(_mean_correlation(values, true, weight), expected)
    true[:, 0] = 2  # says nothing, and is left out
    expected = np.mean([np.corrcoef(values[:, k], true[:, k])[0, 1] for k in (1, 2)])
    assert np.isclose(_mean_correlation(values, true, None), expected)


def test_what_is_refused(planted):
    X, objects, table = planted
    with pytest.raises(TypeError, match="y holds names"):
        DimensionDecoder().fit(X, objects)
    with pytest.raises(TypeError, match="dimensions must be an EmbeddingTable"):
        DimensionDecoder(table.vectors).fit(X, objects)
    with pytest.raises(KeyError, match="unicorn"):
        DimensionDecoder(table).fit(X, np.where(objects == objects[0], "unicorn", objects))
    with pytest.raises(ValueError, match="at least 2"):
        DimensionDecoder(table).fit(X[:3], objects[:3])
    with pytest.raises(ValueError, match="one name each"):
        DimensionDecoder(EmbeddingTable(table.ids, table.vectors, meta={"names": ["a"]})).fit(X, objects)
    decoder = DimensionDecoder(table).fit(X, objects)
    before = decoder.coef_
    with pytest.raises(ValueError, match="n_folds"):
        decoder.set_params(n_folds=1).fit(X, objects)
    assert decoder.coef_ is before
