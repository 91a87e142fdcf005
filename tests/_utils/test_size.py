"""Microvolts that are volts, millivolts or too large: warned of in fit, refused after it."""

import warnings

import mne
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline

from skeegclip import EEGEncoder, EmbeddingTable, EpochsStore, EpochsView, ImageRetriever, ZeroShotClassifier
from skeegclip._utils.size import size_of
from skeegclip.preprocessing import EpochScaler, average_repetitions

RNG = np.random.default_rng(0)
TABLE = EmbeddingTable(list("abcd"), RNG.normal(size=(4, 5)))
del RNG
Y = np.tile(TABLE.ids, 25)
NAMES = [f"E{i}" for i in range(6)]


def draw(n=100, seed=0):
    return 10 * np.random.default_rng(seed).normal(size=(n, 6, 50))


def as_epochs(microvolts):
    return mne.EpochsArray(1e-6 * microvolts, mne.create_info(NAMES, 100.0, "eeg"), verbose=False)


ESTIMATORS = {
    "encoder": EEGEncoder(
        "eegproject", targets=TABLE, max_epochs=1, batch_size=32, device="cpu", random_state=0
    ),
    "retriever": ImageRetriever(Ridge(), targets=TABLE, gallery=TABLE),
    "classifier": ZeroShotClassifier(Ridge()),
    "scaled": make_pipeline(EpochScaler(), ZeroShotClassifier(Ridge())),
}


@pytest.fixture(scope="module", params=list(ESTIMATORS))
def fitted(request):
    return clone(ESTIMATORS[request.param]).fit(as_epochs(draw()), Y)


@pytest.mark.parametrize(
    ("factor", "match"),
    [
        (1e-6, r"smaller by a factor of \d\.\de\+0[56], as volts beside microvolts are\. Multiply X by 1e6"),
        (1e-3, r"smaller by a factor of \d\.\de\+0[23], as millivolts beside .* Multiply X by 1e3"),
        (1e-9, r"smaller by a factor of \d\.\de\+0[89]\. Multiply X by 1e9"),
        (1e3, r"larger by a factor of .* Multiply X by 1e-3"),
        (1e6, r"larger by a factor of .* Multiply X by 1e-6"),
    ],
)
def test_another_unit_than_in_fit_is_refused(fitted, factor, match):
    X = factor * draw(8, seed=1)
    for form in (X, X[:1], EpochsView.from_arrays(X)):
        with pytest.raises(ValueError, match=match):
            fitted.predict(form)


def test_what_people_decode_is_not_another_unit(fitted):
    X = draw(80, seed=2)
    broken, drifting = X[:1].copy(), X[:1] + 30_000  # one electrode off; the offset of an amplifier
    broken[:, 3] *= 1e5
    silent = np.zeros_like(X[:1])
    silent[:, 2] = X[:1, 2]
    for form in (
        X.mean(axis=0, keepdims=True),
        average_repetitions(X, np.repeat("a", 80))[0],
        50 * X,
        broken,
        drifting,
        silent,
        0 * X[:1],
        0 * X[:1] + 7.3,
    ):
        fitted.predict(form)


def test_the_size_of_one_epoch_is_that_of_many(rng):
    X = draw(200) + 1e4 * rng.normal(size=(200, 6, 1))  # offsets, as amplifiers without a filter have them
    for part in (X, X[:1], X[7:9], X.astype(np.float32), EpochsView.from_arrays(X), X[:, :1]):
        assert size_of(part) == pytest.approx((10, 10), rel=0.3)
    assert size_of(draw()[:, :, :1]) == pytest.approx((10, 10), rel=0.3)  # matrices: between epochs
    assert size_of(np.full((3, 2, 10), 1e4, dtype=np.float32)) == (0, 0)


@pytest.mark.parametrize(
    ("factor", "match"), [(1e-6, "looks like volts"), (1e6, "a million times too large")]
)
@pytest.mark.parametrize("name", list(ESTIMATORS))
def test_fit_warns_once(name, factor, match):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        estimator = clone(ESTIMATORS[name]).fit(factor * draw(), Y)
        estimator.predict(factor * draw(4))  # the unit of fit, whatever it is
    assert sum(match in str(warning.message) for warning in caught) == 1
    with pytest.raises(ValueError, match="by a factor of"):
        estimator.predict(draw(4))


def test_microvolts_in_mne_epochs_are_a_million_times_too_large():
    epochs = mne.EpochsArray(draw(), mne.create_info(NAMES, 100.0, "eeg"), verbose=False)
    with pytest.warns(UserWarning, match="seem to be in microvolts, where MNE expects volts"):
        ZeroShotClassifier(Ridge(1e6)).fit(epochs, Y)


def test_magnetometers_in_a_poor_room_are_not_too_large():
    epochs = mne.EpochsArray(1e-9 * draw() / 10, mne.create_info(NAMES, 100.0, "mag"), verbose=False)
    ZeroShotClassifier(Ridge(1e6)).fit(epochs, Y)  # 1e6 fT; a warning would be an error


def test_a_store_keeps_one_unit(tmp_path):
    store = EpochsStore.create(tmp_path, as_epochs(draw()), {"stimulus": Y})
    with pytest.raises(ValueError, match="but the store has one of 1.0e\\+01: smaller by a factor of 1"):
        store.append(as_epochs(draw()).get_data(), {"stimulus": Y})
    assert len(store) == 100


def test_views_of_volts_that_are_passed_on_unread_are_refused_where_they_are_read():
    pipeline = make_pipeline(EpochScaler(), ZeroShotClassifier(Ridge())).fit(draw(), Y)
    with pytest.raises(ValueError, match="smaller by a factor"):
        pipeline.predict(EpochsView.from_arrays(1e-6 * draw(5)))


def _volts_late():
    volts = np.random.default_rng(5).normal(size=(12, 3, 40)) * 1e-5
    info = mne.create_info(3, 100.0, "eeg")
    late = volts[6:] * 1e6
    return volts, info, [mne.EpochsArray(part, info, verbose=False) for part in (volts[:6], late)]


@pytest.mark.parametrize("read", ["store", "store of a list", "append", "list", "averages"])
def test_one_input_has_one_unit(read, tmp_path):
    volts, info, parts = _volts_late()
    rows, mixed = {"stimulus": ["a", "b"] * 6}, [1e6 * volts[:6], volts[6:]]
    new = tmp_path / "new"
    use = {
        "store": lambda: EpochsStore.create(new, iter(mixed), rows, info=info),
        "store of a list": lambda: EpochsStore.create(new, parts, rows),
        "append": lambda: store.append(iter(mixed), rows),
        "list": lambda: ZeroShotClassifier(Ridge()).fit(parts, rows["stimulus"]),
        "averages": lambda: average_repetitions(parts, rows["stimulus"]),
    }[read]
    store = EpochsStore.create(tmp_path / "whole", iter([1e6 * volts[:6], 1e6 * volts[6:]]), rows, info=info)
    with pytest.raises(ValueError, match=r"by a factor of (1\..e\+06|9\..e\+05)"):
        use()
    assert len(store) == 12
    assert not (new / "manifest.json").exists()


def test_epochs_in_another_unit_are_not_told_to_be_epochs():
    volts, info, parts = _volts_late()
    fitted = ZeroShotClassifier(Ridge()).fit(parts[0], ["a", "b"] * 3)
    with pytest.raises(ValueError, match="larger by a factor") as caught:
        fitted.predict(parts[1])
    assert "pass mne.Epochs" not in str(caught.value)
    with pytest.raises(ValueError, match="pass mne.Epochs"):
        fitted.predict(volts)


def test_the_unit_is_remembered_where_the_encoder_is_frozen():
    volts, _, _ = _volts_late()
    table, y = EmbeddingTable(["a", "b"], np.eye(2)), ["a", "b"] * 6
    volts = np.concatenate([volts[:6], volts[:6]])
    ridge = Ridge().fit(1e6 * volts.reshape(12, -1), np.eye(2)[[0, 1] * 6])
    frozen = ZeroShotClassifier(FrozenEstimator(ridge), targets=table).fit(1e6 * volts, y)
    frozen.predict(1e6 * volts)
    with pytest.raises(ValueError, match="smaller by a factor of 1.0e\\+06"):
        frozen.predict(volts)


def test_rows_of_a_matrix_may_be_alike():
    X = 10 * np.random.default_rng(2).normal(size=(40, 6))
    fitted = ZeroShotClassifier(Ridge()).fit(X, ["a", "b"] * 20)
    few = X[:1] + 1e-4 * np.random.default_rng(3).normal(size=(5, 6))
    assert len(set(fitted.predict(few))) == 1
    fitted.predict(1e4 + X)  # an offset is no unit
    ZeroShotClassifier(Ridge()).fit(1e4 + X, ["a", "b"] * 20).predict(X)
    for rows in (X, X[:2], X[:1]):
        with pytest.raises(ValueError, match="smaller by a factor"):
            fitted.predict(1e-6 * rows)
