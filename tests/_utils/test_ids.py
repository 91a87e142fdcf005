"""Ids: numbers that pandas made floats, what is missing, and what is spelt in two ways."""

import warnings

import mne
import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import Ridge

from skeegclip import EEGEncoder, EpochsStore, EpochsView, SubjectWhitening, ZeroShotClassifier
from skeegclip._utils.ids import as_subject, id_text, text_or_empty
from skeegclip._utils.spelling import warn_alike
from skeegclip.metrics import ranks
from skeegclip.preprocessing import EpochScaler, average_repetitions

RNG = np.random.default_rng(0)
X = 10 * RNG.normal(size=(8, 3, 60))
V = RNG.normal(size=(8, 4))
del RNG
SMALL = {"kernel_length": 5, "pool_length": 6, "pool_stride": 2, "d_ff": 16, "n_filters": 8}


def encoder():
    return EEGEncoder("atm-s", net_params=SMALL, max_epochs=1, random_state=0, device="cpu", validation=0)


SPELLINGS = [
    [1, 2] * 4,
    [1.0, 2.0] * 4,
    np.array([1, 2] * 4, dtype=np.int8),
    np.array([1, 2] * 4, dtype=np.float32),
    pd.Series([1, 2] * 4, dtype="Int64"),
    pd.Series([1.0, 2, np.nan] + [1.0, 2] * 4)[[0, 1, *range(3, 9)]],
    pd.Categorical([1.0, 2.0] * 4),
    np.array([1, 2.0] * 4, dtype=object),
    [b"1", b"2"] * 4,
    ["1", "2"] * 4,
]


@pytest.mark.parametrize("ids", SPELLINGS)
def test_whole_numbers_are_one_id_whatever_their_type(ids):
    expected = ["1", "2"] * 4
    assert as_subject(ids, 8).tolist() == expected
    view = EpochsView.from_arrays(X, subject=ids, stimulus=ids, rows={"concept": ids, "session": ids})
    assert view.rows.to_dict("list") == dict.fromkeys(view.rows, expected)
    assert len(view.select(subject=1.0, stimulus=1, session="1")) == 4
    _, _, subject = average_repetitions(X, ["a"] * 8, subject=ids)
    assert subject.tolist() == ["1", "2"]


def test_a_person_known_in_fit_is_known_as_a_float():
    info = mne.create_info(3, 100.0, "eeg")
    parts = [mne.EpochsArray(1e-6 * X, info, verbose=False) for _ in range(2)]
    for part, subject in zip(parts, ([1, 2] * 4, [1.0, 2.0] * 4), strict=True):
        part.metadata = pd.DataFrame({"subject": subject})
    fitted = encoder().fit(parts[0], V)
    assert fitted.subjects_.tolist() == ["1", "2"]
    np.testing.assert_array_equal(fitted.transform(parts[0]), fitted.transform(parts[1]))
    scaler = EpochScaler(per_subject=True).fit(parts[0])
    scaler.transform(parts[1])  # an unknown subject would be an error


def test_text_stays_what_it_is():
    kept = ["01", "1.5", "1e3", " a", "nan", "None"]
    assert as_subject(kept, 6).tolist() == kept
    assert (id_text(1.5), id_text(True), id_text(np.float64(3))) == ("1.5", "True", "3")
    assert text_or_empty([None, np.nan, pd.NA, pd.NaT, 2.0, "x"]).tolist() == ["", "", "", "", "2", "x"]


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA, pd.NaT])
def test_missing_subjects_are_counted(missing):
    with pytest.raises(ValueError, match=r"subject is missing .* in 1 rows \(first: row 2\)"):
        as_subject([1, 2, missing], 3)
    with pytest.raises(ValueError, match="Name it, or pass no subject at all"):
        as_subject(np.array(missing, dtype=object), 3)


@pytest.mark.parametrize(
    ("known", "new"),
    [
        ("sub-01", " sub-01"),
        ("sub-01", "Sub-01"),
        ("1", "01"),
        ("1", "sub-1"),
        ("sub-01", "1.0"),
        ("S03", "sub-3"),
        ("ana", "Ana "),
        ("sub_10", "sub-10"),
    ],
)
def test_another_spelling_is_said(known, new):
    for old, other in ((known, new), (new, known)):
        with pytest.warns(UserWarning, match="is not known, but looks like") as caught:
            warn_alike([other, other], ["zoe", old], stacklevel=1)
        assert len(caught) == 1
        assert repr(old) in str(caught[0].message)
        assert repr(other) in str(caught[0].message)


@pytest.mark.parametrize(
    ("known", "new"), [("sub-01", "sub-02"), ("1", "10"), ("ana", "anna"), ("p1", "q1"), ("s", "")]
)
def test_other_people_are_not(known, new):
    warn_alike([new], [known], stacklevel=1)


def test_estimators_say_it():
    fitted = encoder().fit(X, V, subject=["sub-01", "sub-02"] * 4)
    with pytest.warns(UserWarning, match="'Sub-01' is not known, but looks like 'sub-01' spelt otherwise"):
        fitted.transform(X, subject="Sub-01")
    scaler = EpochScaler(per_subject=True, unknown="pooled").fit(X, subject=["1", "2"] * 4)
    with pytest.warns(UserWarning, match="'02' is not known, but looks like '2'"):
        scaler.transform(X, subject="02")
    with pytest.warns(
        UserWarning, match="'1' and '01' look like one person|'01' and '1' look like one person"
    ):
        EpochScaler().fit(X, subject=["1", "01"] * 4)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fitted.transform(X, subject="sub-03")


def test_stores_keep_whole_numbers_as_ids(tmp_path):
    rows = pd.DataFrame({"stimulus": [0.0, 1.0] * 4, "subject": [1.0] * 8, "session": [1, np.nan] * 4})
    view = EpochsStore.create(tmp_path, X, rows, info=mne.create_info(3, 100.0, "eeg")).view()
    assert view.stimulus.tolist() == ["0", "1"] * 4
    assert set(view.subject) == {"1"}
    assert view.rows["session"].tolist() == ["1", ""] * 4


def test_labels_of_a_pipeline_are_not_touched():
    from skeegclip import ZeroShotClassifier

    fitted = ZeroShotClassifier(Ridge()).fit(X, [0.0, 1.0] * 4)
    assert set(fitted.predict(X)) <= {0.0, 1.0}


MASKED = np.ma.masked_array(X, mask=X > 0)


@pytest.mark.parametrize(
    "use",
    [
        lambda: EpochsView.from_arrays(MASKED),
        lambda: EpochsView.from_arrays(X, subject=np.ma.masked_array(range(8), mask=[1] + [0] * 7)),
        lambda: average_repetitions(MASKED, ["a", "b"] * 4),
        lambda: average_repetitions(X, np.ma.masked_array(["a", "b"] * 4, mask=[1] + [0] * 7)),
        lambda: ZeroShotClassifier(Ridge()).fit(MASKED, ["a", "b"] * 4),
        lambda: ZeroShotClassifier("passthrough").fit(MASKED[:, :, 0], ["a", "b"] * 4),
        lambda: ranks(np.ma.masked_array(V, mask=V > 0), [0] * 8),
    ],
)
def test_masked_values_are_missing(use):
    with pytest.raises(ValueError, match="contains NaN: [0-9]+ values of this masked array are masked"):
        use()


def test_an_array_with_nothing_masked_is_an_array():
    view = EpochsView.from_arrays(np.ma.masked_array(X))
    np.testing.assert_array_equal(np.asarray(view), X.astype(np.float32))


@pytest.mark.parametrize("subject", [["a"], [np.nan] * 8])
def test_subjects_that_nobody_asks_for_are_checked(subject):
    y, match = ["a", "b"] * 4, "one id per epoch|is missing"
    with pytest.raises(ValueError, match=match):
        SubjectWhitening(Ridge()).fit(X, y, subject=subject)
    with pytest.raises(ValueError, match=match):
        ZeroShotClassifier(Ridge()).fit(X, y).predict(X, subject=subject)


def test_whole_numbers_in_a_column_of_objects_are_classes():
    y = pd.Series([3, 1] * 4, dtype=object)
    assert ZeroShotClassifier(Ridge()).fit(X, y).classes_.tolist() == [1, 3]
