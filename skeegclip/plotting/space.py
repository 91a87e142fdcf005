"""What each region, and each channel, is worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import TYPE_CHECKING, Any

import numpy as np

from .._utils.drawing import (
    COLOURS,
    GREY,
    MARKERS,
    WIDTH,
    axes_of,
    check_made,
    check_table,
    legend,
    percent,
    styled,
)
from ..epochs.regions import regions as find_regions
from .attention import _head, drawable

if TYPE_CHECKING:
    import mne
    import pandas as pd
    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike

_BARS = (("alone", COLOURS[0], ""), ("without", COLOURS[5], "////"))


def plot_regions(table: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw accuracy with each region alone, and without it.

    Parameters
    ----------
    table : DataFrame
        From :func:`skeegclip.inspection.region_importance`.
    ax : Axes | None
        Where to draw; None makes a new figure.

    Returns
    -------
    Axes
        Two bars a region with 95 % intervals; all channels and chance as horizontal lines.

    Raises
    ------
    ValueError
        If a column is missing.

    Examples
    --------
    >>> import pandas as pd
    >>> from skeegclip.plotting import plot_regions
    >>> table = pd.DataFrame({"region": ["all", "occipital", "occipital"], "kept": ["all", "alone", "without"]})
    >>> table = table.assign(accuracy=[0.5, 0.4, 0.1], low=[0.4, 0.3, 0.0], high=[0.6, 0.5, 0.2], chance=0.01)
    >>> ax = plot_regions(table)
    >>> [label.get_text() for label in ax.get_xticklabels()]
    ['occipital']
    """
    wanted = ("region", "kept", "accuracy", "low", "high", "chance")
    check_table("table", table, wanted, "skeegclip.inspection.region_importance")
    rows = table[table["kept"] != "all"]
    names = list(dict.fromkeys(rows["region"]))
    new = ax is None
    with styled(ax):
        ax = axes_of(ax, height=2.3)
        handles: list[Any] = []
        for side, (kept, colour, hatch) in zip((-1, 1), _BARS, strict=True):
            part = rows[rows["kept"] == kept].set_index("region")
            x = np.array([names.index(name) for name in part.index]) + 0.2 * side
            errors = np.stack([part["accuracy"] - part["low"], part["high"] - part["accuracy"]])
            handles.append(
                ax.bar(
                    x,
                    part["accuracy"],
                    width=0.38,
                    color=colour,
                    hatch=hatch,
                    edgecolor="white",
                    label="this region alone" if kept == "alone" else "all others",
                    yerr=np.clip(errors, 0, None),
                    error_kw={"lw": 0.8, "ecolor": "0.2"},
                )
            )
        everything = table.loc[table["kept"] == "all", "accuracy"]
        if len(everything):
            handles.append(
                ax.axhline(everything.iloc[0], color="0.2", lw=0.9, label="all channels", zorder=0)
            )
        handles.append(
            ax.axhline(table["chance"].iloc[0], color=GREY, ls=(0, (4, 2)), lw=0.9, label="chance", zorder=3)
        )
        ax.set_xticks(range(len(names)), names)
        ax.set_ylim(0, None)
        percent(ax.yaxis)
        ax.set_ylabel("Accuracy (%)")
        legend(ax, handles, new=new)
    return ax


def plot_region_map(
    info: mne.Info, regions: Mapping[str, Sequence[str]] | None = None, ax: Axes | None = None
) -> Axes:
    """Draw which channel belongs to which region.

    Parameters
    ----------
    info : Info
        Names and places of the channels; those that hold no data (EOG, stimulus, ...) are passed over, and the others
        must be of one type.
    regions : mapping of str to sequence of str | None
        Region -> names of its channels. None takes the five of :func:`skeegclip.epochs.regions`, without empty ones.
    ax : Axes | None
        Where to draw; None makes a new figure.

    Returns
    -------
    Axes
        The head from above; each region has a colour and a shape. Channels of no region are grey dots.

    Raises
    ------
    ValueError
        If a channel of a region is not in `info`, or `info` has no places for its channels or several types.

    References
    ----------
    Li et al., "Visual Decoding and Reconstruction via EEG Embeddings with Guided Diffusion", NeurIPS 2024, figure 8a.

    Examples
    --------
    >>> import mne
    >>> from skeegclip.plotting import plot_region_map
    >>> info = mne.create_info(["Fz", "Cz", "Pz", "O1", "Oz", "O2"], 250.0, "eeg").set_montage("colin27_1020")
    >>> [text.get_text() for text in plot_region_map(info).get_legend().get_texts()]
    ['frontal (1)', 'central (1)', 'parietal (1)', 'occipital (3)']
    """
    import mne

    check_made("info", info, "ch_names", "mne.create_info")
    info = drawable(info)
    found = {name: list(own) for name, own in (find_regions(info) if regions is None else regions).items()}
    found = {name: own for name, own in found.items() if own or regions is not None}
    place = {name: number for number, name in enumerate(info["ch_names"])}
    if unknown := [channel for own in found.values() for channel in own if channel not in place]:
        raise ValueError(f"regions: info has no channel {unknown[0]!r}. Name channels of info.")
    with styled(ax):
        ax = axes_of(ax, height=0.62 * WIDTH, layout="compressed")
        mne.viz.plot_sensors(info, kind="topomap", axes=ax, show=False)
        (sensors,) = ax.collections
        where = np.asarray(sensors.get_offsets())
        sensors.remove()
        for line in ax.lines:
            line.set_linewidth(0.6)
        rest = sorted(set(range(len(where))) - {place[channel] for own in found.values() for channel in own})
        ax.plot(*where[rest].T, ".", color=GREY, ms=3)
        for (name, own), colour, marker in zip(found.items(), cycle(COLOURS), cycle(MARKERS)):
            spots = where[[place[channel] for channel in own]]
            style: dict[str, Any] = {"color": colour, "ms": 4, "mec": "white", "mew": 0.3}
            ax.plot(*spots.T, marker, label=f"{name} ({len(own)})", **style)
        ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    return ax


def plot_importance(
    values: ArrayLike, info: mne.Info, ax: Axes | None = None, *, label: str = "Loss of similarity without it"
) -> Axes:
    """Draw a value of each channel on the head.

    Parameters
    ----------
    values : array-like, shape (n_chans,)
        Such as the column "similarity_loss" of :func:`skeegclip.inspection.channel_importance`.
    info : Info
        Names and places of the channels, in the same order; those that hold no data (EOG, stimulus, ...) are passed
        over, and the others must be of one type. Planar gradiometers of one place are drawn as their mean.
    ax : Axes | None
        Where to draw; None makes a new figure.
    label : str
        Name of the values, beside the colour bar.

    Returns
    -------
    Axes
        The map. The colour bar is the last one of ``ax.figure.axes``; where values have both signs, zero is its middle.

    Raises
    ------
    ValueError
        If values do not fit, are not finite, or `info` has no places for its channels or several types.

    Examples
    --------
    >>> import mne
    >>> from skeegclip.plotting import plot_importance
    >>> info = mne.create_info(["Fz", "Cz", "Pz", "O1", "Oz", "O2"], 250.0, "eeg")
    >>> ax = plot_importance([0, 0, 0.1, 0.3, 0.4, 0.3], info.set_montage("colin27_1020"))
    >>> ax.figure.axes[-1].get_ylabel()
    'Loss of similarity without it'
    """
    info = drawable(info)
    array = np.asarray(values, dtype=float)
    n = len(info["ch_names"])
    if array.shape != (n,) or not np.isfinite(array).all():
        raise ValueError(
            f"values must be finite, one for each of the {n} data channels of info, got {array.shape}."
        )
    new = ax is None
    with styled(ax):
        ax = axes_of(ax, height=0.72 * WIDTH, layout="compressed")
        if array.min() < 0 < array.max():  # blue below zero, red above, both told apart by lightness too
            limit = float(np.abs(array).max())
            image, _ = _head(array, info, ax, cmap="RdBu_r", vlim=(-limit, limit))
        else:
            image, _ = _head(array, info, ax)
        bar = ax.figure.colorbar(image, ax=ax, shrink=0.8, aspect=20, pad=0.02)
        bar.outline.set_visible(False)
        bar.set_label(label)
        if new:
            bar.ax.tick_params(labelsize=float(ax.xaxis.label.get_fontsize()) - 1, width=0.6)
    return ax
