"""Ridge regression in closed form, and a network that starts from it."""

import warnings

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.linear_model import Ridge, RidgeCV
from sklearn.model_selection import cross_val_score

from skeegclip import EEGEncoder, EmbeddingTable, EpochsView, ImageRetriever, ZeroShotClassifier
from skeegclip._training.linear_start import _PENALTIES, ridge
from skeegclip.nets.linear_path import LinearPath

QUICK = {"net_params": {"d_ff": 16, "n_filters": 4}, "random_state": 0, "device": "cpu"}


@pytest.fixture(autouse=True)
def short_epochs():
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Epochs of n_times")
        yield


def drawn(rng, n=200, n_classes=4, shape=(8, 30), size=0.25):
    patterns = rng.normal(size=(n_classes, *shape))
    y = rng.integers(0, n_classes, n + 500)
    X = size * patterns[y] + rng.normal(size=(len(y), *shape))
    return X[:n], y[:n], X[n:], y[n:]


@pytest.mark.parametrize("shape", [(80, 12), (20, 50)])
@pytest.mark.parametrize("weighted", [False, True])
def test_ridge_is_scikit_learns_at_the_penalty_that_cross_validation_chooses(shape, weighted, rng):
    F, fold = rng.normal(size=shape) + 3, np.arange(shape[0]) % 4
    Y = F[:, :2] + rng.normal(size=(shape[0], 2)) - 5
    weight = rng.uniform(0.5, 2, size=shape[0]) if weighted else None
    W, f_mean, y_mean = ridge(F, Y, fold, weight)
    penalties = []
    centred = F - np.average(F, axis=0, weights=weight)
    length = np.mean(np.sum((centred if weight is None else centred * np.sqrt(weight)[:, None]) ** 2, axis=1))
    for penalty in _PENALTIES * length:
        one = Ridge(penalty).fit(F, Y, sample_weight=weight)
        penalties.append(np.abs(one.coef_.T - W).max())
    assert min(penalties) < 1e-8
    if not weighted:
        # The chosen one has the least error on folds, by scikit-learn's own cross-validation of centred data.
        errors = [
            -cross_val_score(Ridge(p, fit_intercept=False), centred, Y - y_mean, scoring="neg_mean_squared_error",
                             cv=[(fold != k, fold == k) for k in range(4)]).mean()
            for p in _PENALTIES * length
        ]  # fmt: skip
        assert int(np.argmin(errors)) == int(np.argmin(penalties))


def test_bins_are_means_of_all_samples():
    path = LinearPath(2, n_chans=3, n_times=60)
    x = torch.arange(60.0).expand(1, 3, 60)
    means = path.features(x).reshape(3, 25)
    assert means[0, 0] == 0.5  # samples 0 and 1
    widths = np.diff(np.round(np.arange(26) * 2.4))
    assert float((means[0].double() * torch.from_numpy(widths)).sum()) == pytest.approx(59 * 60 / 2)
    assert LinearPath(2, n_chans=300, n_times=60).n_bins == 13
    assert LinearPath(2, n_chans=3, n_times=1).n_bins == 1


def test_few_epochs_are_classified_as_ridge_regression_does(rng):
    X, y, X_test, y_test = drawn(rng)
    ours = ZeroShotClassifier(EEGEncoder(max_epochs=4, **QUICK)).fit(X, y).score(X_test, y_test)
    theirs = ZeroShotClassifier(RidgeCV(np.logspace(0, 5, 11))).fit(X, y).score(X_test, y_test)
    alone = EEGEncoder("atm-s", max_epochs=4, **QUICK)
    assert theirs > 0.8
    assert ours > theirs - 0.03
    assert ZeroShotClassifier(alone).fit(X, y).score(X_test, y_test) < theirs - 0.2


def test_before_any_step_it_is_the_ridge_regression(rng):
    vectors = rng.normal(size=(120, 5)) + 2
    X = np.einsum("nd,dct->nct", vectors, rng.normal(size=(5, 4, 25))) + rng.normal(size=(120, 4, 25))
    # A step that does not move: what comes out is the start.
    params = {**QUICK, "max_epochs": 1, "lr": 1e-12, "validation": 0}
    error = EEGEncoder(loss_weight=0, **params).fit(X, vectors)
    r2 = 1 - np.mean((error.transform(X) - vectors) ** 2) / vectors.var(axis=0).mean()
    assert r2 > 0.9
    assert error.history_[0]["train_loss"] < 0.1  # of the variance
    directions = EEGEncoder(**params).fit(X, vectors)
    centred = vectors - vectors.mean(axis=0)
    cosine = np.sum(directions.transform(X) * centred, axis=1)
    cosine /= np.linalg.norm(directions.transform(X), axis=1) * np.linalg.norm(centred, axis=1)
    assert cosine.mean() > 0.95
    assert np.linalg.norm(directions.transform(X), axis=1).mean() == pytest.approx(1, rel=1e-3)


@pytest.mark.slow
def test_the_network_learns_what_is_not_linear(rng):
    # Two patterns, each with either sign: no linear map tells them apart.
    patterns, y = rng.normal(size=(2, 4, 40)), rng.integers(0, 2, 900)
    X = rng.choice([-1, 1], 900)[:, None, None] * patterns[y] + rng.normal(size=(900, 4, 40))

    def accuracy(max_epochs):
        encoder = EEGEncoder(
            max_epochs=max_epochs, lr=3e-3, **{**QUICK, "net_params": {"d_ff": 16, "n_filters": 8}}
        )
        return ZeroShotClassifier(encoder).fit(X[:500], y[:500]).score(X[500:], y[500:])

    assert accuracy(1) < 0.6
    assert accuracy(20) > 0.75


def test_saving_going_on_and_calibrating(rng, tmp_path):
    X, y, X_test, _ = drawn(rng)
    table = EmbeddingTable([f"s{i}" for i in range(4)], rng.normal(size=(4, 6)))
    subject = np.resize(["a", "b"], len(X))
    encoder = EEGEncoder(targets=table, max_epochs=2, **QUICK).fit(X, table.ids[y], subject=subject)
    z = encoder.transform(X_test)
    encoder.save(tmp_path / "encoder")
    np.testing.assert_array_equal(EEGEncoder.load(tmp_path / "encoder").transform(X_test), z)
    weight = encoder.net_.module_.linear.weight.clone()
    encoder.calibrate(X_test[:20], table.ids[np.arange(20) % 4], subject="c", max_epochs=1)
    encoder.set_params(warm_start=True).fit(X, table.ids[y], subject=np.resize(["a", "b", "c"], len(X)))
    assert torch.equal(encoder.net_.module_.linear.weight, weight)  # it goes on, and does not start again


def test_views_and_projectors_and_weights(rng):
    X, y, _, _ = drawn(rng)
    table = EmbeddingTable([f"s{i}" for i in range(4)], rng.normal(size=(4, 6)))
    encoder = EEGEncoder(targets=table, projector=3, max_epochs=1, **QUICK)
    view = EpochsView.from_arrays(X.astype(np.float32))
    z = clone(encoder).fit(view, table.ids[y]).transform(view)
    np.testing.assert_array_equal(encoder.fit(X.astype(np.float32), table.ids[y]).transform(view), z)
    assert z.shape == (200, 3)
    # Weights count in the start.
    params = {**QUICK, "max_epochs": 1, "lr": 1e-12}
    heavy = EEGEncoder(targets=table, **params).fit(
        X, table.ids[y], sample_weight=np.where(y == 0, 50.0, 0.1)
    )
    plain = EEGEncoder(targets=table, **params).fit(X, table.ids[y])
    assert not np.allclose(heavy.transform(X), plain.transform(X), atol=1e-2)


@pytest.mark.parametrize("heavy", ["a", "b"])
def test_a_class_that_weighs_more_is_named_more(rng, heavy):
    y = np.resize(["a", "b"], 200)
    X = rng.normal(size=(200, 4, 1)) + (y == "b")[:, None, None]
    start = ZeroShotClassifier(EEGEncoder(max_epochs=1, lr=1e-12, **QUICK))
    plain = np.mean(start.fit(X, y).predict(X) == heavy)
    weighed = np.mean(
        start.set_params(class_weight={"a": 1, "b": 1} | {heavy: 5}).fit(X, y).predict(X) == heavy
    )
    assert weighed > plain + 0.2


def test_an_epoch_is_embedded_alike_alone_and_among_others(rng):
    X, y, X_test, _ = drawn(rng)
    retriever = ImageRetriever(EEGEncoder(max_epochs=1, **QUICK)).fit(X, np.array([f"s{i}" for i in y]))
    z = retriever.encoder_.transform(X_test)
    for rows in ([3], [3, 4], [4, 3, 7], np.arange(500)[::-1], np.arange(31)):
        # To the bit with most processors' kernels, to rounding with all (1.04e-7 with an Intel Xeon's).
        np.testing.assert_allclose(retriever.encoder_.transform(X_test[rows]), z[rows], rtol=0, atol=1e-7)


@pytest.mark.parametrize("n_latents", [{}, {"n_latents": 6}])  # another width than the targets', and the same
def test_before_a_head_there_is_no_ridge_regression(n_latents, rng):
    X, y, X_test, _ = drawn(rng)
    params = {**QUICK, "net_params": {**QUICK["net_params"], **n_latents}, "max_epochs": 1}
    vectors, subject = rng.normal(size=(4, 6))[y], np.resize(["a", "b"], len(X))
    z = [
        EEGEncoder(net, subject_layer="latent", **params).fit(X, vectors, subject=subject).transform(X_test)
        for net in ("ridge+atm-s", "atm-s")
    ]
    np.testing.assert_array_equal(*z)
    params["net_params"]["linear"] = True
    EEGEncoder("atm-s", subject_layer="latent", **params).fit(X, vectors).transform(X_test)
