"""A cell of an evaluation: one estimator trained on one fold with one seed. What it gave, and its file."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from .._utils.persistence import write_whole
from ..metrics.counts import count_better_equal

N_TOP = 5  # most similar items kept of each query, for permutation tests


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
    """

    estimator: str
    fold: str
    seed: int
    tasks: dict[str, Ranked]
    facts: dict[str, Any] = field(default_factory=dict)


def cell_path(folder: Path, estimator: str, fold: str, seed: int, digest: str) -> Path:
    """Name of a cell's file: readable, and different for whatever decides its content."""
    parts = [re.sub(r"[^\w.-]+", "_", part)[:40] for part in (estimator, fold)]
    return folder / "cells" / f"{parts[0]}-{parts[1]}-seed{seed}-{digest[:16]}.npz"


def save_cell(path: Path, cell: Cell) -> None:
    """Write a cell, whole or not at all."""
    facts = {"estimator": cell.estimator, "fold": cell.fold, "seed": cell.seed, "facts": cell.facts}
    arrays: dict[str, Any] = {
        f"{task}/{name}": value for task, ranked in cell.tasks.items() for name, value in _arrays(ranked)
    }
    buffer = io.BytesIO()
    np.savez_compressed(buffer, facts=np.array(json.dumps(facts)), **arrays)
    write_whole(path, buffer.getvalue())


def load_cell(path: Path) -> Cell | None:
    """Read a cell; None where there is none, or the file is not one."""
    try:
        with open(path, "rb") as opened, np.load(opened, allow_pickle=False) as file:
            facts = json.loads(str(file["facts"]))
            tasks: dict[str, dict[str, np.ndarray]] = {}
            for key in file.files:
                task, _, name = key.rpartition("/")
                if task:
                    tasks.setdefault(task, {})[name] = file[key]
        return Cell(**{**facts, "tasks": {task: Ranked(**arrays) for task, arrays in tasks.items()}})
    except FileNotFoundError:
        return None
    except Exception:  # a file of another make, or damaged: the cell is done again
        return None


def _arrays(ranked: Ranked) -> Iterator[tuple[str, np.ndarray]]:
    for entry in fields(ranked):
        value = getattr(ranked, entry.name)
        if value is not None:
            yield entry.name, value
