"""Which files there are, whose they are, and which rows of a table of events belong to each."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._utils.ids import id_text
from ._bids_files import with_companions
from ._event_tables import read_table

if TYPE_CHECKING:
    import pandas as pd

_IDS = ("subject", "session", "run")


@dataclass(frozen=True)
class RecordingFile:
    """A recording, not opened.

    Attributes
    ----------
    file : Path
        What a reader is given.
    ids : dict of str
        Subject, session and run; "" where it is not told.
    """

    file: Path
    ids: dict[str, str]

    @property
    def key(self) -> str:
        """Name of the recording."""
        more = [f"{name[:3]}-{self.ids[name]}" for name in _IDS[1:] if self.ids[name]]
        return "_".join([self.ids["subject"], *more])

    @property
    def files(self) -> list[Path]:
        """All that it is read from."""
        return with_companions(self.file)


def as_list(files: Any) -> list[RecordingFile]:
    """Read the parameter `files`."""
    import pandas as pd

    if isinstance(files, Mapping):
        found = []
        for subject, some in files.items():
            if isinstance(some, (str, os.PathLike)):
                found.append(_recording(Path(some), subject, "", ""))
            else:
                found += [
                    _recording(Path(file), subject, "", str(run)) for run, file in enumerate(some, start=1)
                ]
    elif isinstance(files, (str, os.PathLike, pd.DataFrame)):
        table = read_table(files, "files")
        if absent := [column for column in ("file", "subject") if column not in table]:
            raise ValueError(f"files: the table lacks the columns {absent}; it has {list(table)}.")
        place = Path() if isinstance(files, pd.DataFrame) else Path(files).parent
        found = [
            _recording(place / row["file"], *(row.get(name, "") for name in _IDS))
            for row in table.to_dict("records")
        ]
    else:
        raise TypeError(
            "files must map each subject to a file or a list of files, or be a table with the columns file and subject,"
            f" got {type(files).__name__}."
        )
    if not found:
        raise ValueError("files names no recording.")
    keys = [recording.key for recording in found]
    if twice := sorted({key for key in keys if keys.count(key) > 1}):
        raise ValueError(
            f"files: {twice[0]!r} is the name of several recordings. Tell them apart by session or run."
        )
    return found


def _recording(file: Path, subject: Any, session: Any, run: Any) -> RecordingFile:
    if not file.exists():
        raise FileNotFoundError(f"files: there is no {str(file)!r}.")
    ids = {"subject": id_text(subject), "session": id_text(session), "run": id_text(run)}
    if not ids["subject"].strip():
        raise ValueError(f"files: {str(file)!r} has no subject. Name the person, such as 'sub-01'.")
    return RecordingFile(file.resolve(), ids)


def events_of(recordings: list[RecordingFile], events: Any, stimulus: str) -> list[Any]:
    """Return the rows of each recording; a mapping of marks is that of every one.

    Parameters
    ----------
    recordings : list of RecordingFile
        The recordings.
    events : DataFrame | path-like | mapping
        Table of all, or mapping.
    stimulus : str
        Column of the pictures.
    """
    if isinstance(events, Mapping):
        return [events] * len(recordings)
    import pandas as pd

    table = read_table(events, "events")
    if stimulus not in table:
        raise ValueError(
            f"events lacks the column {stimulus!r}; it has {list(table)}. Pass stimulus= the column of the pictures."
        )
    by = [name for name in ("file", *_IDS) if name in table]
    if not by and len(recordings) > 1:
        raise ValueError(
            f"events: nothing tells which of {len(recordings)} recordings a row belongs to. Add a column file, or any of"
            " subject, session and run."
        )
    tables = [table[_belongs(table, recording, by)].reset_index(drop=True) for recording in recordings]
    for recording, own in zip(recordings, tables, strict=True):
        if len(own) == 0:
            some = table[by].drop_duplicates().head(3).to_dict("records")
            raise ValueError(
                f"events: no row belongs to {recording.key} ({recording.file.name}); rows are told apart by {by}, such as"
                f" {some}."
            )
    if sum(map(len, tables)) > len(table):
        raise ValueError(
            f"events: rows belong to several recordings by {by}. Add a column file, session or run."
        )
    if left := len(table) - sum(map(len, tables)):
        mine = pd.concat([_belongs(table, recording, by) for recording in recordings], axis=1).any(axis=1)
        some = table.loc[~mine, by].drop_duplicates().head(3).to_dict("records")
        warnings.warn(
            f"events: {left} of {len(table)} rows belong to none of the {len(recordings)} recordings in files, and are left"
            f" out; the first are of {some}.",
            UserWarning,
            stacklevel=3,
        )
    return tables


def _belongs(table: pd.DataFrame, recording: RecordingFile, by: list[str]) -> pd.Series:
    import pandas as pd

    mine = pd.Series(True, index=table.index)
    for name in by:
        if name == "file":
            mine &= table["file"].map(partial(_names, recording.file.as_posix()))
        elif recording.ids[name] or name == "subject":
            mine &= table[name].str.strip() == recording.ids[name]
    return mine


def _names(path: str, written: str) -> bool:
    """Whether a name, or the end of a path, is that of a file."""
    text = written.strip().replace("\\", "/").removeprefix("./")
    return path == text or path.endswith(f"/{text}")
