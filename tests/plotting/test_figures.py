"""What each figure shows."""

from __future__ import annotations

import mne
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.patches import FancyArrowPatch, Rectangle

from skeegclip.metrics import n_way_table
from skeegclip.plotting import (
    plot_accuracy_bars,
    plot_attention,
    plot_n_way,
    plot_retrieval_grid,
    plot_similarity_matrix,
    plot_training_curve,
)


def lines_of(ax):
    return {line.get_label(): line for line in ax.lines}


def legend_of(ax):
    return [text.get_text() for text in ax.get_legend().get_texts() if text.get_text().strip()]


@pytest.fixture
def history():
    return [
        {"epoch": 1, "train_loss": 5.0, "valid_loss": 5.1, "valid_top1": 0.01, "chosen": False},
        {"epoch": 2, "train_loss": 4.0, "valid_loss": 4.4, "valid_top1": 0.11, "chosen": True},
        {"epoch": 3, "train_loss": 3.0, "valid_loss": 4.5, "valid_top1": 0.13, "chosen": False},
    ]


def test_training_curve(history):
    ax = plot_training_curve(history)
    lines = lines_of(ax)
    np.testing.assert_array_equal(lines["training loss"].get_xydata(), [[1, 5], [2, 4], [3, 3]])
    np.testing.assert_array_equal(lines["validation loss"].get_ydata(), [5.1, 4.4, 4.5])
    np.testing.assert_array_equal(lines["chosen epoch"].get_xydata(), [[2, 4.4]])
    top1 = ax.figure.axes[-1]
    assert top1 is not ax
    np.testing.assert_array_equal(top1.lines[0].get_ydata(), [0.01, 0.11, 0.13])
    assert top1.get_ylabel() == "Top-1 accuracy (%)"
    assert top1.yaxis.get_major_formatter()(0.125) == "12.5"
    assert legend_of(ax) == [
        "training loss",
        "validation loss",
        "validation top-1 (right axis)",
        "chosen epoch",
    ]
    styles = {
        line.get_linestyle() for line in (lines["training loss"], lines["validation loss"], top1.lines[0])
    }
    assert len({str(style) for style in styles}) > 1  # told apart without colour too


def test_training_curve_of_the_loss_alone(history):
    ax = plot_training_curve([{"epoch": row["epoch"], "train_loss": row["train_loss"]} for row in history])
    assert len(ax.figure.axes) == 1
    assert list(lines_of(ax)) == legend_of(ax) == ["training loss"]
    assert ax.lines[0].get_linestyle() == "-"


def test_training_curve_marks_the_last_epoch_without_validation(history):
    rows = [{"epoch": row["epoch"], "train_loss": row["train_loss"], "chosen": False} for row in history]
    rows[-1]["chosen"] = True
    np.testing.assert_array_equal(lines_of(plot_training_curve(rows))["chosen epoch"].get_xydata(), [[3, 3]])


def test_several_training_curves(history):
    shorter = [{k: v for k, v in row.items() if k != "valid_top1"} for row in history[:2]]
    ax = plot_training_curve({"ATM-S": history, "NICE": shorter})
    lines = lines_of(ax)
    assert lines["ATM-S validation loss"].get_color() == lines["ATM-S training loss"].get_color()
    assert lines["ATM-S validation loss"].get_color() != lines["NICE validation loss"].get_color()
    assert lines["NICE training loss"].get_xdata().tolist() == [1, 2]
    assert legend_of(ax)[:2] == ["ATM-S", "NICE"]
    assert [line.get_marker() for line in ax.lines if line.get_label() == "chosen epoch"] == ["o", "s"]


def test_n_way():
    similarity = np.random.default_rng(0).standard_normal((60, 60)) + np.eye(60)
    table = n_way_table(similarity, np.arange(60), random_state=0, n_resamples=100)
    ax = plot_n_way({"A": table, "B": table.drop(columns=["low", "high"])}, k=5)
    lines, rows = lines_of(ax), table[table["k"] == 5]
    np.testing.assert_array_equal(lines["A"].get_xydata(), rows[["n_way", "accuracy"]])
    n, chance = lines["chance"].get_xydata().T
    np.testing.assert_allclose(chance, 5 / n)
    assert ax.get_xscale() == "log"
    assert [label.get_text() for label in ax.get_xticklabels()] == ["10", "50", "60"]
    assert ax.get_xticks().tolist() == [10, 50, 60]
    assert ax.get_ylabel() == "Top-5 accuracy (%)"
    assert legend_of(ax) == ["A", "B", "chance"]
    (band,) = ax.collections
    assert band.get_paths()[0].vertices[:, 1].max() == pytest.approx(rows["high"].max())
    assert lines["A"].get_marker() != lines["B"].get_marker()


def test_similarity_is_sorted_by_group():
    groups = np.array(["tool", "animal", "tool", "food", "tool", "animal"])
    order = [0, 2, 4, 1, 5, 3]
    similarity = np.random.default_rng(0).random((6, 6))
    ax = plot_similarity_matrix(similarity, groups=groups)
    np.testing.assert_array_equal(ax.images[0].get_array(), similarity[np.ix_(order, order)])
    assert [text.get_text() for text in ax.get_yticklabels()] == ["tool", "animal", "food"]
    frames = [patch.get_bbox().bounds for patch in ax.patches if isinstance(patch, Rectangle)]
    assert frames == [(-0.5, -0.5, 3, 3), (2.5, 2.5, 2, 2), (4.5, 4.5, 1, 1)]


def test_names_of_small_groups_keep_apart():
    groups = np.repeat([f"group {i}" for i in range(7)], [194] + [1] * 6)
    ax = plot_similarity_matrix(np.eye(200), groups=groups)
    ticks = ax.get_yticks()
    assert ticks[0] == pytest.approx(96.5)
    assert np.diff(ticks).min() > 6
    assert ticks.max() <= 199
    assert ax.get_ylim() == (199.5, -0.5)


def test_similarity_labels_only_where_they_can_be_read():
    similarity = np.random.default_rng(0).random((31, 31))
    names = [f"item {i}" for i in range(31)]
    few = plot_similarity_matrix(similarity[:30, :30], labels=names[:30])
    assert [text.get_text() for text in few.get_xticklabels()] == names[:30]
    assert not plot_similarity_matrix(similarity, labels=names).get_xticklabels()
    low, high = few.images[0].get_clim()
    assert similarity.min() < low < high < similarity.max()


@pytest.fixture
def table():
    return pd.DataFrame(
        {"accuracy": [0.3, 0.1], "low": [0.2, 0.05], "high": [0.4, 0.15], "chance": [0.005, 0.005]},
        index=["ATM-S", "Ridge"],
    )


def test_accuracy_bars(table):
    ax = plot_accuracy_bars(table, points={"Ridge": [0.05, 0.05, 0.2]}, points_label="fold")
    assert [bar.get_width() for bar in ax.containers[0]] == [0.3, 0.1]
    assert [text.get_text() for text in ax.get_yticklabels()] == ["ATM-S", "Ridge"]
    assert ax.get_ylim()[0] > ax.get_ylim()[1]  # the first row is on top
    lines = lines_of(ax)
    x, y = lines["fold"].get_xydata().T
    assert x.tolist() == [0.05, 0.05, 0.2]
    assert len(set(y)) == 3
    assert np.abs(y - 1).max() < 0.3
    assert lines["chance"].get_xdata()[0] == 0.005
    intervals = [segment[:, 0].tolist() for segment in ax.collections[0].get_segments()]
    assert intervals == [[0.2, 0.4], [0.05, 0.15]]
    assert legend_of(ax) == ["mean", "fold", "interval", "chance"]


def test_accuracy_bars_with_different_chance_levels(table):
    ax = plot_accuracy_bars(table.assign(chance=[0.005, 0.5])[["accuracy", "chance"]])
    levels = [segment.tolist() for segment in ax.collections[0].get_segments()]
    assert levels == [[[0.005, -0.5], [0.005, 0.5]], [[0.5, 0.5], [0.5, 1.5]]]
    assert plot_accuracy_bars(table[["accuracy"]]).get_legend() is None


def test_retrieval_grid():
    pictures = np.random.default_rng(0).random((2, 4, 8, 8, 3))
    hits = [[False, True, False], [False, False, False]]
    similarity = np.array([[0.3, 0.2, 0.1], [0.33, 0.22, 0.11]])
    figure = plot_retrieval_grid(pictures[:, 0], pictures[:, 1:], hits, similarity, ["cat", "an_ice_cream"])
    assert len(figure.axes) == 8
    for ax, picture in zip(figure.axes, pictures.reshape(8, 8, 8, 3), strict=True):
        np.testing.assert_array_equal(ax.images[0].get_array(), picture)
    assert [ax.get_title() for ax in figure.axes[:5]] == ["shown", "1st", "2nd", "3rd", ""]
    assert [ax.get_xlabel() for ax in figure.axes] == [
        "cat",
        "0.30",
        "0.20",
        "0.10",
        "an ice\ncream",
        "0.33",
        "0.22",
        "0.11",
    ]
    framed = [ax.spines["left"].get_visible() for ax in figure.axes]
    assert framed == [False, False, True, False, False, False, False, False]
    checked = [len(ax.lines) == 1 and to_hex(ax.lines[0].get_color()) == "#ffffff" for ax in figure.axes]
    assert checked == framed


def test_retrieval_grid_takes_pil_grey_and_a_figure():
    from matplotlib.figure import Figure
    from PIL import Image

    grey = np.arange(64, dtype=np.uint8).reshape(8, 8)
    given = Figure(figsize=(9, 3))
    figure = plot_retrieval_grid([Image.fromarray(grey)], [[grey] * 12], fig=given)
    assert figure is given
    assert [ax.get_title() for ax in figure.axes[9:]] == ["9th", "10th", "11th", "12th"]
    assert figure.axes[0].images[0].get_cmap().name == "gray"
    assert tuple(given.get_size_inches()) == (9, 3)


def test_bad_input_is_refused(history, table):
    with pytest.raises(ValueError, match="history is empty"):
        plot_training_curve([])
    with pytest.raises(ValueError, match="history is an empty dict"):
        plot_training_curve({})
    with pytest.raises(ValueError, match=r"history\['A'\] must be a list of dicts with epoch and train_loss"):
        plot_training_curve({"A": [{"epoch": 1}]})
    rows = n_way_table(np.eye(6), np.arange(6), n_resamples=0)
    with pytest.raises(ValueError, match=r"table\['A'\] lacks the columns \['accuracy'\]"):
        plot_n_way({"A": rows.drop(columns="accuracy")})
    with pytest.raises(ValueError, match=r"table has no row with k=3, only \[1, 5\]"):
        plot_n_way(rows, k=3)
    with pytest.raises(ValueError, match="empty dict"):
        plot_n_way({})
    for bad in (np.ones((2, 3)), np.ones(3), np.ones((0, 0)), 1.0):
        with pytest.raises(ValueError, match="similarity must be square"):
            plot_similarity_matrix(bad)
    with pytest.raises(ValueError, match="similarity holds NaN or inf"):
        plot_similarity_matrix([[np.nan]])
    with pytest.raises(ValueError, match=r"groups must have shape \(2,\).*got shape \(3,\)"):
        plot_similarity_matrix(np.eye(2), groups=["a", "b", "c"])
    with pytest.raises(ValueError, match="table must have a column accuracy"):
        plot_accuracy_bars(table.drop(columns="accuracy"))
    with pytest.raises(ValueError, match=r"points names \['NICE'\]"):
        plot_accuracy_bars(table, points={"NICE": [0.1]})
    pictures = np.zeros((2, 3, 4, 4))
    with pytest.raises(ValueError, match=r"for each of the 2 shown, got \[2\]"):
        plot_retrieval_grid(pictures[:, 0], pictures[:1, 1:])
    with pytest.raises(ValueError, match=r"hits must have shape \(2, 2\), got shape \(2,\)"):
        plot_retrieval_grid(pictures[:, 0], pictures[:, 1:], hits=[True, False])
    with pytest.raises(ValueError, match=r"titles must have shape \(2,\)"):
        plot_retrieval_grid(pictures[:, 0], pictures[:, 1:], titles=["a"])


@pytest.fixture
def head():
    return mne.create_info(["Fz", "Cz", "Pz", "O1", "Oz", "O2"], 250.0, "eeg").set_montage("colin27_1005")


def arrows_of(ax):
    return [patch for patch in ax.patches if isinstance(patch, FancyArrowPatch)]


def test_attention(head):
    # Everybody looks at Oz, O1 most of all; each channel looks most at itself, which is not drawn.
    shares = np.full((6, 6), 0.02) + 0.5 * np.eye(6)
    shares[:, 4] += 0.2
    shares[3, 4] += 0.1
    ax = plot_attention(np.stack([shares, shares])[:, None], head, n_links=2)
    places = next(line.get_xydata() for line in ax.lines if line.get_marker() == ".")
    assert len(places) == 6
    assert places[0, 1] > places[1, 1] > places[4, 1]  # the nose is up
    weak, strong = arrows_of(ax)
    np.testing.assert_allclose(strong._posA_posB, places[[3, 4]])
    np.testing.assert_allclose(weak._posA_posB[1], places[4])
    assert strong.get_linewidth() > weak.get_linewidth()
    assert ax.get_xlabel() == "2 strongest links: 22 to 32 %"
    assert ax.images[0].get_clim() == pytest.approx((2, 24))  # of Oz the mean of 22, 22, 22, 32, 22
    assert ax.figure.axes[-1].get_ylabel() == "Attention received (%)"


def test_attention_without_links(head):
    ax = plot_attention(np.full((6, 6), 1 / 6), head, n_links=0)
    assert not arrows_of(ax)
    assert ax.get_xlabel() == ""


def test_attention_of_meg():
    from skeegclip.datasets import make_things_like

    info = make_things_like(modality="meg", n_train_concepts=4, n_test_concepts=4, random_state=0).info
    n = len(info["ch_names"])
    ax = plot_attention(np.random.default_rng(0).dirichlet(np.ones(n), size=n), info)
    assert len(arrows_of(ax)) == 15


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"attention": np.ones((5, 5))}, r"attention must have shape \(..., 6, 6\), .* got \(5, 5\)"),
        ({"attention": np.ones(6)}, r"attention must have shape"),
        ({"attention": np.ones((0, 6, 6))}, r"attention must have shape"),
        ({"attention": np.full((6, 6), np.nan)}, "attention holds NaN or inf"),
        ({"n_links": -1}, r"n_links must lie in \[0, 30\], got -1"),
        (
            {"info": mne.create_info(6, 250.0, "eeg")},
            "info has no place for 6 channels .first: '0'.. Set a montage",
        ),
    ],
)
def test_attention_that_cannot_be_drawn(head, change, match):
    with pytest.raises(ValueError, match=match):
        plot_attention(**{"attention": np.ones((6, 6)) / 6, "info": head, **change})
