"""THINGS-MEG from its raw recordings in BIDS, by the publishers' recipe."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .._utils.channels import data_picks
from ._bids_files import import_mne_bids, read_run
from ._meg_rows import CATCH, rows_of
from ._stores import add_epochs

if TYPE_CHECKING:
    import mne
    import pandas as pd

_SUBJECT = "BIGMEG"
_BAND = (0.1, 40.0)  # Hz
_EPOCH = (-0.1, 1.3)  # s
_SFREQ = 200.0
_BROKEN = "MRO11-1609"  # malfunctioning in all sessions


def bids_subjects(root: Path) -> list[str]:
    """Return the subjects of a BIDS data set: "sub-01" for sub-BIGMEG1."""
    names = [
        re.fullmatch(rf"sub-{_SUBJECT}(\d+)", path.name) for path in sorted(root.glob(f"sub-{_SUBJECT}*"))
    ]
    return [f"sub-{int(match[1]):02d}" for match in names if match]


def convert_bids(
    path: Path,
    root: Path,
    name: str,
    window: tuple[float, float],
    *,
    dtype: str,
    then: Collection[tuple[str, ...]],
    verbose: int,
) -> None:
    """Write a subject's raw recordings into the store.

    Parameters
    ----------
    path : Path
        The store.
    root : Path
        The BIDS data set.
    name : str
        Subject, "sub-01".
    window : tuple of float
        Times to keep, in seconds, both included.
    dtype : "float32" | "float16"
        Type of a new store.
    then : collection of tuple of str
        Subjects that are to follow.
    verbose : int
        1 shows a progress bar.
    """
    runs = _runs(root, name)
    attributes = _attributes(root, name)
    paths = [
        "" if kind == "catch" else image
        for kind, image in zip(attributes["trial_type"], attributes["image_path"], strict=True)
    ]
    keep, rows = rows_of(paths, attributes, name)
    first = _Run(runs[0], window)
    add_epochs(
        path,
        _blocks(runs, attributes, keep, window),
        rows,
        info=first.info,
        tmin=first.tmin,
        n_times=len(first.times),
        dtype=dtype,
        name=name,
        then=then,
        verbose=verbose,
    )


def _runs(root: Path, name: str) -> list[Any]:
    mne_bids = import_mne_bids("source='bids'", ", or use the published epochs: source='epochs'")
    found = mne_bids.find_matching_paths(
        root,
        subjects=f"{_SUBJECT}{int(name[4:])}",
        tasks="main",
        suffixes="meg",
        datatypes="meg",
        extensions=[".ds", ".fif"],
    )
    if not found:
        raise FileNotFoundError(
            f"folder: {str(root)!r} holds no recording of sub-{_SUBJECT}{int(name[4:])}, task main."
        )
    return sorted(found, key=lambda run: (int(run.session), int(run.run)))


def _attributes(root: Path, name: str) -> pd.DataFrame:
    """What was shown in each trial, in the order of sessions, runs and trials."""
    import pandas as pd

    file = root / "sourcedata" / f"sample_attributes_P{int(name[4:])}.csv"
    if not file.is_file():
        raise FileNotFoundError(
            f"folder: {str(file)!r}, which tells what was shown, is missing from the data set."
        )
    table = pd.read_csv(file)
    needed = ["trial_type", "session_nr", "run_nr", "image_path"]
    if absent := [column for column in needed if column not in table]:
        raise ValueError(f"{str(file)!r} lacks the columns {absent}.")
    return table.sort_values(["session_nr", "run_nr"], kind="stable", ignore_index=True)


def _blocks(
    runs: list[Any], attributes: pd.DataFrame, keep: np.ndarray, window: tuple[float, float]
) -> Iterator[np.ndarray]:
    """Yield the trials to keep, run by run."""
    end = 0
    for run in runs:
        recording = _Run(run, window)
        trials = attributes[
            (attributes["session_nr"] == int(run.session)) & (attributes["run_nr"] == int(run.run))
        ]
        onsets = recording.onsets()
        if len(onsets) != len(trials):
            raise ValueError(
                f"{run.basename}: its events file has {len(onsets)} trials, but sample_attributes lists {len(trials)}."
            )
        start, end = end, end + len(trials)
        here = keep[(keep >= start) & (keep < end)] - start
        if len(here):
            yield recording.epochs(onsets[here])
    if end != len(attributes):
        raise ValueError(
            f"sample_attributes lists {len(attributes)} trials, but the recordings there have {end}."
        )


class _Run:
    """One recording: filtered, cut into epochs, scored by the time before the picture, decimated."""

    def __init__(self, run: Any, window: tuple[float, float]) -> None:
        self.raw = read_run(run)
        self.file = Path(run.copy().update(suffix="events", extension=".tsv").fpath)
        if _BROKEN in self.raw.ch_names:
            self.raw.drop_channels([_BROKEN])
        self.picks = data_picks(self.raw.info)
        self.step = max(1, round(self.raw.info["sfreq"] / _SFREQ))
        grid = np.arange(
            round(_EPOCH[0] * self.raw.info["sfreq"]), round(_EPOCH[1] * self.raw.info["sfreq"]) + 1
        )
        times = grid[:: self.step] / self.raw.info["sfreq"]
        slack = 0.01 / _SFREQ
        self.times = np.flatnonzero((times >= window[0] - slack) & (times <= window[1] + slack))
        if len(self.times) == 0:
            raise ValueError(
                f"window: no time lies in {window}; epochs span {times[0]:g} to {times[-1]:g} s."
            )
        self.tmin = round(float(times[self.times[0]]), 6)

    @property
    def info(self) -> mne.Info:
        """Channels, at the rate of the epochs."""
        import mne

        info = mne.pick_info(self.raw.info, self.picks, verbose=0)
        with info._unlock():
            info["sfreq"] = self.raw.info["sfreq"] / self.step
        return info

    def onsets(self) -> np.ndarray:
        """Sample of each trial, corrected by the publishers with an optical sensor."""
        import pandas as pd

        table = pd.read_csv(self.file, sep="\t")
        if "sample" in table:
            return table["sample"].to_numpy(dtype=np.int64)
        return np.round(table["onset"].to_numpy() * self.raw.info["sfreq"]).astype(np.int64)

    def epochs(self, onsets: np.ndarray) -> np.ndarray:
        """Return the epochs at some samples, shape (k, n_chans, n_times)."""
        import mne

        raw = self.raw.copy().pick(self.picks).load_data(verbose="ERROR").filter(*_BAND, verbose="ERROR")
        events = np.column_stack(
            [onsets + raw.first_samp, np.zeros_like(onsets), np.full_like(onsets, CATCH)]
        )
        epochs = mne.Epochs(
            raw,
            events,
            tmin=_EPOCH[0],
            tmax=_EPOCH[1],
            baseline=None,
            proj=False,  # as recorded, and as `info` says
            reject_by_annotation=False,  # every trial counts
            preload=True,
            verbose="ERROR",
        )
        if len(epochs) != len(onsets):
            raise ValueError(
                f"{self.file.name}: {len(onsets) - len(epochs)} trials lie outside of the recording."
            )
        data = mne.baseline.rescale(
            epochs.get_data(copy=False), epochs.times, (None, 0), mode="zscore", copy=False, verbose="ERROR"
        )
        return data[:, :, :: self.step][:, :, self.times].astype(np.float32)
