"""What looks like epochs and is none: each is refused with what to pass instead, or read by its own names."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from .loaded import loaded

# Classes of MNE by name, so that nothing is imported; the nearest in a class's ancestry counts.
_INSTEAD = {
    "Evoked": "an average over epochs. Pass the mne.Epochs it was made of, or an array with one average per condition:"
    ' np.stack([evoked.get_data(units="uV") for evoked in evokeds])',
    "BaseRaw": "a continuous recording. Cut epochs from it: mne.Epochs(raw, events, tmin=-0.1, tmax=1.0, preload=True)",
    "BaseSpectrum": "power by frequency. Pass it as an array of shape (n_epochs, n_chans, n_freqs):"
    " np.log10(spectrum.get_data())",
    "BaseTFR": "power by frequency and time. Pass it as an array with a channel for each frequency:"
    " power = np.log10(tfr.get_data()); power.reshape(len(power), -1, power.shape[-1])",
    "RawDataset": "a recording that is not cut into windows. Cut them with create_windows_from_events(...)",
    "RecordDataset": "one of several data sets. Put them together: braindecode.datasets.BaseConcatDataset([...])",
    "BaseConcatDataset": "one of several data sets. Put them together: braindecode.datasets.BaseConcatDataset([...])",
    "DataLoader": "a loader of batches. Pass the epochs themselves as one array",
    "Dataset": "a data set of torch. Pass the epochs that it holds as one array or tensor",
}
_ROLES = {
    "epoch epochs trial trials event events observation presentation stimulus": 0,
    "channel channels chan chans ch sensor sensors electrode electrodes": 1,
    "time times": 2,
}
_ROLE = {name: role for names, role in _ROLES.items() for name in names.split()}


def refuse_foreign(X: Any) -> None:
    """Refuse objects of MNE, torch and braindecode that are no epochs, lists of them, and names of files."""
    several = isinstance(X, (list, tuple))
    for item in X if several else [X]:
        if isinstance(item, (np.ndarray, np.generic, int, float, list, tuple)):
            if several:
                return  # numbers: what else is wrong with them is told elsewhere
            continue
        if isinstance(item, (str, bytes, os.PathLike)) and not several:
            raise TypeError(f"X is a name ({item!r}), not epochs. Read the file first: mne.read_epochs(...).")
        ours = ("mne.", "braindecode.", "torch.utils.data.", "xarray.")
        if not any(f"{cls.__module__}.".startswith(ours) for cls in type(item).__mro__):
            continue
        names = [cls.__name__ for cls in type(item).__mro__]
        if "DataArray" in names and not several:
            continue
        instead = next((text for name in names if (text := _INSTEAD.get(name))), None)
        got = f"a {type(X).__name__} with {type(item).__name__}" if several else f"{type(item).__name__}"
        if instead is None:
            instead = (
                "not something that is read here. Pass mne.Epochs, or an array (n_epochs, n_chans, n_times)"
            )
        if several and "BaseEpochs" in names:
            instead = "epochs beside something else. Pass Epochs alone"
        raise TypeError(f"X is {got}, {instead}.")


def read_named(X: Any) -> tuple[np.ndarray, tuple[str, ...] | None] | None:
    """Read an xarray by the names of its dimensions, in whatever order they are; None if X is something else.

    Returns
    -------
    tuple | None
        The array (n_epochs, n_chans, n_times) or (n_epochs, n_chans), and the names of the channels where they are
        coordinates.
    """
    cls = loaded("xarray", "DataArray")
    if cls is None or not isinstance(X, cls):
        return None
    dims = [str(dim) for dim in X.dims]
    roles = [_ROLE.get(dim.lower()) for dim in dims]
    if all(dim == f"dim_{place}" for place, dim in enumerate(dims)):
        roles = list(range(len(dims)))
    elif roles.count(None) == 1 and len(dims) in (2, 3):
        roles[roles.index(None)] = next(role for role in range(len(dims)) if role not in roles)
    if sorted(roles, key=str) != list(range(len(dims))) or len(dims) not in (2, 3):
        raise ValueError(
            f"X is an xarray with the dimensions {tuple(dims)}, and which are epochs, channels and times cannot be told."
            ' Name them: X.rename({...}) to "epoch", "channel" and "time".'
        )
    names = X.coords[X.dims[roles.index(1)]].values if X.dims[roles.index(1)] in X.coords else np.array([])
    values = X.transpose(*(X.dims[roles.index(role)] for role in range(len(dims)))).values
    return values, tuple(map(str, names)) if names.dtype.kind in "UOT" and len(names) else None
