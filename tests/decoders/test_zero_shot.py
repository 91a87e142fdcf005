import numpy as np
import pytest
import sklearn
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.metrics import top_k_accuracy_score
from sklearn.model_selection import GridSearchCV, GroupKFold, LeaveOneGroupOut, cross_val_score
from sklearn.pipeline import make_pipeline

from skeegclip import EEGEncoder, EmbeddingTable, EpochsView, ZeroShotClassifier

N_DIMS = 8


@pytest.fixture(scope="module")
def world():
    """Train and test concepts, three pictures each; epochs are a linear image of the pictures' embeddings."""
    rng = np.random.default_rng(0)
    concepts = [f"concept_{i:02d}" for i in range(30)]
    centres = rng.standard_normal((30, N_DIMS))
    ids = [f"{c}_{i}" for c in concepts for i in range(3)]
    images = EmbeddingTable(ids, np.repeat(centres, 3, axis=0) + 0.2 * rng.standard_normal((90, N_DIMS)))
    mixing = rng.standard_normal((N_DIMS, 4 * 20))
    X = (images.vectors @ mixing + 0.1 * rng.standard_normal((90, 80))).reshape(90, 4, 20).astype(np.float32)
    concept_of = {i: i.rsplit("_", 1)[0] for i in ids}
    texts = EmbeddingTable(concepts, centres)
    train = np.arange(90) < 60
    return {
        "X": X,
        "y": images.ids,
        "images": images,
        "texts": texts,
        "concept_of": concept_of,
        "train": train,
    }


def encoder(**params):
    defaults = {
        "max_epochs": 20,
        "lr": 3e-3,
        "batch_size": 32,
        "random_state": 0,
        "device": "cpu",
        "validation": 0,
    }
    return EEGEncoder("eegproject", **{**defaults, **params})


def ridge():
    return Ridge(alpha=1.0)


def test_it_names_concepts_never_seen(world):
    train = world["train"]
    classifier = ZeroShotClassifier(
        ridge(),
        targets=world["images"],
        candidates=world["texts"].subset(world["texts"].ids[20:]),
        concepts=world["concept_of"],
    ).fit(world["X"][train], world["y"][train])
    truth = np.array([world["concept_of"][i] for i in world["y"][~train]])
    predicted = classifier.predict(world["X"][~train])
    assert (predicted == truth).mean() > 0.9
    assert classifier.score(world["X"][~train], world["y"][~train]) == (predicted == truth).mean()
    assert classifier.score(world["X"][~train], truth) == (predicted == truth).mean()
    weights = (predicted == truth) + 0.5
    assert (
        classifier.score(world["X"][~train], truth, sample_weight=weights) > (predicted == truth).mean()
        or (predicted == truth).all()
    )


def test_candidates_are_read_when_predicting(world):
    classifier = ZeroShotClassifier(ridge(), targets=world["images"]).fit(world["X"], world["y"])
    assert classifier.classes_.tolist() == sorted(world["y"])
    texts = world["texts"].subset(world["texts"].ids[::-1])
    classifier.set_params(candidates=texts)
    assert classifier.classes_.tolist() == sorted(texts.ids)
    proba, decision = classifier.predict_proba(world["X"]), classifier.decision_function(world["X"])
    np.testing.assert_allclose(proba.sum(axis=1), 1)
    np.testing.assert_array_equal(classifier.classes_[proba.argmax(axis=1)], classifier.predict(world["X"]))
    truth = [world["concept_of"][i] for i in world["y"]]
    assert top_k_accuracy_score(truth, decision, k=3, labels=classifier.classes_) > 0.9
    top, similarity = classifier.predict_top_k(world["X"], k=3)
    np.testing.assert_array_equal(top[:, 0], classifier.predict(world["X"]))
    assert (np.diff(similarity, axis=1) <= 0).all()
    np.testing.assert_allclose(similarity[:, 0], decision.max(axis=1))
    classifier.set_params(candidates=texts.subset(["concept_01", "concept_00"]))
    np.testing.assert_array_equal(
        classifier.predict(world["X"]),
        classifier.classes_[(classifier.decision_function(world["X"]) > 0).astype(int)],
    )


def test_temperature_sharpens_the_probabilities(world):
    classifier = ZeroShotClassifier(ridge(), targets=world["images"]).fit(world["X"], world["y"])
    sharp, flat = (
        classifier.set_params(temperature=t).predict_proba(world["X"]).max(axis=1) for t in (0.01, 1.0)
    )
    assert (sharp > flat).all()
    fitted = ZeroShotClassifier(encoder(targets=world["images"]), temperature=None).fit(
        world["X"], world["y"]
    )
    own = fitted.predict_proba(world["X"])
    np.testing.assert_allclose(
        fitted.set_params(temperature=fitted.encoder_.temperature_).predict_proba(world["X"]), own
    )


def test_concepts_without_candidates_are_the_means_of_their_pictures(world):
    classifier = ZeroShotClassifier(ridge(), targets=world["images"], concepts=world["concept_of"])
    classifier.fit(world["X"], world["y"])
    assert classifier.classes_.tolist() == world["texts"].ids.tolist()
    assert classifier.score(world["X"], world["y"]) > 0.9


@pytest.mark.parametrize("labels", ["str", "int"])
def test_without_targets_it_is_an_ordinary_classifier(world, labels):
    X = world["X"]
    y = np.repeat(np.arange(30), 3)
    y = y if labels == "int" else np.array([f"c{i}" for i in y])
    classifier = ZeroShotClassifier(encoder(max_epochs=40)).fit(X, y)
    assert classifier.classes_.dtype == y.dtype
    assert classifier.score(X, y) > 0.8
    # No class was held out for validation: it would never have been learned.
    assert ZeroShotClassifier(encoder(validation=0.3)).fit(X, y).encoder_.selection_["rule"] == "last"
    with pytest.raises(ValueError, match="Unknown label type"):
        classifier.fit(X, np.linspace(0, 1, 90))


def test_precedence_of_targets(world):
    other = EmbeddingTable(world["y"], np.random.default_rng(1).standard_normal((90, 5)))
    own = ZeroShotClassifier(encoder(targets=other, max_epochs=1), targets=world["images"]).fit(
        world["X"], world["y"]
    )
    assert own.targets_ is world["images"]
    assert own.embed(world["X"]).shape[1] == N_DIMS
    inner = ZeroShotClassifier(make_pipeline(encoder(targets=other, max_epochs=1))).fit(
        world["X"], world["y"]
    )
    assert inner.targets_ is other
    codes = ZeroShotClassifier(encoder(max_epochs=1)).fit(world["X"], np.repeat(world["y"][:30], 3))
    assert codes.targets_.meta["class_codes"]


def test_integers_are_not_looked_up_in_a_table(world):
    with pytest.raises(TypeError, match="re-encode labels"):
        ZeroShotClassifier(ridge(), targets=world["images"]).fit(world["X"], np.arange(90))


def test_frozen_encoders_are_not_refitted(world):
    fitted = encoder(targets=world["images"]).fit(world["X"], world["y"])
    z = fitted.predict(world["X"])
    classifier = ZeroShotClassifier(FrozenEstimator(fitted)).fit(world["X"][:5], world["y"][:5])
    np.testing.assert_array_equal(classifier.embed(world["X"]), z)
    assert len(classifier.classes_) == 5
    bare = FrozenEstimator(encoder().fit(world["X"], world["images"].vectors))
    with pytest.raises(ValueError, match="frozen and has no targets of its own"):
        ZeroShotClassifier(bare).fit(world["X"], world["y"])
    named = ZeroShotClassifier(bare, candidates=world["texts"]).fit(world["X"])
    assert named.predict(world["X"]).shape == (90,)


def test_passthrough_takes_embeddings(world):
    Z = world["images"].vectors
    truth = np.array([world["concept_of"][i] for i in world["y"]])
    means = ZeroShotClassifier("passthrough").fit(Z, truth)
    assert means.score(Z, truth) > 0.9
    assert means.classes_.tolist() == world["texts"].ids.tolist()
    texts = ZeroShotClassifier("passthrough", candidates=world["texts"]).fit(Z)
    assert texts.score(Z, truth) > 0.9
    with pytest.raises(
        ValueError, match=r"takes embeddings, shape \(n_epochs, n_dims\), got X of shape \(90, 4, 20\)"
    ):
        texts.predict(world["X"])
    with pytest.raises(ValueError, match="nothing to choose from"):
        ZeroShotClassifier("passthrough").fit(Z).predict(Z)


def test_matrix_regressors_get_flat_epochs_of_any_form(world):
    flat = LinearRegression().fit(world["X"].reshape(90, -1), world["images"].vectors)
    expected = flat.predict(world["X"].reshape(90, -1))
    for X in (world["X"], EpochsView.from_arrays(world["X"])):
        fitted = ZeroShotClassifier(LinearRegression(), targets=world["images"]).fit(X, world["y"])
        np.testing.assert_allclose(fitted.embed(X), expected, rtol=1e-3, atol=1e-3)


def test_other_widths_are_refused(world):
    classifier = ZeroShotClassifier(
        ridge(), targets=world["images"], candidates=EmbeddingTable(["a", "b"], np.eye(2))
    )
    with pytest.raises(ValueError, match="candidates have 2 dimensions, but the encoder gives 8"):
        classifier.fit(world["X"], world["y"]).predict(world["X"])


def test_classes_that_could_never_be_named_are_refused(world):
    classifier = ZeroShotClassifier(ridge(), targets=world["images"], candidates=world["texts"])
    classifier.fit(world["X"], world["y"])
    with pytest.raises(ValueError, match="1 classes that are not among the 30 candidates .first: 'teapot'"):
        classifier.score(world["X"][:2], ["concept_00", "teapot"])
    seen = ZeroShotClassifier(ridge(), targets=world["images"]).fit(world["X"][:60], world["y"][:60])
    assert seen.score(world["X"][59:61], world["y"][59:61]) <= 0.5
    with pytest.raises(ValueError, match="30 classes that are not among the 60 candidates"):
        seen.score(world["X"][60:], world["y"][60:])


@pytest.mark.parametrize(
    ("params", "error", "match"),
    [
        ({"encoder": "ridge"}, ValueError, 'encoder must be an estimator or "passthrough"'),
        ({"encoder": object()}, TypeError, "encoder must be an estimator with fit and predict, got object"),
        ({"targets": {}}, TypeError, "targets must be an EmbeddingTable or None, got dict"),
        ({"candidates": ["a"]}, TypeError, "candidates must be an EmbeddingTable or None, got list"),
        ({"temperature": 0}, ValueError, "temperature must lie in"),
    ],
)
def test_bad_parameters_are_refused(world, params, error, match):
    classifier = ZeroShotClassifier(**{"encoder": ridge(), "targets": world["images"], **params})
    with pytest.raises(error, match=match):
        classifier.fit(world["X"], world["y"])


def test_unfitted_classifiers_say_so(world):
    with pytest.raises(NotFittedError):
        ZeroShotClassifier(ridge(), candidates=world["texts"]).predict(world["X"])
    with pytest.raises(NotFittedError):
        _ = ZeroShotClassifier(ridge()).classes_


# -- in scikit-learn's hands ---------------------------------------------------------------------------


@pytest.mark.slow
def test_grid_search_reaches_into_the_encoder(world):
    classifier = ZeroShotClassifier(
        encoder(targets=world["images"], max_epochs=3), concepts=world["concept_of"]
    )
    search = GridSearchCV(
        classifier, {"encoder__loss_weight": [0.5, 1.0]}, cv=GroupKFold(2), error_score="raise", n_jobs=2
    )
    groups = np.array([i.rsplit("_", 1)[1] for i in world["y"]])  # every concept is in both folds
    search.fit(world["X"], world["y"], groups=groups)
    assert search.best_score_ > 1 / 30
    assert search.predict(world["X"]).shape == (90,)


@pytest.mark.parametrize("routing", [False, True])
@pytest.mark.parametrize("wrapped", [False, True])
def test_the_subject_reaches_the_encoder(world, routing, wrapped):
    subject = np.tile(["sub-01", "sub-02", "sub-03"], 30)
    inner = encoder(targets=world["images"], max_epochs=1)
    classifier = ZeroShotClassifier(make_pipeline(inner) if wrapped else inner)
    with sklearn.config_context(enable_metadata_routing=routing):
        classifier.fit(world["X"], world["y"], subject=subject)
        fitted = classifier.encoder_[-1] if wrapped else classifier.encoder_
        assert fitted.subjects_.tolist() == ["sub-01", "sub-02", "sub-03"]
        classifier.predict(world["X"], subject=subject)
        classifier.score(world["X"], world["y"], subject=subject)
        if routing:
            outer = make_pipeline(ZeroShotClassifier(inner)).fit(world["X"], world["y"], subject=subject)
            assert len(outer[-1].encoder_.subjects_) == 3
            outer.score(world["X"], world["y"])


def test_ridge_does_not_mind_the_subject(world):
    classifier = ZeroShotClassifier(ridge(), targets=world["images"])
    classifier.fit(world["X"], world["y"], subject=np.repeat("sub-01", 90))
    assert classifier.predict(world["X"], subject=np.repeat("sub-01", 90)).shape == (90,)


def test_leave_one_subject_out_on_a_view(world):
    subject = np.tile(["sub-01", "sub-02", "sub-03"], 30)
    view = EpochsView.from_arrays(world["X"], subject=subject)
    y = np.repeat([f"c{i}" for i in range(30)], 3)
    scores = cross_val_score(
        ZeroShotClassifier(encoder(max_epochs=30)),
        view,
        y,
        cv=LeaveOneGroupOut(),
        groups=subject,
        error_score="raise",
    )
    assert scores.shape == (3,)
    assert scores.mean() > 10 / 30


def test_what_is_kept_between_calls_follows_every_change(world, monkeypatch):
    from skeegclip.decoders.gallery import exact as _gallery

    made = []
    prepared = _gallery.Gallery._prepared
    monkeypatch.setattr(
        _gallery.Gallery, "_prepared", lambda self, dtype: made.append(len(self)) or prepared(self, dtype)
    )
    X, y, concepts = world["X"].reshape(90, -1), world["y"], dict(world["concept_of"])
    classifier = ZeroShotClassifier(Ridge(), targets=world["images"], candidates=world["texts"]).fit(X, y)
    first = classifier.decision_function(X)
    np.testing.assert_array_equal(classifier.decision_function(X), first)
    assert made == [30]
    few = world["texts"].subset(world["texts"].ids[[7, 3]])
    np.testing.assert_array_equal(
        classifier.set_params(candidates=few).predict_top_k(X, k=2)[1].max(axis=1),
        first[:, [3, 7]].max(axis=1),
    )
    assert made == [30, 2]
    # A dictionary may change without a word.
    classifier.set_params(candidates=None, concepts=concepts)
    assert classifier.decision_function(X).shape == (90, 30)
    concepts[y[0]] = concepts[y[1]] = concepts[y[2]] = "something new"
    assert "something new" in set(classifier.predict(X))
