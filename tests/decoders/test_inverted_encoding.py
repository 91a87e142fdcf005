"""InvertedEncoding: against the likelihood that knows how data were made, null data, and what real caps do."""

import numpy as np
import pytest
from scipy.stats import matrix_normal
from sklearn.linear_model import Ridge
from sklearn.model_selection import cross_val_predict

from skeegclip import AveragedTraining, EmbeddingTable, EpochsView, ImageRetriever, InvertedEncoding
from skeegclip.metrics import cosine_similarity, ranks

N_CHANS, N_TIMES, N_FEATURES = 12, 20, 4


def make(n, *, strength=0.2, seed=0):
    """Epochs of matrix-normal noise with patterns of the features in them, targets wider than the features."""
    rng = np.random.default_rng(seed)
    chans, times = (
        np.cov(rng.normal(size=(size, 3 * size)) * np.linspace(0.3, 3, size)[:, None])
        for size in (N_CHANS, N_TIMES)
    )
    places, courses = rng.normal(size=(N_FEATURES, N_CHANS)), rng.normal(size=(N_FEATURES, N_TIMES))
    patterns = strength * np.einsum("fc,ft->fct", places, courses)
    features = rng.normal(size=(n, N_FEATURES))
    noise = matrix_normal.rvs(rowcov=chans, colcov=times, size=n, random_state=rng)
    X = np.tensordot(features, patterns, 1) + noise + rng.normal(size=(N_CHANS, N_TIMES))
    y = features @ rng.normal(size=(N_FEATURES, 10)) + 0.05 * rng.normal(size=(n, 10)) + 7
    filters = np.linalg.solve(chans, patterns) @ np.linalg.inv(times)
    return 10 * X, y, features, (10 * patterns, filters / 10)


def top1(similarity):
    return np.mean(ranks(similarity, np.arange(len(similarity))) == 1)


def accuracy(model, X, y):
    return top1(cosine_similarity(model.predict(X), model.project(y)))


def test_it_comes_near_the_likelihood_of_the_planted_model_and_far_above_ridge():
    X, y, features, (patterns, filters) = make(1100)
    train, test = slice(0, 1000), slice(1000, None)
    model = InvertedEncoding().fit(X[train], y[train])
    read = np.tensordot(X[test] - X[train].mean(axis=0), filters, ((1, 2), (1, 2)))
    information = filters.reshape(N_FEATURES, -1) @ patterns.reshape(N_FEATURES, -1).T
    f = features[test]
    knowing = top1(read @ f.T - np.einsum("nf,fg,ng->n", f, information, f) / 2)
    ridge = max(
        top1(
            cosine_similarity(
                Ridge(alpha).fit(X[train].reshape(1000, -1), y[train]).predict(X[test].reshape(100, -1)) - 7,
                y[test] - 7,
            )
        )
        for alpha in 10.0 ** np.arange(1, 7)
    )
    found = accuracy(model, X[test], y[test])
    assert model.n_components_ >= N_FEATURES
    assert 0.2 < knowing < 0.95
    assert found > 0.8 * knowing
    assert found > ridge + 0.1


def test_embeddings_have_noise_of_unit_variance_around_what_the_model_expects():
    X, y, _, _ = make(2000)
    model = InvertedEncoding().fit(X[:1000], y[:1000])
    error = model.predict(X[1000:]) - model.project(y[1000:])
    np.testing.assert_allclose(np.cov(error.T), np.eye(model.n_components_), atol=0.25)
    np.testing.assert_allclose(error.mean(axis=0), 0, atol=0.2)


def test_of_pure_noise_it_learns_nothing():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(600, 6, 10)), rng.normal(size=(600, 5))
    model = InvertedEncoding().fit(X[:400], y[:400])
    rank = ranks(cosine_similarity(model.predict(X[400:]), model.project(y[400:])), np.arange(200))
    assert abs(rank.mean() - 100.5) < 3 * 200 / np.sqrt(12 * 200)


def test_neither_units_nor_a_map_of_the_channels_change_anything():
    X, y, _, _ = make(300)
    mixing = np.eye(N_CHANS) + 0.3 * np.random.default_rng(1).normal(size=(N_CHANS, N_CHANS))
    plain, of_units, of_mixed = (
        cosine_similarity(model.predict(x), model.project(t))
        for x, t in ((X, y), (2 * X, 5 * y - 3), (mixing @ X, y))
        for model in [InvertedEncoding(3, shrinkage=0).fit(x, t)]
    )
    np.testing.assert_allclose(of_units, plain, atol=1e-4)
    np.testing.assert_allclose(of_mixed, plain, atol=1e-3)


def test_an_averaged_reference_and_a_band_pass_are_no_trouble():
    """Directions without variance are not magnified."""
    X, y, _, _ = make(1100)
    whole = accuracy(InvertedEncoding().fit(X[:1000], y[:1000]), X[1000:], y[1000:])
    X = X - X.mean(axis=1, keepdims=True)
    spectrum = np.fft.rfft(X)
    spectrum[..., 9:] = 0
    X = np.fft.irfft(spectrum, N_TIMES)
    found = accuracy(InvertedEncoding().fit(X[:1000], y[:1000]), X[1000:], y[1000:])
    assert np.isfinite(InvertedEncoding(2, shrinkage=0).fit(X, y).filters_).all()
    assert found > 0.5 * whole


def test_components_are_chosen_on_whole_stimuli():
    """A stimulus shown often is held out with all its epochs: with noise that repeats there is nothing to find."""
    rng = np.random.default_rng(0)
    own, y = rng.normal(size=(80, 5, 8)), rng.normal(size=(80, 6))
    X = np.repeat(own, 4, axis=0) + 0.01 * rng.normal(size=(320, 5, 8))
    model = InvertedEncoding(2).fit(X, np.repeat(y, 4, axis=0))
    z, expected = model.predict(X[::4]), model.project(y)
    # Learned by heart, the training epochs would be found in most cases; their noise, held out, is taken for what it is.
    assert np.abs(expected).mean() < 0.5 * np.abs(z).mean()


@pytest.mark.parametrize("n_dims", [5, 7])
def test_all_components_of_narrow_targets_are_candidates(n_dims):
    """None of these widths is in the ladder 1, 2, 4, 8."""
    rng = np.random.default_rng(0)
    y = rng.normal(size=(300, n_dims))
    X = np.tensordot(y, rng.normal(size=(n_dims, 8, 20)), 1) + rng.normal(size=(300, 8, 20))
    model = InvertedEncoding().fit(X[:200], y[:200])
    assert model.n_components_ == n_dims
    assert accuracy(model, X[200:], y[200:]) > 0.9


def test_in_a_retriever_with_views_and_averages():
    X, y, _, _ = make(200, strength=1.0)
    table = EmbeddingTable([f"image_{i}" for i in range(200)], y)
    ids = np.repeat(table.ids[:150], 2)
    view = EpochsView.from_arrays(np.repeat(X[:150], 2, axis=0), stimulus=ids, subject="ann")
    retriever = ImageRetriever(AveragedTraining(InvertedEncoding(), targets=table)).fit(view, ids)
    plain = InvertedEncoding().fit(X[:150], table.vectors[:150])
    np.testing.assert_allclose(retriever.embed(X[150:]), plain.predict(X[150:]), atol=1e-2)
    retriever.set_params(gallery=table.subset(table.ids[150:]))
    assert retriever.score(X[150:], table.ids[150:]) > 0.8


def test_refusals():
    X, y, _, _ = make(30)
    with pytest.raises(ValueError, match="n_components must lie"):
        InvertedEncoding(0).fit(X, y)
    with pytest.raises(ValueError, match=r"two stimuli or more, got 1 in 30"):
        InvertedEncoding().fit(X, np.ones((30, 3)))
    model = InvertedEncoding().fit(X, y)
    with pytest.raises(ValueError, match=r"vectors must have shape \(n, 10\)"):
        model.project(y[:, :4])
    assert cross_val_predict(model, X, y, cv=3, method="predict").shape[0] == 30


@pytest.mark.parametrize("shrinkage", [0.0, 0.01])
@pytest.mark.parametrize(
    "emptied",
    [
        lambda X: X - X.mean(axis=1, keepdims=True),
        lambda X: np.concatenate([X, X[:, :1], 0 * X[:, :1]], axis=1),
        lambda X: np.repeat(X, 2, axis=2),
    ],
)
def test_directions_without_variance_are_not_magnified(emptied, shrinkage):
    X, y, _, _ = make(600, strength=0.4)
    whole, less = (InvertedEncoding(4, shrinkage=shrinkage).fit(d[:500], y[:500]) for d in (X, emptied(X)))
    assert np.isfinite(less.filters_).all()
    assert np.abs(less.filters_).max() < 100 * np.abs(whole.filters_).max()
    assert accuracy(less, emptied(X)[500:], y[500:]) > accuracy(whole, X[500:], y[500:]) - 0.1


def test_epochs_without_any_variance_tell_nothing():
    y = np.random.default_rng(0).normal(size=(60, 3))
    for shrinkage in (0, 0.01):
        z = InvertedEncoding(shrinkage=shrinkage).fit(np.ones((60, 3, 8)), y).predict(np.ones((5, 3, 8)))
        np.testing.assert_array_equal(z, np.zeros_like(z))


def test_in_the_space_of_the_targets_products_are_those_of_the_components():
    X, y, *_ = make(300)
    train, test = slice(0, 250), slice(250, None)
    own = InvertedEncoding(4).fit(X[train], y[train])
    model = InvertedEncoding(4, space="targets").fit(X[train], y[train])
    z = own.predict(X[test])
    assert model.project(y) is y
    found = model.predict(X[test])
    assert found.shape == (50, 10)
    centred = y[test] - own.target_mean_
    np.testing.assert_allclose(found @ centred.T, z @ own.project(y[test]).T, rtol=1e-9)
    assert top1(found @ centred.T) > 10 / 50
    with pytest.raises(ValueError, match="space must be one of 'components', 'targets'"):
        InvertedEncoding(space="pixels").fit(X, y)
