"""Notebooks show a little of an object, whatever it holds, and all of that as text."""

from __future__ import annotations

import warnings
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import mne
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression

from skeegclip import EmbeddingTable, EpochsStore, EpochsView, ImageTable, OnlineResult
from skeegclip._utils.html import cut, html_card, html_table
from skeegclip.inspection import DimensionReport, Generalization, PartialReconstructions, TimeCourse
from skeegclip.model_selection import audit_split, evaluate

EVIL = "<script>alert('&')</script>"
_VOID = {"br", "img", "hr"}


class _Reader(HTMLParser):
    """Tags, of which each must be closed, and the text between them."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.tags.add(tag)
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def read(html: str) -> _Reader:
    reader = _Reader()
    reader.feed(html)
    assert reader.open == []
    assert "script" not in reader.tags
    return reader


@cache
def _report() -> Any:
    """Twelve estimators of evil names, whose test rows were trained on too."""
    y = np.tile(["cat", "dog"], 20)
    X = np.random.default_rng(0).normal(size=(40, 6)) + (y == "cat")[:, None]
    model = LogisticRegression()
    estimators = {f"{EVIL * 3}{i}": clone(model) for i in range(12)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that training and test share epochs
        return evaluate(estimators, X, y, cv=[(np.arange(40), np.arange(20))], n_seeds=1)


def _large(folder: Path) -> dict[str, Any]:
    n = 5000
    names = [f"{EVIL}{i}" for i in range(n)]
    frame = pd.DataFrame(
        {"subject": EVIL, "stimulus": names, "start": 0.0, "stop": 0.1, "r": np.linspace(0, 1, n)}
    )
    info = mne.create_info(["Oz", "Pz"], 50.0, "eeg")
    X = np.zeros((n, 2, 3), "float32")
    matrix = np.full((300, 300), 0.1)
    matrix[7, 7] = 0.5
    columns = {"subject": np.full(n, EVIL), "stimulus": np.array(names)}
    store = EpochsStore.create(
        folder / "store<b>", X[:40], rows={k: v[:40] for k, v in columns.items()}, info=info
    )
    return {
        "EmbeddingTable": EmbeddingTable(names, np.ones((n, 4)), meta={EVIL: EVIL * 100}),
        "ImageTable": ImageTable(names, np.zeros((n, 2, 2, 3), "uint8")),
        "EpochsView": EpochsView.from_arrays(X, rows=columns, info=info),
        "EpochsStore": store,
        "OnlineResult": OnlineResult(np.array(names), np.full(n, 1 / n), 3, sure=False, stop=True),
        "EvaluationReport": _report(),
        "SplitAudit": audit_split(np.arange(2500), np.arange(2500, n), y=[EVIL] * n),
        "TimeCourse": TimeCourse(frame, frame, matrix, matrix),
        "Generalization": Generalization(*[np.arange(300) / 100] * 2, *[matrix] * 4, 0.1),
        "PartialReconstructions": PartialReconstructions(
            frame, frame, [], np.zeros((n, 1, 2, 2, 3), "uint8"), {}
        ),
        "DimensionReport": DimensionReport(
            frame.rename(columns={"stimulus": "dimension"}), frame, 0.4, tuple(names)
        ),
    }


def test_large_and_evil_things_become_small_and_harmless_html(tmp_path: Path) -> None:
    for name, thing in _large(tmp_path).items():
        html = thing._repr_html_()
        assert len(html) < 6000, name
        text = read(html).text
        assert text.startswith(name)
        assert "5,000" in text or name in (
            "EpochsStore",
            "EvaluationReport",
            "SplitAudit",
            "Generalization",
            "OnlineResult",
            "TimeCourse",
        ), name


def test_what_is_said_is_true(tmp_path: Path) -> None:
    things = _large(tmp_path)
    text = {name: read(thing._repr_html_()).text for name, thing in things.items()}
    assert "dimensions4" in text["EmbeddingTable"]
    assert "3, 0 to 0.04 s at 50 Hz" in text["EpochsView"]
    assert f"folder{things['EpochsStore'].path}" in text["EpochsStore"]
    assert "0.07 to 0.07 s" in text["Generalization"]
    assert "0.500 (chance 0.100)" in text["Generalization"]
    assert "leak, 1" in text["SplitAudit"]
    means, flags = text["EvaluationReport"].split("first 10 of 12 rows")
    assert means.startswith("EvaluationReportestimators12")
    assert f"{_report().scores['value'].iloc[0]:.3g}" in means
    assert "20 epochs shared" in flags
    assert f"{EVIL}00.000" in text["OnlineResult"]


def test_a_view_without_columns_and_rate_has_html() -> None:
    view = EpochsView.from_arrays(np.zeros((2, 3, 4), "float32"))
    assert "samples4" in read(view._repr_html_()).text


@pytest.mark.parametrize("value", ["x" * 500, list(range(10_000)), ["y" * 300] * 3])
def test_text_is_cut(value: Any) -> None:
    assert len(cut(value)) <= 120


def test_a_card_shows_no_more_facts_than_fit() -> None:
    assert read(html_card("A", {str(i): i for i in range(100)})).text == "A" + "".join(
        f"{i}{i}" for i in range(12)
    )


def test_a_table_says_how_much_is_not_shown() -> None:
    text = read(html_table(pd.DataFrame({EVIL: np.arange(25) / 3}))).text
    assert EVIL in text
    assert "first 10 of 25 rows" in text
    assert "0.333" in text
