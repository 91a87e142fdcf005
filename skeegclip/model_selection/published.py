"""Published figures, to show beside those found."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

from .._utils.params import check_option

if TYPE_CHECKING:
    import pandas as pd


def published_figures(protocol: str | None = None) -> pd.DataFrame:
    """Retrieval accuracies on THINGS-EEG2 and THINGS-MEG as published: the nine encoders of ATM [1]_, and twenty other works.

    They are means over people (ten with EEG, four with MEG), in a gallery of 200 pictures. Column selection says how the
    pass of training was chosen, as far as is known: figures that were selected on the test set, or that look at all test
    epochs together, do not compare with others. NICE's own figures compare with the mean of a class's pictures. The ATM
    paper says that its pass was chosen on the last batch of the training set; elsewhere that it was the best on the test
    set (its section 3.2).

    Parameters
    ----------
    protocol : {"within", "loso"} | None
        Trained and tested on one person, or leaving one person out. None gives both.

    Returns
    -------
    DataFrame
        Columns encoder (the paper's name), net (ours, where [1]_ trained it; else empty), modality ("EEG" or "MEG"),
        protocol, metric ("top-1" and "top-5" of 200, "2-way", "4-way", "10-way"), mean and sd (over people; of SCORE over
        seeds; NaN where none is known), in [0, 1], selection, and source: where the figure was found.

    Raises
    ------
    ValueError
        If the protocol is neither.

    Notes
    -----
    The table's second row named "EEGNetV4" in the cross-subject half stands here under EEGITNet, which would else be
    missing there.

    References
    ----------
    .. [1] Li et al., "Visual Decoding and Reconstruction via EEG Embeddings with Guided Diffusion", NeurIPS 2024,
       arXiv:2403.07721, table 8.

    Examples
    --------
    >>> from skeegclip.model_selection import published_figures
    >>> figures = published_figures("within").set_index(["encoder", "metric"])
    >>> float(figures.loc[("ATM-S", "top-1"), "mean"])
    0.2613
    >>> figures = published_figures("loso").query("metric == 'top-1' and modality == 'EEG'")
    >>> figures[figures["selection"].str.startswith("fixed pass")][["encoder", "mean"]].to_string(index=False, header=False)
    'SUPA-EEG 0.2115'
    """
    import pandas as pd

    check_option("protocol", protocol, [None, "within", "loso"])
    with files(__package__).joinpath("published.csv").open(encoding="utf-8") as file:
        table = pd.read_csv(file).fillna({"net": ""})
    return table if protocol is None else table[table["protocol"] == protocol].reset_index(drop=True)
