"""The files of THINGS-EEG2: where they lie, and what is in them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ._montages import eeg_info
from ._pickles import read_pickled_dict

if TYPE_CHECKING:
    import mne

FILES = {"train": "preprocessed_eeg_training.npy", "test": "preprocessed_eeg_test.npy"}
_SUBJECT = re.compile(r"sub-(\d+)")
_BLOCK_BYTES = 1 << 26
_LAYOUT = """\
{folder}/
    Preprocessed_data_250Hz/          (or the folders sub-XX directly)
        sub-01/
            preprocessed_eeg_training.npy
            preprocessed_eeg_test.npy
        ...
    image_set/                        (for the names of the pictures)
        training_images/00001_aardvark/aardvark_01b.jpg ...
        test_images/00001_aircraft_carrier/aircraft_carrier_06s.jpg ...
    ViT-H-14_features_train.pt        (optional)
    ViT-H-14_features_test.pt"""


def subject_name(subject: object) -> str:
    """Return "sub-01" for 1, "1", "01" or "sub-01"."""
    match = re.fullmatch(r"(?:sub-)?0*(\d+)", str(subject))
    if match is None or isinstance(subject, bool):
        raise ValueError(f'subjects must be numbers or names such as "sub-01", got {subject!r}.')
    return f"sub-{int(match[1]):02d}"


def subject_names(subjects: object) -> list[str]:
    """Return the names of one or several subjects."""
    if isinstance(subjects, (int, str, np.integer)):
        return [subject_name(subjects)]
    return list(dict.fromkeys(subject_name(subject) for subject in subjects))  # type: ignore[attr-defined]


def find_recordings(folder: Path) -> Path | None:
    """Return the folder that holds sub-XX/preprocessed_eeg_*.npy: `folder` itself or one right below it."""
    if not folder.is_dir():
        return None
    places = [
        folder,
        *sorted(path for path in folder.iterdir() if path.is_dir() and not _SUBJECT.fullmatch(path.name)),
    ]
    found = [place for place in places if recorded_subjects(place)]
    if len(found) > 1:
        names = ", ".join(repr(str(place)) for place in found)
        raise ValueError(f"folder: {str(folder)!r} holds recordings in {names}. Pass one of these folders.")
    return found[0] if found else None


def recorded_subjects(place: Path) -> list[str]:
    """Return the subjects that have both files, sorted."""
    return sorted(
        path.name
        for path in place.glob("sub-*")
        if _SUBJECT.fullmatch(path.name) and all((path / name).is_file() for name in FILES.values())
    )


def layout_error(folder: Path, what: str) -> FileNotFoundError:
    """Make the error that shows the expected layout."""
    return FileNotFoundError(
        f"folder: {what}. Download with fetch_things_eeg2(), or lay the files out as\n{_LAYOUT.format(folder=folder)}"
    )


@dataclass(frozen=True)
class Recording:
    """One file: a subject's training or test epochs.

    Attributes
    ----------
    data : ndarray, shape (n_images, n_repetitions, n_chans, n_times)
        A map of the file.
    ch_names : tuple of str
        Channels.
    sfreq, tmin : float
        Sampling rate in Hz, and time of the first sample in seconds.
    """

    data: np.ndarray
    ch_names: tuple[str, ...]
    sfreq: float
    tmin: float

    def blocks(self) -> Iterator[np.ndarray]:
        """Yield the epochs, image by image and repetition by repetition, a few images at a time."""
        n_images, n_repetitions, n_chans, n_times = self.data.shape
        step = max(1, _BLOCK_BYTES // (n_repetitions * n_chans * n_times * self.data.itemsize))
        for start in range(0, n_images, step):
            yield np.asarray(self.data[start : start + step]).reshape(-1, n_chans, n_times)

    def info(self) -> mne.Info:
        """Return channels with 10-05 positions."""
        return eeg_info(self.sfreq, self.ch_names)


def read_recording(path: Path) -> Recording:
    """Read a file of the reference (63 channels, 250 Hz) or of the first publication (17 channels, 100 Hz)."""
    content = read_pickled_dict(path)
    missing = {"preprocessed_eeg_data", "ch_names", "times"} - set(content)
    if missing:
        raise ValueError(
            f"{str(path)!r} lacks {', '.join(sorted(missing))}; it holds {', '.join(map(repr, content)) or 'nothing'}."
            " It is not one of THINGS-EEG2's preprocessed files."
        )
    data, ch_names = np.asanyarray(content["preprocessed_eeg_data"]), tuple(map(str, content["ch_names"]))
    times = np.asarray(content["times"], dtype=np.float64)
    if data.ndim != 4 or data.dtype.kind != "f" or data.shape[2] != len(ch_names):
        raise ValueError(
            f"{str(path)!r}: preprocessed_eeg_data must be floats of shape (n_images, n_repetitions,"
            f" {len(ch_names)} channels, n_times), got {data.dtype} {data.shape}."
        )
    n_times = data.shape[3]
    if times.ndim != 1 or len(times) < max(n_times, 2):
        raise ValueError(f"{str(path)!r}: times has shape {times.shape}, but the data have {n_times} times.")
    # The published files keep the times before the picture, which were cut from the data.
    times = times[-n_times:]
    sfreq = (
        (len(times) - 1) / (times[-1] - times[0])
        if n_times > 1
        else 1 / (content["times"][1] - content["times"][0])
    )
    return Recording(data, ch_names, round(float(sfreq), 3), round(float(times[0]), 6))
