"""Exact quantiles of data that are read twice and never held."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

_HALF = 16
_BINS = 1 << _HALF


def channel_quantiles(
    read: Callable[[], Iterable[np.ndarray]], n_chans: int, n_samples: int, quantiles: Sequence[float]
) -> np.ndarray:
    """Quantiles of each channel over epochs and times, as ``numpy.quantile`` gives them.

    The bits of a float32 order as the numbers do. A first reading counts their upper halves, which tells in which of
    65536 bins a quantile lies; a second counts the lower halves of what lies in these bins.

    Parameters
    ----------
    read : callable
        Gives blocks, float32 of shape (k, n_chans, n_times), the same each time it is called.
    n_chans : int
        Channels of a block.
    n_samples : int
        Epochs times times, over all blocks.
    quantiles : sequence of float
        In [0, 1].

    Returns
    -------
    ndarray, shape (n_quantiles, n_chans)
        Interpolated linearly between the two samples nearest to each quantile.
    """
    places = np.asarray(quantiles) * (n_samples - 1)
    ranks = np.stack([np.floor(places), np.ceil(places)]).astype(np.int64)
    order, back = np.unique(ranks, return_inverse=True)

    upper = np.zeros((n_chans, _BINS), dtype=np.int64)
    for keys in map(_keys, read()):
        upper += _count(keys >> _HALF)
    bins, inside = _find(upper, np.broadcast_to(order[:, None], (len(order), n_chans)))
    lower = [np.zeros_like(upper) for _ in order]
    for keys in map(_keys, read()):
        high, low = keys >> _HALF, keys & (_BINS - 1)
        for counts, wanted in zip(lower, bins, strict=True):
            counts += _count(low, high == wanted[:, None])
    ends = np.stack([_find(counts, rank[None])[0][0] for counts, rank in zip(lower, inside, strict=True)])
    below, above = _values((bins << _HALF | ends).astype(np.uint32))[back.reshape(ranks.shape)].astype(
        np.float64
    )
    return below + (above - below) * (places - np.floor(places))[:, None]


def _keys(block: np.ndarray) -> np.ndarray:
    """Numbers as uint32 of the same order, shape (n_chans, n_epochs * n_times)."""
    bits = np.ascontiguousarray(block.transpose(1, 0, 2), dtype=np.float32).view(np.uint32)
    bits = bits.reshape(len(bits), -1)
    return bits ^ np.where(bits >> 31, np.uint32(0xFFFFFFFF), np.uint32(0x80000000))


def _values(keys: np.ndarray) -> np.ndarray:
    """The numbers of some keys."""
    return (keys ^ np.where(keys >> 31, np.uint32(0x80000000), np.uint32(0xFFFFFFFF))).view(np.float32)


def _count(halves: np.ndarray, where: np.ndarray | None = None) -> np.ndarray:
    """How often each half key occurs in each channel, shape (n_chans, 65536)."""
    n_chans = len(halves)
    flat = halves + (np.arange(n_chans, dtype=np.uint32) << _HALF)[:, None]
    flat = flat.ravel() if where is None else flat[where]
    return np.bincount(flat, minlength=n_chans * _BINS).reshape(n_chans, _BINS)


def _find(counts: np.ndarray, ranks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Bins in which some ranks lie, and the ranks inside these bins; both (n_ranks, n_chans)."""
    upto = counts.cumsum(axis=1)
    bins = np.stack([(upto <= rank[:, None]).sum(axis=1) for rank in ranks])
    before = np.take_along_axis(np.pad(upto, ((0, 0), (1, 0))), bins.T, axis=1).T
    return bins, ranks - before
