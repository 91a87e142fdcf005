"""From y to what an encoder is trained on: one vector per stimulus, and each row's stimulus."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.utils import check_array
from sklearn.utils.multiclass import type_of_target

from .._utils.ids import as_ids
from .._utils.missing import refuse_masked
from .._utils.seen import Seen
from .._utils.validation import check_same_length
from ..embeddings.join import as_tables
from ..embeddings.table import check_table

_FEWEST_HELD_OUT = 10


@dataclass(frozen=True)
class Targets:
    """Vectors of the stimuli, and which row saw which.

    Attributes
    ----------
    vectors : ndarray of float32, shape (n_stimuli, n_dims)
        One vector per stimulus.
    stimulus : ndarray of int64, shape (n_epochs,)
        Row of `vectors` for each epoch.
    text : ndarray of float32, shape (n_stimuli, n_dims) | None
        Text vectors of the same stimuli.
    are_codes : bool
        Whether the vectors stand for classes, so that a stimulus held out would never be learned.
    weight : ndarray of float32, shape (n_epochs,) | None
        Weight of each epoch; None where all weigh the same.
    layers : tuple of int | None
        Widths of the vectors of several tables, where `vectors` holds them side by side.
    """

    vectors: np.ndarray
    stimulus: np.ndarray
    text: np.ndarray | None = None
    are_codes: bool = False
    weight: np.ndarray | None = None
    layers: tuple[int, ...] | None = None

    @property
    def variance(self) -> float:
        """Variance of the rows' targets, averaged over dimensions; 1 where all rows are equal."""
        weights = np.bincount(self.stimulus, self.weight, minlength=len(self.vectors))
        weights = weights / weights.sum()
        vectors = self.vectors.astype(np.float64)
        centred = vectors - weights @ vectors
        return float(np.mean(weights @ centred**2)) or 1.0


def read_targets(y: Any, n_rows: int, *, table: Any = None, text_table: Any = None, owner: str) -> Targets:
    """Read y: string ids to look up in `table`, or the matrix of embeddings itself."""
    if y is None:
        raise ValueError(f"This {owner} estimator requires y to be passed, but the target y is None.")
    refuse_masked(y, name="y")
    array = np.asarray(y)
    if array.ndim == 2 and not _are_text(array):
        return _from_matrix(array, n_rows, text_table)
    if array.ndim == 1 and table is None and not _are_text(array):
        # Numbers with nothing to look them up in are embeddings of one dimension.
        type_of_target(array, input_name="y", raise_unknown=True)
        return _from_matrix(array[:, None], n_rows, text_table)
    return _from_ids(array, n_rows, table, text_table)


def _are_text(array: np.ndarray) -> bool:
    return array.dtype.kind in "UT" or (array.size > 0 and isinstance(array.flat[0], str))


def _from_matrix(y: np.ndarray, n_rows: int, text_table: Any) -> Targets:
    if text_table is not None:
        raise ValueError(
            "text_targets are looked up by stimulus id, but y is an embedding matrix."
            " Pass y as string ids with targets=, or text_targets=None."
        )
    matrix = check_array(y, dtype=np.float32, input_name="y", estimator="EEGEncoder")
    check_same_length(n_rows, len(matrix))
    first, stimulus = equal_rows(matrix)
    return Targets(matrix[first], stimulus)


def _from_ids(array: np.ndarray, n_rows: int, table: Any, text_table: Any) -> Targets:
    if array.ndim == 2 and array.shape[1] == 1:
        array = array.ravel()
    if array.ndim != 1:
        raise ValueError(
            f"y must be 1-D ids or a 2-D numeric embedding matrix, got {array.dtype} of shape {array.shape}."
        )
    check_same_length(n_rows, len(array))
    if table is None:
        raise ValueError(
            "targets is None, but y holds stimulus ids: there is no vector to learn. Pass targets=EmbeddingTable(...),"
            " or y as the embedding matrix (n_epochs, n_dims)."
        )
    tables = as_tables("targets", table)
    ids, stimulus = np.unique(as_ids(array, name="y"), return_inverse=True)
    found = [one.lookup(ids) for one in tables]
    vectors, layers = (
        (found[0], None) if len(found) == 1 else (np.hstack(found), tuple(v.shape[1] for v in found))
    )
    text = None
    if text_table is not None:
        if layers is not None:
            raise ValueError(
                f"text_targets cannot be mixed with {len(layers)} tables of targets. Pass one table, or text_targets=None."
            )
        check_table("text_targets", text_table)
        text = text_table.lookup(ids)
        if text.shape != vectors.shape:
            raise ValueError(
                f"text_targets have {text.shape[1]} dimensions, targets have {vectors.shape[1]}."
                " Embed both with one model."
            )
    codes = bool(getattr(tables[0], "meta", {}).get("class_codes", False))
    return Targets(vectors, stimulus.astype(np.int64), text, codes, layers=layers)


def seen_by(X: Any, y: Any, targets: Targets) -> Seen:
    """Fingerprints of what is trained on; labels of classes are left out, for every set has them."""
    if targets.are_codes:
        return Seen.of(X)
    ids = np.asarray(y)
    return Seen.of(X, np.unique(ids) if ids.ndim == 1 and _are_text(ids) else None, targets.vectors)


def equal_rows(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First row and group number of each distinct row, in order of appearance."""
    matrix = np.ascontiguousarray(matrix)
    seen: dict[bytes, int] = {}
    first: list[int] = []
    group = np.empty(len(matrix), dtype=np.int64)
    for row, vector in enumerate(matrix):
        key = hashlib.blake2b(vector, digest_size=16).digest()
        group[row] = seen.setdefault(key, len(seen))
        if group[row] == len(first):
            first.append(row)
    return np.array(first), group


def hold_out_stimuli(targets: Targets, fraction: float, seed: int) -> tuple[np.ndarray, np.ndarray | None]:
    """Rows to train on and rows to validate on, no stimulus in both; None where too few stimuli are given.

    Repetitions of one picture in both parts would make validation measure memory, not decoding.
    """
    n_stimuli = len(targets.vectors)
    held = int(fraction * n_stimuli)
    rows = np.arange(len(targets.stimulus))
    if targets.are_codes or held < 2 or n_stimuli - held < 2:
        return rows, None
    chosen = np.zeros(n_stimuli, dtype=bool)
    chosen[np.random.default_rng([seed, 1]).permutation(n_stimuli)[:held]] = True
    out = chosen[targets.stimulus]
    return rows[~out], rows[out]


def hold_out_epochs(targets: Targets, fraction: float, seed: int) -> tuple[np.ndarray, np.ndarray | None]:
    """Rows to train on and to validate on, some of every class; None where fewer than `_FEWEST_HELD_OUT` would be held out.

    The first of a class, in a random order, is trained on always.
    """
    n_rows = len(targets.stimulus)
    rows = np.arange(n_rows)
    order = np.random.default_rng([seed, 5]).permutation(n_rows)
    order = order[np.argsort(targets.stimulus[order], kind="stable")]
    first = np.diff(targets.stimulus[order], prepend=-1) > 0
    # Spread evenly over the epochs ordered by class: of each class its share.
    out = order[(np.diff(np.floor(rows * fraction), prepend=0) > 0) & ~first]
    if len(out) < _FEWEST_HELD_OUT:
        return rows, None
    return np.setdiff1d(rows, out), np.sort(out)


def hold_out(
    targets: Targets, validation: float | str, batch_size: int, seed: int
) -> tuple[np.ndarray, np.ndarray | None]:
    """Rows to train on and to validate on: a share of the stimuli, or ("last-batch") the last rows, whatever they show."""
    if not isinstance(validation, str):
        return hold_out_stimuli(targets, validation, seed)
    n_rows = len(targets.stimulus)
    if n_rows - batch_size < 2:
        raise ValueError(
            f'validation="last-batch" holds out the last batch_size={batch_size} of {n_rows} epochs, which leaves too few'
            " to train on. Lower batch_size, or hold out a fraction of the stimuli (validation=0.05)."
        )
    rows = np.arange(n_rows)
    return rows[:-batch_size], rows[-batch_size:]
