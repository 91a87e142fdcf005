import mne
import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import Ridge
from sklearn.model_selection import GroupKFold, LeaveOneGroupOut, cross_val_score

from skeegclip import EmbeddingTable, EpochsView, ImageRetriever
from skeegclip.metrics import make_retrieval_scorer
from skeegclip.model_selection import ConceptKFold, LeaveOneSessionOut, LeaveOneSubjectOut, WithinSubject

STIMULI = ["cat_1", "cat_2", "dog_1", "owl_1"]


@pytest.fixture
def rows():
    """Three people who see four pictures of three concepts, twice each; cat_1 is for testing."""
    stimulus = np.tile(np.repeat(STIMULI, 2), 3)
    return pd.DataFrame(
        {
            "subject": np.repeat(["sub-01", "sub-02", "sub-10"], 8),
            "stimulus": stimulus,
            "concept": [name[:3] for name in stimulus],
            "split": np.where(stimulus == "cat_1", "test", "train"),
        }
    )


@pytest.fixture
def view(rows):
    X = np.random.default_rng(0).standard_normal((24, 3, 5)).astype("float32")
    return EpochsView.from_arrays(X, rows=rows)


def folds(cv, X, y=None, groups=None):
    return [(train.tolist(), test.tolist()) for train, test in cv.split(X, y, groups)]


@pytest.mark.parametrize("how", ["view", "arrays", "epochs", "test_stimuli", "mask"])
def test_leaving_a_person_out_leaves_out_their_pictures(rows, view, how):
    names = rows["subject"].to_numpy(), rows["stimulus"].to_numpy(), rows["split"].to_numpy()
    subject, stimulus, split = names
    if how == "view":
        found = folds(LeaveOneSubjectOut(), view)
    elif how == "arrays":
        found = folds(LeaveOneSubjectOut(split_labels=split), np.zeros((24, 3, 5)), stimulus, subject)
    elif how == "test_stimuli":
        found = folds(LeaveOneSubjectOut(test_stimuli=["cat_1"]), np.zeros((24, 3, 5)), stimulus, subject)
    elif how == "mask":
        found = folds(LeaveOneSubjectOut(split_labels="split"), view, stimulus, subject)
    else:
        info = mne.create_info(3, 100.0, "eeg")
        found = folds(
            LeaveOneSubjectOut(), mne.EpochsArray(np.zeros((24, 3, 5)), info, metadata=rows, verbose=False)
        )
    assert len(found) == 3
    for (train, test), name in zip(found, ["sub-01", "sub-02", "sub-10"], strict=True):
        assert train == np.flatnonzero((subject != name) & (stimulus != "cat_1")).tolist()
        assert test == np.flatnonzero((subject == name) & (stimulus == "cat_1")).tolist()


def test_within_a_person(view, rows):
    found = folds(WithinSubject(), view)
    assert [len(train) for train, _ in found] == [6, 6, 6]
    for train, test in found:
        assert rows["subject"][train + test].nunique() == 1
        assert set(rows["stimulus"][test]) == {"cat_1"}
    assert folds(WithinSubject(split_labels=["train", "test", "other"]), np.zeros((3, 1, 1))) == [([0], [1])]


@pytest.mark.parametrize("concept", ["concept", "mapping", "array"])
def test_test_concepts_are_left_out_of_training_where_asked_for(view, rows, concept):
    given = {
        "concept": "concept",
        "mapping": {name: name[:3] for name in STIMULI},
        "array": rows["concept"].to_numpy(),
    }[concept]
    for cv in (LeaveOneSubjectOut(concept=given), WithinSubject(concept=given)):
        for train, _ in cv.split(view):
            assert set(rows["stimulus"][train]) == {"dog_1", "owl_1"}


def test_test_stimuli_never_reach_training_whatever_the_labels_say(view, rows):
    labels = rows["split"].to_numpy().copy()
    labels[[1, 9, 17]] = "train"  # everybody's second look at the test picture is labelled as training
    for cv in (LeaveOneSubjectOut(split_labels=labels), WithinSubject(split_labels=labels)):
        for train, test in cv.split(view):
            assert len(test) == 1
            assert "cat_1" not in set(rows["stimulus"][train])


@pytest.mark.parametrize("unknown", [None, "", np.nan])
def test_what_is_of_no_known_concept_is_not_of_the_same(view, rows, unknown):
    """Where the concept of a test picture is not known, other pictures without one may be trained on."""
    concept = np.array(rows["concept"], dtype=object)
    concept[rows["stimulus"].isin(["cat_1", "owl_1"])] = unknown
    for train, test in WithinSubject(concept=concept).split(view):
        assert set(rows["stimulus"][test]) == {"cat_1"}
        assert set(rows["stimulus"][train]) == {"cat_2", "dog_1", "owl_1"}


def test_concept_folds(view, rows):
    for train, test in ConceptKFold(3).split(view):
        assert not set(rows["concept"][train]) & set(rows["concept"][test])
    by_hand = list(ConceptKFold(3).split(np.zeros((24, 3, 5)), groups=rows["concept"].to_numpy()))
    for mine, theirs in zip(ConceptKFold(3).split(view), by_hand, strict=True):
        np.testing.assert_array_equal(mine[1], theirs[1])
    assert len(list(ConceptKFold(3, shuffle=True, random_state=0).split(view))) == 3


def test_stimulus_folds_need_no_class_of_their_own(view):
    for train, test in GroupKFold(4).split(view, groups=view.stimulus):
        assert not set(view.stimulus[train]) & set(view.stimulus[test])


def test_in_cross_validation(view):
    table = EmbeddingTable(STIMULI, np.random.default_rng(1).standard_normal((4, 3)))
    cv = LeaveOneSubjectOut(test_stimuli=["cat_1", "dog_1"])
    assert cv.get_n_splits(view) == 3
    params = {"cv": cv, "scoring": make_retrieval_scorer(), "error_score": "raise"}
    scores = cross_val_score(ImageRetriever(Ridge(), targets=table), view, view.stimulus, **params)
    assert scores.shape == (3,)
    X = np.asarray(view)
    np.testing.assert_array_equal(
        scores,
        cross_val_score(
            ImageRetriever(Ridge(), targets=table), X, view.stimulus, groups=view.subject, **params
        ),
    )
    with sklearn.config_context(enable_metadata_routing=True):
        routed = cross_val_score(
            ImageRetriever(Ridge(), targets=table),
            X,
            view.stimulus,
            params={"groups": view.subject},
            **params,
        )
    np.testing.assert_array_equal(scores, routed)


def test_reprs():
    assert repr(LeaveOneSubjectOut()) == "LeaveOneSubjectOut()"
    assert (
        repr(WithinSubject(test_stimuli=["a", "b"], concept="kind"))
        == "WithinSubject(test_stimuli=<2>, concept='kind')"
    )


@pytest.mark.parametrize(
    ("cv", "message"),
    [
        (LeaveOneSubjectOut(), "does not know which stimuli to test on"),
        (LeaveOneSubjectOut(test_stimuli=["bird"]), "test_stimuli: 1 of 1 ids occur in no row"),
        (LeaveOneSubjectOut(split_labels=["a"] * 4), "split_labels must mark rows as 'train' and 'test'"),
        (LeaveOneSubjectOut(split_labels="part"), "split_labels='part' names a column"),
        (
            LeaveOneSubjectOut(split_labels=["train"]),
            r"split_labels must hold one value per row, shape \(4,\)",
        ),
        (
            WithinSubject(split_labels=["train", "train", "test", "test"]),
            "no test epochs are left for subject 'ann'",
        ),
        (LeaveOneSubjectOut(test_stimuli=["a"], concept={"a": "x", "b": "x"}), "no training epochs are left"),
    ],
)
def test_what_cannot_be_split(cv, message):
    with pytest.raises(ValueError, match=message):
        list(cv.split(np.zeros((4, 1, 1)), ["a", "b", "a", "b"], ["ann", "ann", "bob", "bob"]))


def test_unknown_subjects_and_concepts():
    X = np.zeros((2, 1, 1))
    with pytest.raises(ValueError, match="the subjects are not known"):
        list(LeaveOneSubjectOut(test_stimuli=["a"]).split(X, ["a", "b"]))
    with pytest.raises(ValueError, match="the subject of row 1 is missing"):
        list(LeaveOneSubjectOut(test_stimuli=["a"]).split(X, ["a", "b"], ["ann", None]))
    with pytest.raises(ValueError, match="stimulus of each row is not known"):
        list(WithinSubject(test_stimuli=["a"]).split(X))
    with pytest.raises(ValueError, match=r"concept is not known \(all rows\)"):
        list(ConceptKFold(2).split(X))
    with pytest.raises(ValueError, match=r"concept is not known \(row 1\)"):
        list(ConceptKFold(2).split(X, groups=["a", None]))


# -- sessions ------------------------------------------------------------------------------------------


@pytest.fixture
def days(rows):
    """The same rows; each person saw the first repetition on one day and the second on another, sub-10 on three."""
    day = np.tile(["mon", "tue"], 12)
    day[[20, 21]] = "wed"
    return rows.assign(session=day)


@pytest.mark.parametrize("how", ["view", "array", "column"])
def test_leaving_a_session_out_trains_on_the_others_of_the_same_person(days, how):
    X = np.zeros((24, 3, 5), dtype="float32")
    subject, stimulus, session = (days[name].to_numpy() for name in ("subject", "stimulus", "session"))
    given = {"view": {}, "array": {"session": session}, "column": {"session": "day"}}[how]
    carried = days if how == "view" else days.drop(columns="session").assign(day=session)
    view = EpochsView.from_arrays(X, rows=carried)
    given = {name: value if how == "column" else value[:16] for name, value in given.items()}
    found = folds(LeaveOneSessionOut(**given), view[:16])
    expected = [
        (
            np.flatnonzero((subject == name) & (session != day) & (stimulus != "cat_1")).tolist(),
            np.flatnonzero((subject == name) & (session == day) & (stimulus == "cat_1")).tolist(),
        )
        for name in ("sub-01", "sub-02")
        for day in ("mon", "tue")
    ]
    assert found == expected
    # Nobody is tested on what was not shown that day.
    with pytest.raises(ValueError, match="no test epochs are left for subject 'sub-10', session 'wed'"):
        list(LeaveOneSessionOut().split(EpochsView.from_arrays(X, rows=days)))


def test_sessions_that_show_the_same_are_leave_one_group_out_of_one_person(days):
    own = days[days["subject"] == "sub-10"].reset_index(drop=True)
    view = EpochsView.from_arrays(np.zeros((8, 3, 5), dtype="float32"), rows=own)
    cv = LeaveOneSessionOut(shared_stimuli=True)
    expected = LeaveOneGroupOut().split(np.zeros(8), groups=own["session"])
    assert folds(cv, view) == [(train.tolist(), test.tolist()) for train, test in expected]
    assert cv.get_n_splits(view) == 3
    assert repr(cv) == "LeaveOneSessionOut(shared_stimuli=True)"
    scores = cross_val_score(DummyClassifier(), view, view.stimulus, cv=cv, error_score="raise")
    assert scores.shape == (3,)


def test_what_leaving_a_session_out_needs(days):
    view = EpochsView.from_arrays(np.zeros((24, 3, 5)), rows=days.drop(columns="session"))
    with pytest.raises(ValueError, match=r"the session is not known \(all rows\)"):
        list(LeaveOneSessionOut().split(view))
    with pytest.raises(ValueError, match=r"the session is not known \(row 1\)"):
        list(LeaveOneSessionOut(session=np.where(np.arange(24) == 1, "", "mon")).split(view))
    with pytest.raises(ValueError, match="no training epochs are left for subject 'sub-01', session 'mon'"):
        list(LeaveOneSessionOut(session=["mon"] * 24).split(view))
    with pytest.raises(ValueError, match="does not know which stimuli to test on"):
        list(LeaveOneSessionOut(session=days["session"]).split(np.zeros((24, 3)), days["stimulus"]))
