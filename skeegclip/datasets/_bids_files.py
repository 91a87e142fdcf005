"""Recordings of a BIDS data set: which there are, their files, and reading them."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

# The file that a reader is given; split files beyond the first come with it.
_RAW = (".vhdr", ".edf", ".EDF", ".bdf", ".set", ".fif", ".ds", ".con", ".sqd", ".mefd")
_ORDER = ("subject", "session", "task", "run", "basename")
_CALIBRATION = ("crosstalk", "calibration")
_WITH = {".vhdr": (".eeg", ".vmrk", ".dat"), ".set": (".fdt",)}


def find_runs(root: Path, needed_by: str, datatypes: Any) -> list[Any]:
    """Return the path of each recording, sorted by subject, session, task and run.

    Parameters
    ----------
    root : Path
        The data set.
    needed_by : str
        What needs mne-bids, for the message where it is not installed.
    datatypes : sequence of str
        Any of "eeg", "meg", "ieeg".
    """
    mne_bids = import_mne_bids(needed_by)
    kinds = list(datatypes)
    found = mne_bids.find_matching_paths(
        root, suffixes=kinds, datatypes=kinds, extensions=list(_RAW), ignore_nosub=True
    )
    runs = [
        run
        for run in found
        if run.split in (None, "01", "1", "001")
        and run.acquisition not in _CALIBRATION
        and run.subject != "emptyroom"
    ]
    return sorted(runs, key=lambda run: [_sortable(getattr(run, name)) for name in _ORDER])


def _sortable(value: Any) -> tuple:
    """By number where there is one, so that run 10 follows run 9."""
    text = "" if value is None else str(value)
    return (0, int(text), text) if text.isdecimal() else (1 if text else -1, 0, text)


def import_mne_bids(needed_by: str, instead: str = "") -> Any:
    """Return the package mne-bids."""
    try:
        import mne_bids
    except ImportError as error:
        raise ImportError(
            f"{needed_by} reads recordings with the package mne-bids, which is not installed. Run"
            f" `pip install mne-bids`{instead}."
        ) from error
    return mne_bids


def read_run(run: Any) -> Any:
    """Open a recording with its channels as the data set describes them; its data are not read yet."""
    import mne_bids

    with warnings.catch_warnings():
        # Of what mne-bids makes of the events: they are read from their file.
        warnings.simplefilter("ignore")
        try:
            return mne_bids.read_raw_bids(run, on_ch_mismatch="reorder", verbose="ERROR")
        except (KeyError, ValueError, RuntimeError) as error:
            raise ValueError(
                f"{run.basename} or a table beside it is not as BIDS has it: mne-bids says {error!r}. Mend it, or open the"
                " files with load_recordings."
            ) from error


def read_file(path: Path) -> Any:
    """Open a file in any format that MNE reads, and nothing beside it."""
    import mne

    more = {"allow_maxshield": True} if path.suffix == ".fif" else {}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The data contains 'boundary' events")  # which are heeded
        return mne.io.read_raw(path, preload=False, verbose="WARNING", **more)


def sidecar(run: Any, suffix: str) -> Path | None:
    """Return the table of a recording, looked for as BIDS says: the nearest folder upwards, fitting in its entities."""
    found = run.find_matching_sidecar(suffix=suffix, extension=".tsv", on_error="ignore")
    return None if found is None else Path(found)


def files_of(run: Any) -> list[Path]:
    """Return every file that the epochs of a recording depend on."""
    first = Path(run.fpath)
    files = with_companions(first)
    if run.split is not None:
        pattern = first.name.replace(f"_split-{run.split}_", "_split-*_")
        files += [file for file in sorted(first.parent.glob(pattern)) if file != first]
    tables = [sidecar(run, suffix) for suffix in ("events", "channels", "electrodes")]
    return files + [table for table in tables if table is not None]


def with_companions(first: Path) -> list[Path]:
    """Return a file, or all in a folder that is a recording, with those that hold its data and marks."""
    if first.is_dir():
        return [file for file in sorted(first.rglob("*")) if file.is_file()]
    beside = [first.with_suffix(suffix) for suffix in _WITH.get(first.suffix, ())]
    return [first, *(file for file in beside if file.is_file())]
