"""Training on several people at once."""

from __future__ import annotations

import numpy as np
import pytest

from skeegclip import EEGEncoder

PEOPLE = [f"sub-{i:02d}" for i in range(1, 11)]


@pytest.fixture(scope="module")
def joint(recordings):
    """Encoders fitted on ten people together, by what they learn of each."""
    X, y, subject = recordings.train_set(PEOPLE)
    encoders = {}
    for layer in ("linear", "none"):
        encoder = EEGEncoder("eegproject", targets=recordings.table, subject_layer=layer, validation=0)
        encoder.set_params(max_epochs=20, lr=3e-3, batch_size=128, random_state=0, device="cpu")
        encoders[layer] = encoder.fit(X, y, subject=subject)
    return encoders


def _scores(encoder, recordings):
    """Accuracy for each person on pictures that were not trained on, chance 1 in 60."""
    ids = np.concatenate([recordings.shown, recordings.unseen])
    return np.array([encoder.score(recordings.of(s, ids, seed=1), ids, subject=s) for s in PEOPLE])


def test_a_layer_of_ones_own_is_better_than_one_for_all(recordings, joint):
    own, pooled = (_scores(joint[layer], recordings) for layer in ("linear", "none"))
    assert own.mean() > pooled.mean() + 0.1
    assert (own > pooled).sum() >= 9


def test_sub_10_is_as_good_as_the_others(recordings, joint):
    # In the published code the tenth had no place in the table of subjects.
    own = _scores(joint["linear"], recordings)
    assert own[-1] > own[:-1].min()
    ids = recordings.unseen
    X = recordings.of("sub-10", ids, seed=1)
    assert joint["linear"].score(X, ids, subject="sub-10") > joint["linear"].score(X, ids) + 0.1
    layer = joint["linear"].net_.module_.subject
    moved = layer.known.detach().abs().mean((1, 2))
    assert moved.min() > 0.5 * moved.max()


def test_every_token_is_trained(recordings):
    X, y, subject = recordings.train_set(PEOPLE)
    params = {"kernel_length": 5, "pool_length": 6, "pool_stride": 2, "d_ff": 16, "n_filters": 4}
    encoder = EEGEncoder("atm-s", net_params=params, targets=recordings.table, validation=0, device="cpu")
    encoder.set_params(max_epochs=1, lr=1e-12, batch_size=128, random_state=0)
    before = encoder.fit(X, y, subject=subject).net_.module_.subject.state_dict()
    after = encoder.set_params(lr=1e-2).fit(X, y, subject=subject).net_.module_.subject.state_dict()
    moved = (after["known"] - before["known"]).abs().mean(1)
    assert moved.min() > 0.5 * moved.max() > 0
    assert (after["shared"] - before["shared"]).abs().mean() > 0.5 * moved.max()


def test_without_a_subject_layer_everybody_is_unknown(recordings, joint):
    X = recordings.of("sub-10", recordings.unseen)
    z = [joint["none"].transform(X, subject=s) for s in ("sub-10", "sub-01", "sub-99", None)]
    for other in z[1:]:
        np.testing.assert_array_equal(z[0], other)
    assert joint["none"].subjects_.tolist() == PEOPLE


def test_dropout_of_the_linear_layer_is_a_parameter(recordings):
    X, y, subject = recordings.train_set(PEOPLE[:2])
    shared = []
    for net_params in ({"subject_dropout": 0.0}, {"subject_dropout": 1.0}, None):
        encoder = EEGEncoder("eegproject", net_params=net_params, targets=recordings.table, validation=0)
        encoder.set_params(subject_layer="linear", max_epochs=1, lr=1e-2, random_state=0, device="cpu")
        layer = encoder.fit(X, y, subject=subject).net_.module_.subject
        shared.append(float(layer.shared.detach().abs().max()))
        assert (float(layer.known.detach().abs().max()) == 0) == (net_params == {"subject_dropout": 1.0})
    assert shared[0] == 0 < shared[1]
    assert shared[2] > 0
