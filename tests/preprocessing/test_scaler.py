"""EpochScaler and its quantiles, against numpy and scikit-learn."""

import numpy as np
import pytest
from sklearn.preprocessing import RobustScaler, StandardScaler

from skeegclip import EpochsView
from skeegclip.preprocessing import EpochScaler
from skeegclip.preprocessing._quantiles import channel_quantiles

RNG = np.random.default_rng(0)
X = (RNG.standard_t(3, size=(50, 4, 30)) * [[1], [10], [0.1], [50]] + [[0], [1000], [-5], [3]]).astype(
    np.float32
)
del RNG
SUBJECT = np.repeat(["ana", "ben"], 25)


def flat(X):
    return X.transpose(0, 2, 1).reshape(-1, X.shape[1]).astype(np.float64)


@pytest.mark.parametrize(
    ("method", "reference"), [("standard", StandardScaler()), ("robust", RobustScaler(unit_variance=True))]
)
def test_equals_scikit_learn_on_flattened_epochs(method, reference):
    scaler = EpochScaler(method).fit(X)
    reference.fit(flat(X))
    center = reference.mean_ if method == "standard" else reference.center_
    np.testing.assert_allclose(scaler.center_[0], center, rtol=1e-6)
    np.testing.assert_allclose(scaler.scale_[0], reference.scale_, rtol=1e-6)
    np.testing.assert_allclose(flat(scaler.transform(X)), reference.transform(flat(X)), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("method", ["standard", "robust"])
def test_each_subject_by_itself(method):
    view = EpochsView.from_arrays(X, subject=SUBJECT)
    scaled = EpochScaler(method, per_subject=True).fit_transform(view)
    for name in ("ana", "ben"):
        alone = EpochScaler(method).fit_transform(X[name == SUBJECT])
        np.testing.assert_array_equal(np.asarray(scaled.select(subject=name)), alone)
    together = EpochScaler(method).fit(view)
    assert together.groups_.keys == ((),)
    together.transform(X, subject="eve")  # subjects do not matter


def test_unknown_subjects():
    scaler = EpochScaler(per_subject=True, unknown="pooled").fit(X, subject=SUBJECT)
    Z = scaler.transform(X, subject="eve")
    expected = (X - scaler.center_.mean(axis=0)[:, None]) / scaler.scale_.mean(axis=0)[:, None]
    np.testing.assert_allclose(Z, expected, rtol=1e-4, atol=1e-4)
    with pytest.raises(ValueError, match="subject 'eve', not seen in fit"):
        EpochScaler(per_subject=True).fit(X, subject=SUBJECT).transform(X, subject="eve")
    transductive = EpochScaler(per_subject=True, unknown="transductive").fit(X, subject=SUBJECT)
    assert transductive.transductive_
    assert not EpochScaler(unknown="transductive").fit(X, subject=SUBJECT).transductive_
    np.testing.assert_array_equal(transductive.transform(X, subject="eve"), EpochScaler().fit_transform(X))


@pytest.mark.parametrize("method", ["standard", "robust"])
def test_constant_channels_become_zero(method):
    flat_line = np.where(np.arange(4)[:, None] == 1, 7.0, X)
    Z = EpochScaler(method).fit_transform(flat_line)
    assert (Z[:, 1] == 0).all()
    assert np.isfinite(Z).all()


def test_large_offsets_do_not_swallow_the_variance():
    offset = X.astype(np.float64) * 0.01 + 1e4
    np.testing.assert_allclose(
        EpochScaler().fit(offset).scale_[0], flat(offset.astype(np.float32)).std(axis=0), rtol=1e-6
    )


def test_bad_parameters():
    with pytest.raises(ValueError, match="method must be one of 'standard', 'robust', got 'median'"):
        EpochScaler("median").fit(X)


@pytest.mark.parametrize("n_epochs", [1, 2, 3, 50])
def test_quantiles_are_numpys(n_epochs):
    odd = X[:n_epochs].copy()
    odd[:, 0] = np.round(odd[:, 0])  # ties
    odd[:, 1] *= -1
    odd[:, 2, ::2] = np.float32(1e-40)  # denormal
    odd[0, 3, :3] = [0.0, -0.0, 3e38]
    quantiles = [0, 0.1, 0.25, 0.5, 0.75, 1]
    blocks = np.array_split(odd, 3)
    made = channel_quantiles(lambda: (b for b in blocks if len(b)), 4, odd[:, 0].size, quantiles)
    expected = np.quantile(flat(odd), quantiles, axis=0)
    np.testing.assert_allclose(made, expected, rtol=1e-12)
