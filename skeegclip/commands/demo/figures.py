"""The figures of the demo, as PNG files in memory."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np

from ..._utils.drawing import COLOURS, GREY, WIDTH, fix_ticks, legend, new_figure, styled
from ...plotting import (
    plot_importance,
    plot_reconstruction_grid,
    plot_retrieval_grid,
    plot_similarity_matrix,
    plot_time_course,
    plot_training_curve,
)
from .real import Real
from .results import Results

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def make_figures(results: Results) -> dict[str, bytes]:
    """Draw all figures.

    Parameters
    ----------
    results : Results
        What the demo found.

    Returns
    -------
    dict of str to bytes
        File name without ending -> PNG.
    """
    figures = {
        "faces": draw_faces(results.real),
        "retrieved": draw_retrieved(results),
        "when": plot_time_course(results.when_where.course).figure,
        "where": draw_where(results),
        "reconstructed": draw_reconstructed(results),
        "training": plot_training_curve(results.history).figure,
        "similarity": draw_similarity(results),
    }
    return {key: _png(figure) for key, figure in figures.items()}


def draw_retrieved(results: Results) -> Figure:
    """Draw test pictures, drawn by the seed and not by how well they were found, and their top five."""
    test, images, rows = results.test, results.data.images, _shown_rows(results)
    similarity = results.similarity[rows]
    best = np.argsort(-similarity, axis=1, kind="stable")[:, :5]
    ids = test.y[best]
    return plot_retrieval_grid(
        [images[stimulus] for stimulus in test.y[rows]],
        [[images[stimulus] for stimulus in row] for row in ids],
        hits=ids == test.y[rows, None],
        similarity=np.take_along_axis(similarity, best, axis=1),
        titles=[concept.partition("_on_")[0] for concept in test.concept[rows]],
    )


def draw_reconstructed(results: Results) -> Figure:
    """Draw the same test pictures, and what was painted of them."""
    rows, painted = _shown_rows(results), results.painted
    return plot_reconstruction_grid(
        {
            "shown": results.data.images.lookup(results.test.y[rows]),
            "low-level": painted.low_level[rows],
            "reconstructed": painted.pictures[rows],
            "nearest": painted.nearest[rows],
        }
    )


def draw_similarity(results: Results) -> Figure:
    """Draw how similar each response is to each picture, sorted by the shape of the object."""
    ax = plot_similarity_matrix(results.similarity, groups=[shape_of(name) for name in results.test.concept])
    ax.set_ylabel("Response, by the picture shown")
    ax.set_xlabel("Picture, in the same order")
    figure = ax.get_figure(root=True)
    assert figure is not None
    return figure


def draw_faces(real: Real) -> Figure:
    """Draw what faces and houses evoke, and below it when the two can be told apart."""
    evoked, course = real.evoked, real.course
    with styled(None):
        figure = new_figure(WIDTH, 3.8)
        above, below = figure.subplots(2, sharex=True)
        for name, colour in (("face", COLOURS[0]), ("house", COLOURS[1])):
            label = f"{name}s ({real.counts[name]} trials)"
            _line_and_band(above, evoked.index, evoked[name], evoked[f"{name}_se"], color=colour, label=label)
        above.set_ylabel("Mean of TP9\nand TP10 (µV)")
        _line_and_band(below, course["time"], course["auc"], course["se"], color=COLOURS[2], marker="o")
        below.axhline(0.5, color=GREY, ls=(0, (4, 2)), lw=0.9, label="chance")
        below.set_ylabel("Area under the\nROC curve")
        below.set_xlabel("Time from picture onset (s)")
        for panel, letter in ((above, "a"), (below, "b")):
            fix_ticks(panel)
            panel.axvline(0, color=GREY, lw=0.6)
            panel.margins(x=0.02)
            panel.set_title(letter, loc="left", fontweight="bold", x=-0.16)
            legend(panel, panel.get_legend_handles_labels()[0], new=True, side="right")
    return figure


def _line_and_band(ax: Axes, x: Any, y: Any, spread: Any, *, color: str, **style: Any) -> None:
    ax.fill_between(x, y - spread, y + spread, color=color, alpha=0.2, lw=0)
    ax.plot(x, y, color=color, mec="white", mew=0.5, **style)


def draw_where(results: Results) -> Figure:
    """Draw which channels the decoder needs, and the mean response where it is largest."""
    found, info = results.when_where, results.data.info
    with styled(None):
        figure = new_figure(WIDTH, 3.9)
        above, below = figure.subplots(2)
        plot_importance(
            found.channels["similarity_loss"], info, above, label="Loss of cosine\nwithout the channel"
        )
        time = results.data.times[found.peak]
        plot_importance(
            found.evoked[:, found.peak], info, below, label=f"Mean response\nat {time:.2f} s (µV)"
        )
        for panel, letter in ((above, "a"), (below, "b")):
            panel.set_title(letter, loc="left", fontweight="bold")
        for bar in figure.axes[2:]:
            fix_ticks(bar)
    return figure


def _shown_rows(results: Results) -> np.ndarray:
    n_test = len(results.test.y)
    rng = np.random.default_rng([results.seed, 1])
    return np.sort(rng.choice(n_test, min(results.config.n_shown, n_test), replace=False))


def shape_of(concept: str) -> str:
    """Return the shape in the name of a concept ("small_red_star_on_blue" -> "star")."""
    return concept.partition("_on_")[0].rpartition("_")[2]


def _png(figure: Any) -> bytes:
    buffer = io.BytesIO()
    # Without the date and version of the drawing program equal figures are equal files.
    figure.savefig(buffer, format="png", dpi=220, metadata={"Software": None})
    return buffer.getvalue()
