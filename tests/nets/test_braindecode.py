"""The networks and the loss inside braindecode's estimators, as classes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from skeegclip.losses import MixedLoss
from skeegclip.nets import ATM, MLP, NICE, EEGProject

NETS = [ATM, NICE, MLP, EEGProject]
OPTIONS = {
    "max_epochs": 1,
    "batch_size": 8,
    "train_split": None,
    "verbose": 0,
    "iterator_train__drop_last": False,
}


@pytest.fixture
def epochs():
    return np.random.default_rng(0).normal(size=(16, 4, 80)).astype("float32")


@pytest.mark.parametrize("cls", NETS)
def test_in_classifier(cls, epochs):
    from braindecode import EEGClassifier

    y = np.arange(16) % 3
    clf = EEGClassifier(cls, criterion=torch.nn.CrossEntropyLoss, **OPTIONS).fit(epochs, y)
    assert clf.predict(epochs).shape == (16,)
    assert clf.predict_proba(epochs).shape == (16, 3)


@pytest.mark.parametrize("cls", NETS)
def test_in_regressor_with_our_loss(cls, epochs):
    from braindecode import EEGRegressor

    targets = np.random.default_rng(1).normal(size=(16, 6)).astype("float32")
    reg = EEGRegressor(cls, criterion=MixedLoss, criterion__loss_weight=0.9, **OPTIONS)
    reg.fit(epochs, targets)
    assert reg.predict(epochs).shape == (16, 6)
    assert np.isfinite(reg.history[-1, "train_loss"])
    temperature = reg.criterion_.clip.log_scale.item()
    assert temperature != pytest.approx(np.log(1 / 0.07), abs=1e-9)  # it learns with the network
