"""What an input says of itself is compared in every door: lists, recordings, fit against predict, append."""

import mne
import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline

from skeegclip import (
    AveragedTraining,
    EEGEncoder,
    EmbeddingTable,
    EnsembleEncoder,
    EpochsStore,
    EpochsView,
    ImageRetriever,
    ZeroShotClassifier,
)
from skeegclip._utils.inputs import read_epochs
from skeegclip.inspection import temporal_generalization
from skeegclip.preprocessing import MVNN, EpochScaler, PickChannels

NAMES = ["Fz", "Cz", "Oz"]
Y = np.tile(list("abcd"), 4)
TABLE = EmbeddingTable(list("abcd"), np.random.default_rng(0).normal(size=(4, 5)))


def make(names=NAMES, kinds="eeg", sfreq=100.0, tmin=-0.1, n_times=40, seed=0, **info_changes):
    info = mne.create_info(list(names), sfreq, kinds)
    with info._unlock():
        info.update(info_changes)
    data = 1e-5 * np.random.default_rng(seed).normal(size=(16, len(names), n_times))
    return mne.EpochsArray(data, info, tmin=tmin, verbose=False)


def windows(epochs):
    import pandas as pd
    from braindecode.datasets import WindowsDataset

    columns = {"i_window_in_trial": 0, "i_start_in_trial": 0, "i_stop_in_trial": 40, "target": 0}
    epochs = epochs.copy()
    epochs.metadata = pd.DataFrame(columns, index=range(len(epochs)))
    return WindowsDataset(epochs)


def view_of(tmin, sfreq):
    X, info = make().get_data(units="uV"), mne.create_info(NAMES, sfreq, "eeg")
    return EpochsView.from_arrays(X, info=info, tmin=tmin)  # MNE would round the start to a sample


def referenced(**changes):
    return make(**changes).set_eeg_reference("average", verbose=False)


CONTRADICTIONS = {
    "rate": (lambda: make(sfreq=250.0), "sampling rate of 250 Hz, .* one of 100 Hz.*resample"),
    "start": (lambda: make(tmin=0.0), r"begins at 0 s, .* begin at -0\.1 s"),
    "order": (lambda: make(["Fz", "Oz", "Cz"]), "channel 'Oz' in place 1, .* 'Cz' there.*reorder_channels"),
    "names": (lambda: make(["Fz", "Cz", "Pz"]), "channel 'Pz' in place 2, .* 'Oz' there.*equalize_channels"),
    "types": (lambda: make(kinds=["eeg", "ecog", "eeg"]), r"type 'ecog' in place 1 \('Cz'\), .* type 'eeg'"),
    "reference": (referenced, "another reference .*set_eeg_reference"),
}


@pytest.fixture(params=list(CONTRADICTIONS))
def other(request):
    """Epochs that differ from those of `make`, and what is said of it."""
    build, match = CONTRADICTIONS[request.param]
    return build(), match


ESTIMATORS = {
    "encoder": EEGEncoder(
        "eegproject", targets=TABLE, max_epochs=1, batch_size=8, device="cpu", random_state=0
    ),
    "ridge": ImageRetriever(Ridge(), targets=TABLE, gallery=TABLE),
    "labels": ZeroShotClassifier(Ridge()),
    "ensemble": EnsembleEncoder([("one", Ridge()), ("two", Ridge(10.0))], targets=TABLE),
    "averages": AveragedTraining(Ridge(), targets=TABLE),
    "pipeline": make_pipeline(EpochScaler(), ZeroShotClassifier(Ridge())),
    "mvnn": make_pipeline(MVNN(), ZeroShotClassifier(Ridge())),
    "pick": make_pipeline(PickChannels([0, 2]), ZeroShotClassifier(Ridge())),
}


@pytest.fixture(scope="module", params=list(ESTIMATORS))
def fitted(request):
    from sklearn.base import clone

    return clone(ESTIMATORS[request.param]).fit(make(), Y)


def test_estimators_refuse_what_contradicts_fit(fitted, other):
    epochs, match = other
    forms = [epochs, EpochsView.from_epochs(epochs)]
    for X in forms:
        with pytest.raises(ValueError, match=match):
            fitted.predict(X)


def test_what_is_not_known_contradicts_nothing(fitted):
    X = make(seed=1)
    expected = fitted.predict(X)
    array = X.get_data(units="uV")
    info = mne.create_info(NAMES, 100.0, "eeg")
    for form in (array, EpochsView.from_arrays(array), EpochsView.from_arrays(array, info=info)):
        got = fitted.predict(form)
        if got.dtype.kind == "f":
            np.testing.assert_allclose(got, expected, rtol=1e-3, atol=1e-4)
        else:
            np.testing.assert_array_equal(got, expected)


def test_lists_are_of_one_kind(other):
    epochs, match = other
    with pytest.raises(ValueError, match=match):
        read_epochs([make(), epochs])
    with pytest.raises(ValueError, match=match):
        EpochsView.from_epochs([make(), epochs])


def test_recordings_of_a_dataset_are_of_one_kind(other):
    from braindecode.datasets import BaseConcatDataset

    epochs, match = other
    if "begins" in match:
        pytest.skip("windows of braindecode do not tell when they begin")
    with pytest.raises(ValueError, match=match):
        read_epochs(BaseConcatDataset([windows(make()), windows(epochs)]))


def test_stores_take_one_kind(tmp_path, other):
    epochs, match = other
    for name, first in (("epochs", make()), ("view", EpochsView.from_epochs(make()))):
        store = EpochsStore.create(tmp_path / name, first, {"stimulus": Y})
        for X in (epochs, EpochsView.from_epochs(epochs)):
            with pytest.raises(ValueError, match=match):
                store.append(X, {"stimulus": Y})
        assert len(store.append(make(), {"stimulus": Y})) == 32
        with pytest.raises(ValueError, match=match):
            ImageRetriever(Ridge(), targets=TABLE).fit(store.view()[:16], Y).embed(epochs)


@pytest.mark.parametrize(("tmin", "sfreq"), [(-0.1045, 100.0), (-0.0955, 100.0), (-0.1, 100.005)])
def test_less_than_half_a_sample_is_rounding(tmin, sfreq):
    retriever = ImageRetriever(Ridge(), targets=TABLE).fit(make(), Y)
    assert len(retriever.embed(view_of(tmin, sfreq))) == 16


@pytest.mark.parametrize(
    ("tmin", "sfreq", "match"), [(-0.105, 100.0, "begins at -0.105 s"), (-0.1, 100.1, "100.1 Hz")]
)
def test_half_a_sample_and_a_thousandth_are_not(tmin, sfreq, match):
    retriever = ImageRetriever(Ridge(), targets=TABLE).fit(make(), Y)
    with pytest.raises(ValueError, match=match):
        retriever.embed(view_of(tmin, sfreq))


def test_lists_agree_in_the_channels_that_are_read():
    other = make([*NAMES, "EOG"], ["eeg"] * 3 + ["eog"])
    read = read_epochs([make(), other, make(["STI", *NAMES], ["stim"] + ["eeg"] * 3)])
    assert read.ch_names == tuple(NAMES)
    np.testing.assert_allclose(read.X[16:32], other.get_data(picks=NAMES, units="uV"))


def test_an_average_reference_counts_when_it_is_applied():
    plain = make()
    projected = plain.copy().set_eeg_reference("average", projection=True, verbose=False)
    assert read_epochs([plain, projected]).stated.referenced is False
    applied = projected.copy().apply_proj(verbose=False)
    with pytest.raises(ValueError, match="another reference"):
        read_epochs([plain, applied])
    assert read_epochs([applied, referenced()]).stated.referenced is True


def test_what_is_known_travels_with_a_saved_encoder(tmp_path):
    from sklearn.base import clone

    encoder = clone(ESTIMATORS["encoder"]).fit(make(), Y)
    encoder.save(tmp_path)
    loaded = EEGEncoder.load(tmp_path, device="cpu")
    for build, match in CONTRADICTIONS.values():
        with pytest.raises(ValueError, match=match):
            loaded.transform(build())
    with pytest.raises(ValueError, match="smaller by a factor"):
        loaded.transform(make().get_data())


def test_windows_of_other_times_are_compared_on_purpose():
    view = EpochsView.from_epochs(make(n_times=60), stimulus=Y)
    result = temporal_generalization(
        ImageRetriever(Ridge(), targets=TABLE),
        view,
        cv=[(np.flatnonzero(Y < "c"), np.flatnonzero(Y >= "c"))],
        width=0.2,
    )
    assert result.accuracy.shape[0] > 2
