"""What the figures of time, space and repetitions show."""

import mne
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from skeegclip.inspection import DimensionReport, Generalization, TimeCourse
from skeegclip.plotting import (
    plot_attention,
    plot_calibration_curve,
    plot_dimensions,
    plot_importance,
    plot_region_map,
    plot_regions,
    plot_repetition_curve,
    plot_temporal_generalization,
    plot_time_course,
)


def course(growing=False):
    start = np.zeros(5) if growing else np.arange(5) / 10
    accuracy = np.array([0.1, 0.1, 0.4, 0.5, 0.2])
    ends = {"low": accuracy - 0.05, "high": accuracy + 0.05}
    columns = {"start": start, "stop": np.arange(1, 6) / 10, "accuracy": accuracy, **ends}
    more = {"similarity": accuracy - 0.1, "similarity_low": accuracy - 0.2, "similarity_high": accuracy}
    p = {"p_corrected": [1, 1, 0.01, 0.01, 0.2]}
    return TimeCourse(pd.DataFrame({**columns, **more, **p, "chance": 0.1}), None, None, None)


def regions():
    rows = [("all", "all")] + [(name, kept) for kept in ("alone", "without") for name in ("front", "back")]
    accuracy = np.array([0.5, 0.1, 0.45, 0.5, 0.2])
    table = pd.DataFrame(rows, columns=["region", "kept"])
    return table.assign(accuracy=accuracy, low=accuracy - 0.05, high=accuracy + 0.05, chance=0.02)


def repetitions():
    table = pd.DataFrame({"n_repetitions": [1, 2, 4], "accuracy": [0.1, 0.2, 0.3], "low": 0.05, "high": 0.4})
    return table.assign(chance=0.02, ceiling_low=[0.2, 0.3, np.nan], ceiling_high=[0.5, 0.7, 1.0])


def generalization():
    a = np.random.default_rng(0).random((4, 4)) / 2
    return Generalization(np.arange(4) / 10, np.arange(1, 5) / 10, a, a, a, a, 0.1)


def head():
    info = mne.create_info(["Fz", "C3", "Cz", "C4", "Pz", "O1", "Oz", "O2"], 250.0, "eeg")
    return info.set_montage("colin27_1020")


def legend_of(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_sliding_windows_stand_at_their_middle():
    ax = plot_time_course(course(), stimulus=(0, 0.1))
    np.testing.assert_allclose(ax.lines[0].get_xdata(), [0.05, 0.15, 0.25, 0.35, 0.45])
    np.testing.assert_allclose(ax.lines[0].get_ydata(), [0.1, 0.1, 0.4, 0.5, 0.2])
    np.testing.assert_allclose(ax.lines[1].get_xdata(), [0.25, 0.35])  # above chance
    assert legend_of(ax) == ["p ≤ 0.05, corrected", "chance", "picture"]
    bar = next(patch for patch in ax.patches if isinstance(patch, Rectangle))
    assert (bar.get_x(), bar.get_width()) == (0, 0.1)


def test_growing_windows_stand_at_their_end():
    ax = plot_time_course({"a": course(growing=True), "b": course(growing=True)}, of="similarity")
    np.testing.assert_allclose(ax.lines[1].get_xdata(), [0.1, 0.2, 0.3, 0.4, 0.5])
    np.testing.assert_allclose(ax.lines[1].get_ydata(), course().table["similarity"])
    assert legend_of(ax) == ["a", "b", "chance"]


def test_generalization_has_training_along_y():
    result = generalization()
    ax = plot_temporal_generalization(result)
    np.testing.assert_array_equal(ax.images[0].get_array(), result.accuracy)
    assert ax.images[0].origin == "lower"
    assert ax.get_ylabel() == "Trained at (s)"


def test_regions_have_two_bars_each():
    ax = plot_regions(regions())
    heights = [bar.get_height() for bar in ax.patches]
    np.testing.assert_allclose(heights, [0.1, 0.45, 0.5, 0.2])
    assert [label.get_text() for label in ax.get_xticklabels()] == ["front", "back"]


def test_importance_has_zero_in_the_middle_where_signs_differ():
    ax = plot_importance([0, 0, 0.1, -0.1, 0, 0.2, 0.4, 0.3], head(), label="loss")
    assert ax.images[0].get_clim() == (-0.4, 0.4)
    assert ax.figure.axes[-1].get_ylabel() == "loss"
    assert plot_importance(np.arange(8), head()).images[0].get_clim() == (0, 7)


def test_region_map_puts_channels_of_a_region_together():
    ax = plot_region_map(head(), {"back": ["O1", "Oz", "O2"], "top": ["Cz"]})
    assert legend_of(ax) == ["back (3)", "top (1)"]
    back, top = (
        next(line for line in ax.lines if line.get_label().startswith(name)) for name in ("back", "top")
    )
    assert len(back.get_xdata()) == 3
    assert back.get_ydata().max() < top.get_ydata().min()  # the nose is up
    assert np.all(np.diff(back.get_xdata()) > 0)  # O1 left, O2 right
    assert back.get_marker() != top.get_marker()
    rest = next(line for line in ax.lines if line.get_marker() == ".")
    assert len(rest.get_xdata()) == 4
    assert legend_of(plot_region_map(head()))[-1] == "occipital (3)"


def test_repetitions_show_accuracy_and_ceiling():
    ax = plot_repetition_curve(repetitions())
    assert legend_of(ax) == ["decoder", "noise ceiling", "chance"]
    line = next(line for line in ax.lines if line.get_label() == "decoder")
    np.testing.assert_allclose(line.get_ydata(), [0.1, 0.2, 0.3])


def test_repetitions_have_the_bands_of_their_table():
    table = repetitions().assign(ceiling_low=[0.2, 0.3, 0.35])
    ax = plot_repetition_curve(table)
    for band, (low, high) in zip(
        ax.collections, [("ceiling_low", "ceiling_high"), ("low", "high")], strict=True
    ):
        corners = {tuple(corner) for corner in band.get_paths()[0].vertices.round(9).tolist()}
        for end in (low, high):
            assert set(zip(table["n_repetitions"], table[end], strict=True)) <= corners
        assert len(corners) == 2 * len(table)
    lines = {line.get_label(): line.get_ydata() for line in ax.lines}
    np.testing.assert_array_equal(lines["chance"], table["chance"])
    assert any(np.array_equal(y, table["ceiling_high"]) for y in lines.values())


@pytest.mark.parametrize(
    "draw",
    [
        lambda ax: plot_time_course(course(), ax),
        lambda ax: plot_temporal_generalization(generalization(), ax),
        lambda ax: plot_regions(regions(), ax),
        lambda ax: plot_region_map(head(), ax=ax),
        lambda ax: plot_importance(np.arange(8), head(), ax),
        lambda ax: plot_repetition_curve(repetitions(), ax),
    ],
)
def test_the_axes_given_are_drawn_on(draw):
    ax = Figure().add_subplot()
    assert draw(ax) is ax
    ax.figure.canvas.draw()


def test_bad_input():
    with pytest.raises(ValueError, match="course is an empty dict"):
        plot_time_course({})
    with pytest.raises(ValueError, match="mixes growing and sliding"):
        plot_time_course({"a": course(), "b": course(growing=True)})
    with pytest.raises(ValueError, match="of must be one of"):
        plot_time_course(course(), of="loss")
    with pytest.raises(ValueError, match="end > start"):
        plot_time_course(course(), stimulus=(0.1, 0))
    one = np.ones((1, 1))
    with pytest.raises(ValueError, match="one window only"):
        plot_temporal_generalization(Generalization(np.zeros(1), np.ones(1), one, one, one, one, 0.1))
    with pytest.raises(ValueError, match="table lacks the columns"):
        plot_regions(regions().drop(columns="low"))
    with pytest.raises(ValueError, match="table lacks the columns"):
        plot_repetition_curve(repetitions().drop(columns="low"))
    with pytest.raises(ValueError, match="values must be finite"):
        plot_importance(np.arange(7), head())
    with pytest.raises(ValueError, match="regions: info has no channel 'Q1'"):
        plot_region_map(head(), {"back": ["Oz", "Q1"]})
    with pytest.raises(ValueError, match="no place for"):
        plot_region_map(mne.create_info(["Oz", "O1"], 250.0, "eeg"))
    with pytest.raises(ValueError, match="no place for"):
        plot_importance([1, 2], mne.create_info(["Oz", "O1"], 250.0, "eeg"))


def rises_to_the_right(ax):
    """Whether the left of the image of a map is lower than its right."""
    image = ax.images[0].get_array()
    middle = image.shape[1] // 2
    return image[:, : middle - 5].mean() < image[:, middle + 5 :].mean()


def test_a_map_shows_nothing_beyond_what_the_channels_hold():
    values = np.array([0, 0, 0, 0, 0, 0, 1, 0.0])  # of one channel beside others: where splines swing
    for shown, low, high in ((values, 0, 1), (values - 0.1, -0.1, 0.9)):
        image = np.asarray(plot_importance(shown, head()).images[0].get_array())
        assert low - 1e-9 <= image.min() <= image.max() <= high + 1e-9
        assert image.max() > low + 0.8


@pytest.mark.parametrize("kind", ["mag", "grad"])
def test_a_map_of_meg_keeps_signs(kind):
    whole = mne.channels.read_meg_canonical_info("neuromag")
    info = mne.pick_info(whole, mne.channel_indices_by_type(whole)[kind])
    x = np.array([ch["loc"][0] for ch in info["chs"]])
    ax = plot_importance(x, info)  # left negative, right positive
    image = ax.images[0].get_array()
    assert (image.min(), image.max()) == pytest.approx((x.min(), x.max()), rel=0.2)
    assert rises_to_the_right(ax)
    assert not rises_to_the_right(plot_importance(-x, info))


def test_the_two_gradiometers_of_a_place_are_averaged():
    whole = mne.channels.read_meg_canonical_info("neuromag")
    info = mne.pick_info(whole, mne.channel_indices_by_type(whole)["grad"])
    opposite = np.tile([1.0, -1.0], 102)
    assert [ch["loc"][0] for ch in info["chs"]][::2] == [ch["loc"][0] for ch in info["chs"]][1::2]
    assert np.abs(plot_importance(opposite, info).images[0].get_array()).max() < 1e-9
    attention = np.full((204, 204), 0.1) + np.diag(np.ones(203), 1)
    ax = plot_attention(attention, info, n_links=5)
    assert ax.get_xlabel().startswith("5 strongest links")


def test_channels_that_hold_no_data_are_passed_over():
    info = head()
    kinds = ["eog", "eeg", "eeg", "stim", *["eeg"] * 6]
    names = ["EOG", "Fz", "C3", "STI", "Cz", "C4", "Pz", "O1", "Oz", "O2"]
    more = mne.create_info(names, 250.0, kinds).set_montage("colin27_1020")
    values = np.arange(8.0)
    np.testing.assert_allclose(
        plot_importance(values, info).images[0].get_array(),
        plot_importance(values, more).images[0].get_array(),
    )
    assert legend_of(plot_region_map(more)) == legend_of(plot_region_map(info))


@pytest.mark.parametrize("draw", [plot_region_map, lambda info: plot_importance(np.zeros(306), info)])
def test_several_types_are_refused(draw):
    with pytest.raises(ValueError, match="several types .grad, mag., which no map can show together"):
        draw(mne.channels.read_meg_canonical_info("neuromag"))


def test_calibration_shows_both_curves_with_their_bands():
    table = pd.DataFrame({"labels": [False, False, True, True], "minutes": [0.0, 5.0] * 2, "chance": 0.2})
    table = table.assign(accuracy=[0.3, 0.5, 0.3, 0.6], low=[0.2, 0.4, 0.1, 0.5], high=[0.4, 0.55, 0.5, 0.9])
    ax = plot_calibration_curve(table)
    curves = {line.get_label(): line.get_xydata().tolist() for line in ax.get_lines()}
    assert curves["without labels"] == [[0, 0.3], [5, 0.5]]
    assert curves["with labels"] == [[0, 0.3], [5, 0.6]]
    assert curves["chance"] == [[0, 0.2], [5, 0.2]]
    for band, ends in zip(ax.collections, [[0.2, 0.4, 0.4, 0.55], [0.1, 0.5, 0.5, 0.9]], strict=True):
        assert set(band.get_paths()[0].vertices[:, 1]) >= set(ends)
    with pytest.raises(ValueError, match="calibration_curve"):
        plot_calibration_curve(table.drop(columns="minutes"))


def dimensions(windows=1):
    n = 3 * windows
    p = np.where(np.arange(n) % 3 == 1, 0.01, 0.5)
    table = pd.DataFrame(
        {"dimension": ["round", "red", "big"] * windows, "r": np.arange(n) / n, "p_corrected": p}
    )
    if windows > 1:
        start = np.repeat(np.arange(windows) / 10, 3)
        table = table.assign(start=start, stop=start + 0.1)
    return DimensionReport(table, pd.DataFrame(), 0.3, tuple("abcd"))


def test_dimensions_stand_in_the_order_of_their_correlation():
    ax = plot_dimensions(dimensions(), n_best=2)
    assert [label.get_text() for label in ax.get_yticklabels()] == ["big", "red"]
    widths = [bar.get_width() for bar in ax.patches]
    np.testing.assert_allclose(widths, [2 / 3, 1 / 3])
    filled = [bar.get_facecolor()[:3] for bar in ax.patches]
    assert filled[0][0] == filled[0][1]  # grey
    assert filled[1][1] > filled[1][0]  # green
    assert "p ≤ 0.05, corrected" in legend_of(ax)
    assert ax.get_xlabel() == "Correlation over 4 objects"


def test_dimensions_over_time_have_dots_where_they_are_decoded():
    ax = plot_dimensions(dimensions(3))
    lines = {line.get_label(): line for line in ax.lines}
    np.testing.assert_allclose(lines["red"].get_xdata(), [0.05, 0.15, 0.25])
    dots = [line for line in ax.lines if line.get_label() == "_dots"]
    assert sorted(len(line.get_xdata()) for line in dots) == [0, 0, 3]
    assert legend_of(ax)[0] == "big"
    with pytest.raises(ValueError, match="n_best"):
        plot_dimensions(dimensions(), n_best=0)
