"""From the files of THINGS-EEG2 to an EpochsStore."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..epochs import EpochsStore, EpochsView
from ._eeg2_files import FILES, Recording, read_recording
from ._manifest import SPLITS, numbered_manifest

if TYPE_CHECKING:
    import pandas as pd

_IMAGES_PER_CONCEPT = {"train": 10, "test": 1}


def convert_subjects(
    path: Path, place: Path, names: list[str], manifest: pd.DataFrame | None, *, dtype: str, progress: bool
) -> EpochsView:
    """Write subjects into the store, each whole or not at all.

    Parameters
    ----------
    path : Path
        The store; made if there is none.
    place : Path
        Folder of sub-XX.
    names : list of str
        Subjects to convert.
    manifest : DataFrame | None
        The pictures; None numbers them.
    dtype : "float32" | "float16"
        Type on disk.
    progress : bool
        Whether to show a progress bar.

    Returns
    -------
    EpochsView
        All that the store holds.
    """
    store = EpochsStore.open(path) if (path / "manifest.json").is_file() else None
    for name in names:
        parts = {split: read_recording(place / name / file) for split, file in FILES.items()}
        _check_parts(name, parts)
        if manifest is None:
            manifest = numbered_manifest(
                {split: len(part.data) for split, part in parts.items()}, _IMAGES_PER_CONCEPT
            )
        rows = _rows(name, parts, manifest)
        blocks = _shown(
            itertools.chain.from_iterable(part.blocks() for part in parts.values()), len(rows), name, progress
        )
        if store is None:
            first = parts["train"]
            store = EpochsStore.create(path, blocks, rows, info=first.info(), tmin=first.tmin, dtype=dtype)
            continue
        _check_like(name, parts["train"], store.view())
        store.append(blocks, rows)
    assert store is not None
    return store.view()


def check_manifest(path: Path, rows: pd.DataFrame, manifest: pd.DataFrame | None) -> pd.DataFrame:
    """Return the pictures of a store's rows; refuse a manifest that names them otherwise."""
    first = rows[rows["subject"] == rows["subject"].iloc[0]]
    stored = first[["stimulus", "concept", "split"]].drop_duplicates("stimulus").reset_index(drop=True)
    if manifest is None:
        return stored.rename(columns={"stimulus": "id"}).assign(path="")
    if stored["stimulus"].tolist() != manifest["id"].tolist():
        raise ValueError(
            f"images: the store {str(path)!r} was made with other stimulus ids (first: {stored['stimulus'].iloc[0]!r},"
            f" here {manifest['id'].iloc[0]!r}). Remove the store to convert anew, or pass store= another folder."
        )
    return manifest


def _check_parts(name: str, parts: dict[str, Recording]) -> None:
    train, test = parts["train"], parts["test"]
    for what in ("ch_names", "sfreq", "tmin"):
        if getattr(train, what) != getattr(test, what):
            raise ValueError(
                f"{name}: the training file has {what} {getattr(train, what)}, the test file {getattr(test, what)}."
                " Are they of one preprocessing?"
            )
    if train.data.shape[2:] != test.data.shape[2:]:
        raise ValueError(
            f"{name}: training epochs have shape {train.data.shape[2:]}, test epochs {test.data.shape[2:]}."
            " Are they of one preprocessing?"
        )


def _check_like(name: str, part: Recording, view: EpochsView) -> None:
    here = (part.ch_names, part.sfreq, part.data.shape[3])
    there = (view.ch_names, view.sfreq, view.shape[2])
    if here != there:
        raise ValueError(
            f"{name}: {len(here[0])} channels at {here[1]:g} Hz with {here[2]} times do not fit the store, which holds"
            f" {view.shape[1]} at {there[1]:g} Hz with {there[2]}, or other names of channels. Pass store= another folder."
        )


def _rows(name: str, parts: dict[str, Recording], manifest: pd.DataFrame) -> pd.DataFrame:
    import pandas as pd

    tables = []
    for split, part in parts.items():
        pictures = manifest[manifest["split"] == split]
        n_images, n_repetitions = part.data.shape[:2]
        if len(pictures) != n_images:
            raise ValueError(
                f"images: {len(pictures)} pictures in {SPLITS[split]}, but {name} saw {n_images}. Every picture must"
                " be there, and no other: rows are matched to pictures by their order."
            )
        each = pictures.loc[pictures.index.repeat(n_repetitions)]
        tables.append(
            pd.DataFrame(
                {
                    "stimulus": each["id"].to_numpy(),
                    "concept": each["concept"].to_numpy(),
                    "subject": name,
                    "repetition": np.tile(np.arange(n_repetitions), n_images),
                    "split": split,
                }
            )
        )
    return pd.concat(tables, ignore_index=True)


def _shown(blocks: Iterator[np.ndarray], n_epochs: int, name: str, progress: bool) -> Iterator[np.ndarray]:
    from tqdm import tqdm

    with tqdm(total=n_epochs, desc=f"Converting {name}", unit="epoch", disable=not progress) as bar:
        for block in blocks:
            yield block
            bar.update(len(block))
