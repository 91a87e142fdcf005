"""From what people hold (Epochs, datasets, tensors, views) to arrays with subject and channel names."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

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
    elif is_braindecode(X):
        read = _read_braindecode(X)
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
    return read_epochs(X).subject if is_braindecode(X) else None


def as_subject(subject: Any, n_rows: int, *, name: str = "subject") -> np.ndarray:
    """One id per row, as strings; a single id serves all rows."""
    if isinstance(subject, str):
        return np.full(n_rows, subject)
    array = np.asarray(subject)
    if array.ndim == 0:
        return np.full(n_rows, str(subject))
    if array.shape != (n_rows,):
        raise ValueError(
            f"{name} must hold one id per epoch, shape ({n_rows},), got {array.shape}."
            " Pass the column of ids that belongs to these rows."
        )
    missing = [row for row, value in enumerate(array.tolist()) if value is None or value != value]
    if missing:
        raise ValueError(
            f"{name} is missing (None or NaN) in {len(missing)} rows (first: row {missing[0]})."
            f" Name every row's {name}, or pass no {name} at all."
        )
    return array.astype(str)


def _length(X: Any) -> int:
    return X.shape[0] if hasattr(X, "shape") and len(X.shape) else len(X)


def _loaded(module: str, name: str) -> Any:
    """A class of a module, if that module is imported already: else X cannot be an instance of it."""
    loaded = sys.modules.get(module)
    return getattr(loaded, name, None) if loaded is not None else None


def _read_array(X: Any) -> Any:
    tensor = _loaded("torch", "Tensor")
    if tensor is not None and isinstance(X, tensor):
        # numpy has no bfloat16: half-precision tensors go through float32.
        X = X.detach().cpu()
        return (X.float() if X.is_floating_point() and X.element_size() < 4 else X).numpy()
    if isinstance(X, (list, tuple)) and X and tensor is not None and isinstance(X[0], tensor):
        return np.stack([_read_array(x) for x in X])
    return X


def as_mne_list(X: Any) -> list | None:
    """Epochs, or a list of them, as a list; None if X is something else."""
    base = _loaded("mne", "BaseEpochs")
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


def is_braindecode(X: Any) -> bool:
    """Whether X is a braindecode dataset."""
    base = _loaded("braindecode.datasets", "BaseConcatDataset")
    return base is not None and isinstance(X, base)


def _read_braindecode(X: Any) -> Epoched:
    if len(X) == 0:
        raise ValueError("X: this braindecode dataset holds no window. Create windows before decoding.")
    windows = [np.asarray(X[i][0]) for i in range(len(X))]
    if windows[0].ndim != 2 or len({w.shape for w in windows}) > 1:
        raise ValueError(
            "X: the items of this braindecode dataset are not windows of one shape"
            f" (found {sorted({w.shape for w in windows})[:3]}). Cut windows with create_windows_from_events()."
        )
    # Without descriptions braindecode's get_metadata fails, and there is no subject to find.
    described = all(part.description is not None for part in X.datasets)
    metadata = X.get_metadata() if described else {}
    part = X.datasets[0]
    info = getattr(getattr(part, "windows", None) or getattr(part, "raw", None), "info", None)
    subject = as_subject(np.asarray(metadata["subject"]), len(windows)) if "subject" in metadata else None
    if info is None or len(info["ch_names"]) != len(windows[0]):
        return Epoched(np.stack(windows), subject)
    return Epoched(
        np.stack(windows), subject, tuple(info["ch_names"]), list(info["chs"]), float(info["sfreq"])
    )
