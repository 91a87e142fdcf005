from __future__ import annotations

import pickle
import sys

import cloudpickle
import numpy as np
import pytest
from sklearn import config_context
from sklearn.base import BaseEstimator, clone
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from skeegclip import EmbeddingTable, EpochsView, ImageRetriever
from skeegclip.metrics import make_retrieval_scorer, retrieval_top1, retrieval_top5


class Table:
    """The part of EmbeddingTable that the scorers use."""

    def __init__(self, ids, vectors):
        self.rows = dict(zip(ids, vectors, strict=True))

    def lookup(self, ids):
        return np.array([self.rows[i] for i in ids])

    def __sklearn_clone__(self):
        return self


class Decoder(BaseEstimator):
    """Ridge from epochs to the vectors of a table; `predict` gives embeddings."""

    __metadata_request__predict = {"subject": True}

    def __init__(self, targets=None, alpha=1e-3):
        self.targets = targets
        self.alpha = alpha

    def fit(self, X, y):
        self.ridge_ = Ridge(self.alpha).fit(X, self.targets.lookup(y))
        return self

    def predict(self, X, subject=None):
        embeddings = self.ridge_.predict(X)
        return embeddings if subject is None else embeddings * np.where(subject == "bad", -1.0, 1.0)[:, None]


class Retriever(BaseEstimator):
    """Around a decoder; `predict` gives ids and `embed` embeddings."""

    def __init__(self, encoder, targets=None):
        self.encoder = encoder
        self.targets = targets

    def fit(self, X, y):
        self.encoder_ = clone(self.encoder).fit(X, y)
        return self

    def embed(self, X):
        return self.encoder_.predict(X)

    def predict(self, X):
        return np.full(len(X), "an id")


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    ids = np.array([f"stimulus_{i:02d}" for i in range(24)])
    table = Table(ids, rng.standard_normal((24, 10)).astype(np.float32))
    y = np.repeat(ids, 3)[rng.permutation(72)]
    X = table.lookup(y) @ rng.standard_normal((10, 16)) + 0.1 * rng.standard_normal((72, 16))
    return X, y, table


def expected_top_k(embeddings, y, table, k):
    names = np.unique(y)
    gallery = table.lookup(names)
    cosine = embeddings @ gallery.T / np.linalg.norm(gallery, axis=1)
    best = np.argsort(-cosine, axis=1)[:, :k]
    return np.mean([name in names[row] for name, row in zip(y, best, strict=True)])


@pytest.mark.parametrize(("scorer", "k"), [(retrieval_top1, 1), (retrieval_top5, 5)])
def test_the_gallery_is_the_test_set(data, scorer, k):
    X, y, table = data
    X = X + 4.0 * np.random.default_rng(1).standard_normal(X.shape)
    decoder = Decoder(table).fit(X[:36], y[:36])
    score = scorer(decoder, X[36:], y[36:])
    assert isinstance(score, float)
    assert score == pytest.approx(expected_top_k(decoder.predict(X[36:]), y[36:], table, k))
    assert 0.1 < score < 1


def test_a_gallery_of_k_is_refused_and_one_more_is_not(data):
    """Five best of five would be right whatever the decoder says."""
    X, y, table = data
    decoder = Decoder(table).fit(X, y)
    five, six = (np.isin(y, np.unique(y)[:n]) for n in (5, 6))
    with pytest.raises(ValueError, match="a gallery of 5 different stimuli, too few for a top-5 score"):
        retrieval_top5(decoder, X[five], y[five])
    assert retrieval_top5(decoder, X[six], y[six]) == 1.0
    assert make_retrieval_scorer(n_way=6)(decoder, X[six], y[six]) > 0.9
    with pytest.raises(ValueError, match="too few for a top-1 score among 6"):
        make_retrieval_scorer(n_way=6)(decoder, X[five], y[five])


@pytest.mark.parametrize("k", [1, 2])
def test_what_says_nothing_scores_at_chance(data, k):
    """The same embedding for all epochs, nothing at all, and a table whose pictures are all the same."""
    X, y, table = data
    scorer = make_retrieval_scorer(k=k)
    same = Decoder(table, alpha=1e12).fit(X, y)
    same.ridge_.coef_[:] = 0
    assert scorer(same, X, y) == pytest.approx(k / 24)  # three epochs each: one picture is found by all
    same.ridge_.intercept_[:] = 0
    assert scorer(same, X, y) == pytest.approx(k / 24)  # all tie
    twins = Table(np.unique(y), np.ones((24, 10)))
    decoder = Decoder(table).fit(X, y)
    assert make_retrieval_scorer(twins, k=k)(decoder, X, y) == pytest.approx(k / 24)
    pairs = Table(np.unique(y), table.lookup(np.unique(y)[np.arange(24) // 2]))
    identity = FunctionTransformer().fit(pairs.lookup(y))
    # Each picture twice over under two names: half of the guesses are right.
    assert make_retrieval_scorer(pairs)(identity, pairs.lookup(y), y) == pytest.approx(0.5, abs=0.25)
    assert make_retrieval_scorer(pairs, k=2)(identity, pairs.lookup(y), y) == 1.0


def test_shuffled_labels_score_at_chance(data):
    _, y, table = data
    scores = []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        X = rng.standard_normal((72, 16))
        cv = GroupKFold(3)
        found = cross_validate(
            Decoder(table, 1.0), X, y, groups=y, cv=cv, scoring=retrieval_top1, error_score="raise"
        )
        scores.append(found["test_score"].mean())
    assert np.mean(scores) == pytest.approx(1 / 8, abs=4 * np.std(scores) / np.sqrt(12))


def test_n_way_and_blocks(data, monkeypatch):
    X, y, table = data
    decoder = Decoder(table, alpha=1e3).fit(X[:12], y[:12])
    two, ten = (make_retrieval_scorer(n_way=n)(decoder, X[12:], y[12:]) for n in (2, 10))
    assert retrieval_top1(decoder, X[12:], y[12:]) < ten < two < 1
    monkeypatch.setattr("skeegclip.metrics.scorers._BLOCK", 100)
    assert make_retrieval_scorer(n_way=10)(decoder, X[12:], y[12:]) == pytest.approx(ten)


def test_a_matrix_as_y(data):
    X, y, table = data
    Y = table.lookup(y)
    ridge = Ridge(1e-3).fit(X[:36], Y[:36])
    by_ids = make_retrieval_scorer(table)(ridge, X[36:], y[36:])
    assert retrieval_top1(ridge, X[36:], Y[36:]) == by_ids > 0.9


@pytest.mark.parametrize(
    "wrap",
    [
        lambda d: make_pipeline(StandardScaler(), d),
        lambda d: Retriever(d),
        lambda d: make_pipeline("passthrough", StandardScaler(), Retriever(d)),
        lambda d: GridSearchCV(
            make_pipeline(StandardScaler(), Retriever(d)), {}, scoring=retrieval_top1, cv=2
        ),
    ],
    ids=["pipeline", "composite", "composite in a pipeline", "search"],
)
def test_the_estimators_own_table_is_found(data, wrap):
    X, y, table = data
    model = wrap(Decoder(table)).fit(X[:36], y[:36])
    assert retrieval_top1(model, X[36:], y[36:]) > 0.9


def test_a_frozen_encoder(data):
    X, y, table = data
    frozen = FrozenEstimator(Decoder(table).fit(X[:36], y[:36]))
    assert retrieval_top1(frozen, X[36:], y[36:]) > 0.9
    assert retrieval_top1(frozen, X[36:], y[36:], subject=np.full(36, "bad")) < 0.1
    pipeline = make_pipeline(StandardScaler(), Retriever(Decoder(table))).fit(X[:36], y[:36])
    assert retrieval_top1(FrozenEstimator(pipeline), X[36:], y[36:]) > 0.9
    assert retrieval_top1(Retriever(frozen).fit(X[:36], y[:36]), X[36:], y[36:]) > 0.9


def test_precedence_of_tables(data):
    X, y, table = data
    wrong = Table(np.unique(y), table.lookup(np.unique(y))[::-1])
    model = Retriever(Decoder(table), targets=wrong).fit(X, y)
    assert retrieval_top1(model, X, y) < 0.3  # the outer table comes before the encoder's
    assert make_retrieval_scorer(table)(model, X, y) > 0.9  # and the scorer's before both


def test_a_transformer_gives_embeddings(data):
    _, y, table = data
    identity = FunctionTransformer().fit(table.lookup(y))
    assert make_retrieval_scorer(table)(identity, table.lookup(y), y) == 1.0


@pytest.fixture
def unknown_to_workers():
    """Classes of this module go to workers as what they are: their process need not be able to import it."""
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    yield
    cloudpickle.unregister_pickle_by_value(sys.modules[__name__])


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_in_cross_validate_and_grid_search(data, n_jobs, unknown_to_workers):
    X, y, table = data
    scoring = {"top1": retrieval_top1, "top5": retrieval_top5, "given": make_retrieval_scorer(table)}
    cv = GroupKFold(3)
    scores = cross_validate(
        Decoder(table), X, y, groups=y, cv=cv, scoring=scoring, n_jobs=n_jobs, error_score="raise"
    )
    assert scores["test_top1"].mean() > 0.9
    np.testing.assert_array_equal(scores["test_top1"], scores["test_given"])
    assert (scores["test_top5"] >= scores["test_top1"]).all()
    search = GridSearchCV(
        Decoder(table),
        {"alpha": [1e-3, 1e6]},
        scoring=retrieval_top1,
        cv=cv,
        n_jobs=n_jobs,
        error_score="raise",
    ).fit(X, y, groups=y)
    assert search.best_params_ == {"alpha": 1e-3}
    assert search.score(X, y) > 0.9


def test_subject_reaches_the_steps_that_ask(data):
    X, y, table = data
    subject = np.where(np.arange(72) % 2, "bad", "good")
    model = make_pipeline(StandardScaler(), Decoder(table)).fit(X, y)
    assert retrieval_top1(model, X, y) > 0.9
    good, bad = subject == "good", subject == "bad"
    assert retrieval_top1(model, X[good], y[good], subject=subject[good]) > 0.9
    assert retrieval_top1(model, X[bad], y[bad], subject=subject[bad]) < 0.1
    assert make_retrieval_scorer(table)(Ridge().fit(X, table.lookup(y)), X, y, subject=subject) > 0.9


def test_subject_is_routed(data):
    X, y, table = data
    every = {"bad": np.full(72, "bad"), "good": np.full(72, "good")}
    with config_context(enable_metadata_routing=True):
        scores = {
            name: cross_validate(
                Decoder(table), X, y, cv=3, scoring=retrieval_top1, params={"subject": s}, error_score="raise"
            )["test_score"].mean()
            for name, s in every.items()
        }
        plain = cross_validate(Decoder(table), X, y, cv=3, scoring=retrieval_top1, error_score="raise")
    assert scores["bad"] < 0.1 < 0.9 < scores["good"]
    assert plain["test_score"].mean() == scores["good"]


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("people", [None, 3])
def test_averages_of_a_person_and_image_are_scored_as_the_contest_does(people, tied):
    rng = np.random.default_rng(1)
    ids = np.array([f"image {i:02d}" for i in range(30)])
    vectors = rng.standard_normal((30, 8)) * rng.uniform(0.5, 3, (30, 1))
    if tied:  # images that look the same share their chances
        vectors[20:] = 2 * vectors[:10]
    table, order = Table(ids, vectors), rng.permutation(240)
    y, who = np.tile(np.repeat(ids, 4), 2)[order], np.repeat(["ben", "ana"], 120)[order]
    X = table.lookup(y) + 3 * rng.standard_normal((240, 8))
    X *= rng.uniform(0.1, 10, (240, 1))  # long ones count for more: they are averaged as they are
    found = make_retrieval_scorer(table, k=5, average="embeddings")(
        FunctionTransformer().fit(X), X, y, subject=None if people is None else who
    )
    unit = vectors / np.sqrt((vectors**2).sum(axis=1, keepdims=True))
    hits = []
    for person in ["all"] if people is None else ["ana", "ben"]:
        for number, name in enumerate(ids):
            rows = (y == name) & (True if people is None else who == person)
            mean = sum(X[rows]) / rows.sum()
            cosine = np.array([float(mean @ one) for one in unit]) / np.sqrt(mean @ mean)
            level = np.isclose(cosine, cosine[number], rtol=0, atol=1e-12)
            above = int(((cosine > cosine[number]) & ~level).sum())
            hits.append(min(max(5 - above, 0), level.sum()) / level.sum())
    assert 0.2 < found < 0.95
    assert found == pytest.approx(np.mean(hits), abs=1e-12)
    single = make_retrieval_scorer(table, k=5)(FunctionTransformer().fit(X), X, y)
    assert single < found


def test_a_view_says_whose_averages(data):
    X, y, table = data
    who = np.tile(["ana", "ben"], 36)
    view = EpochsView.from_arrays(X[:, :, None], subject=who)
    scorer = make_retrieval_scorer(table, k=5, average="embeddings")
    flat = Ridge().fit(X, table.lookup(y))
    decoder = ImageRetriever(
        FrozenEstimator(flat), targets=EmbeddingTable(np.unique(y), table.lookup(np.unique(y)))
    )
    decoder.fit(X, y)
    assert scorer(decoder, view, y) == scorer(flat, X, y, subject=who)
    decoder.set_params(hubness="csls")
    with pytest.raises(
        ValueError, match="average='embeddings' compares by cosine, but ImageRetriever corrects"
    ):
        scorer(decoder, view, y)


def test_pickle_clone_and_repr(data):
    X, y, table = data
    scorer = make_retrieval_scorer(k=2, n_way=5)
    copy = pickle.loads(pickle.dumps(scorer))
    assert repr(copy) == repr(scorer) == "RetrievalScorer(targets=None, k=2, n_way=5, average=None)"
    search = GridSearchCV(Decoder(table), {}, scoring=make_retrieval_scorer(table))
    assert clone(search).scoring is search.scoring  # a copy would hold another table of many megabytes
    with pytest.raises(AttributeError):
        scorer.k = 3


def test_bad_input_is_refused(data):
    X, y, table = data
    decoder = Decoder(table).fit(X, y)
    with pytest.raises(TypeError, match="y must hold stimulus ids as strings.*int64.*re-encoded"):
        retrieval_top1(decoder, X, np.arange(72))
    with pytest.raises(ValueError, match="finite embeddings"):
        retrieval_top1(decoder, X, np.full((72, 10), np.nan))
    with pytest.raises(ValueError, match="targets is missing"):
        retrieval_top1(Ridge().fit(X, table.lookup(y)), X, y)
    with pytest.raises(ValueError, match="y names a gallery of 2 different stimuli, too few for a top-5"):
        retrieval_top5(decoder, X[:2], np.unique(y)[:2])
    with pytest.raises(ValueError, match="too few for a top-1 score among 50"):
        make_retrieval_scorer(n_way=50)(decoder, X, y)
    with pytest.raises(ValueError, match=r"embeddings of shape \(72, 10\).*\(72, 4\)"):
        retrieval_top1(decoder, X, np.random.default_rng(0).random((72, 4)))
    with pytest.raises(TypeError, match="_Labels gave dtype <U5 and shape"):
        retrieval_top1(_Labels(), X, table.lookup(y))
    with pytest.raises(TypeError, match="needs embed, predict or transform, got BaseEstimator"):
        retrieval_top1(BaseEstimator(), X, table.lookup(y))
    with pytest.raises(TypeError, match="must be an EmbeddingTable or have lookup.*got dict"):
        make_retrieval_scorer({"a": 1})
    with pytest.raises(ValueError, match="k must be smaller than 5.*got 5"):
        make_retrieval_scorer(k=5, n_way=5)
    with pytest.raises(ValueError, match="k must lie in .*got 0"):
        make_retrieval_scorer(k=0)
    with pytest.raises(ValueError, match="average must be one of None, 'embeddings'"):
        make_retrieval_scorer(average="epochs")


class _Labels(BaseEstimator):
    def predict(self, X):
        return np.full(len(X), "an id")
