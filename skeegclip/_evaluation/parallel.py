"""Many trainings at once, with errors that say what has happened to a worker or a disk."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from joblib import Parallel, delayed

from .._utils.shipping import Shipment


def in_parallel(
    function: Callable[..., Any],
    value: Any,
    tasks: Sequence[tuple],
    *,
    n_jobs: int | None,
    folder: str | os.PathLike | None,
    verbose: int,
    what: str,
) -> Iterator[Any]:
    """Give ``function(shared, *task)`` of all tasks as they are done; `shared` holds `value`.

    Parameters
    ----------
    function : callable
        Of a module.
    value : object
        What all tasks share.
    tasks : sequence of tuple
        The other arguments.
    n_jobs : int | None
        As in joblib.
    folder : path-like | None
        Where the value is written for workers.
    verbose : int
        0 shows no progress bar.
    what : str
        Its name.

    Raises
    ------
    OSError
        If the disk is full.
    RuntimeError
        If a worker was killed.
    """
    from .._utils.progress import tqdm

    with Shipment(value, folder) as shared, tqdm(total=len(tasks), desc=what, disable=not verbose) as bar:
        try:
            work = Parallel(n_jobs=n_jobs, return_as="generator_unordered")
            for result in work(delayed(function)(shared, *task) for task in tasks):
                bar.update()
                yield result
        except BrokenProcessPool as error:
            kept = (
                "What is finished is kept in the folder"
                if folder
                else "With folder= what is finished is kept"
            )
            raise RuntimeError(
                f"a worker process was killed, for want of memory perhaps. {kept}: do the same again with a smaller"
                f" n_jobs than {n_jobs}."
            ) from error
