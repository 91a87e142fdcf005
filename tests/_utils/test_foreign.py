"""What looks like epochs and is none: named, with what to pass instead, in every door."""

import mne
import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.linear_model import Ridge

from skeegclip import AveragedTraining, EEGEncoder, EmbeddingTable, EpochsStore, EpochsView, ImageRetriever
from skeegclip.model_selection import evaluate
from skeegclip.preprocessing import EpochScaler, average_repetitions

INFO = mne.create_info(["Fz", "Cz", "Pz", "Oz"], 100.0, "eeg")
EPOCHS = mne.EpochsArray(1e-5 * np.random.default_rng(0).normal(size=(8, 4, 50)), INFO, verbose=False)
X = EPOCHS.get_data(units="uV")
Y = np.array(list("aabbccdd"))
TABLE = EmbeddingTable(list("abcd"), np.random.default_rng(1).normal(size=(4, 3)))

DOORS = {
    "encoder": lambda X, tmp: EEGEncoder("eegproject", targets=TABLE, max_epochs=1, device="cpu").fit(X, Y),
    "ridge": lambda X, tmp: ImageRetriever(Ridge(), targets=TABLE, gallery=TABLE).fit(X, Y),
    "after fit": lambda X, tmp: ImageRetriever(Ridge(), targets=TABLE).fit(EPOCHS, Y).embed(X),
    "scaler": lambda X, tmp: EpochScaler().fit(X),
    "averages": lambda X, tmp: average_repetitions(X, Y),
    "averaged": lambda X, tmp: AveragedTraining(Ridge(), targets=TABLE).fit(X, Y),
    "store": lambda X, tmp: EpochsStore.create(tmp / "new", X, {"stimulus": Y}, info=INFO),
    "view": lambda X, tmp: EpochsView.from_arrays(X),
    "view of Epochs": lambda X, tmp: EpochsView.from_epochs(X),
    "report": lambda X, tmp: evaluate({"r": Ridge()}, X, Y, cv=[([0, 2], [1, 3])]),
}


def power():
    return EPOCHS.compute_tfr("morlet", freqs=[10.0], n_cycles=2, verbose=False)


@pytest.mark.parametrize("door", list(DOORS))
@pytest.mark.parametrize(
    ("build", "match"),
    [
        (EPOCHS.average, r"EvokedArray, an average over epochs\. Pass the mne\.Epochs"),
        (lambda: [EPOCHS.average()] * 8, r"list with EvokedArray, .*np\.stack"),
        (
            lambda: mne.io.RawArray(X[0], INFO, verbose=False),
            r"RawArray, a continuous recording\. Cut epochs",
        ),
        (lambda: EPOCHS.compute_psd(verbose=False), r"EpochsSpectrum.*, power by frequency\..*get_data"),
        (power, r"EpochsTFR.*, power by frequency and time\..*reshape"),
        (lambda: [EPOCHS, EPOCHS.average()], "EvokedArray|epochs beside something else"),
        (lambda: INFO, "Info, not something that is read here"),
        (lambda: torch.utils.data.TensorDataset(torch.zeros(8, 4, 50)), "TensorDataset, a data set of torch"),
        (lambda: "subject-epo.fif", r"a name \('subject-epo.fif'\).*mne\.read_epochs"),
    ],
    ids=["evoked", "evokeds", "raw", "spectrum", "tfr", "mixed", "info", "torch", "path"],
)
@pytest.mark.filterwarnings("ignore:.*fmin.*:RuntimeWarning")
def test_foreign_objects_are_named(door, build, match, tmp_path):
    with pytest.raises(TypeError, match=match):
        DOORS[door](build(), tmp_path)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("door", ["encoder", "ridge", "after fit", "scaler", "averages", "averaged"])
def test_pandas_na_is_a_missing_number(door, tmp_path):
    frame = pd.DataFrame(X[:, :, 0]).astype("object")
    frame.iloc[3, 1] = pd.NA
    for form in (frame, frame.to_numpy()):
        with pytest.raises(ValueError, match=r"contains NaN: 1 values are pandas\.NA, the first at \(3, 1\)"):
            DOORS[door](form, tmp_path)


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA])
def test_ids_that_are_missing_are_counted(missing):
    y = np.array([*Y[:-1], missing], dtype=object)
    for call in (
        lambda: EEGEncoder("eegproject", targets=TABLE, max_epochs=1, device="cpu").fit(X, y),
        lambda: ImageRetriever(Ridge(), targets=TABLE, gallery=TABLE).fit(X, y),
        lambda: average_repetitions(X, y),
        lambda: EpochsView.from_arrays(X, stimulus=y),
        lambda: EpochsView.from_arrays(X, subject=y),
    ):
        with pytest.raises(ValueError, match=r"is missing \(None or NaN\) in 1 rows \(first: row 7\)"):
            call()


@pytest.fixture
def xarray():
    return pytest.importorskip("xarray")


@pytest.mark.parametrize(
    ("dims", "order"),
    [
        (("epoch", "channel", "time"), (0, 1, 2)),
        (("time", "channel", "trial"), (2, 1, 0)),
        (("sensor", "times", "presentation"), (1, 2, 0)),
        (("Time", "whatever", "Channels"), (2, 0, 1)),
        (("dim_0", "dim_1", "dim_2"), (0, 1, 2)),
    ],
)
def test_xarrays_are_read_by_names_in_any_order(xarray, dims, order, tmp_path):
    array = xarray.DataArray(X.transpose(order), dims=dims)
    fitted = ImageRetriever(Ridge(), targets=TABLE).fit(X, Y)
    # `order` puts epochs, channels, times where the names say they are.
    np.testing.assert_allclose(fitted.embed(array), fitted.embed(X), rtol=1e-6)
    np.testing.assert_allclose(np.asarray(EpochsView.from_arrays(array)), X, rtol=1e-6)
    store = EpochsStore.create(tmp_path / "s", array, {"stimulus": Y}, info=INFO)
    np.testing.assert_allclose(np.asarray(store.view()), X, rtol=1e-6)


def test_names_of_channels_are_compared(xarray):
    fitted = ImageRetriever(Ridge(), targets=TABLE).fit(EPOCHS, Y)
    names = ["Fz", "Cz", "Oz", "Pz"]
    array = xarray.DataArray(X, dims=("epoch", "channel", "time"), coords={"channel": names})
    with pytest.raises(ValueError, match="channel 'Oz' in place 2, but ImageRetriever was fitted with 'Pz'"):
        fitted.embed(array)


@pytest.mark.parametrize("door", list(DOORS))
@pytest.mark.parametrize("dims", [("a", "b", "c"), ("epoch", "trial", "time"), ("x", "y", "time")])
def test_what_cannot_be_told_is_refused(xarray, door, dims, tmp_path):
    with pytest.raises((ValueError, TypeError), match="cannot be told|must be mne.Epochs"):
        DOORS[door](xarray.DataArray(X, dims=dims), tmp_path)
