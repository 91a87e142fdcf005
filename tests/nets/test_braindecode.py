"""The networks and the loss inside braindecode's estimators, as classes."""

from __future__ import annotations

import subprocess
import sys

import mne
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


pytestmark = pytest.mark.filterwarnings(
    "ignore:`drop_last_window`:DeprecationWarning", "ignore:The inplace keyword in DataFrame.reset_index"
)


@pytest.fixture
def epochs():
    return np.random.default_rng(0).normal(size=(16, 4, 80)).astype("float32")


@pytest.fixture
def mne_epochs(epochs):
    info = mne.create_info(["O1", "Oz", "O2", "Pz"], 100.0, "eeg")
    return mne.EpochsArray(1e-6 * epochs, info, verbose=False)


@pytest.fixture
def dataset(epochs):
    from braindecode.datasets import create_from_X_y

    return create_from_X_y(
        epochs, np.arange(16) % 3, drop_last_window=False, sfreq=100.0, ch_names=["O1", "Oz", "O2", "Pz"]
    )


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


def sizes_of(estimator):
    """Number of channels, times and outputs that braindecode inferred."""
    params = estimator.get_params()
    n_chans = params.get("module__n_chans") or len(params["module__chs_info"])
    return n_chans, params["module__n_times"], params["module__n_outputs"]


@pytest.mark.parametrize("cls", NETS)
def test_in_classifier_on_epochs_of_mne(cls, epochs, mne_epochs):
    from braindecode import EEGClassifier

    y = np.arange(16) % 3
    torch.manual_seed(0)
    clf = EEGClassifier(cls, criterion=torch.nn.CrossEntropyLoss, **OPTIONS).fit(mne_epochs, y)
    assert sizes_of(clf) == (4, 80, 3)
    # The same as on the array in microvolts: braindecode converts, and tells the network of the channels.
    torch.manual_seed(0)
    same = EEGClassifier(cls, criterion=torch.nn.CrossEntropyLoss, **OPTIONS).fit(epochs, y)
    np.testing.assert_allclose(clf.predict_proba(mne_epochs), same.predict_proba(epochs), atol=1e-4)


@pytest.mark.parametrize("cls", NETS)
def test_in_classifier_on_a_windows_dataset(cls, epochs, dataset):
    from braindecode import EEGClassifier

    options = {**OPTIONS, "criterion": torch.nn.CrossEntropyLoss}
    clf = EEGClassifier(cls, classes=[0, 1, 2], **options).fit(dataset, None)
    assert sizes_of(clf) == (4, 80, 3)
    np.testing.assert_allclose(clf.predict_proba(dataset), clf.predict_proba(epochs), atol=1e-5)


def test_in_regressor_on_epochs_and_on_a_dataset_of_targets(mne_epochs, dataset):
    from braindecode import EEGRegressor
    from braindecode.datasets import BaseConcatDataset

    vectors = np.random.default_rng(1).normal(size=(3, 6)).astype("float32")
    y = np.arange(16) % 3
    reg = EEGRegressor(ATM, criterion=MixedLoss, **OPTIONS)
    reg.fit(mne_epochs, vectors[y])  # braindecode's fit returns None
    assert sizes_of(reg) == (4, 80, 6)
    assert reg.predict(mne_epochs).shape == (16, 6)
    # In a data set the label is looked up by its target transform, which braindecode does not see: the number of
    # outputs has to be given.
    targets = BaseConcatDataset(dataset.datasets, target_transform=lambda label: vectors[label])
    reg = EEGRegressor(ATM, criterion=MixedLoss, module__n_outputs=6, **OPTIONS)
    reg.fit(targets, None)
    assert sizes_of(reg) == (4, 80, 6)
    assert reg.predict(targets).shape == (16, 6)
    assert np.isfinite(reg.history[-1, "train_loss"])


def test_the_mixed_loss_learns_the_embeddings(epochs):
    from braindecode import EEGRegressor

    targets = np.random.default_rng(1).normal(size=(16, 6)).astype("float32")
    options = {**OPTIONS, "max_epochs": 60, "optimizer": torch.optim.AdamW, "lr": 3e-3}
    torch.manual_seed(0)
    reg = EEGRegressor(EEGProject, criterion=MixedLoss, criterion__loss_weight=0.5, **options)
    reg.fit(epochs, targets)
    cosine = torch.cosine_similarity(torch.tensor(reg.predict(epochs)), torch.tensor(targets))
    assert cosine.mean() > 0.8


@pytest.mark.slow
def test_atm_in_classifier_decodes_real_erps_of_new_people(category_erps):
    """Evoked responses of 46 people to five categories; ten of them are left out of training."""
    from braindecode import EEGClassifier

    view = category_erps
    epochs = mne.EpochsArray(1e-6 * np.asarray(view), view.info, tmin=view.tmin, verbose=False)
    y = np.unique(view.stimulus, return_inverse=True)[1]
    new = np.isin(view.subject, list(dict.fromkeys(view.subject.tolist()))[:10])
    options = {**OPTIONS, "max_epochs": 12, "batch_size": 64, "optimizer": torch.optim.AdamW, "lr": 1e-3}
    torch.manual_seed(0)
    clf = EEGClassifier(ATM, criterion=torch.nn.CrossEntropyLoss, **options)
    clf.fit(epochs[~new], y[~new])
    assert (clf.predict(epochs[new]) == y[new]).mean() > 0.4  # chance is 0.2


@pytest.mark.slow
@pytest.mark.parametrize(
    "code",
    [
        "from skeegclip.nets.registry import get_net; get_net('eegnet', 100)",
        "from skeegclip.augmentation import MovingAverage",
    ],
)
def test_what_braindecode_says_when_it_is_imported_is_not_told_to_its_users(code):
    """Of deprecated names that it uses; a process of its own, for it is imported once."""
    said = subprocess.run(
        [
            sys.executable,
            "-W",
            "error::FutureWarning",
            "-c",
            f"{code}; import sys; assert 'braindecode.models' in sys.modules",
        ],
        capture_output=True,
        text=True,
    )
    assert said.returncode == 0, said.stderr
