"""What attention looks at, on the head."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .._utils.channels import data_picks
from .._utils.drawing import COLOURS, WIDTH, axes_of, styled
from .._utils.params import check_number

if TYPE_CHECKING:
    import mne
    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike

_WIDEST = 1.6  # points


def plot_attention(
    attention: ArrayLike, info: mne.Info, ax: Axes | None = None, *, n_links: int = 15
) -> Axes:
    """Draw on the head how much each channel is looked at, and by whom most.

    Parameters
    ----------
    attention : array-like of shape (..., n_chans, n_chans)
        From :meth:`EEGEncoder.attention <skeegclip.EEGEncoder.attention>`: row i holds the shares that channel i
        takes from each channel. All axes before the last two, such as epochs and heads, are averaged.
    info : Info
        Names and places of the channels, in the same order; those that hold no data (EOG, stimulus, ...) are passed
        over, and the others must be of one type. Planar gradiometers of one place are drawn as their mean.
    ax : Axes, default=None
        Where to draw; None makes a new figure.
    n_links : int, default=15
        Number of links to draw, the strongest ones between different channels. An arrow leads from the channel
        that looks to the one that is looked at, the wider the more.

    Returns
    -------
    ax : Axes
        The map: for each channel the mean share that the *other* channels take from it, which is about one over
        the number of channels where attention has no preference. The colour bar is the last one of
        ``ax.figure.axes``.

    Raises
    ------
    ValueError
        If the shapes do not fit, attention is not finite, or `info` has no places for its channels or several types.

    Examples
    --------
    >>> import mne, numpy as np
    >>> from skeegclip.plotting import plot_attention
    >>> info = mne.create_info(["Fz", "Cz", "Pz", "O1", "Oz", "O2"], 250.0, "eeg")
    >>> info = info.set_montage("colin27_1020")
    >>> attention = np.random.default_rng(0).dirichlet(np.ones(6), size=(10, 4, 6))  # epochs, heads, channels
    >>> ax = plot_attention(attention, info, n_links=3)
    >>> ax.get_xlabel()
    '3 strongest links: 20 to 21 %'
    """
    info = drawable(info)
    shares = _mean_shares(attention, info)
    n = len(shares)
    check_number("n_links", n_links, low=0, high=n * (n - 1), integer=True)
    between = np.where(np.eye(n, dtype=bool), np.nan, shares)
    new = ax is None
    with styled(ax):
        # "compressed" is matplotlib's layout for axes of fixed aspect.
        ax = axes_of(ax, height=0.72 * WIDTH, layout="compressed")
        image, places = _head(100 * np.nanmean(between, axis=0), info, ax)
        order = np.argsort(np.nan_to_num(between, nan=-1.0).ravel(), kind="stable")[::-1][:n_links]
        links = [(int(i), int(j)) for i, j in zip(*np.unravel_index(order, shares.shape), strict=True)]
        _arrows(ax, places, links, shares)
        ax.set_axis_on()
        ax.spines[:].set_visible(False)
        ax.set_xticks([])
        ax.set_yticks([])
        if links:
            most, least = (100 * shares[link] for link in (links[0], links[-1]))
            ax.set_xlabel(f"{len(links)} strongest links: {least:.2g} to {most:.2g} %")
        bar = ax.figure.colorbar(image, ax=ax, shrink=0.8, aspect=20, pad=0.02)
        bar.outline.set_visible(False)
        bar.set_label("Attention received (%)")
        if new:
            bar.ax.tick_params(labelsize=float(ax.xaxis.label.get_fontsize()) - 1, width=0.6)
    return ax


def _mean_shares(attention: Any, info: mne.Info) -> np.ndarray:
    a = np.asarray(attention, dtype=float)
    n = len(info["ch_names"])
    if a.ndim < 2 or a.shape[-2:] != (n, n) or a.size == 0:
        raise ValueError(
            f"attention must have shape (..., {n}, {n}), one row and column for each channel of info, got {a.shape}."
        )
    if not np.isfinite(a).all():
        raise ValueError("attention holds NaN or inf. Look for them in the epochs it was computed from.")
    if n < 3:
        raise ValueError(f"attention: a map of the head needs three channels or more, got {n}.")
    return a.reshape(-1, n, n).mean(axis=0)


def drawable(info: mne.Info) -> mne.Info:
    """Return the data channels of an info; refuse several types, and channels without a place on the head."""
    import mne

    info = mne.pick_info(info, data_picks(info), verbose=False)
    kinds = sorted(set(info.get_channel_types()))
    if len(kinds) > 1:
        raise ValueError(
            f"info has channels of several types ({', '.join(kinds)}), which no map can show together. Draw one type at a"
            f" time: mne.pick_info(info, mne.channel_indices_by_type(info)[{kinds[0]!r}]), and its values."
        )
    # Before the first montage is set there are no places, or zeros.
    where = np.array([ch["loc"][:3] for ch in info["chs"]])
    if not np.isfinite(where).all() or (where == 0).all(axis=1).any():
        missing = [
            ch["ch_name"]
            for ch, place in zip(info["chs"], where, strict=True)
            if not np.isfinite(place).all() or not place.any()
        ]
        raise ValueError(
            f"info has no place for {len(missing)} channels (first: {missing[0]!r}). Set a montage: info.set_montage(...)."
        )

    return info


def _head(
    values: np.ndarray, info: mne.Info, ax: Axes, *, cmap: str = "cividis", vlim: Any = None
) -> tuple[Any, np.ndarray]:
    """Draw a map; return its image and where each channel is in it."""
    import mne

    values, info, site = _by_site(values, info)
    image, _ = mne.viz.plot_topomap(
        values,
        info,
        axes=ax,
        show=False,
        contours=0,
        cmap=cmap,
        vlim=(values.min(), values.max()) if vlim is None else vlim,
        sensors="k.",
        image_interp="linear",  # splines swing beyond all channels: below zero, where none is
    )
    places = np.asarray(next(line.get_xydata() for line in ax.lines if line.get_marker() == "."))[site]
    for line in ax.lines:
        line.set_linewidth(0.6)  # of nose, ears and head
        line.set_markersize(2)  # of sensors
    return image, places


def _by_site(values: np.ndarray, info: mne.Info) -> tuple[np.ndarray, mne.Info, np.ndarray]:
    """Means over the planar gradiometers of one place, of which MNE would draw root mean squares, without a sign."""
    import mne
    from mne.io.constants import FIFF

    if info.get_channel_types(unique=True) != ["grad"]:
        return values, info, np.arange(len(values))
    where = np.array([ch["loc"][:3] for ch in info["chs"]]).round(6)
    _, first, site = np.unique(where, axis=0, return_index=True, return_inverse=True)
    site = site.reshape(-1)
    means = np.bincount(site, weights=values) / np.bincount(site)
    sites = mne.pick_info(info, first, verbose=False)
    for ch in sites["chs"]:  # single sensors, to MNE
        ch.update(coil_type=FIFF.FIFFV_COIL_VV_MAG_T3, unit=FIFF.FIFF_UNIT_T)
    return means, sites, site


def _arrows(ax: Axes, places: np.ndarray, links: list[tuple[int, int]], shares: np.ndarray) -> None:
    """Curved arrows, so that two channels that look at each other have one on each side."""
    from matplotlib.patches import FancyArrowPatch

    strongest = max((shares[link] for link in links), default=1.0)
    for looks, looked_at in reversed(links):  # the strongest on top
        width = _WIDEST * float(shares[looks, looked_at] / strongest)
        arrow = FancyArrowPatch(
            tuple(places[looks]),
            tuple(places[looked_at]),
            connectionstyle="arc3,rad=0.2",
            arrowstyle="-|>,head_length=2.2,head_width=1.1",
            color=COLOURS[1],
            lw=width,
            shrinkA=1.5,
            shrinkB=1.5,
            alpha=0.85,
            zorder=5,
        )
        ax.add_patch(arrow)
