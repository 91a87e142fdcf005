"""What ``skeegclip reconstruct`` does: pictures of recorded epochs, by a saved reconstructor."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .._utils.listed import write_listed
from .._utils.tables import epochs_table
from ..epochs import EpochsStore, EpochsView
from ..generation import EEGImageReconstructor

if TYPE_CHECKING:
    import pandas as pd


def reconstruct_epochs(
    parts: Path,
    data: Path,
    out: Path,
    *,
    average: bool = False,
    chosen: Mapping[str, str | None] | None = None,
    n_images: int = 1,
    seed: int = 0,
    device: str = "auto",
    trusted: bool = False,
) -> int:
    """Paint pictures into a folder.

    Parameters
    ----------
    parts : Path
        Folder that ``EEGImageReconstructor.save`` wrote.
    data : Path
        An EpochsStore, a file that MNE reads as epochs, or an array (n_epochs, n_chans, n_times) in ``.npy``.
    out : Path
        An existing folder.
    average : bool
        Average the epochs of each stimulus and subject.
    chosen : mapping of str to (str | None)
        Columns and the value to keep; None keeps all. Of an array nothing is known.
    n_images : int
        Pictures of each epoch.
    seed : int
        Seed of the pictures.
    device : str
        Torch device.
    trusted : bool
        Load types of other libraries, and models that the folder names.

    Returns
    -------
    int
        Number of epochs.
    """
    wanted = {name: value for name, value in (chosen or {}).items() if value is not None}
    X, rows = _read(data, wanted, average)
    reconstructor = EEGImageReconstructor.load(parts, trusted=trusted, device=device)
    if rows is not None:
        write_listed(out, {"rows.csv": rows.to_csv(index_label="row").encode()})
    reconstructor.set_params(out_dir=out, random_state=seed, n_images=n_images).transform(X)
    return len(X)


def _read(data: Path, wanted: Mapping[str, str], average: bool) -> tuple[Any, pd.DataFrame | None]:
    """Epochs, and what is known of each."""
    if not data.exists():
        raise FileNotFoundError(
            f"{data} does not exist. Name an EpochsStore, an -epo.fif file or an array in .npy."
        )
    if data.is_dir():
        view = EpochsStore.open(data).view()
    elif data.suffix == ".npy":
        if wanted or average:
            raise ValueError(
                f"{data} is an array, which does not say what its rows show: none can be chosen or averaged. Choose them"
                " before, or write a store."
            )
        return _load_array(data), None
    else:
        epochs = _load_epochs(data)
        if not (wanted or average):
            return epochs, epochs_table([epochs])
        view = EpochsView.from_epochs(epochs)
    view = view.select(**wanted)
    if len(view) == 0:
        raise ValueError(f"{data} holds no epoch.")
    if average:
        view = view.average(
            by=[name for name in ("subject", "stimulus") if name == "stimulus" or name in view.rows]
        )
    return view, view.rows


def _load_array(file: Path) -> Any:
    try:
        return np.load(file, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise ValueError(
            f"{file} is no array in .npy: {str(error).rstrip('.')}. Write one with numpy.save."
        ) from error


def _load_epochs(file: Path) -> Any:
    import mne

    try:
        return mne.read_epochs(file, verbose="error")
    except Exception as error:  # MNE trips over what is no FIF file in many ways
        raise ValueError(
            f"{file} cannot be read as epochs ({type(error).__name__}: {str(error).rstrip('.')}). Name an EpochsStore, an"
            " -epo.fif file, or an array in .npy."
        ) from error
