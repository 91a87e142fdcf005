"""From what people hold (Epochs, datasets, tensors, views) to arrays with subject and channel names."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from .channels import data_picks, describe, display_factors, left_out
from .epoched import Epoched, is_view
from .foreign import read_named, refuse_foreign
from .ids import as_subject as as_subject
from .loaded import loaded
from .missing import refuse_masked
from .stated import Stated, check_alike
from .windows import read_windows, unwrapped


def read_epochs(X: Any, subject: Any = None) -> Epoched:
    """Read X in any accepted form; merge the subject it carries with the one given."""
    if is_view(X):
        read = Epoched(X, X.subject, X._told, X.chs_info)
    elif (epochs := as_mne_list(X)) is not None:
        read = _read_mne(epochs)
    elif (windows := read_windows(X)) is not None:
        read = Epoched(
            windows.X, windows.subject, windows.stated, windows.chs_info, windows.left_out, is_converted=True
        )
    elif isinstance(X, (list, tuple)) and X and all(map(is_view, X)):
        raise TypeError("X is a list of views. Put them into one first: EpochsView.join(X).")
    else:
        refuse_foreign(X)
        array, names = read_named(X) or (_read_array(X), None)
        read = Epoched(array, stated=Stated(ch_names=names))
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
    windows = None if unwrapped(X)[0] is None else read_windows(X)
    return None if windows is None else windows.subject


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
    if isinstance(X, np.ma.MaskedArray):
        refuse_masked(X, name="Input X")
        return X.data
    # pandas' NA is not a number that is missing, as NaN is, and ends every conversion.
    if getattr(getattr(X, "dtype", None), "kind", None) == "O" or hasattr(X, "iloc"):
        values = np.asarray(X)
        if values.dtype == object:
            places = np.argwhere([type(value).__name__ == "NAType" for value in values.ravel()]).ravel()
            if len(places):
                first = ", ".join(map(str, np.unravel_index(places[0], values.shape)))
                raise ValueError(
                    f"Input X contains NaN: {len(places)} values are pandas.NA, the first at ({first}). Drop or repair"
                    " these epochs first."
                )
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


def _read_mne(parts: list) -> Epoched:
    from .size import check_size, size_of  # which reads what is read here

    first = parts[0]
    picks = data_picks(first.info)
    stated = describe(first.info, picks, tmin=float(first.tmin), is_recorded=True)
    factors = display_factors(stated.ch_types)
    data, subjects = [], []
    for part in parts:
        if not part.preload and not part._bad_dropped:
            raise ValueError(
                "X: bad epochs have not been dropped from these Epochs, so their number is not known."
                " Call epochs.drop_bad() or epochs.load_data() first."
            )
        own = picks
        if part is not first:
            own = data_picks(part.info)
            of_part = describe(part.info, own, tmin=float(part.tmin), is_recorded=True)
            check_alike(of_part, stated, "the first Epochs of the list have")
            stated = replace(stated, bads=tuple(dict.fromkeys((*stated.bads, *of_part.bads))))
        if len(part.times) != len(first.times):
            raise ValueError(
                f"X has Epochs of {len(part.times)} times, but the first Epochs of the list have {len(first.times)}."
                " Crop both to the same times."
            )
        block = part.get_data(picks=own, verbose=False)
        data.append(block if (factors == 1).all() else block * factors)
        if part is not first and len(data[0]) and len(block):
            here, there = size_of(data[-1]), size_of(data[0])
            check_size(here, there, "the first Epochs of the list have", is_converted=True)
        metadata = part.metadata
        if metadata is not None and "subject" in metadata:
            subjects.append(metadata["subject"].to_numpy(dtype=object))
    X = data[0] if len(data) == 1 else np.concatenate(data)
    if subjects and len(subjects) != len(parts):
        raise ValueError("X: only some of the Epochs of the list have a 'subject' column in their metadata.")
    subject = as_subject(np.concatenate(subjects), len(X)) if subjects else None
    # Copies: what its owner does with the info later is not ours.
    chs = [{**first.info["chs"][pick], "loc": first.info["chs"][pick]["loc"].copy()} for pick in picks]
    return Epoched(X, subject, stated, chs, left_out(first.info, picks), is_converted=True)
