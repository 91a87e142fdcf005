"""The published epochs of THINGS-MEG."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .._utils.channels import data_picks

if TYPE_CHECKING:
    import mne
    import pandas as pd

_NAME = re.compile(r"preprocessed_P(\d+)-epo\.fif")
_PLACES = (".", "derivatives/preprocessed", "preprocessed")
_BLOCK = 200  # epochs; 100 MB as MNE reads them
_FEMTOTESLA = 1e15
_LAYOUT = """\
{folder}/
    derivatives/preprocessed/         (or the files directly)
        preprocessed_P1-epo.fif
        preprocessed_P1-epo-1.fif     (and its further parts)
        ..."""


def find_epochs(folder: Path) -> dict[str, Path]:
    """Return the first file of each subject."""
    for place in _PLACES:
        found = {
            path: _NAME.fullmatch(path.name)
            for path in sorted((folder / place).glob("preprocessed_P*-epo.fif"))
        }
        files = {f"sub-{int(match[1]):02d}": path for path, match in found.items() if match}
        if files:
            return files
    return {}


def layout_error(folder: Path, what: str) -> FileNotFoundError:
    """Make the error that shows the expected layout."""
    return FileNotFoundError(
        f"folder: {what}. Download with fetch_things_meg(), or lay the files out as\n{_LAYOUT.format(folder=folder)}"
    )


class EpochsFile:
    """One subject's epochs, read a few at a time.

    Parameters
    ----------
    path : Path
        The first file; its parts are found beside it.
    window : tuple of float
        Times to keep, in seconds, both included.
    """

    def __init__(self, path: Path, window: tuple[float, float]) -> None:
        import mne

        try:
            self.epochs = mne.read_epochs(path, preload=False, verbose="ERROR")
        except (OSError, ValueError, RuntimeError) as error:
            raise ValueError(
                f"{str(path)!r} or a part of it is missing or damaged ({error}). Download it again."
            ) from error
        self.picks = data_picks(self.epochs.info)
        slack = 0.01 / self.epochs.info["sfreq"]
        times = self.epochs.times
        self.times = np.flatnonzero((times >= window[0] - slack) & (times <= window[1] + slack))
        if len(self.times) == 0:
            raise ValueError(
                f"window: no time of {str(path)!r} lies in {window}; its epochs span {times[0]:g} to {times[-1]:g} s."
            )

    @property
    def codes(self) -> np.ndarray:
        """Event of each epoch."""
        return self.epochs.events[:, 2]

    @property
    def metadata(self) -> pd.DataFrame | None:
        """Table of the epochs."""
        return self.epochs.metadata

    @property
    def tmin(self) -> float:
        """Time of the first sample kept, in seconds."""
        return round(float(self.epochs.times[self.times[0]]), 6)

    @property
    def info(self) -> mne.Info:
        """Channels kept."""
        import mne

        return mne.pick_info(self.epochs.info, self.picks, verbose=False)

    def blocks(self, keep: np.ndarray) -> Iterator[np.ndarray]:
        """Yield some epochs in order."""
        scale = None
        for start in range(0, len(keep), _BLOCK):
            some = self.epochs[keep[start : start + _BLOCK]]
            data = some.get_data(picks=self.picks, verbose="ERROR")[:, :, self.times]
            if scale is None:
                # The published files hold z-scores (of the time before the picture) where MNE expects tesla.
                scale = _FEMTOTESLA if data.std() < 1e-6 else 1.0
            yield (data * scale).astype(np.float32)
