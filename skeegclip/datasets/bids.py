"""Any BIDS data set whose events name pictures."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._utils.ids import id_text
from .._utils.params import check_option
from ._bids_files import files_of, find_runs, read_file, read_run, sidecar
from ._event_tables import Reading, check_reading, nothing_shown, read_table, shown
from ._loading import Source, load
from ._preparation import KINDS, check_preparation

if TYPE_CHECKING:
    from sklearn.utils import Bunch


def load_bids(
    root: str | os.PathLike,
    out: str | os.PathLike,
    *,
    stimulus: str = "stim_file",
    images: str | os.PathLike | None = None,
    subjects: Any = None,
    sessions: Any = None,
    tasks: Any = None,
    datatype: str | None = None,
    query: str | None = None,
    columns: Mapping[str, str] | Sequence[str] | None = None,
    channels: Sequence[str] | None = None,
    prepare: Callable | None = None,
    bads: str = "interpolate",
    band: tuple[float | None, float | None] | None = (0.1, 100.0),
    sfreq: float | None = 250.0,
    tmin: float = -0.2,
    tmax: float = 1.0,
    baseline: tuple[float | None, float | None] | None = (None, 0.0),
    dtype: str = "float32",
    verbose: int = 1,
) -> Bunch:
    """Write the epochs of a BIDS data set [1]_ whose events name pictures into an :class:`~skeegclip.EpochsStore`, and open it.

    Each recording is filtered, cut at the onsets of its pictures, resampled and baseline-corrected. A recording is
    written whole or not at all, and one that is in the store already is not read again, so that an interrupted run goes
    on where it stopped.

    Parameters
    ----------
    root : path-like
        The data set, in which ``sub-01`` and so on lie.
    out : path-like
        Folder of the store; made where it is missing, gone on with where it was made with the same settings.
    stimulus : str
        Column of ``events.tsv`` that names the picture. Events where it is empty or "n/a" are left out.
    images : path-like | None
        Folder of the pictures that the column names paths in. None is ``stimuli`` in `root`, and then `root`.
    subjects, sessions, tasks : str | int | sequence | None
        Those to take, as BIDS labels them, with or without "sub-", "ses-" and "task-". None takes all.
    datatype : "eeg" | "meg" | "ieeg" | None
        Which recordings, and which of their channels. None is the one that there is.
    query : str | None
        Events to take, as a condition on the columns of ``events.tsv``: ``"trial_type == 'picture'"``. Columns of
        numbers are compared as numbers.
    columns : mapping | sequence of str | None
        Further columns of ``events.tsv`` that the rows get, as text; a mapping gives them other names:
        ``{"concept": "category"}``.
    channels : sequence of str | None
        Channels to keep. None keeps all of `datatype`, which must be the same in every recording, in any order.
    prepare : callable | None
        ``prepare(raw)`` returns the :class:`mne.io.Raw` that is gone on with: to rename channels, set types or a montage,
        re-reference, or remove the mains. It must keep all samples. A store remembers its name only.
    bads : "interpolate" | "keep"
        What becomes of channels that ``channels.tsv`` calls bad. "interpolate" makes them of the others by MNE's splines
        (MEG: minimum norm), which needs positions. "keep" leaves their numbers, and warns. The rows' column bads names
        them in either case.
    band : tuple of (float | None) | None
        Lower and upper edge of the pass band in Hz, of MNE's zero-phase FIR filter on the continuous recording. An
        upper edge above half the rate of a recording is left out.
    sfreq : float | None
        Sampling rate of the store in Hz; not above that of any recording. None keeps the recording's.
    tmin, tmax : float
        Ends of an epoch in seconds from the picture's onset, both included.
    baseline : tuple of (float | None) | None
        Times in seconds whose mean is subtracted, both included; None at an end is that end of the epoch.
    dtype : "float32" | "float16"
        Type on disk.
    verbose : int
        1 shows a progress bar.

    Returns
    -------
    Bunch
        ``X`` : EpochsView, shape (n_epochs, n_chans, n_times)
            Single trials, none of them read yet, in microvolts (MEG: fT and fT/cm; iEEG: as MNE displays them).
            ``X.rows`` has the columns stimulus, subject, session, run, task, onset (seconds from the start of the
            recording), bads, repetition and those of `columns`.
        ``y``, ``subject`` : ndarray of str, shape (n_epochs,)
            Stimulus id and subject. The id is the path of the picture as the events write it, without suffix and without a
            leading ``stimuli/``: "faces/01" for ``faces/01.png``. Of a path on another computer it is the name alone.
        ``repetition`` : ndarray of int, shape (n_epochs,)
            How often the subject had seen the picture before, counted from 0.
        ``times`` : ndarray, shape (n_times,)
            Seconds from the picture's onset.
        ``info`` : mne.Info
            Channels.
        ``manifest`` : DataFrame
            The pictures: id, file (as the events write it), path ("" where it is not there).
        ``images`` : ImageTable | None
            The pictures that are there, by id.
        ``recordings`` : DataFrame
            A line per recording: how many events it has, how many were not chosen by `query`, name no picture, were cut
            off (by an end of the recording, by a break in it, or by an annotation that begins with "bad"), and how many
            epochs there are.

    Raises
    ------
    FileNotFoundError
        If `root` holds no recording, or not of a subject asked for.
    ImportError
        If the package ``mne-bids`` is not installed.
    ValueError
        If no event names a picture, recordings differ in their channels, the store was made otherwise, or a parameter is
        not usable.

    Warns
    -----
    UserWarning
        Before anything is converted, if pictures are missing; afterwards, if epochs were cut off, or bad channels kept.

    See Also
    --------
    load_recordings : The same of files that are not in BIDS.

    References
    ----------
    .. [1] Pernet et al., "EEG-BIDS, an extension to the brain imaging data structure for electroencephalography",
       Scientific Data 6, 2019.

    Examples
    --------
    >>> from skeegclip.datasets import load_bids
    >>> data = load_bids("my-bids", "my-store", query="trial_type == 'picture'")  # doctest: +SKIP
    >>> data.recordings  # doctest: +SKIP
    """
    check_option("dtype", dtype, ["float32", "float16"])
    place = Path(root).resolve()
    prep = check_preparation(datatype, channels, prepare, bads, band, sfreq, tmin, tmax, baseline)
    reading = check_reading(stimulus, query, columns)
    if not place.is_dir():
        raise FileNotFoundError(f"root: {str(root)!r} is not a folder.")
    if images is not None and not Path(images).is_dir():
        raise FileNotFoundError(f"images: {str(images)!r} is not a folder.")
    runs = find_runs(place, "load_bids", KINDS if datatype is None else [datatype])
    for name, prefix, wanted in (
        ("subject", "sub", subjects),
        ("session", "ses", sessions),
        ("task", "task", tasks),
    ):
        runs = _chosen(runs, name, prefix, wanted)
    if not runs:
        raise FileNotFoundError(
            f"root: {str(root)!r} holds no recording of {datatype or 'EEG, MEG or iEEG'} in BIDS"
            " (sub-01/[ses-01/]eeg/sub-01_..._eeg.vhdr). Is it the folder in which sub-... lie?"
        )
    kinds = sorted({str(run.datatype) for run in runs})
    if len(kinds) > 1:
        raise ValueError(f"datatype: there are recordings of {', '.join(kinds)}; pass one of them.")
    return load(
        _sources(runs, reading),
        out,
        root=place,
        prep=replace(prep, datatype=kinds[0]),
        reading=reading,
        folders=[place / "stimuli", place] if images is None else [Path(images)],
        dtype=dtype,
        verbose=verbose,
    )


def _chosen(runs: list[Any], name: str, prefix: str, wanted: Any) -> list[Any]:
    """Keep the runs whose label is asked for; every label must be there."""
    if wanted is None:
        return runs
    single = isinstance(wanted, str) or not hasattr(wanted, "__iter__")
    labels = {str(getattr(run, name) or "") for run in runs}
    keep: set[str] = set()
    for value in [wanted] if single else list(wanted):
        text = id_text(value).removeprefix(f"{prefix}-")
        same = {label for label in labels if label == text or _is_number(label, value)}
        if len(same) > 1:
            raise ValueError(f"{name}s: {value!r} may be any of {sorted(same)}. Name it as text.")
        if not same:
            raise FileNotFoundError(
                f"{name}s: {value!r} is not there; there are {', '.join(sorted(filter(None, labels))) or 'none'}."
            )
        keep |= same
    return [run for run in runs if str(getattr(run, name) or "") in keep]


def _is_number(label: str, value: Any) -> bool:
    """Whether a number asks for a label: 1 for "01"."""
    return not isinstance(value, str) and label.isdecimal() and int(label) == value


def _sources(runs: list[Any], reading: Reading) -> list[Source]:
    """Read the events of all recordings; one whose events have no such column shows no picture, as at rest."""
    sources, others = [], {}
    for run in runs:
        file = sidecar(run, "events")
        table = None if file is None else read_table(file, "events")
        if table is None or reading.stimulus not in table:
            others[run.basename] = [] if table is None else list(table)
            events = nothing_shown(reading)
        else:
            events = shown(table, reading, repr(str(file)))
        ids = {
            "subject": f"sub-{run.subject}",
            **{name: str(getattr(run, name) or "") for name in ("session", "run", "task")},
        }
        key = Path(run.basename).stem.rpartition("_")[0]
        sources.append(Source(key, files_of(run), partial(_open, run), events, ids))
    if len(others) == len(runs):
        name, found = next(iter(others.items()))
        raise ValueError(
            f"stimulus: no events.tsv has the column {reading.stimulus!r}; that of {name} has {found}. Pass stimulus= the"
            " column that names the picture."
        )
    if not any(len(source.shown.events) for source in sources):
        raise ValueError(
            f"stimulus: no event that is taken names a picture in the column {reading.stimulus!r}"
            f"{'' if reading.query is None else ', with this query'}."
        )
    return sources


def _open(run: Any) -> tuple[Any, Any]:
    return read_run(run), read_file(Path(run.fpath))
