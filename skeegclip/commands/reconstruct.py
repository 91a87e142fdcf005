"""What ``skeegclip reconstruct`` does: pictures of recorded epochs, by a saved reconstructor."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .._utils.persistence import write_whole
from ..epochs import EpochsStore
from ..generation import EEGImageReconstructor


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
        Average the epochs of each stimulus and subject of a store.
    chosen : mapping of str to (str | None)
        Columns of a store and the value to keep; None keeps all.
    n_images : int
        Pictures of each epoch.
    seed : int
        Seed of the pictures.
    device : str
        Torch device.
    trusted : bool
        Open pickled parts.

    Returns
    -------
    int
        Number of epochs.
    """
    wanted = {name: value for name, value in (chosen or {}).items() if value is not None}
    X = _read(data, wanted, average)
    reconstructor = EEGImageReconstructor.load(parts, trusted=trusted, device=device)
    if hasattr(X, "rows"):
        write_whole(out / "rows.csv", X.rows.to_csv(index_label="row").encode())
    reconstructor.set_params(out_dir=out, random_state=seed, n_images=n_images).transform(X)
    return len(X)


def _read(data: Path, wanted: Mapping[str, str], average: bool) -> Any:
    if data.is_dir():
        view = EpochsStore.open(data).view().select(**wanted)
        if len(view) == 0:
            raise ValueError(f"{data} holds no epoch.")
        return view.average(by=("subject", "stimulus")) if average else view
    if wanted or average:
        raise ValueError(
            f"{data} is no EpochsStore: rows can be chosen and averaged only where it is known what they show."
            " Choose them before, or write a store."
        )
    if data.suffix == ".npy":
        return np.load(data, allow_pickle=False)
    import mne

    return mne.read_epochs(data, verbose="error")
