import numpy as np
import pandas as pd
import pytest

from skeegclip.plotting import plot_guidance_curve, plot_reconstruction_grid, plot_similarity_histograms

RNG = np.random.default_rng(0)
PICTURES = RNG.random((3, 4, 6, 6, 3))
del RNG
COLUMNS = dict(zip(["shown", "low-level", "reconstructed"], PICTURES, strict=True))
CURVE = pd.DataFrame(
    {"guidance_scale": [1, 5, 10], "similarity": [0.4, 0.6, 0.5], "diversity": [0.5, 0.3, 0.2]}
)


def test_every_picture_is_in_its_place():
    fig = plot_reconstruction_grid(COLUMNS, titles=["a_cat", "b", "c", "d"])
    drawn = [ax.images[0].get_array() for ax in fig.axes]
    np.testing.assert_allclose(drawn, PICTURES.transpose(1, 0, 2, 3, 4).reshape(12, 6, 6, 3))
    assert [ax.get_title() for ax in fig.axes[:3]] == ["shown", "low-level", "reconstructed"]
    assert [name.get_text() for name in fig.artists] == ["a cat", "b", "c", "d"]
    fig.canvas.draw()
    for name, ax in zip(fig.artists, fig.axes[::3], strict=True):
        place, picture = name.get_window_extent(), ax.get_window_extent()
        assert place.x0 == pytest.approx(picture.x0, abs=3)
        assert picture.y0 - 25 < place.y0 < place.y1 < picture.y0
    one = plot_reconstruction_grid({"shown": PICTURES[0]})
    assert len(one.axes) == 4


def test_histograms_have_the_same_bins_and_their_means(rng):
    table = pd.DataFrame(
        {"picture": np.repeat(["random", "generated"], 50), "similarity": rng.normal(size=100)}
    )
    ax = plot_similarity_histograms(table, bins=7)
    assert len(ax.lines) == 2
    for line, kind in zip(ax.lines, ["random", "generated"], strict=True):
        mean = table.loc[table["picture"] == kind, "similarity"].mean()
        assert line.get_xdata()[0] == pytest.approx(mean)
    edges = [patch.get_data().edges for patch in ax.patches]
    np.testing.assert_allclose(edges[0], edges[1])
    plot_similarity_histograms(pd.DataFrame({"picture": ["random"], "similarity": [0.5]}))


def test_guidance_curves():
    top, bottom = plot_guidance_curve(CURVE.assign(similarity_to_truth=0.1)).axes
    np.testing.assert_allclose(top.lines[0].get_ydata(), CURVE["similarity"])
    np.testing.assert_allclose(top.lines[1].get_ydata(), 0.1)
    np.testing.assert_allclose(bottom.lines[0].get_ydata(), CURVE["diversity"])
    assert bottom.get_xlabel() == "Guidance scale"


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: plot_reconstruction_grid({}), "columns must hold the same number of pictures each"),
        (lambda: plot_reconstruction_grid({"a": PICTURES[0], "b": PICTURES[1][:2]}), r"got {'a': 4, 'b': 2}"),
        (
            lambda: plot_reconstruction_grid({"a": PICTURES[0]}, titles=["x"]),
            "titles must hold one name for each of the 4",
        ),
        (lambda: plot_similarity_histograms(CURVE), "table must have the columns picture, similarity"),
        (
            lambda: plot_guidance_curve(CURVE.drop(columns="similarity")),
            r"columns similarity .*got \['guidance_scale', 'diversity'\]",
        ),
        (lambda: plot_guidance_curve(CURVE[:0]), "at least one row"),
    ],
)
def test_bad_input_is_refused(call, match):
    with pytest.raises(ValueError, match=match):
        call()
