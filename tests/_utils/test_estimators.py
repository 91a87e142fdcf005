"""Walking through estimators of scikit-learn's, of MNE's and of ours."""

import mne
import numpy as np
import pytest
from sklearn.compose import TransformedTargetRegressor
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import BaggingRegressor, StackingRegressor, VotingRegressor
from sklearn.feature_selection import SelectFromModel
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import Lasso, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.multioutput import MultiOutputRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from skeegclip import EEGEncoder, EmbeddingTable, ImageRetriever
from skeegclip._utils.estimators import (
    find_table,
    fitted_parts,
    holds_own,
    inner_most,
    inside,
    last_step,
    learners,
    parts,
    steps,
    thaw,
    unwrap,
)
from skeegclip.preprocessing import EpochScaler

X, Y = np.arange(24.0).reshape(8, 3), np.arange(16.0).reshape(8, 2) % 5
TABLE = EmbeddingTable(["a", "b"], [[1.0, 0.0], [0.0, 1.0]])


def test_the_last_step_gets_what_scikit_learn_would_give_it():
    pipeline = make_pipeline(
        StandardScaler(), "passthrough", make_pipeline(FunctionTransformer(np.abs), Ridge())
    )
    for wrapped in (pipeline, GridSearchCV(pipeline, {"pipeline__ridge__alpha": [1.0, 2.0]}, cv=2)):
        wrapped.fit(X, Y)
        for estimator in (wrapped, FrozenEstimator(wrapped), FrozenEstimator(FrozenEstimator(wrapped))):
            last, Z = last_step(estimator, X, {})
            assert isinstance(last, Ridge)
            np.testing.assert_array_equal(last.predict(Z), wrapped.predict(X))
            assert inner_most(estimator) is last
    assert thaw(FrozenEstimator(FrozenEstimator(wrapped))) is wrapped
    assert unwrap(FrozenEstimator(wrapped)) is wrapped.best_estimator_
    assert thaw(wrapped) is wrapped


def test_of_what_is_not_fitted_a_search_stays_a_search():
    search = GridSearchCV(Ridge(), {})
    assert unwrap(search) is search
    assert inner_most(make_pipeline(StandardScaler(), search)) is search
    assert inside(make_pipeline(StandardScaler(), search)) is search
    assert isinstance(inside(search), Ridge)
    assert inside(inside(search)) is None
    assert inside(TransformedTargetRegressor(Ridge())) is None


@pytest.mark.parametrize(
    ("around", "n"),
    [
        (lambda part: make_pipeline(StandardScaler(), part), 2),
        (lambda part: GridSearchCV(part, {}), 1),
        (lambda part: MultiOutputRegressor(part), 1),
        (lambda part: TransformedTargetRegressor(part), 1),
        (lambda part: BaggingRegressor(part), 1),
        (lambda part: VotingRegressor([("a", DummyRegressor()), ("b", part)]), 2),
        (lambda part: StackingRegressor([("a", DummyRegressor())], final_estimator=part), 2),
        (lambda part: FrozenEstimator(part), 1),
        (lambda part: SelectFromModel(part), 1),
    ],
)
@pytest.mark.parametrize("deep", [False, True])
def test_parts_are_found_in_all_that_scikit_learn_has_around_them(around, n, deep):
    part = Ridge()
    estimator = around(make_pipeline(part)) if deep else around(part)
    found = list(parts(estimator))
    assert len(found) == n
    assert (next(parts(found[-1])) if deep else found[-1]) is part
    assert not holds_own(estimator)
    assert holds_own(around(EEGEncoder()))
    assert holds_own(around(make_pipeline(EpochScaler(), Ridge())))


def test_what_is_no_estimator_has_no_parts():
    for thing in (None, "passthrough", Ridge, X, object(), TABLE):
        assert list(parts(thing)) == []
    assert not holds_own(make_pipeline("passthrough"))
    assert list(parts(GridSearchCV(Ridge, {}))) == []  # a class, which scikit-learn will refuse
    assert inside(type("Own", (), {"estimator": "ols"})()) is None


def test_who_learns_the_targets():
    last = Lasso()
    assert next(learners(make_pipeline(StandardScaler(), last))) is last
    assert next(learners(GridSearchCV(last, {}))) is last
    assert list(learners(last)) == []
    scaler = TransformedTargetRegressor(last, transformer=StandardScaler())
    assert list(learners(scaler)) == [last]


def test_steps_that_do_nothing_are_no_steps():
    pipeline = Pipeline([("a", None), ("b", "passthrough"), ("c", mne.decoding.Vectorizer()), ("d", Ridge())])
    assert [type(step).__name__ for step in steps(pipeline)] == ["Vectorizer", "Ridge"]


def test_the_table_of_the_last_step_comes_first():
    other = EmbeddingTable(["a", "b"], [[1.0, 2.0], [3.0, 4.0]])
    encoder = EEGEncoder(targets=TABLE)
    first = ImageRetriever(EEGEncoder(targets=other))
    assert find_table(make_pipeline(first, encoder)) is TABLE
    assert find_table(make_pipeline(encoder, "passthrough")) is TABLE
    assert find_table(GridSearchCV(make_pipeline(StandardScaler(), encoder), {})) is TABLE
    assert find_table(FrozenEstimator(ImageRetriever(encoder, targets=other))) is other
    assert find_table(VotingRegressor([("a", Ridge()), ("b", encoder)])) is TABLE
    assert find_table(make_pipeline(StandardScaler(), DummyClassifier())) is None


def test_fitted_parts_are_the_fitted_ones():
    stack = StackingRegressor(
        [("a", make_pipeline(StandardScaler(), Ridge()))], final_estimator=Ridge(), cv=2
    )
    search = GridSearchCV(make_pipeline(stack), {"stackingregressor__final_estimator__alpha": [1.0]}, cv=2)
    kinds = [type(part).__name__ for part in fitted_parts(search.fit(X, Y[:, 0]))]
    assert kinds[:3] == ["GridSearchCV", "Pipeline", "StackingRegressor"]
    assert set(kinds) >= {"StandardScaler", "Ridge"}
    fitted = [part for part in fitted_parts(search) if isinstance(part, (StandardScaler, Ridge))]
    assert sum(hasattr(part, "n_features_in_") for part in fitted) >= 3
    frozen = FrozenEstimator(search.best_estimator_)
    assert [part for part in fitted_parts(make_pipeline(frozen)) if part is frozen] == [frozen]
    assert list(fitted_parts(Ridge)) == []
