"""Windows of braindecode: data sets, what skorch and torch make of them, and lists of their items."""

from __future__ import annotations

from typing import Any

import numpy as np

from .loaded import loaded
from .subjects import as_subject

Read = tuple[np.ndarray, "np.ndarray | None", "tuple[str, ...] | None", "list | None", "float | None"]


def read_windows(X: Any) -> Read | None:
    """Read X if it is a braindecode data set, a slice of one, or a list of its items; None if it is not.

    Parameters
    ----------
    X : BaseConcatDataset | WindowsDataset | SliceDataset | Subset | list of tuple
        A list of (window, target, ...) is what scikit-learn cuts from a data set: what the data set knew of
        subjects and channels is not in it.

    Returns
    -------
    tuple | None
        Windows (n_epochs, n_chans, n_times), subject of each, channel names and descriptions, sampling rate;
        None for what is not known.
    """
    dataset, rows = _unwrapped(X)
    if dataset is None:
        return (_stacked([item[0] for item in X]), None, None, None, None) if _are_items(X) else None
    recordings = getattr(dataset, "datasets", [dataset])
    rows = np.arange(len(dataset)) if rows is None else rows
    if len(rows) == 0:
        raise ValueError("X: this braindecode dataset holds no window. Create windows before decoding.")
    windows = _stacked([dataset[int(row)][0] for row in rows])
    subject = _subjects(recordings)
    subject = None if subject is None else as_subject(subject[rows], len(windows))
    info = _info(recordings[0])
    if info is None or len(info["ch_names"]) != windows.shape[1]:
        return windows, subject, None, None, None
    return windows, subject, tuple(info["ch_names"]), list(info["chs"]), float(info["sfreq"])


def is_dataset(X: Any) -> bool:
    """Whether X is a whole braindecode data set."""
    concat = loaded("braindecode.datasets", "BaseConcatDataset")
    return concat is not None and isinstance(X, concat)


def _unwrapped(X: Any) -> tuple[Any, np.ndarray | None]:
    """The data set of braindecode inside X, and which of its items X shows: None for all."""
    concat = loaded("braindecode.datasets", "BaseConcatDataset")
    if concat is None:
        return None, None
    single = loaded("braindecode.datasets.base", "RecordDataset")
    subset, sliced = loaded("torch.utils.data", "Subset"), loaded("skorch.helper", "SliceDataset")
    rows: np.ndarray | None = None
    while not isinstance(X, (concat, single)):
        if isinstance(X, subset):
            X, inner = X.dataset, X.indices
        elif sliced is not None and isinstance(X, sliced):
            if X.idx != 0:
                raise ValueError(
                    f"X: this SliceDataset shows element {X.idx} of each item, which are not the windows. Pass"
                    " SliceDataset(dataset, idx=0)."
                )
            X, inner = X.dataset, X.indices_
        else:
            return None, None
        inner = np.asarray(inner, dtype=np.intp)
        rows = inner if rows is None else inner[rows]
    return X, rows


def _are_items(X: Any) -> bool:
    return (
        isinstance(X, (list, tuple))
        and len(X) > 0
        and all(isinstance(item, tuple) and len(item) > 1 and getattr(item[0], "ndim", 0) == 2 for item in X)
    )


def _stacked(windows: list) -> np.ndarray:
    arrays = [np.asarray(window) for window in windows]
    shapes = {array.shape for array in arrays}
    if arrays[0].ndim != 2 or len(shapes) > 1:
        raise ValueError(
            "X: the items of this braindecode dataset are not windows of one shape"
            f" (found {sorted(shapes)[:3]}). Cut windows with create_windows_from_events()."
        )
    return np.stack(arrays)


def _subjects(recordings: list) -> np.ndarray | None:
    """Subject of every window, from the description of its recording or the metadata of the windows."""
    known = [_subject_of(recording) for recording in recordings]
    n_unknown = sum(subject is None for subject in known)
    if n_unknown == len(known):
        return None
    if n_unknown:
        raise ValueError(
            f"X: {n_unknown} of the {len(known)} recordings of this braindecode dataset have no 'subject' in their"
            " description. Describe all of them, or none."
        )
    return np.concatenate(known)  # type: ignore[arg-type]


def _subject_of(recording: Any) -> np.ndarray | None:
    description = recording.description
    if description is not None and "subject" in description:
        return np.full(len(recording), description["subject"], dtype=object)
    metadata = getattr(recording, "metadata", None)
    if metadata is not None and "subject" in metadata:
        return metadata["subject"].to_numpy(dtype=object)
    return None


def _info(recording: Any) -> Any:
    return getattr(getattr(recording, "windows", None) or getattr(recording, "raw", None), "info", None)
