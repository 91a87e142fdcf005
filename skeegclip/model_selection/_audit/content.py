"""Test epochs that are in training under another name: copies, noisy copies, averages, shifted windows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.utils import gen_batches

from ..._utils.sketch import blocks, n_rows_of, projection, read_some, sketch_block, unit
from .shifts import Anchors, anchors_of, candidates, channel_mixes

SURE, ALIKE = "sure", "alike"
# How similar it is to one in ten on its own side, where its copies are not; and to the eighth nearest on the other.
Usual = tuple[float, float]

_N_SCALE = 64  # epochs that the size of a channel is taken from
_BLOCK = 2**22  # similarities held at once
_MIN_FEATURES = 16  # fewer numbers agree by chance
_N_VERIFIED = 512  # pairs of a fold that are read and compared
_N_OF_PERSON = 32  # epochs of each person that are looked for among other people's
_ROUNDING = 1e-5  # of a correlation, copies in half precision included
_REFERENCE = 8  # a copy is much nearer than the nearest few that are none


@dataclass(frozen=True)
class Content:
    """What is kept of all epochs to compare them.

    Attributes
    ----------
    sketches : ndarray of float32, shape (n_epochs, N_DIMS)
        Random projections of the epochs, each channel's mean taken away; linear, so that those of averages are averages.
    scale : ndarray, shape (n_chans, 1)
        One over the typical size of each channel.
    anchors : Anchors | None
        Where windows that overlap can be recognised; None where epochs are too short.
    """

    sketches: np.ndarray
    scale: np.ndarray
    anchors: Anchors | None


@dataclass(frozen=True)
class Found:
    """Test rows that are in training, and how sure that is."""

    copies: tuple[int, ...]
    alike: tuple[int, ...]
    overlaps: tuple[int, ...] | None


def content_of(X: Any, rows: np.ndarray) -> Content | None:
    """Read some epochs once, a block at a time; None where they hold too few numbers to tell them apart.

    Parameters
    ----------
    X : ndarray | EpochsView | Epochs
        All epochs.
    rows : ndarray of int
        Those that will be compared; the others are not read.
    """
    some = read_some(X, rows[np.linspace(0, len(rows) - 1, min(_N_SCALE, len(rows))).astype(int)])
    _, n_chans, n_times = some.shape
    size = np.median(some.std(axis=2, dtype=np.float64), axis=0)
    if n_chans * n_times < _MIN_FEATURES or not np.isfinite(size).all():
        return None
    scale = np.where(size > 0, 1 / np.where(size > 0, size, 1), 0)[:, None]
    directions = projection(n_chans, n_times).reshape(n_chans, n_times, -1) * scale[:, :, None]
    directions = directions.reshape(n_chans * n_times, -1).astype(np.float32)
    mixes = channel_mixes(scale[:, 0], n_times)
    sketches = np.zeros((n_rows_of(X), directions.shape[1]), dtype=np.float32)
    anchors = []
    for here, block in blocks(X, rows):
        sketches[here] = sketch_block(block, directions)
        if mixes is not None:
            anchors.append(anchors_of(block, here, mixes))
    return Content(sketches, scale, Anchors.joined(anchors) if anchors else None)


def find_copies(
    content: Content, X: Any, train: np.ndarray, test: np.ndarray, keys: np.ndarray | None
) -> Found:
    """Look for the test epochs of a fold among its training epochs.

    Parameters
    ----------
    content : Content
        Of all epochs.
    X : ndarray | EpochsView | Epochs
        All epochs; pairs that look the same are read again and compared.
    train, test : ndarray of int
        Rows.
    keys : ndarray of str, shape (n_epochs,) | None
        Person and stimulus: their averages are compared too.
    """
    rest = np.setdiff1d(train, test)  # rows on both sides are another finding
    trained, tested = _with_averages(content, rest, keys), _with_averages(content, test, keys)
    sure: set[int] = set()
    alike: set[int] = set()
    # Averages with single epochs, on either side; averages of the same epochs have the same epochs.
    for left, right in ((tested, trained[:1]), (tested[:1], trained[1:])):
        for certain, mine in _pairs(content, X, left, right):
            (sure if certain else alike).update(mine)
    overlaps = None
    if content.anchors is not None:
        found = candidates(content.anchors, rest, test)[:_N_VERIFIED]
        overlaps = tuple(
            sorted({mine for mine, its, by in found if _shifted(content, X, mine, its, by)} - sure)
        )
    return Found(tuple(sorted(sure)), tuple(sorted(alike - sure)), overlaps)


_Group = tuple[list[np.ndarray], np.ndarray]  # rows of each item, and the items' unit sketches


def _with_averages(content: Content, rows: np.ndarray, keys: np.ndarray | None) -> list[_Group]:
    """Single epochs, then averages over the repetitions of a stimulus."""
    groups: list[_Group] = [(list(rows[:, None]), unit(content.sketches[rows]))]
    if keys is None or len(rows) == 0:
        return groups
    _, place, counts = np.unique(keys[rows], return_inverse=True, return_counts=True)
    if (counts < 2).all():
        return groups
    members = np.split(rows[np.argsort(place, kind="stable")], np.cumsum(counts)[:-1])
    sums = np.add.reduceat(content.sketches[np.concatenate(members)], np.cumsum(counts) - counts)
    many = np.flatnonzero((counts > 1) & (keys[[part[0] for part in members]] != ""))
    return [*groups, ([members[i] for i in many], unit(sums[many] / counts[many, None]))]


def _pairs(content: Content, X: Any, left: list[_Group], right: list[_Group]) -> list[tuple]:
    """Items of the left that one of the right is a copy of: whether it is sure, and its rows."""
    if not left or not right:
        return []
    mine, theirs = ([item for rows, _ in side for item in rows] for side in (left, right))
    a, b = (np.concatenate([sketches for _, sketches in side]) for side in (left, right))
    if len(a) == 0 or len(b) == 0:
        return []
    chance = nearest_by_chance(max(_n_directions(a), _n_directions(b)), len(a) * len(b))
    found = []
    for item, nearest in close_pairs(a, b, 0.85)[:_N_VERIFIED]:
        r, single = _correlation(content, X, mine[item], theirs[nearest])
        # One channel with an artefact may make two epochs alike; a copy is alike in most channels. Where most are the
        # same to rounding, it is one with another gain in each channel.
        r = single if 1 - single < _ROUNDING else min(r, single)
        if (level := verdict(r, usual_for(item, a, b), chance)) is not None:
            found.append((level == SURE, mine[item].tolist()))
    return found


def same_recordings(content: Content, X: Any, people: np.ndarray, rows: np.ndarray) -> set[tuple[str, str]]:
    """Pairs of people, either way round, of whom the same epochs are there: one recording under two names."""
    names, code = np.unique(people[rows], return_inverse=True)
    units, found = unit(content.sketches[rows]), set()
    for number in range(len(names)):
        own, others = np.flatnonzero(code == number), np.flatnonzero(code > number)
        some = own[np.unique(np.linspace(0, len(own) - 1, _N_OF_PERSON).astype(int))]
        if names[number] == "" or len(others) == 0:
            continue
        for mine, theirs in close_pairs(units[some], units[others], 0.999):
            pair = (str(names[number]), str(names[code[others[theirs]]]))
            a, b = rows[some[mine : mine + 1]], rows[others[theirs : theirs + 1]]
            if pair not in found and min(_correlation(content, X, a, b)) > 0.999:
                found |= {pair, pair[::-1]}
    return found


def nearest_by_chance(n_directions: float, n_pairs: int) -> float:
    """How near one would a pair come to a correlation of 1 by chance, once in a hundred times?

    Of n random directions the part within 1 - r of one of them is about (2 (1 - r)) ** ((n - 1) / 2).
    """
    return 0.5 * (0.01 / n_pairs) ** (2 / max(n_directions - 1, 1e-3))


def verdict(r: float, usual: Usual, chance: float) -> str | None:
    """How sure it is that two are copies, from their correlation and that with others.

    Where data vary in few directions, some are alike by chance. Averages of one person are all alike, so that a high correlation alone says little; a copy is ten times nearer.
    """
    own, eighth = usual
    if 1 - r < _ROUNDING:
        return SURE
    if 1 - r > chance:
        return None
    if r > 0.99 and 1 - r < 0.1 * (1 - own):
        return SURE
    return ALIKE if r > 0.9 and 1 - r < 0.15 * (1 - eighth) else None


def close_pairs(a: np.ndarray, b: np.ndarray, least: float) -> list[tuple[int, int]]:
    """Rows of `a` that have a nearest row of `b` above a similarity, and that row; the most similar first."""
    found = []
    step = max(1, _BLOCK // len(b))
    for block in gen_batches(len(a), step):
        similarity = a[block] @ b.T
        np.abs(similarity, out=similarity)
        nearest = similarity.argmax(axis=1)
        best = similarity[np.arange(len(similarity)), nearest]
        found += [
            (best[row], block.start + int(row), int(nearest[row])) for row in np.flatnonzero(best > least)
        ]
    return [(row, column) for _, row, column in sorted(found, key=lambda pair: -pair[0])]


def usual_for(row: int, a: np.ndarray, b: np.ndarray) -> Usual:
    """What is usual for a row of `a`."""
    eighth = _ranked(np.abs(b @ a[row]), _REFERENCE) if len(b) > 1 else 0.0
    own = _ranked(np.abs(a @ a[row]), max(2, len(a) // 10)) if len(a) > _REFERENCE else eighth
    return own, eighth


def _ranked(values: np.ndarray, rank: int) -> float:
    """The value that comes at a rank, the largest first."""
    return float(-np.partition(-values, min(rank, len(values)) - 1)[min(rank, len(values)) - 1])


def _n_directions(units: np.ndarray) -> float:
    """In how many directions unit vectors vary about their mean: one over the mean square of their cosines."""
    units = units[(units != 0).any(axis=1)]
    some = units[np.linspace(0, len(units) - 1, min(400, len(units))).astype(int)] if len(units) else units
    if len(some) < 3:
        return np.inf
    about = some - some.mean(axis=0)
    gram = unit(about) @ unit(about).T
    apart = gram[~np.eye(len(gram), dtype=bool)]
    return float(1 / max(np.median(apart**2) / 0.455, 1e-12))  # the median of a squared normal number is .455


def _mean(X: Any, rows: np.ndarray) -> np.ndarray:
    return np.sum([block.sum(axis=0, dtype=np.float64) for _, block in blocks(X, rows)], axis=0) / len(rows)


def _correlation(content: Content, X: Any, mine: np.ndarray, its: np.ndarray) -> tuple[float, float]:
    return correlation(_mean(X, mine) * content.scale, _mean(X, its) * content.scale)


def correlation(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Correlation of two epochs over all channels, and the median of those of single channels, without the sign."""
    sizes = (x**2).sum(), (y**2).sum()
    x, y = x - x.mean(axis=1, keepdims=True), y - y.mean(axis=1, keepdims=True)
    dots, xx, yy = (np.einsum("ct,ct->c", *pair) for pair in ((x, y), (x, x), (y, y)))
    if xx.sum() <= 1e-12 * sizes[0] or yy.sum() <= 1e-12 * sizes[1]:  # flat: what is left is rounding
        return 0.0, 0.0
    live = (xx > 1e-12 * xx.max()) & (yy > 1e-12 * yy.max())
    single = dots[live] / np.sqrt(xx[live] * yy[live])
    return float(abs(dots.sum()) / np.sqrt(xx.sum() * yy.sum())), float(
        np.median(np.abs(single))
    ) if live.any() else 0.0


def _shifted(content: Content, X: Any, mine: int, its: int, by: int) -> bool:
    x, y = (read_some(X, np.array([row]))[0] * content.scale for row in (mine, its))
    n = x.shape[1] - abs(by)
    x, y = (x[:, by:], y[:, :n]) if by > 0 else (x[:, :n], y[:, -by:])
    r, middle = correlation(x, y)
    return n >= 16 and r > 0.999 and middle > 0.99
