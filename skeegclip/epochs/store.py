"""EpochsStore: epochs on disk, larger than memory, safe against a kill at any moment."""

from __future__ import annotations

import itertools
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .._utils.inputs import DISPLAY_UNITS
from .._utils.params import check_number, check_option
from ._adapters import as_blocks
from ._manifest import Manifest, foreign_files, has_manifest, read_manifest
from ._rows import as_frame, from_csv, kind_of, to_csv
from ._shards import Shards
from ._writer import commit, only_writer
from .view import EpochsView

if TYPE_CHECKING:
    import mne

_SHARD_BYTES = 2**30


class EpochsStore:
    """Epochs of any number of subjects in a folder, read through memory maps."""

    _folder: Path
    _manifest: Manifest

    def __init__(self) -> None:
        raise TypeError(
            "EpochsStore is made with EpochsStore.create(path, X, rows, info=...) or .open(path)."
        )

    @classmethod
    def create(
        cls,
        path: str | os.PathLike,
        X: Any,
        rows: Any = None,
        *,
        info: mne.Info | None = None,
        tmin: float | None = None,
        dtype: str = "float32",
        overwrite: bool = False,
    ) -> EpochsStore:
        """Write epochs into a new store."""
        check_option("dtype", dtype, ["float32", "float16"])
        read = as_blocks(X)
        frame = _frame(read, rows)
        info = read.info if info is None else info
        if info is None:
            raise ValueError(
                "info is None and X carries none. Pass info=mne.create_info(ch_names, sfreq, 'eeg')."
            )
        tmin = float(check_number("tmin", (read.tmin or 0.0) if tmin is None else tmin))
        first, blocks = _peek(read.blocks, len(info["ch_names"]))
        folder = Path(path)
        folder.mkdir(parents=True, exist_ok=True)
        with only_writer(folder):
            now = read_manifest(folder) if has_manifest(folder) else None
            if now is not None and not overwrite:
                raise FileExistsError(
                    f"path: {str(folder)!r} holds an EpochsStore already. Pass overwrite=True to replace it, or"
                    " EpochsStore.open(path).append(...) to add to it."
                )
            if foreign := foreign_files(folder):
                raise FileExistsError(
                    f"path: {str(folder)!r} holds other files (first: {foreign[0]!r}). Choose a folder of its own."
                )
            epoch_bytes = first[0].size * np.dtype(dtype).itemsize
            start = Manifest(
                n_epochs=0,
                n_chans=first.shape[1],
                n_times=first.shape[2],
                dtype=dtype,
                epochs_per_shard=max(1, _SHARD_BYTES // epoch_bytes),
                columns={name: kind_of(frame[name]) for name in frame},
                generation=0 if now is None else now.generation + 1,
            )
            manifest = commit(folder, now, start, blocks, frame=frame, info=_info_json(info, tmin))
        return cls._make(folder, manifest)

    @classmethod
    def open(cls, path: str | os.PathLike) -> EpochsStore:
        """Open a store."""
        folder = Path(path)
        return cls._make(folder, read_manifest(folder))

    @classmethod
    def _make(cls, folder: Path, manifest: Manifest) -> EpochsStore:
        store = object.__new__(cls)
        store._folder, store._manifest = folder.resolve(), manifest
        return store

    def append(self, X: Any, rows: Any = None) -> EpochsStore:
        """Write epochs after those that are there."""
        read = as_blocks(X)
        frame = _frame(read, rows)
        with only_writer(self._folder):
            now = read_manifest(self._folder)
            frame = _like(frame, now.columns)
            self._manifest = commit(self._folder, now, now, read.blocks, frame=frame)
        return self

    def view(self) -> EpochsView:
        """Return all epochs, none of them read yet."""
        import mne

        content = (self._folder / self._manifest.rows_name).read_bytes()[: self._manifest.rows_bytes]
        frame = from_csv(content, self._manifest.columns)
        facts = json.loads((self._folder / self._manifest.info_name).read_bytes())
        info = mne.Info.from_json_dict(facts["info"])
        shards = Shards(self._folder, self._manifest)
        return EpochsView._make(
            shards,
            np.arange(len(frame)),
            np.arange(shards.shape[1]),
            slice(0, shards.shape[2]),
            frame,
            info,
            facts["tmin"],
        )

    def __len__(self) -> int:
        return self._manifest.n_epochs


def _frame(read: Any, rows: Any) -> Any:
    rows = read.rows if rows is None else rows
    if rows is None:
        raise ValueError(
            "rows is None and X carries none. Pass a DataFrame with a line per epoch and a column 'stimulus'."
        )
    n_rows = len(rows) if hasattr(rows, "columns") else len(next(iter(rows.values()), ()))
    return as_frame(rows, n_rows if read.n_epochs is None else read.n_epochs)


def _like(frame: Any, columns: dict[str, str]) -> Any:
    if set(frame) != set(columns):
        odd = sorted(set(frame) ^ set(columns))
        raise ValueError(f"rows must have the columns of the store, {list(columns)}; differing: {odd}.")
    return frame[list(columns)]


def _peek(blocks: Any, n_chans: int) -> tuple:
    blocks = iter(blocks)
    first = next(blocks, None)
    if first is None or len(first) == 0:
        raise ValueError("X holds no epoch.")
    if first.ndim != 3 or first.shape[1] != n_chans:
        raise ValueError(
            f"info describes {n_chans} channels, but X has shape (k, {', '.join(map(str, first.shape[1:]))})."
            " Pick the same channels in both."
        )
    return first, itertools.chain([first], blocks)


def _info_json(info: mne.Info, tmin: float) -> bytes:
    kinds = set(info.get_channel_types())
    content = {
        "sfreq": float(info["sfreq"]),
        "tmin": tmin,
        "unit": {kind: DISPLAY_UNITS[kind] for kind in sorted(kinds & set(DISPLAY_UNITS))},
        "ch_names": list(info["ch_names"]),
        "info": info.to_json_dict(),
    }
    return json.dumps(content, indent=1).encode()
