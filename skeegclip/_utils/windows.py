"""Windows of braindecode: data sets, and what skorch and torch make of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .channels import channel_kinds, describe, display_factors, left_out, typed_picks
from .ids import as_subject
from .loaded import loaded
from .stated import Stated, check_alike

# Volts and tesla lie below, and what was scaled to microvolts, or to a deviation of one, lies above. Inside the head, where
# millivolts are read, volts are larger.
_SI_BELOW, _SI_BELOW_MILLI = 1e-3, 3e-2


@dataclass(frozen=True)
class Windows:
    """Windows as read, and what their recordings said of them; None is what they did not say.

    Attributes
    ----------
    X : ndarray, shape (n_epochs, n_chans, n_times)
        Data channels, in display units.
    subject : ndarray of str, shape (n_epochs,) | None
        Subject of each.
    stated : Stated
        Channels and rate.
    chs_info : list of dict | None
        Channel descriptions.
    left_out : tuple of str
        Channels that were not read.
    """

    X: np.ndarray
    subject: np.ndarray | None
    stated: Stated
    chs_info: list | None
    left_out: tuple[str, ...]


def read_windows(X: Any) -> Windows | None:
    """Read X if it is a braindecode data set, or a slice of one; None if it is not.

    Parameters
    ----------
    X : BaseConcatDataset | WindowsDataset | SliceDataset | Subset
        Recordings of the same channels and rate.
    """
    dataset, rows = unwrapped(X)
    if dataset is None:
        _refuse_items(X)
        return None
    recordings = recordings_of(dataset)
    rows = np.arange(len(dataset)) if rows is None else rows
    if len(rows) == 0:
        raise ValueError("X: this braindecode dataset holds no window. Create windows before decoding.")
    uncut = loaded("braindecode.datasets.base", "RawDataset")
    if uncut is not None and any(isinstance(recording, uncut) for recording in recordings):
        raise ValueError(
            "X: the items of this braindecode dataset are not windows but single samples of recordings. Cut windows with"
            " create_windows_from_events()."
        )
    windows = _stacked([dataset[int(row)][0] for row in rows])
    subject = _subjects(recordings)
    subject = None if subject is None else as_subject(subject[rows], len(windows))
    of = np.searchsorted(np.cumsum([len(recording) for recording in recordings]), rows, side="right")
    infos = {int(number): info_of(recordings[number]) for number in np.unique(of)}
    unknown = [number for number, info in infos.items() if info is None]
    if len(unknown) == len(infos):
        return Windows(windows, subject, Stated(), None, ())
    if unknown:
        raise ValueError(
            f"X: recording {unknown[0]} of this braindecode dataset does not tell its channels, and others do. Read them"
            " separately."
        )
    shown = {number: _shown(recordings[number], infos[number], windows.shape[1]) for number in infos}
    if any(channels is None for channels in shown.values()):
        return Windows(windows, subject, Stated(sfreq=float(next(iter(infos.values()))["sfreq"])), None, ())
    first, *_ = infos.values()
    picks = typed_picks(first)
    stated = describe(first, picks, tmin=None, is_recorded=True)
    made = np.empty((len(windows), len(picks), windows.shape[2]), dtype=np.float32)
    for number, info in infos.items():
        own = typed_picks(info)
        check_alike(
            describe(info, own, tmin=None, is_recorded=True),
            stated,
            "the first recording of the data set has",
        )
        mine = of == number
        shown_here = shown[number]
        assert shown_here is not None
        shown_picks = np.searchsorted(shown_here, own)
        made[mine] = _in_display_units(windows[mine][:, shown_picks], stated.ch_types)
    chs = [{**first["chs"][pick], "loc": first["chs"][pick]["loc"].copy()} for pick in picks]
    return Windows(made, subject, stated, chs, left_out(first, picks))


def _shown(recording: Any, info: Any, n_chans: int) -> np.ndarray | None:
    """Which channels of a recording its windows show; None where that cannot be told and does not matter."""
    kinds = np.array(channel_kinds(info))
    # braindecode takes the channels of type misc out where they are its targets.
    in_targets = getattr(recording, "targets_from", None) == "channels"
    channels = np.flatnonzero(kinds != "misc") if in_targets else np.arange(len(kinds))
    if len(channels) == n_chans:
        return channels
    other = np.setdiff1d(np.arange(len(kinds)), typed_picks(info))
    if len(other):
        raise ValueError(
            f"X: windows have {n_chans} channels and their recording {len(kinds)}, some of which are no data"
            f" ({info['ch_names'][other[0]]!r} is {str(kinds[other[0]])!r}), so that it cannot be told which are shown. Pick"
            " channels of the recordings, with a Preprocessor('pick', ...) say, not in a transform."
        )
    return None


def _in_display_units(windows: np.ndarray, kinds: Any) -> np.ndarray:
    """Convert channels that are in SI units, as MNE keeps them, unless a Preprocessor has scaled them already."""
    if kinds is None:
        return windows
    factors, spread = display_factors(kinds)[:, 0], windows.std(axis=2, dtype=np.float64)
    for kind in set(kinds):
        same = np.array([other == kind for other in kinds])
        varying = spread[:, same][spread[:, same] > 0]
        limit = _SI_BELOW if factors[same][0] > 1e3 else _SI_BELOW_MILLI
        if len(varying) and np.median(varying) >= limit:
            factors[same] = 1.0
    return windows if (factors == 1).all() else windows * factors[:, None]


def unwrapped(X: Any) -> tuple[Any, np.ndarray | None]:
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


def _refuse_items(X: Any) -> None:
    """Refuse the items of a data set, as scikit-learn cuts them out of it in a list."""
    if (
        isinstance(X, (list, tuple))
        and len(X) > 0
        and all(isinstance(item, tuple) and len(item) > 1 and getattr(item[0], "ndim", 0) == 2 for item in X)
    ):
        raise TypeError(
            "X: single windows, as scikit-learn cuts them out of a braindecode dataset, do not tell which of their channels"
            " are data, their unit and their subject. Pass skorch.helper.SliceDataset(dataset), which keeps all of it"
            " in every split."
        )


def recordings_of(dataset: Any) -> list:
    """The recordings of a data set, or the one that it is."""
    return list(getattr(dataset, "datasets", [dataset]))


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


def info_of(recording: Any) -> Any:
    """What MNE knows of the channels of a recording."""
    return getattr(getattr(recording, "windows", None) or getattr(recording, "raw", None), "info", None)
