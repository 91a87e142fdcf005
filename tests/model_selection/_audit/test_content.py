"""Test epochs in training under other names: found where planted, and nowhere else."""

import mne
import numpy as np
import pytest

from skeegclip import EpochsStore, EpochsView
from skeegclip._utils.sketch import content_hashes
from skeegclip.model_selection import audit_split

TRAIN, TEST = np.arange(80), np.arange(80, 120)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def X(rng):
    """Epochs with slow noise and a common answer, microvolts."""
    noise = rng.standard_normal((120, 6, 150)).cumsum(axis=2)
    noise -= noise.mean(axis=2, keepdims=True)
    return (noise + 10 * np.sin(np.linspace(0, 6, 150))).astype(np.float32)


def audit(X, train=TRAIN, test=TEST, **known):
    n = max(*train, *test) + 1 if isinstance(X, list) else len(X)
    names = [f"image_{i:03d}" for i in range(n)]
    return audit_split(train, test, X, y=names, subject=["ann"] * n, **known)


def with_copies(X, change=lambda epochs: epochs, n=7):
    made = X.astype(np.float64)
    made[:n] = change(made[TEST[:n]])
    return made


CHANGES = {
    "as they are": lambda a: a,
    "volts, with an offset": lambda a: 1e-6 * a + 0.01,
    "other polarity": lambda a: -a,
    "half precision": lambda a: a.astype(np.float16).astype(float),
    "offset of each channel": lambda a: a + np.arange(6)[:, None],
    "a little noise": lambda a: a + 0.02 * a.std() * np.random.default_rng(1).standard_normal(a.shape),
    "each channel scaled by itself": lambda a: a / a.std(axis=(0, 2), keepdims=True),
    "clipped": lambda a: np.clip(a, -3 * a.std(), 3 * a.std()),
}


@pytest.mark.parametrize("name", CHANGES)
def test_copies_are_leaks(X, name):
    found = audit(with_copies(X, CHANGES[name]))
    assert found.shared["copies"] == tuple(range(80, 87))
    assert found.flags["copies"] == "leak"
    assert found.leaks
    assert "their data are in training" in str(found)


def test_a_single_copy_is_found_and_so_are_many_noisy_ones(X, rng):
    assert audit(with_copies(X, n=1)).shared["copies"] == (80,)
    for k in range(1, 6):  # an augmentation: the nearest eight are all copies
        X[8 * k : 8 * k + 8] = X[80] + 0.05 * X.std() * rng.standard_normal((8, 6, 150))
    assert 80 in audit(X).shared["copies"]


def test_less_certain_copies_are_warned_of(rng):
    X = rng.standard_normal((120, 6, 150))
    found = audit(with_copies(X, lambda a: a + 0.3 * a.std() * rng.standard_normal(a.shape)))
    assert found.shared["copies"] == tuple(range(80, 87))
    assert found.flags["copies"] == "warning"
    assert not found.leaks
    assert "perhaps noisy copies" in str(found)


def test_averages_of_test_epochs_are_found_and_averages_of_training_epochs(X):
    names = np.array([f"image_{i:03d}" for i in range(120)])
    names[80:84] = "shown"
    people = ["ann"] * 120
    made = X.copy()
    made[5] = X[80:84].mean(axis=0)
    assert audit_split(TRAIN, TEST, made, y=names, subject=people).shared["copies"] == (80, 81, 82, 83)
    flipped = audit_split(TEST, TRAIN, made, y=names, subject=people)
    assert flipped.shared["copies"] == (5,)


@pytest.mark.parametrize("by", [7, -9, 60])
def test_windows_of_one_recording_overlap(rng, by):
    recording = rng.standard_normal((6, 32_000)).cumsum(axis=1)
    starts = 250 * np.arange(120)
    starts[:7] = starts[TEST[:7]] + by
    X = np.stack([recording[:, start : start + 150] for start in starts])
    X -= X[:, :, :20].mean(axis=2, keepdims=True)  # each brought to its own baseline
    found = audit(X.astype(np.float32))
    assert found.shared["overlap"] == tuple(range(80, 87))
    assert found.shared["copies"] == ()
    assert found.flags["overlap"] == "leak"


def test_all_forms_of_X_say_the_same(X, tmp_path):
    X = with_copies(X).astype(np.float32)
    info = mne.create_info(6, 100.0, "eeg")
    rows = {"subject": ["ann"] * 120, "stimulus": [f"image_{i:03d}" for i in range(120)]}
    store = EpochsStore.create(tmp_path, X, rows, info=info)
    epochs = mne.EpochsArray(X / 1e6, info, verbose=False)
    forms = {
        "view": EpochsView.from_arrays(X, **rows),
        "store": store.view(),
        "Epochs": epochs,
        "list of Epochs": [epochs[:50], epochs[50:]],
        "list of lists": X.tolist(),
        "half precision": X.astype(np.float16),
    }
    for name, form in forms.items():
        assert audit(form).shared["copies"] == tuple(range(80, 87)), name


def test_a_store_is_read_a_block_at_a_time(X, tmp_path, monkeypatch):
    view = EpochsStore.create(
        tmp_path,
        with_copies(X).astype(np.float32),
        {"stimulus": [f"image_{i:03d}" for i in range(120)]},
        info=mne.create_info(6, 100.0, "eeg"),
    ).view()
    read, most = EpochsView.read, []

    def counted(self, positions):
        most.append(len(positions))
        return read(self, positions)

    monkeypatch.setattr(EpochsView, "read", counted)
    monkeypatch.setattr("skeegclip._utils.sketch._BLOCK", 16 * 6 * 150)
    assert audit(view).shared["copies"] == tuple(range(80, 87))
    assert max(most[1:]) <= 16  # the first read is a sample, for the size of the channels
    assert sum(most) < 3 * 120


HONEST = {
    "flat epochs": lambda X, rng: np.where(rng.random(120)[:, None, None] < 0.3, 0, X),
    "constant epochs": lambda X, rng: np.where(rng.random(120)[:, None, None] < 0.3, 1e4 + 0.1, X),
    "a dead channel": lambda X, rng: X * (np.arange(6) != 2)[:, None],
    "drifts": lambda X, rng: X + 500 * rng.standard_normal((120, 6, 1)) * np.linspace(-1, 1, 150),
    "one artefact, often": lambda X, rng: (
        X + 5e3 * np.eye(6)[1][:, None] * np.linspace(-1, 1, 150) * (np.arange(120) % 9 == 0)[:, None, None]
    ),
    "a trigger channel": lambda X, rng: np.where(
        (np.arange(6) == 0)[:, None], 1e3 * (np.arange(150) > 70), X
    ),
    "a common answer": lambda X, rng: X + 50 * np.sin(np.linspace(0, 9, 150)),
    "one channel": lambda X, rng: X[:, :1],
    "one channel, drifts": lambda X, rng: (
        X[:, :1] + 500 * rng.standard_normal((120, 1, 1)) * np.linspace(-1, 1, 150)
    ),
    "features": lambda X, rng: rng.standard_normal((120, 12)),
    "few features": lambda X, rng: rng.standard_normal((120, 3, 1)),
    "whole numbers": lambda X, rng: rng.integers(0, 3, (120, 20, 1)),
    "every third sample": lambda X, rng: X[:, :, ::3],
    "averages": lambda X, rng: X.mean(axis=0) + 0.1 * X,
    "epochs that are not finite": lambda X, rng: np.where(rng.random(120)[:, None, None] < 0.2, np.nan, X),
}


@pytest.mark.parametrize("name", HONEST)
def test_honest_epochs_raise_no_alarm(X, rng, name):
    found = audit(HONEST[name](X, rng))
    assert found.flags == {"subjects": "note"}, str(found)


def test_what_cannot_be_compared_is_said(X):
    assert {"copies", "overlap"} <= set(audit(X[:, :1, :3]).not_checked)
    assert "overlap" in audit(X[:, :, :30]).not_checked
    assert "overlap" not in audit(X).not_checked


def test_one_recording_under_two_names(X):
    X[60:80] = X[100:120]
    people = np.repeat(["ann", "bob", "cyd"], [60, 20, 40])
    names = [f"image_{i:03d}" for i in range(120)]
    found = audit_split(np.arange(60, 80), np.arange(80, 100), X, y=names, subject=people)
    assert found.shared["namesakes"] == ()  # in these rows there is no epoch of both
    found = audit_split(np.arange(60, 80), np.arange(80, 120), X, y=names, subject=people)
    assert found.shared["namesakes"] == (("cyd", "bob"),)


def test_real_averages_are_not_taken_for_copies(category_erps, rng):
    """46 people, five averages each: alike, up to a correlation of .91."""
    subject, X = category_erps.subject, np.asarray(category_erps)
    one = np.flatnonzero(subject == subject[0])
    found = audit_split(np.setdiff1d(np.arange(230), one), one, category_erps)
    assert found.flags == {"stimuli": "warning"}  # five categories that everybody saw
    mixed = rng.permutation(230)
    assert audit(X, mixed[:150], mixed[150:]).flags == {"subjects": "note"}
    X[mixed[:3]] = 0.4 * X[mixed[200:203]] - 3
    assert audit(X, mixed[:150], mixed[150:]).shared["copies"] == tuple(np.sort(mixed[200:203]).tolist())


def test_real_epochs_that_overlap_are_found_by_their_content(real_data):
    """Pictures every half second or so, epochs of .9 s: neighbours hold the same samples, as a plain correlation shows."""
    X = np.load(real_data / "n170_subject1.npz")["X"].astype(np.float32)[:300]
    train, test = np.arange(0, 300, 2), np.arange(1, 300, 2)
    found = audit(X, train, test)
    assert found.shared["copies"] == ()
    row = found.shared["overlap"][0]

    def best(a, b):
        pairs = [(a[:, by:], b[:, :-by]) for by in range(20, 200)]
        return max(np.corrcoef(x.ravel(), y.ravel())[0, 1] for x, y in pairs)

    neighbours = [best(X[i], X[j]) for i, j in ((row - 1, row), (row, min(row + 1, 299)))]
    assert max(neighbours) > 0.999
    apart = audit(X, np.arange(140), np.arange(160, 300))
    assert apart.shared["overlap"] == ()


def test_fingerprints_know_copies_only(X):
    prints = content_hashes(X, np.arange(120))
    assert len(np.unique(prints)) == 120
    for change in (lambda a: a, lambda a: -2e-6 * a.astype(float) + 1, lambda a: a + 3):
        same = content_hashes(change(X), np.arange(120)) == prints
        assert same.mean() > 0.95
    flat = np.zeros((4, 6, 150), dtype=np.float32)
    flat[1] = 1e4 + 0.1
    assert not content_hashes(flat, np.arange(4)).any()
