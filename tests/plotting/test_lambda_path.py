"""The figure of a path."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from skeegclip.plotting import plot_lambda_path

SCORES = {
    "loss_weight": np.array([1, 0.5, 0]),
    "top1": np.array([0.3, 0.4, 0.2]),
    "error": np.array([1.4, 0.9, 0.8]),
    "chosen": np.array([False, True, False]),
}


def test_both_figures_stand_at_their_lambda_and_the_choice_is_marked():
    _, given = plt.subplots()
    ax = plot_lambda_path(SCORES, ax=given)
    assert ax is given
    twin = ax.figure.axes[-1]
    np.testing.assert_allclose(ax.lines[0].get_ydata(), SCORES["top1"])
    np.testing.assert_allclose(twin.lines[0].get_ydata(), SCORES["error"])
    assert list(ax.lines[1].get_xdata()) == [1, 1]
    assert ax.get_ylim()[0] <= 0
    plt.close("all")


def test_what_is_no_path_is_refused():
    with pytest.raises(TypeError, match="scores must be a dict"):
        plot_lambda_path([1, 2])
    with pytest.raises(ValueError, match="scores lacks 'error'"):
        plot_lambda_path({"loss_weight": [1], "top1": [1]})
