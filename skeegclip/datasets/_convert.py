"""From the files of THINGS-EEG2 to an EpochsStore."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ._eeg2_files import FILES, Recording, read_recording
from ._manifest import SPLITS, numbered_manifest
from ._stores import add_epochs

if TYPE_CHECKING:
    import pandas as pd

_IMAGES_PER_CONCEPT = {"train": 10, "test": 1}


def convert_subjects(
    path: Path, place: Path, names: list[str], manifest: pd.DataFrame | None, *, dtype: str, verbose: int
) -> None:
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
    verbose : int
        1 shows a progress bar.
    """
    for number, name in enumerate(names, 1):
        parts = {split: read_recording(place / name / file) for split, file in FILES.items()}
        train = parts["train"]
        _check_parts(name, train, parts["test"])
        if manifest is None:
            counts = {split: len(part.data) for split, part in parts.items()}
            manifest = numbered_manifest(counts, _IMAGES_PER_CONCEPT)
        add_epochs(
            path,
            itertools.chain.from_iterable(part.blocks() for part in parts.values()),
            _rows(name, parts, manifest),
            info=train.info(),
            tmin=train.tmin,
            n_times=train.data.shape[3],
            dtype=dtype,
            name=name,
            then=[(other,) for other in names[number:]],
            verbose=verbose,
        )


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


def _check_parts(name: str, train: Recording, test: Recording) -> None:
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
