from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from skeegclip.epochs._rows import as_frame, as_text, conform, from_csv, kinds, matches, plain, to_csv

ODD = [
    "00012",
    "1e3",
    "null",
    "NA",
    "nan",
    "None",
    "",
    " a ",
    "a,b",
    'say "x"',
    "two\nlines",
    "a\r",
    "\r\n",
    "ü€",
    "#",
    "inf",
]


def there_and_back(frame):
    return from_csv(to_csv(frame, header=True), kinds(frame))


@pytest.mark.parametrize("name", ["concept", "anything"])
def test_text_goes_through_a_file_unchanged(name):
    frame = as_frame({name: ODD}, len(ODD))
    assert kinds(frame) == {name: "text"}
    assert as_text(there_and_back(frame)[name]).tolist() == ODD


def test_random_text_goes_through_unchanged():
    rng = np.random.default_rng(0)
    letters = list("aZ09 ,;\"'\n\r\t\\#.-_äß中") + ["", "NA"]
    texts = ["".join(rng.choice(letters, rng.integers(0, 6))) for _ in range(2000)]
    frame = as_frame({"a": texts, "b": texts[::-1]}, 2000)
    again = there_and_back(frame)
    assert (as_text(again["a"]).tolist(), as_text(again["b"]).tolist()) == (texts, texts[::-1])


def test_numbers_go_through_to_the_last_bit():
    rng = np.random.default_rng(0)
    floats = np.concatenate(
        [rng.normal(size=500) * 10.0 ** rng.integers(-300, 300, 500), [np.nan, np.inf, -np.inf, 0.1]]
    )
    frame = as_frame({"f": floats, "i": np.arange(504) - 2**62, "b": floats > 0}, 504)
    again = there_and_back(frame)
    np.testing.assert_array_equal(again["f"], floats)
    np.testing.assert_array_equal(again["i"], np.arange(504) - 2**62)
    np.testing.assert_array_equal(again["b"], floats > 0)
    assert kinds(again) == {"f": "float", "i": "int", "b": "bool"}


@pytest.mark.parametrize("name", ["subject", "stimulus", "concept", "session", "run", "split"])
def test_ids_are_text_whatever_they_look_like(name):
    frame = as_frame({name: [1, 2, 10]}, 3)
    assert as_text(there_and_back(frame)[name]).tolist() == ["1", "2", "10"]


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        (pd.array([1, 2, None], dtype="Int64"), "float", [1.0, 2.0, np.nan]),
        (pd.array([1, 2, 3], dtype="Int64"), "int", [1, 2, 3]),
        (np.array([1, 2, 3], dtype=object), "int", [1, 2, 3]),
        (np.array([1, 2, 3], dtype=np.uint8), "int", [1, 2, 3]),
        ([True, None, False], "text", ["True", "", "False"]),
        (["a", None, np.nan], "text", ["a", "", ""]),
        (pd.Categorical(["b", "a", "b"]), "text", ["b", "a", "b"]),
        (
            pd.to_datetime(["2020-01-01", "2021-01-01", None]),
            "text",
            ["2020-01-01 00:00:00", "2021-01-01 00:00:00", ""],
        ),
        ([1, "a", 2.5], "text", ["1", "a", "2.5"]),
    ],
)
def test_kinds_of_columns(values, kind, expected):
    frame = as_frame({"x": values}, 3)
    assert kinds(frame) == {"x": kind}
    got = plain(frame)["x"]
    np.testing.assert_array_equal(got.to_numpy(dtype=object if kind == "text" else float), expected)


def test_matching_compares_ids_as_text():
    frame = as_frame({"run": ["1", "02", "1"], "n": [1, 2, 3]}, 3)
    assert matches(frame["run"], 1).tolist() == [True, False, True]
    assert matches(frame["run"], ["02", "x"]).tolist() == [False, True, False]
    assert matches(frame["n"], range(2, 9)).tolist() == [False, True, True]
    assert matches(frame["n"], np.int64(1)).tolist() == [True, False, False]


@pytest.mark.parametrize(
    ("rows", "error", "match"),
    [
        ({"": ["a"]}, ValueError, "column names must be text, each used once, got ''"),
        ({1: ["a"]}, ValueError, "got 1"),
        (pd.DataFrame([["a", "b"]], columns=["x", "x"]), ValueError, "each used once, got 'x'"),
        ({"x": [1, 2]}, ValueError, r"one line per epoch \(1\), got 2"),
        ({"x": [{"a": 1}]}, TypeError, r"must hold text or numbers, got {'a': 1} of type dict"),
        ({"x": [1j]}, TypeError, "must hold text or numbers, got 1j"),
        ("x", TypeError, "rows must be a DataFrame or a mapping of columns, got str"),
    ],
)
def test_what_is_no_table_is_refused(rows, error, match):
    with pytest.raises(error, match=match):
        as_frame(rows, 1)


def test_conform_orders_columns():
    frame = as_frame({"b": [1], "a": ["x"]}, 1)
    assert list(conform(frame, {"a": "text", "b": "float"})) == ["a", "b"]
