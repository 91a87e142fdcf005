"""Stimuli that are one and the same under two names: by how they are written, and by their vectors."""

from __future__ import annotations

import re
from collections import defaultdict
from functools import lru_cache
from typing import Any

import numpy as np
from sklearn.preprocessing import normalize

from ..._utils.spelling import plain_form
from .content import close_pairs, usual_for

_COPY = re.compile(r"(?:[ _-]copy(?:[ _-]?\d+)?|^copy[ _-](?:of[ _-])?|[ _]?\(\d+\))")
_COSINE = 0.999
_MIN_DIMS = 8  # in fewer dimensions vectors are near each other by chance

Pairs = tuple[tuple[str, str], ...]


def written_alike(test: np.ndarray, train: np.ndarray) -> tuple[Pairs, Pairs]:
    """Pairs of a test id and a training id that are spelt otherwise but mean one thing.

    Parameters
    ----------
    test, train : ndarray of str
        The different ids of each side.

    Returns
    -------
    sure : tuple of (str, str)
        They differ in case, extension, white space, Unicode form, or the folders before the name only.
    alike : tuple of (str, str)
        They differ in signs, in zeros before a number, or in a word such as "copy".
    """
    sure, alike = _matches(test, train, plain_form), _matches(test, train, _loose)
    return sure, tuple(pair for pair in alike if pair not in sure)


@lru_cache(maxsize=2**17)
def _loose(name: str) -> tuple[str, ...]:
    # Digits are told apart by what is between them: 1_12 is not 11_2.
    return tuple(
        re.sub(r"0*(\d+)", r"\1", re.sub(r"[^\w]+|_+", "_", _COPY.sub("", part)).strip("_")) or part
        for part in plain_form(name)
    )


def _matches(test: np.ndarray, train: np.ndarray, form: Any) -> Pairs:
    known: dict[str, list[tuple[tuple[str, ...], str]]] = defaultdict(list)
    forms = {name: form(name) for name in (*train.tolist(), *test.tolist())}
    for side in (train, test):
        # Where a study itself tells ids apart by what is taken away here (the letters a and A), it means something.
        if len({forms[name] for name in side.tolist()}) < len(side):
            return ()
    for name in train.tolist():
        if forms[name]:
            known[forms[name][0]].append((forms[name], name))
    own = set(train.tolist())
    return tuple(
        (name, other)
        for name in test.tolist()
        if name not in own and forms[name]
        for parts, other in known[forms[name][0]]
        if _one_ends_the_other(forms[name], parts)
    )


def _one_ends_the_other(a: tuple[str, ...], b: tuple[str, ...]) -> bool:
    n = min(len(a), len(b))
    # A bare number is the name of many pictures, in many folders.
    return a[:n] == b[:n] and (len(a) == len(b) or any(any(c.isalpha() for c in part) for part in a[:n]))


def vectors_alike(test: np.ndarray, train: np.ndarray, table: Any) -> tuple[Pairs, Pairs] | None:
    """Pairs of a test id and a training id of (nearly) one vector; None where the table does not hold them.

    Parameters
    ----------
    test, train : ndarray of str
        The different ids of each side.
    table : EmbeddingTable
        Their vectors.

    Returns
    -------
    sure, alike : tuple of (str, str)
        Equal, or of a cosine above .999 and much nearer than others; the latter where the table gives many training
        ids one vector, so that it holds kinds and not pictures.
    """
    test = np.setdiff1d(test, train)
    test, train = (
        np.array([name for name in side.tolist() if name in table], dtype=str) for side in (test, train)
    )
    if len(test) == 0 or len(train) == 0:
        return None if len(train) == 0 else ((), ())
    mine, theirs = (normalize(table.lookup(names)) for names in (test, train))
    pairs = []
    for row, nearest in close_pairs(mine, theirs, _COSINE):
        cosine = float(mine[row].astype(np.float64) @ theirs[nearest])
        if mine.shape[1] < _MIN_DIMS:
            same = np.allclose(mine[row], theirs[nearest], rtol=0, atol=1e-7)
        else:
            same = cosine > 1 - 1e-6 or (
                cosine > _COSINE and 1 - cosine < 0.1 * (1 - usual_for(row, mine, theirs)[0])
            )
        if same:
            pairs.append((str(test[row]), str(train[nearest])))
    kinds = len({vector.tobytes() for vector in theirs}) <= 0.5 * len(theirs)
    return ((), tuple(pairs)) if kinds else (tuple(pairs), ())


def merged(parts: list[tuple[Pairs, Pairs] | None]) -> tuple[Pairs, Pairs] | None:
    """What several tables say, or None where none says anything."""
    known = [part for part in parts if part is not None]
    if not known:
        return None
    sure, alike = (tuple(sorted({pair for part in known for pair in part[i]})) for i in (0, 1))
    return sure, tuple(pair for pair in alike if pair not in sure)
