"""Long runs: pictures loaded ahead of use, vectors kept as they come, a bar to look at."""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np

from ._cache import VectorCache

Item = TypeVar("Item")
Loaded = TypeVar("Loaded")


def load_ahead(
    load: Callable[[Item], Loaded], items: Sequence[Item], batch_size: int
) -> Iterator[list[Loaded]]:
    """Yield batches of ``load(item)`` in order, the next two being loaded in threads meanwhile.

    Parameters
    ----------
    load : callable
        Reads one item; must bear several threads.
    items : sequence
        What to load.
    batch_size : int
        Items in a batch.

    Yields
    ------
    list
        At most `batch_size` loaded items.
    """
    pool = ThreadPoolExecutor(min(16, os.cpu_count() or 1), thread_name_prefix="skeegclip-pictures")
    waiting: deque[list[Future[Loaded]]] = deque()
    try:
        for start in range(0, len(items), batch_size):
            waiting.append([pool.submit(load, item) for item in items[start : start + batch_size]])
            if len(waiting) > 2:
                yield [future.result() for future in waiting.popleft()]
        while waiting:
            yield [future.result() for future in waiting.popleft()]
    finally:
        pool.shutdown(cancel_futures=True)


def embed_all(
    keys: Sequence[Any],
    compute: Callable[[list[int]], Generator[np.ndarray, None, None]],
    *,
    cache: VectorCache | None,
    name: Callable[[int], str],
    verbose: int,
    unit: str,
) -> np.ndarray:
    """Return one vector per item: what the cache holds is taken, the rest is computed and kept.

    Parameters
    ----------
    keys : sequence of hashable
        What an item holds; items with one key are computed once.
    compute : callable
        From rows of items to batches of their vectors, in order.
    cache : VectorCache | None
        Where vectors are kept.
    name : callable
        From a row to what an error calls it.
    verbose : int
        Whether to show a bar.
    unit : str
        What the bar counts.

    Returns
    -------
    ndarray of float32, shape (n, n_dims)
        In the order of the keys.
    """
    from .._utils.progress import tqdm

    known: dict[Any, np.ndarray] = cache.read() if cache is not None else {}
    first: dict[Any, int] = {}
    for row, key in enumerate(keys):
        if key not in known:
            first.setdefault(key, row)
    todo = list(first.values())
    if todo:
        n_known = len(keys) - len(todo)
        with (
            cache.writing() if cache is not None else contextlib.nullcontext(_forget) as keep,
            # Closed at once after an error, so that no thread goes on loading.
            contextlib.closing(compute(todo)) as computed,
            tqdm(total=len(keys), initial=n_known, unit=unit, disable=not verbose) as bar,
        ):
            done = 0
            for vectors in computed:
                rows = todo[done : done + len(vectors)]
                bad = ~np.isfinite(vectors).all(axis=1)
                if bad.any():
                    raise ValueError(
                        f"{name(rows[int(bad.argmax())])} has a vector with NaN or inf. Are the weights whole?"
                        ' precision="float32" rules out a matter of precision.'
                    )
                batch = [keys[row] for row in rows]
                known.update(zip(batch, vectors, strict=True))
                keep(batch, vectors)
                done += len(rows)
                bar.update(len(rows))
    return np.stack([known[key] for key in keys])


def _forget(keys: Sequence[Any], vectors: np.ndarray) -> None:
    pass
