"""Batch size and passes that follow the size of the data."""

import numpy as np
import pytest
from sklearn.base import clone
from skorch.callbacks import Callback

from skeegclip import EEGEncoder
from skeegclip._training.budget import Budget, resolve

QUICK = {"validation": 0, "random_state": 0, "device": "cpu"}


@pytest.fixture
def data(rng):
    vectors = rng.normal(size=(600, 3)).astype(np.float32)
    return rng.normal(size=(600, 3, 4)).astype(np.float32), vectors


@pytest.mark.parametrize(
    ("n_rows", "batch_size", "max_epochs"),
    [
        (2, 32, 320),
        (200, 32, 46),  # 7 steps a pass: 322
        (1_000, 64, 40),
        (4_000, 256, 40),
        (16_540, 1024, 40),  # of THINGS-EEG2 averaged, and
        (66_160, 1024, 40),  # of its single trials: the paper's
        (10_000_000, 1024, 40),
    ],
)
def test_auto(n_rows, batch_size, max_epochs):
    assert resolve("auto", "auto", n_rows) == Budget(batch_size, max_epochs)


def test_what_is_given_is_kept():
    assert resolve(16, "auto", 66_160) == Budget(16, 40)
    assert resolve("auto", 3, 200) == Budget(32, 3)
    assert resolve(1024, "auto", 200) == Budget(1024, 320)  # one step a pass


@pytest.mark.parametrize("n_processes", [1, 3, 64, 1000])
def test_each_process_has_a_row_of_the_smallest_batch(n_processes):
    for n_rows in (2000, 2001, 5000, 70_000):
        budget = resolve("auto", "auto", n_rows, n_processes)
        assert n_rows // -(-n_rows // budget.batch_size) >= n_processes


def test_a_fit_tells_and_equals_the_fit_with_its_numbers(data, tmp_path):
    X, y = data
    auto = EEGEncoder("eegproject", max_epochs=2, **QUICK).fit(X, y)
    assert (auto.batch_size, auto.batch_size_, auto.max_epochs_) == ("auto", 32, 2)
    given = clone(auto).set_params(batch_size=32).fit(X, y)
    np.testing.assert_array_equal(auto.transform(X[:9]), given.transform(X[:9]))
    auto.save(tmp_path / "encoder")
    again = EEGEncoder.load(tmp_path / "encoder")
    assert (again.batch_size, again.batch_size_, again.max_epochs_) == ("auto", 32, 2)


def test_the_last_batch_is_of_the_size_that_auto_stands_for(data):
    X, y = data
    encoder = EEGEncoder("eegproject", max_epochs=1, **{**QUICK, "validation": "last-batch"}).fit(X, y)
    assert encoder.selection_["n_stimuli_held_out"] == encoder.batch_size_ == 32


def test_the_progress_bar_tells(data, capsys):
    X, y = data
    EEGEncoder("eegproject", max_epochs=1, verbose=1, **QUICK).fit(X, y)
    assert "training in batches of 32" in capsys.readouterr().err


def test_a_killed_run_goes_on_with_the_numbers_that_auto_stood_for(data, tmp_path):
    X, y = data

    class Kill(Callback):
        def on_batch_begin(self, net, **kwargs):
            if len(net.history) == 2:
                raise ZeroDivisionError

    params = {**QUICK, "max_epochs": 3, "checkpoint_dir": tmp_path}
    with pytest.raises(ZeroDivisionError):
        EEGEncoder("eegproject", callbacks=[Kill()], **params).fit(X, y)
    assert len(list(tmp_path.glob("run-*.pt"))) == 1
    resumed = EEGEncoder("eegproject", batch_size=32, **params).fit(X, y)
    whole = EEGEncoder("eegproject", **{**params, "checkpoint_dir": None}).fit(X, y)
    assert not list(tmp_path.glob("run-*.pt"))
    np.testing.assert_array_equal(resumed.transform(X[:9]), whole.transform(X[:9]))


@pytest.mark.parametrize("name", ["batch_size", "max_epochs"])
def test_another_word_is_refused(name, data):
    X, y = data
    with pytest.raises(ValueError, match=f"{name} must be one of 'auto', got 'all'"):
        EEGEncoder("eegproject", **{name: "all"}, **QUICK).fit(X, y)


def test_calibration_takes_a_batch_of_its_own_size(data):
    X, y = data
    encoder = EEGEncoder("eegproject", subject_layer="linear", max_epochs=1, **QUICK)
    encoder.fit(X, y, subject=np.resize(["a", "b"], len(X)))
    encoder.calibrate(X[:40], y[:40], subject="c", max_epochs=1)
    assert encoder.subjects_.tolist() == ["a", "b", "c"]
    assert encoder.batch_size_ == 32
