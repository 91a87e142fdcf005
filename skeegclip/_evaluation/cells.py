"""A cell of an evaluation: one estimator trained on one fold with one seed. What it gave, and its file."""

from __future__ import annotations

import re
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from .._utils.folders import checked
from ..metrics.counts import count_better_equal
from .files import DamagedFileError, read_result, warn_of_damage, write_result

Asked = list[tuple[str, str]]

_ALONE = "alone "  # before the tasks of `inductive` in a file
N_TOP = 5  # most similar items kept of each query, for permutation tests
_MOST_BYTES = 2**30  # 16,000 queries and 1,000 passes take 130 MB


@dataclass(frozen=True)
class Ranked:
    """Where the true item of each query came, in one task.

    Attributes
    ----------
    subject, stimulus : ndarray of str, shape (n_queries,)
        Who saw what.
    gallery : ndarray of str, shape (n_gallery,)
        What was chosen from.
    target : ndarray of int, shape (n_queries,)
        True column.
    better, equal : ndarray of int, shape (n_queries,)
        Number of other items that are more similar, and as similar.
    top : ndarray of int, shape (n_queries, n_top)
        The most similar columns.
    pass_better, pass_equal : ndarray of int, shape (n_passes, n_queries) | None
        The same counts after each pass of training, for the oracle.
    """

    subject: np.ndarray
    stimulus: np.ndarray
    gallery: np.ndarray
    target: np.ndarray
    better: np.ndarray
    equal: np.ndarray
    top: np.ndarray
    pass_better: np.ndarray | None = None
    pass_equal: np.ndarray | None = None


def rank(similarity: np.ndarray, gallery: np.ndarray, truth: np.ndarray, **who: np.ndarray) -> Ranked:
    """Find where the true items came in a similarity matrix; `gallery` is sorted."""
    target = np.searchsorted(gallery, truth)
    better, equal, _ = count_better_equal(similarity, target)
    top = np.argsort(-similarity, axis=1, kind="stable")[:, :N_TOP]
    return Ranked(
        **who,
        gallery=gallery.astype(str),
        target=target.astype(np.int32),
        better=better.astype(np.int32),
        equal=equal.astype(np.int32),
        top=top.astype(np.int32),
    )


@dataclass(frozen=True)
class Cell:
    """What one estimator gave on one fold with one seed.

    Attributes
    ----------
    estimator, fold : str
        Names.
    seed : int
        Number of the seed.
    tasks : dict of str to Ranked
        "retrieval" and "classification", as far as they could be done.
    facts : dict
        Plain values: how passes were chosen, transductive steps, sizes, seconds, versions, notes.
    inductive : dict of str to Ranked
        Of a transductive estimator, what the same fit gives where each query is asked alone, as far as it can say.
    """

    estimator: str
    fold: str
    seed: int
    tasks: dict[str, Ranked]
    facts: dict[str, Any] = field(default_factory=dict)
    inductive: dict[str, Ranked] = field(default_factory=dict)


def with_companions(cells: list[Cell]) -> list[Cell]:
    """Cells, each transductive one followed by what it gives without that, as another estimator's."""
    made = []
    for cell in cells:
        made.append(cell)
        if cell.inductive:
            facts = cell.facts | {"transductive": []}
            made.append(Cell(inductive_name(cell.estimator), cell.fold, cell.seed, cell.inductive, facts))
    return made


def inductive_name(estimator: str) -> str:
    """Name of the companion of a transductive estimator."""
    return f"{estimator}, each query alone"


def cell_path(folder: Path, estimator: str, fold: str, seed: int, digest: str) -> Path:
    """Name of a cell's file: readable, and different for whatever decides its content."""
    parts = [re.sub(r"[^\w.-]+", "_", part)[:40] for part in (estimator, fold)]
    return folder / "cells" / f"{parts[0]}-{parts[1]}-seed{seed}-{digest}.cell"


def save_cell(path: Path, cell: Cell) -> None:
    """Write a cell, whole or not at all."""
    facts = {"estimator": cell.estimator, "fold": cell.fold, "seed": cell.seed, "facts": cell.facts}
    arrays = {
        f"{task}/{entry.name}": value
        for task, ranked in (cell.tasks | {_ALONE + task: of for task, of in cell.inductive.items()}).items()
        for entry in fields(ranked)
        if (value := getattr(ranked, entry.name)) is not None
    }
    write_result(path, facts | {"digest": _digest_of(path)}, arrays)


def _digest_of(path: Path) -> str:
    return path.stem.rpartition("-")[2]


def load_cell(path: Path, asked: Asked) -> Cell | None:
    """Read a cell; None where there is none, or, with a warning, where the file is not the one of this fold.

    Parameters
    ----------
    path : Path
        From `cell_path`.
    asked : list of (str, str)
        Subject and stimulus of all queries of the fold, in any order.
    """
    try:
        return _checked_cell(path, asked)
    except FileNotFoundError:
        return None
    except ValueError as error:  # damaged, or of another make
        warn_of_damage(path, error)
        return None


def _checked_cell(path: Path, asked: Asked) -> Cell:
    said, arrays = read_result(path, _MOST_BYTES)
    stored = checked(said, _Stored, path)
    if stored.digest != _digest_of(path):
        raise DamagedFileError("it belongs to another cell")
    tasks: dict[str, dict[str, np.ndarray]] = {}
    for key, array in arrays.items():
        task, _, name = key.partition("/")
        tasks.setdefault(task, {})[name] = array
    known, needed = (
        {entry.name for entry in fields(Ranked)},
        {entry.name for entry in fields(Ranked) if entry.default is MISSING},
    )
    if not tasks or not {task.removeprefix(_ALONE) for task in tasks} <= {"retrieval", "classification"}:
        raise DamagedFileError(f"it has the tasks {sorted(tasks)}")
    for task, parts in tasks.items():
        if not needed <= set(parts) <= known:
            raise DamagedFileError(f"{task} has the parts {sorted(parts)}")
        check_ranked(Ranked(**parts), asked, task.removeprefix(_ALONE))
    return Cell(
        stored.estimator,
        stored.fold,
        stored.seed,
        {task: Ranked(**parts) for task, parts in tasks.items() if not task.startswith(_ALONE)},
        said["facts"],
        {
            task.removeprefix(_ALONE): Ranked(**parts)
            for task, parts in tasks.items()
            if task.startswith(_ALONE)
        },
    )


def check_ranked(ranked: Ranked, asked: Asked, task: str) -> None:
    """Refuse what cannot be the ranks of the queries of a fold.

    Raises
    ------
    DamagedFileError
        If a shape, a place or a name is impossible.
    """
    n, size = len(asked), len(_array(ranked.gallery).reshape(-1))
    shapes: dict[str, tuple[int, ...]] = dict.fromkeys(
        ("subject", "stimulus", "target", "better", "equal"), (n,)
    )
    shapes |= {"gallery": (size,), "top": (n, min(N_TOP, size))}
    if ranked.pass_better is not None or ranked.pass_equal is not None:
        passes = (_array(ranked.pass_better).size // max(n, 1), n)
        shapes |= {"pass_better": passes, "pass_equal": passes}
    for name, shape in shapes.items():
        array = _array(getattr(ranked, name))
        kind = "U" if name in ("subject", "stimulus", "gallery") else "i"
        if array.shape != shape or array.dtype.kind != kind:
            raise DamagedFileError(f"{name} is {array.dtype} of shape {array.shape}, not {shape}")
    if size < 2 or not np.array_equal(np.unique(ranked.gallery), ranked.gallery):
        raise DamagedFileError("its gallery is no sorted list of names")
    queries = zip(ranked.subject.tolist(), ranked.stimulus.tolist(), strict=True)
    if sorted(queries) != sorted(asked):
        raise DamagedFileError("its queries are not those of this fold")
    for name in ("target", "top"):
        places = getattr(ranked, name)
        if places.min() < 0 or places.max() >= size:
            raise DamagedFileError(f"{name} lies outside the gallery")
    if task == "retrieval" and (ranked.gallery[ranked.target] != ranked.stimulus).any():
        raise DamagedFileError("its true items are not what was shown")
    for before, beside in ((ranked.better, ranked.equal), (ranked.pass_better, ranked.pass_equal)):
        if before is None or beside is None:
            continue
        if (
            min(before.min(initial=0), beside.min(initial=0)) < 0
            or (before.astype(np.int64) + beside).max(initial=0) >= size
        ):
            raise DamagedFileError(f"a true item has fewer than 0 or more than {size - 1} others before it")


def _array(value: Any) -> np.ndarray:
    return np.zeros(()) if value is None else value


@dataclass(frozen=True)
class _Chosen:
    """How the weights of an encoder were chosen, as far as a report tells it."""

    net: str
    rule: str
    epoch: int
    n_passes: int
    n_stimuli_held_out: int


@dataclass(frozen=True)
class _Facts:
    """What a report reads of the facts of a cell."""

    selection: list[_Chosen]
    transductive: list[str]
    frozen: list[tuple[str, str]]
    notes: list[str]
    labels: bool
    n_averaged: tuple[int, int]


@dataclass(frozen=True)
class _Stored:
    estimator: str
    fold: str
    seed: int
    facts: _Facts
    digest: str
