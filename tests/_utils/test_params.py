import math

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from skeegclip import (
    EEGEncoder,
    EmbeddingTable,
    EnsembleEncoder,
    ImageRetriever,
    SubjectWhitening,
    ZeroShotClassifier,
)
from skeegclip._utils.params import check_number, check_option


def test_options_are_listed_and_the_nearest_is_suggested():
    assert check_option("mode", "both", ["none", "both"]) == "both"
    with pytest.raises(
        ValueError, match="mode must be one of 'none', 'both', got 'bth'. Did you mean 'both'?"
    ):
        check_option("mode", "bth", ["none", "both"])


@pytest.mark.parametrize(
    ("value", "kwargs", "error"),
    [
        ("a", {}, TypeError),
        (True, {}, TypeError),
        (1.5, {"integer": True}, TypeError),
        (None, {}, TypeError),
        (-1, {"low": 0}, ValueError),
        (0, {"low": 0, "open_low": True}, ValueError),
        (2, {"high": 1}, ValueError),
        (math.nan, {"low": 0}, ValueError),
    ],
)
def test_numbers_out_of_range_are_refused(value, kwargs, error):
    with pytest.raises(error, match="^lr must"):
        check_number("lr", value, **kwargs)


def test_numbers_in_range_are_returned():
    assert check_number("lr", np.float32(0.5), low=0, high=0.5) == 0.5
    assert check_number("k", np.int64(3), low=3, integer=True) == 3
    assert check_number("k", None, none=True) is None


@pytest.mark.parametrize("around", [ZeroShotClassifier, ImageRetriever, SubjectWhitening, "ensemble"])
def test_a_class_is_no_estimator(around):
    X, y = np.random.default_rng(0).normal(size=(8, 3, 5)), ["a", "b"] * 4
    estimator = EnsembleEncoder([("r", Ridge)]) if around == "ensemble" else around(Ridge)
    with pytest.raises(TypeError, match=r"got the class Ridge itself. Make one: Ridge\("):
        estimator.fit(X, y)


@pytest.mark.parametrize("name", ["net_params", "optimizer_params"])
def test_params_of_parts_are_dicts(name):
    X, y = np.random.default_rng(0).normal(size=(8, 3, 5)), ["a", "b"] * 4
    encoder = EEGEncoder("mlp", device="cpu", max_epochs=1, targets=EmbeddingTable(["a", "b"], np.eye(2)))
    with pytest.raises(TypeError, match=f"{name} must be a dict of parameters or None, got 3"):
        encoder.set_params(**{name: 3}).fit(X, y)
