import numpy as np
import pandas as pd
import pytest

from skeegclip import EpochsView
from skeegclip.datasets import make_things_like
from skeegclip.model_selection import LeaveOneSubjectOut, audit_split


@pytest.fixture
def rows():
    """Two people, one session of two runs each; a picture every 200 ms."""
    stimulus = ["cat_1", "cat_2", "dog_1", "owl_1"] * 4
    return pd.DataFrame(
        {
            "subject": np.repeat(["ann", "bob"], 8),
            "stimulus": stimulus,
            "concept": [name[:3] for name in stimulus],
            "session": "1",
            "run": np.tile(np.repeat(["1", "2"], 4), 2),
            "onset": np.tile(0.2 * np.arange(4), 4),
        }
    )


def audit(train, test, rows, **changes):
    return audit_split(train, test, rows, **{"duration": 1.0, **changes})


def test_a_clean_split_is_clean(rows):
    rows.loc[8:, "stimulus"] = [f"bird_{i}" for i in range(8)]
    rows.loc[8:, "concept"] = "bird"
    found = audit(np.arange(8), np.arange(8, 16), rows)
    assert (found.flags, found.leaks, found.not_checked) == ({}, False, ("copies", "targets"))
    assert "does not show that nothing is shared" in str(found)


@pytest.mark.parametrize(
    ("train", "test", "kind", "shared"),
    [
        ([0, 1, 2], [2, 11], "epochs", (2,)),
        ([0], [4], "repetitions", (("ann", "cat_1"),)),
        ([0, 5], [8], "stimuli", ("cat_1",)),
        ([0], [1], "overlap", (1,)),
        ([0], [9], "concepts", ("cat",)),
        ([0], [3], "runs", (("ann", "1", "1"),)),
        ([0], [6], "subjects", ("ann",)),
    ],
)
def test_what_is_planted_is_found(rows, train, test, kind, shared):
    found = audit(train, test, rows)
    assert found.shared[kind] == shared
    assert kind in found.flags
    assert found.leaks == (
        kind in ("epochs", "repetitions", "stimuli", "overlap") or "overlap" in found.flags
    )


def test_overlap_in_time(rows):
    # Epochs of 1 s, pictures every 200 ms: all of a run overlap, and other runs and people never do.
    assert audit([0], np.arange(1, 16), rows).shared["overlap"] == (1, 2, 3)
    assert audit([0], np.arange(1, 16), rows, duration=0.5).shared["overlap"] == (1, 2)
    # Epochs that follow one another without a gap do not overlap.
    assert audit([0], [1], rows, duration=0.2).shared["overlap"] == ()
    rows.loc[1, "onset"] = np.nan
    assert audit([0], [1, 2], rows).shared["overlap"] == (2,)


def test_overlap_against_all_pairs():
    rng = np.random.default_rng(0)
    onset, run = rng.uniform(0, 60, 200), rng.integers(0, 3, 200).astype(str)
    train, test = np.arange(100), np.arange(100, 200)
    near = np.abs(onset[test][:, None] - onset[train]) < 0.7
    expected = test[(near & (run[test][:, None] == run[train])).any(axis=1)]
    found = audit_split(train, test, run=run, onset=onset, duration=0.7)
    assert found.shared["overlap"] == tuple(expected.tolist())
    assert 0 < len(expected) < 100


def test_views_masks_and_arrays_agree(rows):
    view = EpochsView.from_arrays(np.zeros((16, 2, 10)), rows=rows)
    mask = np.arange(16) < 6
    by_mask = audit_split(mask, ~mask, view, duration=1.0)
    columns = {name: rows[name].to_numpy() for name in ("subject", "concept", "session", "run", "onset")}
    by_array = audit_split(
        np.arange(6), np.arange(6, 16), y=rows["stimulus"].to_numpy(), duration=1.0, **columns
    )
    assert set(by_mask.shared) - set(by_array.shared) == {
        "copies"
    }  # a view brings its epochs, columns do not
    assert {kind: by_mask.shared[kind] for kind in by_array.shared} == by_array.shared
    assert by_mask.flags == by_array.flags


def test_the_length_of_an_epoch_is_read_from_the_view(rows):
    import mne

    info = mne.create_info(2, 100.0, "eeg")
    view = EpochsView.from_arrays(np.zeros((16, 2, 30)), info=info, rows=rows)
    assert audit_split([0], [1, 2], view).shared["overlap"] == (1,)  # 0.3 s
    epochs = mne.EpochsArray(np.zeros((16, 2, 30)), info, metadata=rows, verbose=False)
    assert audit_split([0], [1, 2], epochs).shared["overlap"] == (1,)


def test_unknown_columns_are_said_to_be_unknown():
    found = audit_split([0], [1], y=["a", "b"], concept={"a": "x", "b": "x"})
    assert found.flags == {"concepts": "warning"}
    unknown = ("copies", "repetitions", "targets", "overlap", "runs", "namesakes", "subjects")
    assert found.not_checked == unknown
    assert "not checked (unknown): copies, repetitions" in str(found)
    # An unknown value is not a shared one.
    assert audit_split([0], [1], y=["a", "b"], concept=["", None]).flags == {}


def test_the_splitters_pass_the_audit():
    data = make_things_like(
        n_subjects=2, n_train_concepts=6, n_images_per_concept=2, n_test_concepts=4, random_state=0
    )
    rows = pd.DataFrame({"split": data.split, "concept": data.concept})
    view = EpochsView.from_arrays(data.X, subject=data.subject, stimulus=data.y, rows=rows)
    for train, test in LeaveOneSubjectOut().split(view):
        assert audit_split(train, test, view).flags == {}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0], [1]), "knows nothing of the rows"),
        (([0], [5], ["a", "b"]), "test must hold row numbers from 0 to 1, got 5 to 5"),
        (([0.5], [1], ["a", "b"]), "train must hold row numbers, or be a mask"),
        (([], [1], ["a", "b"]), "train holds no row"),
        (([0], [False, False], ["a", "b"]), "test holds no row"),
    ],
)
def test_what_cannot_be_audited(arguments, message):
    train, test, *y = arguments
    with pytest.raises(ValueError, match=message):
        audit_split(train, test, y=y[0] if y else None)


def test_onset_of_the_wrong_length():
    with pytest.raises(ValueError, match=r"onset must hold one time per row, shape \(2,\), got \(1,\)"):
        audit_split([0], [1], y=["a", "b"], onset=[0.0], duration=1.0)


@pytest.mark.parametrize("known", [{"y": [None, None]}, {"y": ["", ""]}, {"X": np.zeros((2, 3, 4))}])
def test_an_audit_of_nothing_does_not_say_that_nothing_is_shared(known):
    with pytest.raises(ValueError, match="nothing that could be compared is known"):
        audit_split([0], [1], **known)
    assert audit_split([0, 1], [1], **known).flags == {"epochs": "leak"}
