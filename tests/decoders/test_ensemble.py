import pickle

import joblib
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.model_selection import GridSearchCV, GroupKFold
from sklearn.preprocessing import normalize

from skeegclip import EEGEncoder, EmbeddingTable, EnsembleEncoder, ImageRetriever, ZeroShotClassifier
from skeegclip.embeddings import join_tables
from skeegclip.metrics import cosine_similarity, make_retrieval_scorer


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    table = EmbeddingTable([f"s{i:02d}" for i in range(40)], rng.standard_normal((40, 6)))
    other = EmbeddingTable(table.ids[::-1], rng.standard_normal((40, 4)))
    y = np.repeat(table.ids, 3)
    both = join_tables([table, other])
    X = (both.lookup(y) @ rng.standard_normal((10, 4 * 20))).reshape(-1, 4, 20)
    return (X + 4 * rng.standard_normal(X.shape)).astype(np.float32), y, table, other


def net(table=None, **params):
    settings = {"lr": 3e-3, "batch_size": 32, "max_epochs": 3, "device": "cpu", **params}
    return EEGEncoder("eegproject", targets=table, **settings)


def test_members_of_one_space_are_averaged(data):
    X, y, table, _ = data
    ensemble = EnsembleEncoder([("weak", Ridge(1e3)), ("strong", Ridge(1.0))], targets=table).fit(X, y)
    flat = X.reshape(len(X), -1)
    single = [Ridge(alpha).fit(flat, table.lookup(y)).predict(flat) for alpha in (1e3, 1.0)]
    np.testing.assert_allclose(
        ensemble.predict(X), np.mean([normalize(z) for z in single], axis=0), rtol=1e-5
    )
    assert not ensemble.joined_
    assert ensemble.project(table.vectors) is table.vectors


def test_the_ranking_is_that_of_the_mean_cosine(data):
    X, y, table, other = data
    members = [
        ("a", net(table, random_state=0)),
        ("b", net(other, random_state=1)),
        ("c", net(table, projector=3)),
    ]
    ensemble = EnsembleEncoder(members).fit(X, y)
    assert ensemble.joined_
    joint = join_tables([table, other])
    similarity = cosine_similarity(ensemble.predict(X), ensemble.project(joint.vectors))
    expected = []
    for member, table_of in zip(ensemble.members_, (table, other, table), strict=True):
        vectors = member.project(table_of.lookup(joint.ids))
        expected.append(cosine_similarity(member.embed(X), vectors))
    np.testing.assert_allclose(similarity, np.mean(expected, axis=0), atol=1e-5)
    assert ensemble.predict(X).shape == (120, 6 + 4 + 3)


def test_a_retriever_searches_the_joined_space(data):
    X, y, table, other = data
    members = [("a", net(table, random_state=0)), ("b", net(other, random_state=0))]
    retriever = ImageRetriever(EnsembleEncoder(members)).fit(X, y)
    assert retriever.targets_.n_dims == 10
    assert retriever.encoder_.joined_
    assert [member.targets_ for member in retriever.encoder_.members_] == [table, other]
    alone = [ImageRetriever(one).fit(X, y).score(X, y) for _, one in members]
    assert retriever.score(X, y) > max(alone)
    joint = join_tables([table, other])
    named = ZeroShotClassifier(EnsembleEncoder(members), candidates=joint.subset(table.ids[:7])).fit(X, y)
    assert set(named.predict(X[:30])) <= set(table.ids[:7])
    assert make_retrieval_scorer()(retriever, X, y) == pytest.approx(retriever.score(X, y))


def test_seeds(data):
    X, y, table, _ = data
    members = [("net", net()), ("ridge", _Unseeded(1.0))]
    fitted = [EnsembleEncoder(members, targets=table, n_seeds=3, random_state=s).fit(X, y) for s in (0, 0, 1)]
    # A ridge regression without a seed would be the same three times.
    assert [len(one.members_) for one in fitted] == [4, 4, 4]
    z = [one.members_[0].embed(X) for one in fitted]
    np.testing.assert_array_equal(z[0], z[1])
    assert not np.allclose(z[0], z[2])
    assert not np.allclose(fitted[0].members_[0].embed(X), fitted[0].members_[1].embed(X))
    own = EnsembleEncoder([("net", net(random_state=7))], targets=table).fit(X, y)
    np.testing.assert_allclose(
        own.predict(X), normalize(net(table, random_state=7).fit(X, y).predict(X)), rtol=1e-4, atol=1e-5
    )


class _Unseeded(Ridge):
    def __init__(self, alpha=1.0):
        super().__init__(alpha)


def test_in_a_grid_search(data):
    X, y, table, _ = data
    search = GridSearchCV(
        ImageRetriever(EnsembleEncoder([("a", Ridge(1.0)), ("b", Ridge(1.0))], targets=table)),
        {"encoder__a__alpha": [1.0, 1e5]},
        cv=GroupKFold(3),
        scoring=make_retrieval_scorer(),
        error_score="raise",
    ).fit(X, y, groups=y)
    assert search.best_params_ in ({"encoder__a__alpha": 1.0}, {"encoder__a__alpha": 1e5})
    assert (
        search.best_estimator_.encoder_.get_params()["a__alpha"] == search.best_params_["encoder__a__alpha"]
    )


def test_frozen_members_are_left_alone(data):
    X, y, table, _ = data
    fitted = net(table, random_state=0).fit(X, y)
    ensemble = EnsembleEncoder([("old", FrozenEstimator(fitted)), ("new", Ridge())], targets=table).fit(X, y)
    assert ensemble.members_[0].encoder_.estimator is fitted


def test_subjects_reach_the_members(data):
    X, y, table, _ = data
    subject = np.tile(["ann", "bob", "cyd"], 40)
    atm = EEGEncoder(
        "atm-s",
        net_params={"kernel_length": 5, "pool_length": 6, "pool_stride": 2, "d_ff": 16, "n_filters": 4},
        targets=table,
        max_epochs=1,
        device="cpu",
        random_state=0,
    )
    retriever = ImageRetriever(EnsembleEncoder([("atm", atm)])).fit(X, y, subject=subject)
    encoder = retriever.encoder_.members_[0].encoder_
    assert encoder.subjects_.tolist() == ["ann", "bob", "cyd"]
    known, shared = retriever.embed(X, subject=subject), retriever.embed(X)
    assert not np.allclose(known, shared)


def test_travels(data):
    X, y, table, other = data
    ensemble = EnsembleEncoder([("a", net(table, projector=3)), ("b", net(other))], random_state=0).fit(X, y)
    again = pickle.loads(pickle.dumps(ensemble))
    np.testing.assert_allclose(again.predict(X), ensemble.predict(X), rtol=1e-5)
    copy = clone(ensemble)
    assert joblib.hash(copy.get_params()["a"]) == joblib.hash(ensemble.get_params()["a"])
    assert copy.set_params(b__max_epochs=9).get_params()["b"].max_epochs == 9


@pytest.mark.slow
def test_in_parallel(data):
    X, y, table, _ = data
    make = [("a", Ridge(1.0)), ("b", Ridge(10.0))]
    one = EnsembleEncoder(make, targets=table).fit(X, y).predict(X)
    two = EnsembleEncoder(make, targets=table, n_jobs=2).fit(X, y).predict(X)
    np.testing.assert_allclose(one, two, rtol=1e-6)


def test_bad_input(data):
    X, y, table, other = data
    with pytest.raises(ValueError, match="encoders must hold at least one pair"):
        EnsembleEncoder([]).fit(X, y)
    with pytest.raises(TypeError, match=r"encoders must be pairs \(name, encoder\), got Ridge among them"):
        EnsembleEncoder([Ridge(), Ridge(10)], targets=table).fit(X, y)
    with pytest.raises(ValueError, match="Names provided are not unique"):
        EnsembleEncoder([("a", Ridge()), ("a", Ridge())], targets=table).fit(X, y)
    with pytest.raises(ValueError, match="n_seeds must lie in"):
        EnsembleEncoder([("a", Ridge())], targets=table, n_seeds=0).fit(X, y)
    with pytest.raises(NotFittedError):
        EnsembleEncoder([("a", Ridge())], targets=table).predict(X)
    joined = EnsembleEncoder([("a", net(table)), ("b", net(other))]).fit(X, y)
    with pytest.raises(ValueError, match=r"vectors must have shape \(n, 10\)"):
        joined.project(table.vectors)
    with pytest.raises(KeyError, match="not in the table"):
        join_tables([table, other.subset(other.ids[:5])])
    with pytest.raises(ValueError, match="at least one EmbeddingTable"):
        join_tables([])
    with pytest.raises(TypeError, match="tables must be an EmbeddingTable"):
        join_tables([np.eye(3)])


def test_seeds_for_members_without_any_say_so(data):
    X, y, table = data[:3]
    with pytest.warns(UserWarning, match="n_seeds=3 cannot act: no member has a random_state"):
        EnsembleEncoder([("one", LinearRegression())], targets=table, n_seeds=3).fit(X, y)
