"""The figure of a report: what is drawn is what the tables say."""

import numpy as np
import pandas as pd
import pytest

from skeegclip.model_selection._report.figure import accuracy_figure, as_svg

MEANS = {"ridge $x$": 0.3, "net": 0.5}


@pytest.fixture
def tables():
    rng = np.random.default_rng(0)
    people = {name: mean + 0.1 * rng.normal(size=4) for name, mean in MEANS.items()}
    scores = pd.DataFrame(
        [
            {
                "estimator": name,
                "task": "retrieval",
                "metric": "top-1",
                "subject": f"s{i}",
                "seed": seed,
                "value": v,
            }
            for name, values in people.items()
            for i, v in enumerate(values)
            for seed in range(2)
        ]
    )
    rows = [
        ("ridge $x$", "top-1", 0.3, 0.2, 0.4),
        ("net", "top-1", 0.5, 0.4, 0.6),
        ("net", "oracle top-1", 0.7, 0.6, 0.8),
    ]
    summary = pd.DataFrame(rows, columns=["estimator", "metric", "mean", "low", "high"])
    return scores, summary.assign(task="retrieval", chance=0.05), people


def test_means_intervals_people_oracle_and_chance_are_drawn(tables):
    scores, summary, people = tables
    (ax,) = accuracy_figure(scores, summary, "retrieval", "top-1").axes
    lines = {line.get_label(): line for line in ax.lines}
    np.testing.assert_allclose(lines["one person"].get_xdata(), np.concatenate(list(people.values())))
    np.testing.assert_array_equal(np.round(lines["one person"].get_ydata()), np.repeat([0, 1], 4))
    np.testing.assert_allclose(lines["mean, with its 95 % interval"].get_xdata(), [0.3, 0.5])
    assert (lines["oracle"].get_xdata(), lines["oracle"].get_ydata()) == ([0.7], [1])
    assert set(lines["chance"].get_xdata()) == {0.05}
    (intervals,) = ax.collections
    np.testing.assert_allclose(
        [[point[0] for point in segment] for segment in intervals.get_segments()], [[0.2, 0.4], [0.4, 0.6]]
    )


def test_one_person_has_no_dots_and_names_are_no_formulas(tables):
    scores, summary, _ = tables
    (ax,) = accuracy_figure(scores[scores["subject"] == "s0"], summary, "retrieval", "top-1").axes
    assert "one person" not in {line.get_label() for line in ax.lines}
    assert [label.get_text() for label in ax.get_yticklabels()] == [r"ridge \$x\$", "net"]
    ax.figure.draw_without_rendering()


def test_equal_figures_are_equal_files(tables):
    scores, summary, _ = tables
    first, second = (as_svg(accuracy_figure(scores, summary, "retrieval", "top-1")) for _ in range(2))
    assert first == second
