"""Published data sets in BIDS, each of which tells in a way of its own which picture was shown when."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._utils.params import check_option
from ._annex import local_file
from ._bids_files import read_file
from ._breaks import with_breaks
from ._download import Remote
from ._eeg2_files import subject_names
from ._event_tables import Reading, Shown, read_table
from ._loading import Source, cut, warn_of
from ._manifest import find_manifest
from ._preparation import Preparation, check_preparation
from ._stores import as_bunch
from ._streaming import Recording, stream

if TYPE_CHECKING:
    import mne
    import pandas as pd
    from sklearn.utils import Bunch

_TYPES = {
    "EEG": "eeg",
    "EOG": "eog",
    "HEOG": "eog",
    "VEOG": "eog",
    "ECG": "ecg",
    "EMG": "emg",
    "TRIG": "stim",
    "MISC": "misc",
}
_UNTYPED = (".vhdr", ".edf", ".bdf", ".set")  # formats whose channels have no types
_COMPANIONS = (".eeg", ".vmrk", ".fdt")
_IMAGE_LIST = "stimuli/image_metadata.npy"


@dataclass(frozen=True)
class Found:
    """The file that a recording begins with.

    Attributes
    ----------
    name : str
        Its path below the data set, with slashes.
    labels : dict of str
        What BIDS calls the recording by: sub, ses, task, run.
    """

    name: str
    labels: dict[str, str] = field(hash=False)

    @classmethod
    def of(cls, name: str) -> Found:
        """Read the labels in a name."""
        parts = [part.partition("-") for part in Path(name).stem.split("_")]
        return cls(name, {label: value for label, dash, value in parts if dash})

    @property
    def stem(self) -> str:
        """The path without "_eeg.vhdr"."""
        return self.name.rpartition("_")[0]

    @property
    def key(self) -> str:
        """What the store calls the recording."""
        return self.stem.rpartition("/")[2]

    @property
    def subject(self) -> str:
        """Its person, "sub-01"."""
        return f"sub-{self.labels['sub']}"


@dataclass(frozen=True)
class Published:
    """What is particular to a data set.

    Attributes
    ----------
    title : str
        Its name, for messages.
    datatype : "eeg" | "meg"
        Which channels are read.
    recordings : str
        Regular expression of the files that recordings begin with, below the data set.
    example : str
        One of them.
    events : callable
        ``events(folder, found, pictures)`` gives a table with onset in seconds, stimulus and `columns` of a recording.
    columns : tuple of str
        Further columns of the rows.
    beside : callable
        ``beside(found)`` gives names of files that it needs beside those of BIDS.
    picture : str
        Where a picture lies below the folder of pictures, in terms of the columns.
    places : tuple of str
        Where this folder may be, below the data set.
    is_things_eeg2 : bool
        Whether the pictures are those of THINGS-EEG2, by number, so that its list of pictures names them.
    """

    title: str
    datatype: str
    recordings: str
    example: str
    events: Callable[[Path, Found, Any], pd.DataFrame]
    columns: tuple[str, ...] = ()
    beside: Callable[[Found], Iterable[str]] = lambda found: ()
    picture: str = "{stimulus}.jpg"
    places: tuple[str, ...] = ("stimuli",)
    is_things_eeg2: bool = False


def load_published(
    candidates: Sequence[Published],
    out: str | os.PathLike,
    *,
    folder: Path | None,
    files: Mapping[str, Remote] | None = None,
    subjects: Any,
    images: Any,
    dtype: str,
    verbose: int,
    **prep: Any,
) -> Bunch:
    """Write a data set into a store, and open it.

    Parameters
    ----------
    candidates : sequence of Published
        Which, or which it may be.
    out : path-like
        The store.
    folder : Path | None
        Where its files are, or are downloaded to and kept; None downloads those of a recording at a time.
    files : mapping of str to Remote | None
        What there is to download, by names. None takes what is in `folder`.
    subjects : int | str | sequence | None
        Whom to take.
    images : path-like | None
        Where the pictures are.
    dtype, verbose
        As of :func:`stream`.
    **prep : object
        Parameters of :func:`check_preparation`.
    """
    check_option("dtype", dtype, ["float32", "float16"])
    if folder is not None and files is None and not folder.is_dir():
        raise FileNotFoundError(f"folder: {str(folder)!r} is not a folder.")
    names = list(_names(folder) if files is None else files)
    data = next((each for each in candidates if any(_found(each, names))), candidates[0])
    preparation = check_preparation(datatype=data.datatype, prepare=None, **prep)
    if images is not None and not Path(images).exists():
        raise FileNotFoundError(f"images: {str(images)!r} does not exist.")
    found = _chosen(data, names, subjects, folder)
    pictures = None
    if data.is_things_eeg2 and images is not None:
        pictures = find_manifest(images, [])
    told: list[str] = []
    recordings = [
        Recording(
            each.key,
            _files(data, each, folder, files),
            partial(_read, data, each, preparation, pictures, told),
        )
        for each in found
    ]
    how = {**preparation.stated(), "data": data.title, "dtype": dtype}
    if data.is_things_eeg2:
        is_named = pictures is not None or any(file.name == _IMAGE_LIST for file in recordings[0].files)
        how["images"] = "by name" if is_named else "by number"
    store = stream(recordings, out, folder=folder, how=how, dtype=dtype, verbose=verbose)
    warn_of(told, stacklevel=4)
    view = store.view()
    wanted = list(dict.fromkeys(each.subject for each in found))
    if set(view.subject) - set(wanted):  # type: ignore[arg-type]
        view = view.select(subject=wanted)
    return as_bunch(view, view.rows, _manifest(data, view.rows, folder, images, pictures))


def _names(folder: Path | None) -> list[str]:
    assert folder is not None
    return [path.relative_to(folder).as_posix() for path in folder.glob("sub-*/**/*")]


def _found(data: Published, names: Iterable[str]) -> Iterator[Found]:
    return (Found.of(name) for name in names if re.fullmatch(data.recordings, name))


def _chosen(data: Published, names: Iterable[str], subjects: Any, folder: Path | None) -> list[Found]:
    """Find the recordings of some people, sorted."""
    found = list(_found(data, sorted(names)))
    there = list(dict.fromkeys(each.subject for each in found))
    wanted = there if subjects is None else subject_names(subjects)
    if absent := [name for name in wanted if name not in there] or ([] if found else ["recordings"]):
        where = "what is published" if folder is None else repr(str(folder))
        raise FileNotFoundError(
            f"{', '.join(absent)} of {data.title} not found in {where}, where recordings have names such as {data.example}."
        )
    return [each for each in found if each.subject in wanted]


def _files(
    data: Published, found: Found, folder: Path | None, files: Mapping[str, Remote] | None
) -> tuple[Remote, ...]:
    """Name all that a recording is read from; what BIDS has for several of them lies further up."""
    tail = "_".join(f"{label}-{found.labels[label]}" for label in ("task",) if label in found.labels)
    optional = [f"{found.name.rpartition('.')[0]}{suffix}" for suffix in _COMPANIONS]
    optional += [f"{found.stem}_channels.tsv", f"{tail}_channels.tsv"]
    needed = [found.name, f"{found.stem}_events.tsv", *data.beside(found)]
    if data.is_things_eeg2:
        optional.append(_IMAGE_LIST)
    if files is not None:
        if absent := [name for name in needed if name not in files]:
            raise FileNotFoundError(
                f"{absent[0]} of {data.title} is not published. Has the data set changed?"
            )
        return tuple(files[name] for name in dict.fromkeys([*needed, *optional]) if name in files)
    assert folder is not None
    there = [name for name in optional if os.path.lexists(folder / name)]
    return tuple(local_file(folder, name) for name in dict.fromkeys([*needed, *there]))


def _read(
    data: Published, found: Found, prep: Preparation, pictures: Any, told: list[str], folder: Path
) -> Any:
    """Read a recording whose files are all there."""
    if data.is_things_eeg2 and pictures is None and (folder / _IMAGE_LIST).is_file():
        pictures = find_manifest(folder / _IMAGE_LIST, [])
    events = data.events(folder, found, pictures)
    if len(events) == 0:
        raise ValueError(f"{found.key}: its events show no picture. Is the file whole?")
    table = events.rename(columns={"stimulus": "written"}).sort_values(
        "onset", kind="stable", ignore_index=True
    )
    ids = {
        "subject": found.subject,
        "session": found.labels.get("ses", ""),
        "run": found.labels.get("run", ""),
    }
    source = Source(
        found.key,
        (),
        partial(_open, folder, found),
        Shown(table, len(table), 0, 0),
        {**ids, "task": found.labels["task"]},
    )
    return cut(source, prep, Reading("stimulus", None, {name: name for name in data.columns}), told)


def _open(folder: Path, found: Found) -> tuple[mne.io.BaseRaw, mne.io.BaseRaw]:
    """Open a recording with types of channels and bad ones as the data set tells; positions as of the 10-05 system."""
    import mne

    raw = read_file(folder / found.name)
    tables = [folder / f"{found.stem}_channels.tsv", folder / f"task-{found.labels['task']}_channels.tsv"]
    table = next((read_table(path, "channels") for path in tables if path.is_file()), None)
    if table is not None:
        told = table[table["name"].isin(raw.ch_names)]
        if found.name.endswith(_UNTYPED):
            kinds = {
                name: _TYPES.get(kind.upper()) for name, kind in zip(told["name"], told["type"], strict=True)
            }
            raw.set_channel_types(
                {name: kind for name, kind in kinds.items() if kind}, on_unit_change="ignore", verbose="ERROR"
            )
        if "status" in told:
            raw.info["bads"] = told["name"][told["status"] == "bad"].tolist()
    eeg = mne.pick_types(raw.info, meg=False, eeg=True, exclude=())
    if len(eeg) and not any(raw.info["chs"][pick]["loc"][:3].any() for pick in eeg):
        raw.set_montage("standard_1005", match_case=False, on_missing="ignore", verbose="ERROR")
    return with_breaks(raw, raw), raw


def _manifest(
    data: Published, rows: pd.DataFrame, folder: Path | None, images: Any, pictures: Any
) -> pd.DataFrame:
    """The pictures shown, by id, with their files where they are there."""
    names = [name for name in ("concept", "split") if name in rows]
    shown = rows[["stimulus", *names]].drop_duplicates("stimulus").sort_values("stimulus", ignore_index=True)
    if pictures is not None:
        known = dict(zip(pictures["id"], pictures["path"], strict=True))
        paths = [known.get(stimulus, "") for stimulus in shown["stimulus"]]
    else:
        places = (
            [Path(images)]
            if images is not None
            else []
            if folder is None
            else [folder / name for name in data.places]
        )
        place = next((place for place in places if place.is_dir()), None)
        files = [
            None if place is None else place / data.picture.format(**row) for row in shown.to_dict("records")
        ]
        paths = [str(file) if file is not None and file.is_file() else "" for file in files]
    return shown.rename(columns={"stimulus": "id"}).assign(path=paths)
