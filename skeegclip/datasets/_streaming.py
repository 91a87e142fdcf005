"""Recordings into a store one after another: each file verified, each recording written whole or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..epochs import EpochsStore
from ._download import Remote, download, path_below
from ._stores import stored_view

if TYPE_CHECKING:
    import mne
    import pandas as pd

_CHUNK = 2**20


@dataclass(frozen=True)
class Cut:
    """Epochs of a recording, read a block at a time.

    Attributes
    ----------
    blocks : iterable of ndarray, shape (k, n_chans, n_times)
        Epochs in microvolts (MEG: fT).
    rows : DataFrame
        A line per epoch: subject, session, stimulus and whatever else is known. Repetitions are counted by
        :func:`stream`.
    info : mne.Info
        Channels, at the rate of the epochs.
    tmin : float
        Time of the first sample in seconds.
    n_times : int
        Samples of an epoch.
    """

    blocks: Iterable[np.ndarray]
    rows: pd.DataFrame
    info: mne.Info
    tmin: float
    n_times: int


@dataclass(frozen=True)
class Recording:
    """One recording that is not read yet.

    Attributes
    ----------
    key : str
        Its name, like no other's: "sub-01_ses-01_task-images_run-01".
    files : tuple of Remote
        What it is read from, by names below a folder. Those with an address are downloaded where they are missing;
        all are compared with the size and hash expected of them, where those are known.
    read : callable
        ``read(folder)`` gives its epochs, once the files are there.
    events : str | None
        Digest of the events that it is cut by, where they are not of the files.
    """

    key: str
    files: tuple[Remote, ...]
    read: Callable[[Path], Cut]
    events: str | None = None


def stream(
    recordings: Sequence[Recording],
    out: str | os.PathLike,
    *,
    folder: str | os.PathLike | None,
    how: dict[str, Any],
    dtype: str = "float32",
    verbose: int = 1,
) -> EpochsStore:
    """Write recordings into a store, one after another.

    The store's manifest tells of each which files it was made of, and it tells so from the moment that its epochs count:
    after a kill, an error or Ctrl-C the next call goes on with the first recording that is not there, and reads
    nothing of the others. Of a recording, as much is held in memory as its ``read`` holds.

    Parameters
    ----------
    recordings : sequence of Recording
        What to write, in this order.
    out : path-like
        The store; made if there is none.
    folder : path-like | None
        Where the files are, or are downloaded to and kept. None downloads those of one recording at a time, and
        removes them when it is written.
    how : dict
        How epochs are made of a recording, in what JSON has. A store that was made otherwise is not gone on with.
    dtype : "float32" | "float16"
        Type of a new store.
    verbose : int
        1 shows a progress bar, 2 one for each download too.

    Returns
    -------
    EpochsStore
        With a column ``repetition``: how often the subject had seen the stimulus before.
    """
    from .._utils.progress import tqdm

    path = Path(out)
    place = path.absolute().with_name(f".{path.absolute().name}-files") if folder is None else Path(folder)
    todo = _unwritten(path, recordings, how)
    needed = Counter(file.name for recording in todo for file in recording.files)
    if folder is None:  # what a kill has left between writing and removing
        _remove(recordings, place, needed)
    sink = _Sink(path, dtype)
    verified: dict[str, dict[str, Any]] = {}  # what recordings share is read once
    done = len(recordings) - len(todo)
    with tqdm(
        total=len(recordings), initial=done, desc="Converting", unit="recording", disable=not verbose
    ) as bar:
        for number, recording in enumerate(todo, 1):
            bar.set_postfix_str(recording.key)
            for file in recording.files:
                if file.name not in verified:
                    verified[file.name] = _verified(file, place, verbose)
            files = [verified[file.name] for file in recording.files]
            origin: dict[str, Any] = {"recording": recording.key, "files": files, "how": how}
            if recording.events is not None:
                origin["events"] = recording.events
            cut = recording.read(place)
            there = _origins(path)  # what other processes have written by now does not follow
            origin["left"] = sum(other.key not in there for other in todo[number:])
            sink.write(recording.key, cut, origin)
            needed.subtract(file.name for file in recording.files)
            if folder is None:
                _remove([recording], place, needed)
            bar.update()
    return EpochsStore._at(path)


def _origins(path: Path) -> dict[str | None, dict[str, Any]]:
    """Return what a store's recordings were made of, by their names."""
    if not (path / "manifest.json").is_file():
        return {}
    # Not `open`, which would warn of what is about to be mended.
    return {origin.get("recording"): origin for origin, _ in EpochsStore._at(path).origins}


def _unwritten(path: Path, recordings: Sequence[Recording], how: dict[str, Any]) -> list[Recording]:
    """Return the recordings that a store does not hold; refuse a store that was made of others, or otherwise."""
    keys = [recording.key for recording in recordings]
    if twice := sorted({key for key, n in Counter(keys).items() if n > 1}):
        raise ValueError(f"{len(twice)} recordings have the name of another (first: {twice[0]!r}).")
    if not recordings:
        raise ValueError("there is no recording to write.")
    origins = _origins(path)
    another = "Pass out= another folder, or remove the store to make it anew."
    for recording in recordings:
        if (origin := origins.get(recording.key)) is None:
            continue
        if origin["how"] != how:
            before = origin["how"]
            changed = sorted(name for name in {*how, *before} if how.get(name, ...) != before.get(name, ...))
            made = ", ".join(f"{name}={before.get(name)!r}" for name in changed)
            raise ValueError(f"{changed[0]}: the store {str(path)!r} was made with {made}. {another}")
        if recording.events != origin.get("events", recording.events):
            raise ValueError(
                f"the events of {recording.key} are not what they were when it was written to the store {str(path)!r}."
                f" {another}"
            )
        told = {file["name"]: file for file in origin["files"]}
        for file in recording.files:
            known = told.get(file.name)
            if known is None or file.size not in (None, known["size"]) or not _same(file.hash, known):
                raise ValueError(
                    f"{file.name} is not what it was when {recording.key} was written to the store {str(path)!r}."
                    f" {another}"
                )
    return [recording for recording in recordings if recording.key not in origins]


def _same(expected: str | None, known: dict[str, Any]) -> bool:
    """Whether a digest expected is the one that was taken; True where that kind was not taken."""
    kind, _, digest = (expected or "").partition(":")
    return known.get(kind) in (None, digest)


def _verified(file: Remote, folder: Path, verbose: int) -> dict[str, Any]:
    """Bring a file here, and return its name, size and digests; refuse what is not as it was published."""
    path = path_below(folder, file.name)
    kind, _, expected = (file.hash or "").partition(":")
    if file.url:  # git's hash is of the size too, and pooch does not know it
        known = replace(file, hash=None) if kind == "git" else file
        download([known], folder, verbose=int(verbose > 1))
    elif not path.is_file():
        raise FileNotFoundError(f"{str(path)!r} is missing (or a link to what was not downloaded yet).")
    digests = {name: hashlib.new("sha1" if name == "git" else name) for name in {"sha256", kind} - {""}}
    if kind == "git":
        digests["git"].update(f"blob {path.stat().st_size}\0".encode())
    size = 0
    with open(path, "rb") as content:
        while chunk := content.read(_CHUNK):
            size += len(chunk)
            for digest in digests.values():
                digest.update(chunk)
    taken = {name: digest.hexdigest() for name, digest in digests.items()}
    wrong = None
    if file.size not in (None, size):
        wrong = f"{size} bytes instead of {file.size}"
    elif kind and taken[kind] != expected:
        wrong = f"the {kind} {taken[kind]} instead of {expected}"
    if wrong:
        raise ValueError(
            f"{str(path)!r} is not what its publisher says: it has {wrong}. Remove it, and download it again."
        )
    return {"name": file.name, "size": size, **dict(sorted(taken.items()))}


def _remove(recordings: Sequence[Recording], folder: Path, needed: Counter[str]) -> None:
    """Remove downloads that no recording needs any more, and the folders that this leaves empty."""
    for file in (file for recording in recordings for file in recording.files):
        if file.url and needed[file.name] < 1:
            path = path_below(folder, file.name)
            path.unlink(missing_ok=True)
            for parent in path.relative_to(folder).parents:
                with contextlib.suppress(OSError):  # not empty, or not there
                    (folder / parent).rmdir()


class _Sink:
    """A store that recordings are added to, and what all of them have to share."""

    def __init__(self, path: Path, dtype: str) -> None:
        self.path, self.dtype = path, dtype
        self.shown: Counter[tuple[str, str]] = Counter()
        self.shape: tuple | None = None
        if (view := stored_view(path)) is not None:
            self.shape = (view.ch_names, view.sfreq, view.tmin, view.shape[2])
            subject, stimulus = view.subject, view.stimulus
            assert subject is not None
            assert stimulus is not None
            self.shown.update(zip(subject.tolist(), stimulus.tolist(), strict=True))

    def write(self, key: str, cut: Cut, origin: dict[str, Any]) -> None:
        """Write a recording, whole or not at all."""
        if len(cut.rows) == 0:
            raise ValueError(f"{key}: no picture was shown in it. Leave it out.")
        names, sfreq = tuple(cut.info["ch_names"]), float(cut.info["sfreq"])
        pairs = list(zip(cut.rows["subject"].astype(str), cut.rows["stimulus"].astype(str), strict=True))
        shown = Counter[tuple[str, str]]()
        repetition = []
        for pair in pairs:
            repetition.append(self.shown[pair] + shown[pair])
            shown[pair] += 1
        rows = cut.rows.assign(repetition=repetition)
        if self.shape is None:
            EpochsStore.create(
                self.path, cut.blocks, rows, info=cut.info, tmin=cut.tmin, dtype=self.dtype, origin=origin
            )
            self.shape = (names, sfreq, cut.tmin, cut.n_times)
        else:
            order = self._order(key, names, sfreq, cut)
            blocks = cut.blocks if order is None else (block[:, order] for block in cut.blocks)
            EpochsStore._at(self.path).append(blocks, rows, origin=origin)
        self.shown.update(shown)

    def _order(self, key: str, names: tuple[str, ...], sfreq: float, cut: Cut) -> list[int] | None:
        """Return where the channels of the store are among those of a recording, which may have more; None where all
        are in place."""
        assert self.shape is not None
        there, rate, tmin, n_times = self.shape
        if absent := [name for name in there if name not in names]:
            raise ValueError(
                f"{key} has {len(names)} channels, and lacks {len(absent)} of the {len(there)} in the store (first:"
                f" {absent[0]!r}). Pass channels= those that all recordings have, and another folder for the store."
            )
        if not np.allclose((sfreq, cut.tmin, cut.n_times), (rate, tmin, n_times), rtol=0, atol=1e-6):
            raise ValueError(
                f"{key} has {cut.n_times} times from {cut.tmin:g} s at {sfreq:g} Hz, and the store {n_times} from"
                f" {tmin:g} s at {rate:g} Hz. Pass another folder for the store."
            )
        return None if names == there else [names.index(name) for name in there]


def in_blocks(n_epochs: int, n_chans: int, n_times: int, most: int = 2**26) -> Iterator[slice]:
    """Yield slices of so many epochs that their numbers, in double precision, take at most `most` bytes."""
    step = max(1, most // (8 * n_chans * n_times))
    for start in range(0, n_epochs, step):
        yield slice(start, min(start + step, n_epochs))
