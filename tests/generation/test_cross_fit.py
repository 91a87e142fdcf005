"""Out-of-fold embeddings."""

import mne
import numpy as np
import pytest
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import Ridge

from skeegclip import EEGEncoder, EmbeddingTable, EpochsView
from skeegclip.generation._cross_fit import out_of_fold_embeddings

N, R = 12, 3


class Memory(RegressorMixin, BaseEstimator):
    """Gives back the target of a row it was fitted on, and zeros for others: what it was fitted on shows."""

    def fit(self, X, y):
        X, y = np.asarray(X), np.asarray(y)
        self.known_ = {row[0]: target for row, target in zip(X, y, strict=True)}
        self.width_ = y.shape[1]
        return self

    def predict(self, X):
        return np.array([self.known_.get(row[0], np.zeros(self.width_)) for row in np.asarray(X)])


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    table = EmbeddingTable([f"s{i:02d}" for i in range(N)], rng.standard_normal((N, 5)))
    y = np.tile(table.ids, R)
    return rng.standard_normal((N * R, 4, 20)).astype(np.float32), y, table


def test_no_stimulus_is_embedded_by_an_encoder_that_has_seen_it(data):
    _, y, table = data
    stimulus = np.tile(np.arange(N), R)[:, None].astype(
        float
    )  # a repetition is known if any other was trained on
    rows = out_of_fold_embeddings(Memory(), stimulus, y, targets=table, repetitions="single", random_state=0)
    assert rows.Z.shape == (N * R, 5)
    np.testing.assert_array_equal(rows.Z, 0)
    assert sorted(rows.y) == sorted(y)
    fitted = Memory().fit(stimulus, table.lookup(y))
    seen = out_of_fold_embeddings(FrozenEstimator(fitted), stimulus, y, targets=table, repetitions="single")
    np.testing.assert_allclose(seen.Z, table.lookup(seen.y), rtol=1e-6)


def test_each_row_goes_with_its_stimulus(data):
    X, y, table = data
    for kind, expected in (("single", N * R), ("average", N), ("both", N * R + N)):
        rows = out_of_fold_embeddings("passthrough", X[:, 0], y, targets=table, repetitions=kind)
        assert len(rows.Z) == len(rows.y) == len(rows.is_average) == expected
        for z, name, average in zip(rows.Z, rows.y, rows.is_average, strict=True):
            own = X[y == name][:, 0]
            if average:
                np.testing.assert_allclose(z, own.mean(0), rtol=1e-5)
            else:
                assert (np.abs(own - z).sum(1) == 0).any()


def test_averages_are_of_epochs_not_of_embeddings(data):
    X, y, table = data
    encoder = EEGEncoder("eegproject", targets=table, max_epochs=1, device="cpu", random_state=0)
    encoder.fit(X, y)
    rows = out_of_fold_embeddings(FrozenEstimator(encoder), X, y, repetitions="average")
    means = np.stack([X[y == name].mean(0) for name in rows.y])
    np.testing.assert_allclose(rows.Z, encoder.transform(means), atol=1e-5)


def test_views_epochs_and_arrays_give_the_same(data):
    X, y, table = data
    subject = np.repeat(["a", "b", "a"], N)
    encoder = Ridge(1.0)
    plain = out_of_fold_embeddings(encoder, X, y, subject=subject, targets=table, n_folds=3, random_state=0)
    view = EpochsView.from_arrays(X, subject=subject)
    by_view = out_of_fold_embeddings(encoder, view, y, targets=table, n_folds=3, random_state=0)
    epochs = mne.EpochsArray(X * 1e-6, mne.create_info(4, 100.0, "eeg"), verbose=False)
    by_epochs = out_of_fold_embeddings(
        encoder, epochs, y, subject=subject, targets=table, n_folds=3, random_state=0
    )
    for other in (by_view, by_epochs):
        assert other.y.tolist() == plain.y.tolist()
        np.testing.assert_allclose(other.Z, plain.Z, atol=1e-4)
    assert plain.is_average.sum() == 2 * N  # subjects are averaged apart


def test_the_subject_reaches_the_encoder(data):
    X, y, table = data
    encoder = EEGEncoder("eegproject", targets=table, max_epochs=1, device="cpu", random_state=0)
    subject = np.repeat(["a", "b", "c"], N)
    rows = out_of_fold_embeddings(
        encoder, X, y, subject=subject, n_folds=2, repetitions="single", random_state=0
    )
    other = out_of_fold_embeddings(encoder, X, y, n_folds=2, repetitions="single", random_state=0)
    assert rows.Z.shape == other.Z.shape


def test_what_is_refused(data):
    X, y, table = data
    with pytest.raises(ValueError, match=r"n_folds=7 needs at least 14 stimuli \(two a fold\), got 12"):
        out_of_fold_embeddings(Ridge(), X, y, targets=table, n_folds=7)
    with pytest.raises(ValueError, match=r"n_folds must lie in \[2, inf\]"):
        out_of_fold_embeddings(Ridge(), X, y, targets=table, n_folds=1)
    with pytest.raises(ValueError, match=r"repetitions must be one of 'single', 'average', 'both'"):
        out_of_fold_embeddings(Ridge(), X, y, targets=table, repetitions="all")
    with pytest.raises(TypeError, match=r"y must hold strings"):
        out_of_fold_embeddings(Ridge(), X, np.arange(N * R), targets=table)
    with pytest.raises(ValueError, match=r"subject must hold one id per epoch, shape \(36,\)"):
        out_of_fold_embeddings(Ridge(), X, y, subject=["a"], targets=table)
