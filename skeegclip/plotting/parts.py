"""Pictures painted from parts of the epochs, beside those shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .._utils.drawing import check_made
from .._utils.params import check_option
from .._utils.pictures import read_picture, square, to_uint8
from .reconstruction import plot_reconstruction_grid

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike

    from ..inspection import PartialReconstructions


def plot_partial_reconstructions(
    result: PartialReconstructions,
    stimuli: ArrayLike | None = None,
    *,
    score: str | None = "two-way",
    fig: Figure | None = None,
) -> Figure:
    """Draw what was painted from each window, or each region, beside what was shown.

    Parameters
    ----------
    result : PartialReconstructions
        From :func:`skeegclip.inspection.reconstruct_over_time` or :func:`~skeegclip.inspection.reconstruct_by_region`.
    stimuli : array-like of str | None
        Which to draw, a row each, in this order; of several people the first one's. None draws the first six queries.
    score : {"two-way", "PixCorr", "SSIM"} | None
        Whose mean over *all* queries of the result stands above each column.
    fig : Figure | None
        Where to draw; None makes a new figure.

    Returns
    -------
    Figure
        The first column holds the pictures shown. Growing windows are named by their end, sliding ones by their
        middle, in milliseconds. Eight columns are readable at the width of a column of text.

    Raises
    ------
    ValueError
        If `score` is not one of its options.
    KeyError
        If a stimulus was not painted.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from skeegclip.inspection import PartialReconstructions
    >>> from skeegclip.plotting import plot_partial_reconstructions
    >>> table = pd.DataFrame({"region": ["all", "occipital"], "two-way": [0.8, 0.7]})
    >>> queries = pd.DataFrame({"subject": "all", "stimulus": ["cat", "oak"], "concept": ["animal", "plant"]})
    >>> pictures = np.random.default_rng(0).integers(0, 256, (2, 2, 8, 8, 3), dtype="uint8")
    >>> fig = plot_partial_reconstructions(PartialReconstructions(table, queries, list(pictures[0]), pictures, {}))
    >>> [ax.get_title().splitlines() for ax in fig.axes[:3]]
    [['shown'], ['all', '80 %'], ['occipital', '70 %']]
    """
    check_made("result", result, "queries", "skeegclip.inspection.reconstruct_over_time")
    known = result.queries["stimulus"].to_numpy()
    if stimuli is None:
        rows = list(range(min(6, len(known))))
    else:
        names = [str(name) for name in np.atleast_1d(np.asarray(stimuli))]
        if absent := [name for name in names if name not in known]:
            raise KeyError(
                f"stimuli names {absent[0]!r}, which was not painted. Name some of result.queries."
            )
        rows = [int(np.flatnonzero(known == name)[0]) for name in names]
    pictures = result.pictures[:, rows]
    if pictures.ndim == 6:  # several of each
        pictures = pictures[:, :, 0]
    size = pictures.shape[2]
    shown = [to_uint8(square(read_picture(result.shown[row], "shown"), size)) for row in rows]
    headings = _headings(result, score)
    columns = {"shown": shown, **dict(zip(headings, pictures, strict=True))}
    return plot_reconstruction_grid(columns, known[rows], fig=fig)


def _headings(result: PartialReconstructions, score: str | None) -> list[str]:
    table = result.table
    if "region" in table:
        names = [str(name) for name in table["region"]]
    else:
        starts, stops = table["start"].to_numpy(), table["stop"].to_numpy()
        growing = (starts == starts[0]).all()
        ends = stops if growing else (starts + stops) / 2
        names = [f"{1000 * end:.0f} ms".replace("-", "\N{MINUS SIGN}") for end in ends]
    if score is None:
        return names
    check_option("score", score, ["two-way", "PixCorr", "SSIM"])
    means = table[score].to_numpy()
    texts = [f"{100 * mean:.0f} %" if score == "two-way" else f"{mean:.2f}" for mean in means]
    return [f"{name}\n{text}" for name, text in zip(names, texts, strict=True)]
