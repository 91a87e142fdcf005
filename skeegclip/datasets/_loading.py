"""What the loaders of recordings share: events read at once, then recordings into a store, and out of it as a Bunch."""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..epochs import EpochsStore
from ._breaks import with_breaks
from ._download import Remote
from ._event_tables import Reading, Shown
from ._picture_files import picture_id, picture_manifest, refuse_alike
from ._preparation import Preparation
from ._preparing import prepared
from ._stores import as_bunch
from ._streaming import Cut, Recording, stream

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.utils import Bunch

_ROUNDED = 9  # digits of an onset in seconds


@dataclass(frozen=True)
class Source:
    """A recording that can be opened, and what was shown in it.

    Attributes
    ----------
    key : str
        Its name, like no other's.
    files : sequence of Path
        All that its epochs depend on.
    open : callable
        Gives its Raw, and the Raw of the file alone.
    shown : Shown
        Its pictures.
    ids : dict of str
        Columns that tell whose recording it is: subject, session, run, task.
    """

    key: str
    files: Sequence[Path]
    open: Callable[[], tuple[Any, Any]]
    shown: Shown
    ids: dict[str, str]


def load(
    sources: Sequence[Source],
    out: str | os.PathLike,
    *,
    root: Path,
    prep: Preparation,
    reading: Reading,
    folders: Sequence[Path],
    dtype: str,
    verbose: int,
) -> Bunch:
    """Write recordings into a store, and return those asked for.

    Parameters
    ----------
    sources : sequence of Source
        The recordings.
    out : path-like
        The store.
    root : Path
        Folder that all files lie in.
    prep : Preparation
        What is done to them.
    reading : Reading
        Which events are taken.
    folders : sequence of Path
        Where pictures are looked for.
    dtype : "float32" | "float16"
        Type of a new store.
    verbose : int
        1 shows a progress bar.
    """
    written = [name for source in sources for name in source.shown.events["written"]]
    manifest = picture_manifest(written, folders, stacklevel=3)
    for source in sources:  # one computer has shown it
        refuse_alike(set(source.shown.events["written"]), one_computer=True)
    told: list[str] = []
    recordings = [
        Recording(source.key, _remotes(source, root), _reader(source, prep, reading, told), _digest(source))
        for source in sources
        if len(source.shown.events)
    ]
    how = {
        **prep.stated(),
        "stimulus": reading.stimulus,
        "query": reading.query,
        "columns": reading.columns,
        "dtype": dtype,
    }
    store = stream(recordings, out, folder=root, how=how, dtype=dtype, verbose=verbose)
    warn_of(told, stacklevel=4)
    return _bunch(store, sources, manifest)


def warn_of(told: list[str], *, stacklevel: int) -> None:
    """Warn of what :func:`cut` has noted."""
    for kind, what in (
        (
            "cut",
            "their epochs reach beyond the recording, or touch what is marked as bad or a break; they are left out",
        ),
        ("bad", "their numbers are kept (bads='keep'); the column bads of the rows names them"),
    ):
        some = [text.partition(":")[2] for text in told if text.startswith(kind)]
        if some:
            warnings.warn(
                f"{'; '.join(some[:5])}{f'; and {len(some) - 5} recordings more' if len(some) > 5 else ''}: {what}.",
                UserWarning,
                stacklevel=stacklevel,
            )


def _remotes(source: Source, root: Path) -> tuple[Remote, ...]:
    """The files, with what is quickly known of them: a recording that is written is told from another of its name."""
    return tuple(Remote(file.relative_to(root).as_posix(), "", *_known(file)) for file in source.files)


def _known(file: Path) -> tuple[int | None, str | None]:
    """Size and, of the small tables, hash; events have a digest of their own, of what is read of them."""
    if not file.is_file() or file.name.endswith("_events.tsv"):
        return None, None
    digest = f"sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}" if file.suffix == ".tsv" else None
    return file.stat().st_size, digest


def _digest(source: Source) -> str:
    """Digest of the events that are taken, rounded as they are written."""
    events = source.shown.events
    table = events.assign(onset=events["onset"].round(_ROUNDED))
    return hashlib.sha256(json.dumps(table.to_dict("list")).encode()).hexdigest()


def _reader(source: Source, prep: Preparation, reading: Reading, told: list[str]) -> Callable[[Path], Cut]:
    return lambda _: cut(source, prep, reading, told)


def cut(source: Source, prep: Preparation, reading: Reading, told: list[str]) -> Cut:
    """Read a recording, and note what people should know of it."""
    import pandas as pd

    recording = prepared(with_breaks(*source.open()), prep, source.key)
    events = source.shown.events
    samples, whole = recording.samples(events["onset"].to_numpy())
    length = recording.raw.n_times / recording.raw.info["sfreq"]
    if not whole.any() or (events["onset"] > length).mean() > 0.5:
        raise ValueError(
            f"{source.key}: no more than {int(whole.sum())} of {len(events)} epochs lie whole in the recording, which"
            f" lasts {length:g} s; onsets go from {events['onset'].min():g} to {events['onset'].max():g} s. Onsets are"
            " seconds from its first sample, neither samples nor milliseconds."
        )
    if not whole.all():
        told.append(f"cut:{int((~whole).sum())} of {len(whole)} pictures of {source.key}")
    if recording.bads and prep.bads == "keep":
        told.append(f"bad:{', '.join(recording.bads)} of {source.key} are marked as bad")
    kept = events[whole]
    rows = pd.DataFrame(
        {
            "stimulus": [picture_id(name) for name in kept["written"]],
            **source.ids,
            "onset": kept["onset"].round(_ROUNDED),
            "bads": ",".join(recording.bads),
            **{name: kept[name] for name in reading.columns},
        }
    )
    grid = recording.grid
    return Cut(
        recording.blocks(samples[whole]),
        rows.reset_index(drop=True),
        recording.info,
        round(float(grid.times[0]), 9),
        len(grid.times),
    )


def _bunch(store: EpochsStore, sources: Sequence[Source], manifest: pd.DataFrame) -> Bunch:
    """Return the rows of these recordings, in the order in which they were written."""
    import pandas as pd

    parts = {origin["recording"]: part for origin, part in store.origins if "recording" in origin}
    view = store.view()
    wanted = {source.key for source in sources}
    there = [part for key, part in parts.items() if key in wanted]
    if sum(part.stop - part.start for part in there) < len(view):
        view = view[np.concatenate([np.arange(part.start, part.stop) for part in there])]
    table = []
    rows = store.view().rows
    for source in sources:
        part = parts.get(source.key, slice(0, 0))
        shown = source.shown
        n_epochs = part.stop - part.start
        _check_events(source, rows.iloc[part])
        table.append(
            {
                "recording": source.key,
                **source.ids,
                "n_events": shown.n_events,
                "n_not_chosen": shown.n_not_chosen,
                "n_no_picture": shown.n_no_picture,
                "n_cut_off": len(shown.events) - n_epochs,
                "n_epochs": n_epochs,
            }
        )
    return as_bunch(view, view.rows, manifest, recordings=pd.DataFrame(table))


def _check_events(source: Source, rows: pd.DataFrame) -> None:
    """Refuse a store whose rows show other pictures than the events do now."""
    events = source.shown.events
    now = set(zip(events["onset"].round(_ROUNDED), map(picture_id, events["written"]), strict=True))
    if odd := [pair for pair in zip(rows["onset"], rows["stimulus"], strict=True) if pair not in now]:
        raise ValueError(
            f"out: the store shows {odd[0][1]!r} at {odd[0][0]:g} s of {source.key}, and the events do no longer. Pass"
            " another folder, or remove the store to make it anew."
        )
