import mne
import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import Ridge

from skeegclip import AveragedTraining, EEGEncoder, EmbeddingTable, EpochsView, ImageRetriever
from skeegclip.decoders import averaging as module


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    table = EmbeddingTable([f"s{i:02d}" for i in range(10)], rng.standard_normal((10, 4)))
    y = np.tile(np.repeat(table.ids, 4), 2)
    X = rng.standard_normal((80, 3, 6)).astype(np.float32)
    return X, y, np.repeat(["ann", "bob"], 40), table


def test_training_sees_the_averages(data):
    X, y, subject, table = data
    fitted = AveragedTraining(Ridge(), targets=table).fit(X, y, subject=subject)
    means = X.reshape(20, 4, -1).mean(axis=1)
    expected = Ridge().fit(means, table.lookup(y[::4]))
    assert fitted.n_averages_ == 20
    np.testing.assert_allclose(fitted.predict(X), expected.predict(X.reshape(80, -1)), atol=1e-5)
    assert AveragedTraining(Ridge(), targets=table).fit(X, y).n_averages_ == 10


def test_all_forms_of_X_agree(data, monkeypatch):
    X, y, subject, table = data
    first = AveragedTraining(Ridge(), targets=table).fit(X, y, subject=subject).predict(X)
    view = EpochsView.from_arrays(X, subject=subject, stimulus=y)
    epochs = mne.EpochsArray(
        X / 1e6, mne.create_info(3, 100.0, "eeg"), metadata=pd.DataFrame({"subject": subject}), verbose=False
    )
    for form in (view, epochs):
        np.testing.assert_allclose(
            AveragedTraining(Ridge(), targets=table).fit(form, y).predict(X), first, atol=1e-4
        )
    monkeypatch.setattr(module, "_KEPT", 0)  # averages made as they are read
    lazy = AveragedTraining(Ridge(), targets=table).fit(view, y).predict(X)
    np.testing.assert_allclose(lazy, first, atol=1e-5)


def test_draws(data):
    X, y, subject, table = data
    make = {"targets": table, "n": 2, "n_draws": 3}
    fits = [AveragedTraining(Ridge(), random_state=s, **make).fit(X, y, subject=subject) for s in (0, 0, 1)]
    assert fits[0].n_averages_ == 60
    z = [fitted.predict(X) for fitted in fits]
    np.testing.assert_array_equal(z[0], z[1])
    assert not np.allclose(z[0], z[2])


def test_subjects_and_channels_reach_the_encoder(data):
    X, y, subject, table = data
    info = mne.create_info(["O1", "Oz", "O2"], 100.0, "eeg")
    view = EpochsView.from_arrays(X, subject=subject, stimulus=y, info=info)
    encoder = EEGEncoder(
        "eegproject", targets=table, max_epochs=1, device="cpu", random_state=0, batch_size=8
    )
    retriever = ImageRetriever(AveragedTraining(encoder)).fit(view, y)
    inner = retriever.encoder_.encoder_
    assert inner.subjects_.tolist() == ["ann", "bob"]
    assert inner.ch_names_ == ("O1", "Oz", "O2")
    assert retriever.embed(view).shape == (80, 4)


def test_bad_input(data):
    X, y, _, table = data
    with pytest.raises(ValueError, match="requires y to be passed"):
        AveragedTraining(Ridge(), targets=table).fit(X, None)
    with pytest.raises(ValueError, match="n=9, but 10 of 10 stimuli have fewer repetitions"):
        AveragedTraining(Ridge(), targets=table, n=9).fit(X, y)
    with pytest.raises(ValueError, match="n_draws=2 draws need n"):
        AveragedTraining(Ridge(), targets=table, n_draws=2).fit(X, y)
    with pytest.raises(TypeError, match="n_draws must be an int"):
        AveragedTraining(Ridge(), targets=table, n=2, n_draws=1.5).fit(X, y)
