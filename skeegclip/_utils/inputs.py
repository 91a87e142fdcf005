"""From what people hold (Epochs, datasets, tensors, views) to arrays with subject and channel names."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .loaded import loaded
from .subjects import as_subject as as_subject
from .windows import read_windows

# MNE's display units: microvolts for EEG, fT for magnetometers, fT/cm for gradiometers, millivolts for sEEG, ...
DISPLAY_UNITS = {"eeg": "uV", "mag": "fT", "grad": "fT/cm", "seeg": "mV", "dbs": "uV", "ecog": "uV"}


@dataclass(frozen=True)
class Epoched:
    """Epochs as read: the data, and what the input said about them.

    Attributes
    ----------
    X : ndarray | EpochsView
        Shape (n_epochs, n_chans, n_times); arrays as given (not yet checked or cast).
    subject : ndarray of str, shape (n_epochs,) | None
        Subject of each row.
    ch_names : tuple of str | None
        Channel names.
    chs_info : list of dict | None
        Channel descriptions, as in ``mne.Info["chs"]``.
    sfreq : float | None
        Sampling rate in Hz.
    """

    X: Any
    subject: np.ndarray | None = None
    ch_names: tuple[str, ...] | None = None
    chs_info: list | None = None
    sfreq: float | None = None


def is_view(X: Any) -> bool:
    """Whether X is an EpochsView (by mark, so that this module does not import it)."""
    return getattr(X, "_is_epochs_view", False) is True


def read_epochs(X: Any, subject: Any = None) -> Epoched:
    """Read X in any accepted form; merge the subject it carries with the one given."""
    if is_view(X):
        read = Epoched(X, X.subject, X.ch_names, X.chs_info, X.sfreq)
    elif (epochs := as_mne_list(X)) is not None:
        read = _read_mne(epochs)
    elif (windows := read_windows(X)) is not None:
        read = Epoched(*windows)
    else:
        read = Epoched(_read_array(X))
    if subject is None:
        return read
    given = as_subject(subject, _length(read.X))
    if read.subject is not None and not np.array_equal(given, read.subject):
        row = int(np.flatnonzero(given != read.subject)[0])
        raise ValueError(
            f"subject disagrees with the one that X carries: row {row} is {str(given[row])!r} in subject= and"
            f" {str(read.subject[row])!r} in X. Pass only one of them."
        )
    return replace(read, subject=given)


def carried_subject(X: Any) -> np.ndarray | None:
    """The subject of each row that X carries, without reading the epochs where that can be avoided."""
    if is_view(X):
        return X.subject
    epochs = as_mne_list(X)
    if epochs is not None:
        tables = [part.metadata for part in epochs]
        if any(table is None or "subject" not in table for table in tables):
            return None
        values = np.concatenate([table["subject"].to_numpy() for table in tables])
        return as_subject(values, len(values))
    windows = read_windows(X)
    return None if windows is None else windows[1]


def _length(X: Any) -> int:
    return X.shape[0] if hasattr(X, "shape") and len(X.shape) else len(X)


def _read_array(X: Any) -> Any:
    tensor = loaded("torch", "Tensor")
    if tensor is not None and isinstance(X, tensor):
        # numpy has no bfloat16: half-precision tensors go through float32.
        X = X.detach().cpu()
        return (X.float() if X.is_floating_point() and X.element_size() < 4 else X).numpy()
    if isinstance(X, (list, tuple)) and X and tensor is not None and isinstance(X[0], tensor):
        return np.stack([_read_array(x) for x in X])
    return X


def as_mne_list(X: Any) -> list | None:
    """Epochs, or a list of them, as a list; None if X is something else."""
    base = loaded("mne", "BaseEpochs")
    if base is None:
        return None
    if isinstance(X, base):
        return [X]
    if isinstance(X, (list, tuple)) and X and all(isinstance(x, base) for x in X):
        return list(X)
    return None


def data_picks(info: Any) -> np.ndarray:
    """Positions of the channels that are read; refuse an info without any."""
    import mne

    picks = mne.pick_types(
        info, meg=True, eeg=True, seeg=True, ecog=True, dbs=True, fnirs=True, ref_meg=False, exclude=()
    )
    if len(picks) == 0:
        raise ValueError(
            "X: these Epochs have no data channel (EEG, MEG, sEEG, ECoG, DBS, fNIRS),"
            f" only {sorted(set(info.get_channel_types()))}. Set the types with epochs.set_channel_types()."
        )
    return picks


def _read_mne(parts: list) -> Epoched:
    import mne

    first = parts[0]
    picks = data_picks(first.info)
    info = mne.pick_info(first.info, picks)
    kinds = set(info.get_channel_types())
    units = {kind: unit for kind, unit in DISPLAY_UNITS.items() if kind in kinds}
    data, subjects = [], []
    for part in parts:
        if not part.preload and not part._bad_dropped:
            raise ValueError(
                "X: bad epochs have not been dropped from these Epochs, so their number is not known."
                " Call epochs.drop_bad() or epochs.load_data() first."
            )
        if part is not first and part.ch_names != first.ch_names:
            raise ValueError(
                "X: the Epochs of the list differ in channels"
                f" ({_first_difference(first.ch_names, part.ch_names)}). Equalise them with mne.channels.equalize_channels()."
            )
        data.append(part.get_data(picks=picks, units=units or None, verbose=False))
        metadata = part.metadata
        if metadata is not None and "subject" in metadata:
            subjects.append(metadata["subject"].to_numpy())
    if len({d.shape[2] for d in data}) > 1:
        raise ValueError("X: the Epochs of the list differ in length. Crop them to the same times.")
    X = data[0] if len(data) == 1 else np.concatenate(data)
    if subjects and len(subjects) != len(parts):
        raise ValueError("X: only some of the Epochs of the list have a 'subject' column in their metadata.")
    subject = as_subject(np.concatenate(subjects), len(X)) if subjects else None
    return Epoched(X, subject, tuple(info["ch_names"]), list(info["chs"]), float(info["sfreq"]))


def _first_difference(a: list, b: list) -> str:
    for x, y in zip(a, b, strict=False):
        if x != y:
            return f"{x!r} against {y!r}"
    return f"{len(a)} against {len(b)} channels"
