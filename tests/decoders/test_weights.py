"""Weights of epochs and of classes: what they mean, and what they are good for."""

import numpy as np
import pytest
import torch
from mne.decoding import Vectorizer
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import Ridge
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import GridSearchCV
from sklearn.multioutput import MultiOutputRegressor
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.class_weight import compute_sample_weight

from skeegclip import EEGEncoder, EmbeddingTable, EnsembleEncoder, EpochsView, ZeroShotClassifier
from skeegclip.losses import ClipLoss, MixedLoss


def unequal(rng, counts, n_test=100):
    """Epochs of four classes of which there are many or few, and equally many of each to test on."""
    patterns = 0.5 * rng.standard_normal((4, 5, 20))

    def draw(n_each):
        y = np.repeat([f"class {i}" for i in range(4)], n_each)
        clean = np.repeat(patterns, n_each, axis=0)
        return (clean + 2 * rng.standard_normal(clean.shape)).astype(np.float32), y

    return *draw(counts), *draw([n_test] * 4)


@pytest.fixture(scope="module")
def data():
    return unequal(np.random.default_rng(0), [300, 50, 30, 20])


def network(**params):
    defaults = {"max_epochs": 4, "lr": 3e-3, "batch_size": 512, "random_state": 0, "device": "cpu"}
    return EEGEncoder("eegproject", **{"validation": 0, **defaults, **params})


# -- a weight is a count -------------------------------------------------------------------------------


@pytest.mark.parametrize("loss_weight", [1.0, 0.4, 0.0])
@pytest.mark.parametrize("same_stimulus", ["positive", "mask", "negative"])
def test_an_epoch_of_weight_two_is_two_epochs(same_stimulus, loss_weight):
    generator = torch.Generator().manual_seed(0)
    stimulus = torch.tensor([0, 0, 1, 1, 2, 3])
    vectors, text = torch.randn(2, 4, 5, generator=generator)
    z = torch.randn(6, 5, generator=generator, requires_grad=True)
    count = torch.tensor([2, 1, 0, 3, 1, 2])
    loss = MixedLoss(loss_weight=loss_weight, same_stimulus=same_stimulus, text_weight=0.3)
    target = {"target": vectors[stimulus], "text": text[stimulus], "stimulus": stimulus}
    weighted = loss(z, {**target, "weight": count.float()})
    rows = torch.repeat_interleave(torch.arange(6), count)
    repeated = loss(z[rows], {name: value[rows] for name, value in target.items()})
    torch.testing.assert_close(weighted, repeated)
    for a, b in zip(*(torch.autograd.grad(each, [z]) for each in (weighted, repeated)), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


def test_equal_weights_change_nothing_but_rounding():
    generator = torch.Generator().manual_seed(1)
    z, t = torch.randn(2, 7, 4, generator=generator)
    stimulus = torch.tensor([0, 1, 1, 2, 3, 3, 3])
    for loss in (ClipLoss(), ClipLoss(same_stimulus="mask")):
        torch.testing.assert_close(loss(z, t, stimulus, torch.ones(7)), loss(z, t, stimulus))
    # Any other equal weight is another constant in the loss, and the same gradient.
    z.requires_grad_()
    gradients = [
        torch.autograd.grad(ClipLoss()(z, t, stimulus, weight), [z])[0]
        for weight in (None, torch.full((7,), 0.3))
    ]
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("as_view", [False, True])
def test_epochs_that_weigh_nothing_leave_no_trace(data, as_view):
    X, y, _, _ = data
    weight = (np.arange(len(y)) % 3 > 0).astype(float)
    vectors = EmbeddingTable(np.unique(y), np.eye(4))
    form = EpochsView.from_arrays if as_view else np.asarray
    some = network(targets=vectors, validation=0.5).fit(form(X), y, sample_weight=weight)
    rows = weight > 0
    alone = network(targets=vectors, validation=0.5).fit(X[rows], y[rows])
    np.testing.assert_allclose(some.transform(X), alone.transform(X), rtol=1e-4, atol=1e-5)
    doubled = network(targets=vectors, validation=0.5).fit(
        X[rows], y[rows], sample_weight=np.full(rows.sum(), 2.0)
    )
    np.testing.assert_allclose(doubled.transform(X), alone.transform(X), rtol=1e-3, atol=1e-4)


def test_a_ridge_with_counts_is_a_ridge_with_repetitions(data):
    X, y, X_test, _ = data
    count = np.random.default_rng(1).integers(0, 3, len(y))
    weighted = ZeroShotClassifier(Ridge()).fit(X, y, sample_weight=count)
    repeated = ZeroShotClassifier(Ridge()).fit(np.repeat(X, count, axis=0), np.repeat(y, count))
    np.testing.assert_allclose(weighted.embed(X_test), repeated.embed(X_test), rtol=1e-3, atol=1e-4)
    means = ZeroShotClassifier("passthrough").fit(X[:, :, 0], y, sample_weight=count)
    by_hand = ZeroShotClassifier("passthrough").fit(np.repeat(X[:, :, 0], count, axis=0), np.repeat(y, count))
    np.testing.assert_allclose(means.targets_.vectors, by_hand.targets_.vectors, rtol=1e-5)


def test_a_class_that_weighs_nothing_is_not_named(data):
    X, y, X_test, _ = data
    classifier = ZeroShotClassifier(Ridge()).fit(X, y, sample_weight=y != "class 3")
    assert classifier.classes_.tolist() == ["class 0", "class 1", "class 2"]
    assert set(classifier.predict(X_test)) <= set(classifier.classes_)


# -- classes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoder", [Ridge(100.0), network()], ids=["ridge", "network"])
@pytest.mark.parametrize("class_weight", ["balanced", {"class 0": 0.1, "class 3": 2.0}])
def test_class_weights_are_weights_of_their_epochs(data, encoder, class_weight):
    X, y, X_test, _ = data
    of_rows = compute_sample_weight(class_weight, y)
    by_class = ZeroShotClassifier(encoder, class_weight=class_weight).fit(X, y).embed(X_test)
    by_hand = ZeroShotClassifier(encoder).fit(X, y, sample_weight=of_rows).embed(X_test)
    np.testing.assert_array_equal(by_class, by_hand)
    both = ZeroShotClassifier(encoder, class_weight=class_weight).fit(X, y, sample_weight=1 / of_rows)
    plain = ZeroShotClassifier(encoder).fit(X, y)
    np.testing.assert_allclose(both.embed(X_test), plain.embed(X_test), rtol=1e-2, atol=1e-3)


def test_concepts_are_the_classes_where_y_holds_stimuli(data):
    X, y, _, _ = data
    rng = np.random.default_rng(2)
    ids = np.array([f"{label}/{i % 7}" for i, label in enumerate(y)])
    table = EmbeddingTable(np.unique(ids), rng.standard_normal((len(np.unique(ids)), 6)))
    concept_of = {i: i.split("/")[0] for i in table.ids}
    balanced = ZeroShotClassifier(Ridge(), targets=table, concepts=concept_of, class_weight="balanced").fit(
        X, ids
    )
    by_hand = ZeroShotClassifier(Ridge(), targets=table, concepts=concept_of)
    by_hand.fit(X, ids, sample_weight=compute_sample_weight("balanced", y))
    np.testing.assert_array_equal(balanced.embed(X), by_hand.embed(X))


@pytest.mark.parametrize(
    "encoder",
    [Ridge(100.0), network(loss_weight=0.0, max_epochs=8, batch_size=128)],
    ids=["ridge", "network"],
)
def test_rare_classes_are_named_more_often(encoder):
    gains = []
    for seed in range(3):
        X, y, X_test, y_test = unequal(np.random.default_rng(seed), [300, 50, 30, 20])
        accuracy = [
            balanced_accuracy_score(
                y_test, ZeroShotClassifier(encoder, class_weight=w).fit(X, y).predict(X_test)
            )
            for w in (None, "balanced")
        ]
        gains.append(accuracy[1] - accuracy[0])
    assert min(gains) > 0.03


# -- whom they reach -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "made",
    [
        lambda: make_pipeline(Vectorizer(), StandardScaler(with_std=False), Ridge()),
        lambda: GridSearchCV(Ridge(), {"alpha": [1.0]}, cv=2, error_score="raise"),
        lambda: MultiOutputRegressor(Ridge()),
    ],
    ids=["pipeline", "search", "one by one"],
)
def test_they_reach_what_learns_inside(data, made):
    X, y, X_test, _ = data
    weight = np.random.default_rng(3).random(len(y))
    reached = ZeroShotClassifier(made()).fit(X, y, sample_weight=weight)
    plain = ZeroShotClassifier(Ridge()).fit(X, y, sample_weight=weight)
    np.testing.assert_allclose(reached.embed(X_test), plain.embed(X_test), rtol=1e-2, atol=1e-3)
    assert not np.allclose(
        reached.embed(X_test), ZeroShotClassifier(made()).fit(X, y).embed(X_test), atol=1e-3
    )


def test_with_subjects(data):
    X, y, X_test, _ = data
    who, weight = np.tile(["ann", "bob"], len(y) // 2), np.random.default_rng(3).random(len(y))
    fitted = ZeroShotClassifier(network()).fit(X, y, subject=who, sample_weight=weight)
    assert fitted.encoder_.subjects_.tolist() == ["ann", "bob"]
    assert not np.allclose(fitted.embed(X), ZeroShotClassifier(network()).fit(X, y, subject=who).embed(X))


@pytest.mark.parametrize(
    ("encoder", "culprit"),
    [
        (KNeighborsRegressor(), "KNeighborsRegressor"),
        (EnsembleEncoder([("one", Ridge())]), "EnsembleEncoder"),
        (make_pipeline(Vectorizer(), KNeighborsRegressor()), "KNeighborsRegressor"),
    ],
)
def test_an_encoder_that_takes_none_is_refused(data, encoder, culprit):
    X, y, _, _ = data
    with pytest.raises(TypeError, match=f"sample_weight: fit of {culprit} takes no weights"):
        ZeroShotClassifier(encoder, class_weight="balanced").fit(X, y)


def test_where_they_cannot_act_they_say_so(data):
    X, y, _, _ = data
    frozen = FrozenEstimator(network(max_epochs=1, targets=EmbeddingTable(np.unique(y), np.eye(4))).fit(X, y))
    with pytest.warns(UserWarning, match="cannot act: the encoder is not fitted"):
        ZeroShotClassifier(frozen, class_weight="balanced").fit(X, y)
    with pytest.warns(UserWarning, match="class_weight='balanced' cannot act"):
        ZeroShotClassifier("passthrough", class_weight="balanced").fit(X[:, :, 0], y)


@pytest.mark.parametrize(
    ("weight", "message"),
    [([1.0, 2.0], "sample_weight.shape"), (-1, "[Nn]egative"), (np.nan, "NaN"), (0, "zero")],
)
def test_bad_weights(data, weight, message):
    X, y, _, _ = data
    weight = np.full(len(y), float(weight)) if np.isscalar(weight) else weight
    for estimator in (ZeroShotClassifier(Ridge()), network(targets=EmbeddingTable(np.unique(y), np.eye(4)))):
        with pytest.raises(ValueError, match=message):
            estimator.fit(X, y, sample_weight=weight)


def test_a_search_around_a_pipeline_hands_weights_to_fit_and_to_its_choice():
    rng = np.random.default_rng(0)
    table = EmbeddingTable([f"s{i}" for i in range(6)], rng.standard_normal((6, 4)))
    y, X = np.tile(table.ids, 5), rng.standard_normal((30, 3, 8))
    weight = rng.integers(1, 4, 30)
    pipeline = make_pipeline(Vectorizer(), Ridge())
    search = GridSearchCV(pipeline, {"ridge__alpha": [0.1, 1.0]}, cv=2, error_score="raise")
    fitted = ZeroShotClassifier(search, targets=table).fit(X, y, sample_weight=weight).encoder_
    Z, flat = table.lookup(y), X.reshape(30, -1)
    halves = [(np.arange(15, 30), np.arange(15)), (np.arange(15), np.arange(15, 30))]
    by_hand = [
        np.mean([Ridge(a).fit(flat[f], Z[f], weight[f]).score(flat[t], Z[t], weight[t]) for f, t in halves])
        for a in (0.1, 1.0)
    ]
    np.testing.assert_allclose(fitted.cv_results_["mean_test_score"], by_hand, rtol=1e-4)


@pytest.mark.parametrize("bad", [-1.0, np.nan])
def test_class_weights_are_not_negative(bad):
    table = EmbeddingTable(["a", "b"], np.eye(2))
    classifier = ZeroShotClassifier(Ridge(), targets=table, class_weight={"a": bad})
    with pytest.raises(ValueError, match="class_weight holds a weight that is negative or not finite"):
        classifier.fit(np.random.default_rng(0).standard_normal((4, 2, 3)), ["a", "b", "a", "b"])
