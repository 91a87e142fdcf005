"""The figures of the demo, as PNG files in memory."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np

from ..._utils.drawing import COLOURS, GREY, WIDTH, new_figure, styled
from ...plotting import (
    plot_reconstruction_grid,
    plot_retrieval_grid,
    plot_similarity_matrix,
    plot_training_curve,
)
from .real import Real
from .results import Results

if TYPE_CHECKING:
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
    shapes = [shape_of(concept) for concept in results.test.concept]
    figures = {
        "retrieved": draw_retrieved(results),
        "reconstructed": draw_reconstructed(results),
        "training": plot_training_curve(results.history).figure,
        "similarity": plot_similarity_matrix(results.similarity, groups=shapes).figure,
        "faces": draw_faces(results.real),
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
        titles=test.concept[rows],
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


def draw_faces(real: Real) -> Figure:
    """Draw what faces and houses evoke, and below it when the two can be told apart."""
    with styled(None):
        figure = new_figure(WIDTH, 3.4)
        above, below = figure.subplots(2, sharex=True)
        for (name, response), colour in zip(real.evoked.items(), (COLOURS[1], COLOURS[0]), strict=True):
            above.plot(response.index, response, color=colour, label=name)
        above.axvline(0, color=GREY, lw=0.6)
        above.set_ylabel("Above the ears (µV)")
        above.legend(loc="upper right")
        course = real.course
        band = (course["auc"] - course["se"], course["auc"] + course["se"])
        below.fill_between(course["time"], *band, color=COLOURS[2], alpha=0.2, lw=0)
        below.plot(course["time"], course["auc"], color=COLOURS[2], marker="o", mec="white", mew=0.5)
        below.axhline(0.5, color=GREY, ls=(0, (4, 2)), lw=0.9)
        below.axvline(0, color=GREY, lw=0.6)
        below.set_ylabel("Area under the curve")
        below.set_xlabel("Time from the picture (s)")
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
