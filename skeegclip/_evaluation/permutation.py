"""Permutation tests against names that say nothing: the names of stimuli are exchanged, alike for everybody.

People saw the same pictures, so that they make the same errors: a picture that is found by luck is found by all of
them. Exchanged for each person alone, such luck would count as often as there are people. What is exchanged is
therefore the stimulus (or its class), in all epochs, people, folds and seeds at once; single epochs only where it was
their classes that were trained on.

Folds that train on each other's test epochs are taken as given. Those of a classifier then lean a little on each other:
with each person left out once, up to 8 % of the p values are below 0.05 where there is nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import chain, permutations, product
from math import factorial
from operator import mul
from typing import NamedTuple

import numpy as np
from sklearn.utils import gen_batches

_BLOCK = 2**22  # entries compared at once
TOLERANCE = 1e-9  # sums of equal terms in another order


@dataclass(frozen=True)
class Exchanges:
    """The ways to exchange names of stimuli that leave each test set with the stimuli it has.

    Two names may change places if the same test sets hold them; for all other pairs, some test set would have a true
    item that it did not search.

    Parameters
    ----------
    names : ndarray of str, shape (n_names,)
        All that was tested, sorted.
    kinds : tuple of ndarray of int
        Positions of the names that may change places with each other.
    n : int
        Number of exchanges to be done.
    exact : bool
        Whether these are all there are.
    """

    names: np.ndarray
    kinds: tuple[np.ndarray, ...]
    n: int
    exact: bool

    @classmethod
    def of(cls, tested: Sequence[np.ndarray], n_permutations: int) -> Exchanges:
        """Find the exchanges for test sets: all of them, if they are at most `n_permutations`, else so many drawn."""
        names = np.unique(np.concatenate(tested))
        sets = {tuple(np.unique(part).tolist()) for part in tested}
        held = np.array([np.isin(names, part) for part in sorted(sets)])
        _, code = np.unique(held, axis=1, return_inverse=True)
        code = code.reshape(-1)
        kinds = tuple(np.flatnonzero(code == number) for number in range(code.max() + 1))
        n_all = reduce(mul, (factorial(len(kind)) for kind in kinds))
        return cls(names, kinds, min(n_all, n_permutations), n_all <= n_permutations)

    def draw(self, rng: np.random.Generator, width: int = 1) -> Iterator[np.ndarray]:
        """Give the exchanges in blocks, shape (n_block, n_names): which name stands in the place of each.

        `width` is what the caller holds for each exchange, in entries, which decides on the size of a block.
        """
        if self.exact:
            places = np.concatenate(self.kinds)
            orders = np.empty((self.n, len(self.names)), dtype=np.intp)
            for order, parts in zip(orders, product(*map(permutations, self.kinds)), strict=True):
                order[places] = list(chain.from_iterable(parts))
        step = max(1, _BLOCK // max(width, len(self.names)))
        for block in gen_batches(self.n, step):
            if self.exact:
                yield orders[block]
                continue
            n = block.stop - block.start
            drawn = np.empty((n, len(self.names)), dtype=np.intp)
            for kind in self.kinds:
                drawn[:, kind] = rng.permuted(np.tile(kind, (n, 1)), axis=1)
            yield drawn

    def p(self, n_extreme):
        """P value, where so many of the exchanges gave no less than what was seen; NaN where there is only one."""
        if self.exact:
            return n_extreme / self.n if self.n > 1 else n_extreme * np.nan
        return (1 + n_extreme) / (1 + self.n)

    @property
    def smallest(self) -> float:
        """The smallest p that can come out; NaN where nothing can be exchanged."""
        return self.p(1 if self.exact else 0)


class Answers(NamedTuple):
    """What a test set gave.

    Attributes
    ----------
    unit, truth : ndarray of str, shape (n_queries,)
        What is exchanged as one, and the true item.
    top : ndarray of str, shape (n_queries, k)
        The most similar items.
    weight : ndarray, shape (n_queries, k)
        What each of these would add to the accuracy, were it the true item.
    """

    unit: np.ndarray
    truth: np.ndarray
    top: np.ndarray
    weight: np.ndarray


def trials(sets: Iterable[tuple[str, np.ndarray, np.ndarray]]) -> list[np.ndarray]:
    """Units where classes were trained on, and no epoch's class says anything: each query is one of its own.

    The queries of people who were shown the same classes in the same order are exchanged alike, because they may have seen
    the same pictures. Where queries are means of all epochs of a class, it is the classes that are exchanged.

    Parameters
    ----------
    sets : iterable of (fold, subject, truth)
        Of each test set its name, and who saw what.
    """
    folds: dict[str, list[str]] = {}
    orders: dict[tuple[str, ...], int] = {}
    found = []
    for fold, subject, truth in sets:
        units = np.empty(len(truth), dtype=object)
        for person in np.unique(subject).tolist():
            mine = folds.setdefault(person, [])
            if fold not in mine:
                mine.append(fold)
            rows = np.flatnonzero(subject == person)
            order = orders.setdefault(tuple(truth[rows].tolist()), len(orders))
            units[rows] = [f"{mine.index(fold)} {order} {number}" for number in range(len(rows))]
        found.append(units.astype(str))
    return found


def permutation_p(
    sets: Sequence[Answers], rng: np.random.Generator, n_permutations: int
) -> tuple[float, float]:
    """One-sided p of a mean accuracy against names that say nothing, and the smallest p that could have come out.

    Parameters
    ----------
    sets : sequence of Answers
        One for each fold and seed.
    rng : Generator
        For the permutations.
    n_permutations : int
        Number of permutations; where all of them are fewer, all are done.
    """
    exchanges = Exchanges.of([part.unit for part in sets], n_permutations)
    unit, truth = (np.concatenate([getattr(part, name) for part in sets]) for name in ("unit", "truth"))
    k = sets[0].top.shape[1]
    labels = np.unique(truth)
    label = np.empty(len(exchanges.names), dtype=np.intp)  # of each unit
    shown = np.searchsorted(exchanges.names, unit)
    label[shown] = np.searchsorted(labels, truth)
    top = np.concatenate([part.top for part in sets])
    found = np.searchsorted(labels, top).clip(max=len(labels) - 1)
    real = labels[found] == top  # what nobody was shown is never a true item
    key, inverse = np.unique(
        np.repeat(shown, k)[real.ravel()] * len(labels) + found[real], return_inverse=True
    )
    weight = np.concatenate([part.weight for part in sets])[real]
    total = np.bincount(inverse, weights=weight, minlength=len(key))
    shown, found = np.divmod(key, len(labels))
    seen = total[label[shown] == found].sum() - TOLERANCE
    extreme = sum(
        np.count_nonzero((label[orders[:, shown]] == found) @ total >= seen)
        for orders in exchanges.draw(rng, len(key))
    )
    return float(exchanges.p(extreme)), float(exchanges.smallest)
