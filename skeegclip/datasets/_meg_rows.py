"""Which epoch of THINGS-MEG shows which picture, and on which side of the split it is."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

CATCH = 999999  # event of trials that show no picture of THINGS


def picture_paths(
    codes: np.ndarray, metadata: pd.DataFrame | None, listed: list[str] | None, source: str
) -> list[str]:
    """Return the path of the picture of each epoch, as published; "" for catch trials.

    Parameters
    ----------
    codes : ndarray of int, shape (n_epochs,)
        Events: the numbers of the pictures in THINGS, from 1.
    metadata : DataFrame | None
        Table of the epochs, with a column ``image_path``.
    listed : list of str | None
        Paths by number, from THINGS' ``image_paths.csv``, where there is no such table.
    source : str
        File, for messages.
    """
    if metadata is not None and "image_path" in metadata:
        paths = ["" if path != path else str(path) for path in metadata["image_path"].tolist()]
        return ["" if code == CATCH else path for code, path in zip(codes, paths, strict=True)]
    if listed is None:
        raise ValueError(
            f"{source} has no metadata with a column 'image_path'. Pass images= the file image_paths.csv of THINGS"
            " (osf.io/jum2f), which lists the pictures by number."
        )
    shown = codes[codes != CATCH]
    if len(shown) and not 1 <= shown.min() <= shown.max() <= len(listed):
        raise ValueError(
            f"{source} shows picture number {shown.max()}, but images= lists {len(listed)} pictures."
        )
    return ["" if code == CATCH else listed[code - 1] for code in codes.tolist()]


def rows_of(paths: list[str], metadata: pd.DataFrame | None, subject: str) -> tuple[np.ndarray, pd.DataFrame]:
    """Return which epochs to keep, and their table.

    The test set are the trials marked so; without marks the pictures shown most often (200 of them, 12 times each).
    Training epochs of their concepts are left out, so that no test concept is trained on, and so are catch trials.

    Parameters
    ----------
    paths : list of str, length n_epochs
        Picture of each epoch.
    metadata : DataFrame | None, length n_epochs
        Table of the epochs: ``trial_type`` marks the test set, ``session_nr`` and ``run_nr`` become session and run.
    subject : str
        Name of the subject.

    Returns
    -------
    keep : ndarray of int
        Epochs to keep, in order.
    rows : DataFrame
        Columns stimulus, concept, subject, session, run, repetition, split of the epochs kept.
    """
    import pandas as pd

    frame = pd.DataFrame({"stimulus": [PurePosixPath(path).stem for path in paths]})
    # File names are "candelabra_14s.jpg"; the folder of a test picture is not that of its concept.
    frame["concept"] = frame["stimulus"].str.rpartition("_")[0]
    for name, column in (("session", "session_nr"), ("run", "run_nr")):
        known = metadata is not None and column in metadata
        frame[name] = [_number(value) for value in metadata[column]] if known else ""  # type: ignore[index]
    marked = metadata is not None and "trial_type" in metadata
    frame["test"] = (metadata["trial_type"] == "test").to_numpy() if marked else False  # type: ignore[index]
    frame = frame[frame["stimulus"] != ""]
    test = frame["test"]
    if not marked:
        times_shown = frame.groupby("stimulus")["stimulus"].transform("size")
        test = (times_shown > 1) & (times_shown == times_shown.max())
    frame = frame.assign(split=np.where(test, "test", "train"), subject=subject)
    frame = frame[test | ~frame["concept"].isin(set(frame["concept"][test]))]
    frame["repetition"] = frame.groupby("stimulus").cumcount()
    columns = ["stimulus", "concept", "subject", "session", "run", "repetition", "split"]
    return frame.index.to_numpy(), frame[columns].reset_index(drop=True)


def read_image_list(path: Path) -> list[str]:
    """Read THINGS' image_paths.csv: one path a line, no header."""
    lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    listed = [line for line in lines if line]
    if not listed or not all(line.lower().endswith((".jpg", ".jpeg", ".png")) for line in listed):
        raise ValueError(
            f"images: {str(path)!r} must list one picture a line, as THINGS' image_paths.csv does."
        )
    return listed


def _number(value: object) -> str:
    """A number as text: "3" for 3 and for 3.0."""
    if isinstance(value, float):
        return "" if value != value else str(int(value))
    return str(value)
