"""What the figures of encoders, of categories and of parts of the epochs show."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import Ridge

from skeegclip import EmbeddingTable, evaluate
from skeegclip.inspection import PartialReconstructions
from skeegclip.metrics import category_confusion
from skeegclip.model_selection import LeaveOneSubjectOut, WithinSubject
from skeegclip.plotting import plot_confusion, plot_encoder_comparison, plot_partial_reconstructions

RNG = np.random.default_rng(0)
PICTURES = RNG.integers(0, 256, (2, 3, 8, 8, 3), dtype=np.uint8)
QUERIES = pd.DataFrame({"stimulus": ["cat", "big_dog", "oak"]})
SHOWN = list(RNG.integers(0, 256, (3, 12, 16, 3), dtype=np.uint8))
del RNG


def parts(columns, pictures=PICTURES):
    table = pd.DataFrame({**columns, "two-way": [0.5, 0.8], "PixCorr": [0.1, 0.25]})
    return PartialReconstructions(table, QUERIES, SHOWN, pictures, {})


@pytest.fixture(scope="module")
def report():
    rng = np.random.default_rng(1)
    table = EmbeddingTable([f"image_{i:02d}" for i in range(60)], rng.normal(size=(60, 5)))
    y, subject = np.tile(table.ids, 3), np.repeat(["ana", "ben", "cem"], 60)
    X = (table.lookup(y) @ rng.normal(size=(5, 40)) + 3 * rng.normal(size=(180, 40))).reshape(180, 4, 10)
    cv = LeaveOneSubjectOut(test_stimuli=table.ids[:20])
    estimators = {"weak": Ridge(1e6), "strong": Ridge(10)}
    return evaluate(estimators, X, y, subject=subject, targets=table, cv=cv, n_seeds=1)


def test_bars_points_interval_and_chance_are_those_of_the_report(report):
    ax = plot_encoder_comparison(report)
    summary = report.summary(["top-1"]).set_index("estimator")
    widths = [bar.get_width() for bar in ax.patches]
    np.testing.assert_allclose(widths, summary.loc[["weak", "strong"], "mean"])
    scores = report.scores[(report.scores["metric"] == "top-1") & (report.scores["estimator"] == "strong")]
    people = [line for line in ax.lines if line.get_label() == "person" or len(line.get_xdata()) == 3]
    assert any(sorted(line.get_xdata()) == sorted(scores["value"]) for line in people)
    ends = np.sort([path.vertices[:, 0] for path in ax.collections[0].get_paths()], axis=1)
    np.testing.assert_allclose(ends, summary[["low", "high"]])
    legend = [text.get_text() for text in ax.get_legend().get_texts()]
    assert legend == ["mean", "person", "interval", "chance"]
    assert ax.get_xlabel() == "Top-1 accuracy (%)"


def test_published_figures_are_drawn_where_there_are_any(report):
    report.published = pd.DataFrame({"estimator": ["strong", "x"], "metric": "top-5", "mean": [0.4, 0.9]})
    try:
        ax = plot_encoder_comparison(report, metric="top-5")
        (diamonds,) = [line for line in ax.lines if line.get_label() == "published"]
        assert (list(diamonds.get_xdata()), list(diamonds.get_ydata())) == ([0.4], [1])
        assert all(line.get_label() != "published" for line in plot_encoder_comparison(report).lines)
    finally:
        report.published = None


def test_one_person_has_no_points(rng):
    table = EmbeddingTable([f"image_{i}" for i in range(30)], rng.normal(size=(30, 3)))
    cv = WithinSubject(test_stimuli=table.ids[:8])
    report = evaluate(Ridge(), table.vectors[:, :, None], table.ids, targets=table, cv=cv)
    legend = plot_encoder_comparison(report).get_legend().get_texts()
    assert "person" not in [text.get_text() for text in legend]


def test_confusion_has_the_shares_in_their_cells(rng):
    kinds = ["animal", "tool", "animal", "food"]
    table = category_confusion(rng.normal(size=(50, 4)), rng.integers(0, 4, 50), kinds)
    ax = plot_confusion(table)
    grid = table.pivot(index="true", columns="found", values="share")
    order = list(dict.fromkeys(table["true"]))
    np.testing.assert_allclose(ax.images[0].get_array(), grid.loc[order, order])
    assert [text.get_text() for text in ax.texts][0] == f"{100 * grid.loc['animal', 'animal']:.0f}"
    assert [label.get_text() for label in ax.get_xticklabels()] == order
    assert ax.get_yticklabels()[0].get_text() == f"animal ({table['n_queries'][0]})"
    ratio = plot_confusion(table, of="ratio").images[0].get_array()
    np.testing.assert_allclose(ratio[0, 0], grid.loc["animal", "animal"] / 0.5)


def test_parts_stand_beside_the_picture_shown():
    fig = plot_partial_reconstructions(parts({"region": ["all", "occipital"]}), ["oak", "cat"])
    titles = [ax.get_title() for ax in fig.axes[:3]]
    assert titles == ["shown", "all\n50 %", "occipital\n80 %"]
    drawn = [ax.images[0].get_array() for ax in fig.axes]
    np.testing.assert_array_equal(drawn[2], PICTURES[1, 2])
    np.testing.assert_array_equal(drawn[4], PICTURES[0, 0])
    assert drawn[0].shape == (8, 8, 3)  # cut to a square of the same size
    assert [name.get_text() for name in fig.artists] == ["oak", "cat"]


def test_windows_are_named_by_their_end_or_middle():
    growing = plot_partial_reconstructions(parts({"start": [-0.2, -0.2], "stop": [-0.05, 0.3]}))
    assert [ax.get_title() for ax in growing.axes[1:3]] == ["\u221250 ms\n50 %", "300 ms\n80 %"]
    sliding = plot_partial_reconstructions(parts({"start": [0.0, 0.1], "stop": [0.1, 0.2]}), score=None)
    assert [ax.get_title() for ax in sliding.axes[1:3]] == ["50 ms", "150 ms"]
    several = parts({"region": ["all", "back"]}, np.stack([PICTURES, PICTURES[::-1]], axis=2))
    fig = plot_partial_reconstructions(several, "big_dog", score="PixCorr")
    np.testing.assert_array_equal(fig.axes[2].images[0].get_array(), PICTURES[1, 1])
    assert fig.axes[2].get_title() == "back\n0.25"


def test_bad_input(report):
    with pytest.raises(ValueError, match="metric must be one of"):
        plot_encoder_comparison(report, metric="top-3")
    with pytest.raises(ValueError, match="'retrieval', got 'naming'"):
        plot_encoder_comparison(report, task="naming")
    with pytest.raises(ValueError, match="table lacks the columns"):
        plot_confusion(pd.DataFrame({"true": ["a"]}))
    table = category_confusion(np.eye(2), [0, 1], ["a", "b"])
    with pytest.raises(ValueError, match="table has no row"):
        plot_confusion(table[:0])
    with pytest.raises(ValueError, match="of must be one of"):
        plot_confusion(table, of="count")
    with pytest.raises(KeyError, match="stimuli names 'cow', which was not painted"):
        plot_partial_reconstructions(parts({"region": ["all", "back"]}), ["cow"])
    with pytest.raises(ValueError, match="score must be one of"):
        plot_partial_reconstructions(parts({"region": ["all", "back"]}), score="CLIP")
