"""Windows that overlap, recognised by their content: the same peaks with the same surroundings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..._utils.sketch import hash_rows

_N_MIXES = 3
_AROUND = np.array([-8, -4, 0, 4, 8])  # samples about a peak that describe it
_MARGIN = 8
_N_CHANS = 8
_N_PEAKS = 6
_MIN_TIMES = 40
_STEP = 0.05  # of the surroundings, beside the height of the peak


@dataclass(frozen=True)
class Anchors:
    """Peaks of epochs: a number that describes the surroundings, the epoch, and the sample."""

    key: np.ndarray
    row: np.ndarray
    time: np.ndarray

    @classmethod
    def joined(cls, parts: list[Anchors]) -> Anchors:
        """All of several."""
        return cls(
            *(np.concatenate([getattr(part, name) for part in parts]) for name in ("key", "row", "time"))
        )

    def of(self, rows: np.ndarray) -> Anchors:
        """Those of some epochs."""
        wanted = np.zeros(max(self.row.max(initial=0), rows.max(initial=0)) + 1, dtype=bool)
        wanted[rows] = True
        here = wanted[self.row]
        return Anchors(self.key[here], self.row[here], self.time[here])


Mixes = tuple[np.ndarray, np.ndarray]


def channel_mixes(scale: np.ndarray, n_times: int) -> Mixes | None:
    """Some channels, and random mixtures (3, n) of them, each at its typical size; None where epochs are too short."""
    if n_times < _MIN_TIMES:
        return None
    # A few channels, spread over all, tell peaks apart well enough, and are read in a fraction of the time.
    some = np.unique(np.linspace(0, len(scale) - 1, min(_N_CHANS, len(scale))).astype(int))
    mixes = np.random.default_rng(len(scale)).standard_normal((_N_MIXES, len(some))) * scale[some]
    return some, mixes.astype(np.float32)


def anchors_of(block: np.ndarray, rows: np.ndarray, mixes: Mixes) -> Anchors:
    """The highest peaks of each epoch's slope, described without regard to unit, sign and offset."""
    # Slopes: windows are often cut first and then brought to a baseline each.
    some, weights = mixes
    slopes = np.diff(weights @ block[:, some].astype(np.float32, copy=False), axis=2)
    height = np.abs(slopes[:, 0])
    inner = height[:, _MARGIN:-_MARGIN]
    is_peak = (inner >= height[:, _MARGIN - 1 : -_MARGIN - 1]) & (
        inner > height[:, _MARGIN + 1 : 1 - _MARGIN]
    )
    ranked = np.where(is_peak & np.isfinite(inner), inner, 0)
    n = min(_N_PEAKS, ranked.shape[1])
    place = np.argpartition(-ranked, n - 1, axis=1)[:, :n]
    epoch, column = np.nonzero(np.take_along_axis(ranked, place, axis=1) > 0)
    time = place[epoch, column] + _MARGIN
    about = slopes[epoch[:, None, None], np.arange(_N_MIXES)[None, :, None], time[:, None, None] + _AROUND]
    top = slopes[epoch, 0, time]
    numbers = np.round(about.reshape(len(top), -1) / top[:, None] / _STEP)
    return Anchors(hash_rows(numbers.clip(-(2**31), 2**31)), rows[epoch], time.astype(np.int32))


def candidates(anchors: Anchors, train: np.ndarray, test: np.ndarray) -> list[tuple[int, int, int]]:
    """Test row, training row, and by how many samples the training epoch begins later, of pairs with a peak in common.

    One for each test row, that with the most such peaks; epochs in the same place are left to the search for copies.
    """
    known, asked = anchors.of(train), anchors.of(test)
    order = np.argsort(known.key, kind="stable")
    keys = known.key[order]
    first = np.atleast_1d(np.searchsorted(keys, asked.key, side="left"))
    last = np.atleast_1d(np.searchsorted(keys, asked.key, side="right"))
    votes: dict[tuple[int, int, int], int] = {}
    for peak in np.flatnonzero(last > first):
        for place in order[first[peak] : min(last[peak], first[peak] + 4)]:
            by = int(asked.time[peak]) - int(known.time[place])
            if by:
                pair = (int(asked.row[peak]), int(known.row[place]), by)
                votes[pair] = votes.get(pair, 0) + 1
    best: dict[int, tuple[int, int, int]] = {}
    for pair in sorted(votes, key=lambda pair: -votes[pair]):
        best.setdefault(pair[0], pair)
    return sorted(best.values(), key=lambda pair: -votes[pair])
