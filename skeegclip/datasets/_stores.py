"""Recordings into a store, one subject or session after another, and out of it as a Bunch."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..embeddings import ImageTable
from ..epochs import EpochsStore, EpochsView

if TYPE_CHECKING:
    import mne
    import pandas as pd
    from sklearn.utils import Bunch


def stored_view(path: Path) -> EpochsView | None:
    """Return all that a store holds; None if there is no store."""
    # Not `open`, which would warn of a store that is about to be finished.
    return EpochsStore._at(path).view() if (path / "manifest.json").is_file() else None


def stored_subjects(view: EpochsView | None) -> set[str]:
    """Return the subjects that a store holds."""
    return set() if view is None or view.subject is None else set(view.subject.tolist())


def add_epochs(
    path: Path,
    blocks: Iterable[np.ndarray],
    rows: pd.DataFrame,
    *,
    info: mne.Info,
    tmin: float,
    n_times: int,
    dtype: str,
    name: str,
    then: Collection[tuple[str, ...]],
    verbose: int,
) -> None:
    """Write a recording into a store, whole or not at all; make the store if there is none.

    A subject (and session) that is there already, because another process was quicker, is not written again.

    Parameters
    ----------
    path : Path
        The store.
    blocks : iterable of ndarray, shape (k, n_chans, n_times)
        Epochs.
    rows : DataFrame
        Their table.
    info : mne.Info
        Channels.
    tmin : float
        Time of the first sample in seconds.
    n_times : int
        Times of an epoch.
    dtype : "float32" | "float16"
        Type of a new store.
    name : str
        What is written.
    then : collection of tuple of str
        Subjects, or subjects and sessions, that are to follow.
    verbose : int
        1 shows a progress bar.
    """
    view = stored_view(path)
    blocks = _shown(blocks, len(rows), name, verbose)
    if view is None:
        origin = {"recording": name, "left": len(then)}
        EpochsStore.create(path, blocks, rows, info=info, tmin=tmin, dtype=dtype, origin=origin)
        return
    keys = [column for column in ("subject", "session") if column in rows]
    held = view.rows[keys].drop_duplicates()
    if len(held.merge(rows[keys].drop_duplicates())):
        return
    # Of those to follow, another process may have written some: nobody would write them, and tell of the end, again.
    written = [tuple(key) for key in held.itertuples(index=False)]
    left = sum(not any(key[: len(one)] == one for key in written) for one in then)
    origin = {"recording": name, "left": left}
    here = (tuple(info["ch_names"]), float(info["sfreq"]), n_times)
    there = (view.ch_names, view.sfreq, view.shape[2])
    if here != there:
        raise ValueError(
            f"{name}: {len(here[0])} channels at {here[1]:g} Hz with {n_times} times do not fit the store, which holds"
            f" {view.shape[1]} at {there[1]:g} Hz with {there[2]}, or other names of channels. Pass another folder for"
            " the store."
        )
    EpochsStore._at(path).append(blocks, rows, origin=origin)


def as_bunch(view: EpochsView, rows: pd.DataFrame, manifest: pd.DataFrame, **more: Any) -> Bunch:
    """Return a view and its columns, under the names of :func:`make_things_like`."""
    from sklearn.utils import Bunch

    on_disk = manifest[manifest["path"] != ""]
    return Bunch(
        X=view,
        y=view.stimulus,
        **{name: rows[name].to_numpy(dtype=str) for name in ("concept", "split") if name in rows},
        subject=view.subject,
        repetition=rows["repetition"].to_numpy(),
        times=view.times,
        info=view.info,
        manifest=manifest,
        images=ImageTable(on_disk["id"].tolist(), on_disk["path"].tolist()) if len(on_disk) else None,
        **more,
    )


def _shown(blocks: Iterable[np.ndarray], n_epochs: int, name: str, verbose: int) -> Iterator[np.ndarray]:
    from .._utils.progress import tqdm

    with tqdm(total=n_epochs, desc=f"Converting {name}", unit="epoch", disable=not verbose) as bar:
        for block in blocks:
            yield block
            bar.update(len(block))
