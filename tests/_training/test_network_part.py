"""The network beside ridge regression stays where it names held-out epochs better."""

import warnings

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from scipy.special import softmax
from scipy.stats import ttest_rel
from sklearn.metrics import log_loss

from skeegclip import EEGEncoder, ZeroShotClassifier
from skeegclip._training.callbacks import get_weights
from skeegclip._training.loader import EpochsDataset
from skeegclip._training.network_part import class_losses, earns_its_place
from skeegclip._training.targets import Targets, hold_out_epochs
from skeegclip.embeddings import class_codes

QUICK = {"net_params": {"d_ff": 16, "n_filters": 8}, "random_state": 0, "device": "cpu"}


@pytest.fixture(autouse=True)
def short_epochs():
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Epochs of n_times")
        yield


def two_signs(rng, n=900):
    """Two patterns, each with either sign: no linear map tells them apart."""
    patterns, y = rng.normal(size=(2, 4, 40)), rng.integers(0, 2, n)
    return rng.choice([-1, 1], n)[:, None, None] * patterns[y] + rng.normal(size=(n, 4, 40)), y


@pytest.mark.parametrize("weighted", [False, True])
def test_the_judgement_is_the_paired_one_of_held_out_losses(weighted, rng):
    y = np.resize(["a", "b", "c"], 240)
    X = 0.1 * rng.normal(size=(3, 4, 30))[np.resize([0, 1, 2], 240)] + rng.normal(size=(240, 4, 30))
    encoder = ZeroShotClassifier(EEGEncoder(max_epochs=1, validation=0, lr=1e-12, **QUICK)).fit(X, y).encoder_
    net, start = encoder.net_, get_weights(encoder.net_)
    codes = class_codes(["a", "b", "c"])
    weight = rng.integers(1, 3, 240).astype(np.float32) if weighted else None
    targets = Targets(codes.vectors, np.resize([0, 1, 2], 240), are_codes=True, weight=weight)
    held_out = EpochsDataset(
        X.astype(np.float32), np.full(240, -1), targets, np.arange(100, 240), torch.device("cpu")
    )
    truth, shares = targets.stimulus[100:], None if weight is None else weight[100:]

    def expected():
        z = encoder.transform(X[100:]).astype(np.float64)
        projection = z @ codes.vectors.T / np.linalg.norm(codes.vectors, axis=1)
        length = np.linalg.norm(z, axis=1, keepdims=True)
        found = []
        for scores in (projection / length, projection / length.mean()):

            def loss(t, scores=scores):
                return log_loss(truth, softmax(scores / np.exp(t), axis=1), sample_weight=shares)

            best = minimize_scalar(loss, bounds=(-3.9, 3), method="bounded", options={"xatol": 1e-8})
            chances = softmax(scores / np.exp(best.x), axis=1)[np.arange(140), truth]
            found.append((best.fun, -np.log(chances)))
        return min(found, key=lambda one: one[0])[1]

    before = expected()
    np.testing.assert_allclose(class_losses(net, held_out), before, rtol=2e-3, atol=1e-4)
    verdicts = set()
    for gate in (-0.1, -0.02, 0.01, 0.03, 0.2):
        with torch.no_grad():
            net.module_.gate.fill_(gate)
        after, trained = expected(), get_weights(net)
        if weighted:
            share = shares / shares.sum()
            gain = before - after
            t = (share @ gain) / np.sqrt(share**2 @ (gain - share @ gain) ** 2 / (1 - share @ share))
        else:
            t = ttest_rel(before, after).statistic
        if abs(t - 1) < 0.1:
            continue
        assert earns_its_place(net, start, held_out) == (t > 1), gate
        verdicts.add(t > 1)
        for key, value in get_weights(net)["module_"].items():
            assert torch.equal(value, trained["module_"][key])
    assert False in verdicts


def test_what_is_linear_is_left_to_ridge_regression_of_all_epochs(rng):
    patterns, y = rng.normal(size=(3, 4, 30)), rng.integers(0, 3, 300)
    X = 0.1 * patterns[y] + rng.normal(size=(300, 4, 30))
    classifier = ZeroShotClassifier(EEGEncoder(max_epochs=6, **QUICK)).fit(X, y)
    assert classifier.encoder_.selection_ == {"rule": "epochs", "epoch": 0, "n_stimuli_held_out": 0}
    assert not any(row["chosen"] for row in classifier.encoder_.history_)
    # Nothing held out, and a step that does not move: ridge regression of all epochs.
    alone = ZeroShotClassifier(EEGEncoder(max_epochs=1, validation=0, lr=1e-12, **QUICK)).fit(X, y)
    np.testing.assert_allclose(
        classifier.encoder_.transform(X), alone.encoder_.transform(X), rtol=0, atol=1e-5
    )


@pytest.mark.slow
def test_what_is_not_linear_keeps_the_network(rng):
    X, y = two_signs(rng)
    encoder = EEGEncoder(max_epochs=20, lr=3e-3, **QUICK)
    classifier = ZeroShotClassifier(encoder).fit(X[:500], y[:500])
    assert classifier.encoder_.selection_["rule"] == "epochs"
    assert classifier.encoder_.selection_["epoch"] > 0
    assert classifier.score(X[500:], y[500:]) > 0.75
    # Nothing is held out of classes that the network learns alone, or on request.
    for one in (EEGEncoder("atm-s", max_epochs=1, **QUICK), EEGEncoder(max_epochs=1, validation=0, **QUICK)):
        assert ZeroShotClassifier(one).fit(X[:120], y[:120]).encoder_.selection_["rule"] == "last"


@pytest.mark.parametrize("fraction", [0.1, 0.25])
def test_of_each_class_its_share_is_held_out(fraction, rng):
    stimulus = np.repeat(np.arange(6), [1, 2, 40, 80, 100, 177])
    rng.shuffle(stimulus)
    targets = Targets(np.eye(6, dtype=np.float32), stimulus, are_codes=True)
    train, held = hold_out_epochs(targets, fraction, 0)
    np.testing.assert_array_equal(np.sort(np.concatenate([train, held])), np.arange(400))
    assert abs(len(held) - fraction * 400) <= 2
    assert set(stimulus[train]) == set(range(6))  # also the class of one epoch
    for k in (2, 3, 4, 5):
        assert abs(np.sum(stimulus[held] == k) - fraction * np.sum(stimulus == k)) <= 1
    np.testing.assert_array_equal(hold_out_epochs(targets, fraction, 0)[1], held)
    assert not np.array_equal(hold_out_epochs(targets, fraction, 1)[1], held)
    few = Targets(np.eye(2, dtype=np.float32), np.resize([0, 1], 30), are_codes=True)
    assert hold_out_epochs(few, 0.1, 0)[1] is None
