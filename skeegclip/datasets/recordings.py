"""Recordings in any format that MNE reads, and a table of what was shown."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._utils.params import check_option
from ._bids_files import read_file
from ._event_tables import check_reading, shown
from ._loading import Source, load
from ._marks import check_marks, with_onsets
from ._preparation import check_preparation
from ._recording_tables import as_list, events_of

if TYPE_CHECKING:
    from sklearn.utils import Bunch


def load_recordings(
    files: Any,
    events: Any,
    out: str | os.PathLike,
    *,
    marks: Any = None,
    stimulus: str = "stim_file",
    images: str | os.PathLike | None = None,
    query: str | None = None,
    columns: Mapping[str, str] | Sequence[str] | None = None,
    datatype: str | None = None,
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
    """Write the epochs of raw recordings into an :class:`~skeegclip.EpochsStore` by a table of what was shown, and open it.

    The same as :func:`load_bids`, of files in any format that :func:`mne.io.read_raw` reads and a table that you have.

    Parameters
    ----------
    files : mapping | DataFrame | path-like
        The recordings. A mapping gives the file of each subject, or a list of files, which become runs 1, 2, ...:
        ``{"ana": "ana.vhdr", "ben": ["ben_1.edf", "ben_2.edf"]}``. A table (DataFrame, or file of comma- or
        tab-separated values) has the columns file and subject, and session and run where there are any; paths count
        from the file of the table.
    events : DataFrame | path-like | mapping
        What was shown. A table has the column that `stimulus` names; its other columns tell

        - when: **onset**, in seconds from the first sample of the recording. Without it, `marks` tells.
        - where, if there is more than one recording: **file** (a name or path as in `files`), or any of **subject**,
          **session** and **run**.

        A mapping gives the picture of each mark in the recordings: ``{"Stimulus/S 11": "cat.jpg"}`` by the text of
        annotations, ``{11: "cat.jpg"}`` by the codes of a trigger channel.
    out : path-like
        Folder of the store; made where it is missing, gone on with where it was made with the same settings.
    marks : str | int | sequence | None
        Marks in the recordings that stand for the rows of a table without onsets: the first of these marks for the first
        row of its recording, and so on; there must be as many. Text names annotations, numbers are codes of a trigger
        channel.
    stimulus : str
        Column of `events` that names the picture. Rows where it is empty or "n/a" are left out.
    images : path-like | None
        Folder of the pictures that `events` names paths in. None looks for none.
    query : str | None
        Rows of `events` to take, as a condition on its columns.
    columns : mapping | sequence of str | None
        Further columns of `events` that the rows get, as text; a mapping gives them other names.
    datatype : "eeg" | "meg" | "ieeg" | None
        Which channels. None reads all that hold data of the brain by their type.
    channels : sequence of str | None
        Channels to keep. None keeps all, which must be the same in every recording, in any order.
    prepare : callable | None
        ``prepare(raw)`` returns the :class:`mne.io.Raw` that is gone on with: to rename channels, set types or a montage,
        re-reference, or remove the mains. It must keep all samples. A store remembers its name only.
    bads : "interpolate" | "keep"
        What becomes of channels in ``raw.info["bads"]``, as in :func:`load_bids`.
    band : tuple of (float | None) | None
        Lower and upper edge of the pass band in Hz, as in :func:`load_bids`.
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
        As of :func:`load_bids`; the rows have no column task.

    Raises
    ------
    FileNotFoundError
        If a file is not there.
    ValueError
        If a recording has no events, marks and rows differ in number, recordings differ in their channels, the store was
        made otherwise, or a parameter is not usable.

    Warns
    -----
    UserWarning
        Before anything is converted, if pictures are missing; afterwards, if epochs were cut off, or bad channels kept.

    See Also
    --------
    load_bids : The same of a data set in BIDS, which tells all of this by itself.

    Examples
    --------
    >>> from skeegclip.datasets import load_recordings
    >>> data = load_recordings(
    ...     {"ana": "ana.vhdr", "ben": "ben.vhdr"}, "shown.csv", "my-store", marks="Stimulus/S  1", images="pictures"
    ... )  # doctest: +SKIP
    """
    check_option("dtype", dtype, ["float32", "float16"])
    prep = check_preparation(datatype, channels, prepare, bads, band, sfreq, tmin, tmax, baseline)
    reading = check_reading(stimulus, query, columns)
    if images is not None and not Path(images).is_dir():
        raise FileNotFoundError(f"images: {str(images)!r} is not a folder.")
    chosen = check_marks(marks, events)
    recordings = as_list(files)
    tables = events_of(recordings, events, reading.stimulus)
    sources = []
    for recording, table in zip(recordings, tables, strict=True):
        if chosen is not None:
            table = with_onsets(table, read_file(recording.file), chosen, reading.stimulus, recording.key)
        sources.append(
            Source(
                recording.key,
                recording.files,
                partial(_open, recording.file),
                shown(table, reading, f"events of {recording.key}"),
                recording.ids,
            )
        )
    if not any(len(source.shown.events) for source in sources):
        raise ValueError(f"events: none that is taken names a picture in the column {stimulus!r}.")
    root = Path(os.path.commonpath([file.parent for source in sources for file in source.files]))
    return load(
        sources,
        out,
        root=root,
        prep=prep,
        reading=reading,
        folders=[] if images is None else [Path(images)],
        dtype=dtype,
        verbose=verbose,
    )


def _open(file: Path) -> tuple[Any, Any]:
    raw = read_file(file)
    return raw, raw
