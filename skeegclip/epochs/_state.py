"""Everything that a store holds but the epochs, read and compared with its manifest."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from ._info import from_json
from ._manifest import Manifest, damaged, read_manifest
from ._rows import from_csv
from ._shards import Shards

if TYPE_CHECKING:
    from collections.abc import Callable

    import mne
    import pandas as pd

    from .._utils.stated import Stated

Read = TypeVar("Read")
_TRIES = 5


def read_rows(folder: Path, manifest: Manifest, text: bytes) -> pd.DataFrame:
    """Read the table of rows; refuse one that does not fit the epochs."""
    try:
        frame = from_csv(text, manifest.columns)
        if len(frame) != manifest.n_epochs:
            raise ValueError(f"it has {len(frame)} lines for {manifest.n_epochs} epochs")
    except Exception as error:  # pandas has many
        raise damaged(folder, f"{manifest.rows_name} cannot be read ({str(error)[:500]})") from error
    return frame


def read_state(
    folder: Path, manifest: Manifest
) -> tuple[Shards, pd.DataFrame, tuple[mne.Info, float, Stated]]:
    """Open the shards of a state, and read its rows and channels."""
    shards = Shards(folder, manifest)
    return shards, read_rows(folder, manifest, shards.rows_text()), from_json(folder, manifest)


def steadily(folder: Path, read: Callable[[Path, Manifest], Read]) -> Read:
    """Read a store, and once more where it was overwritten meanwhile."""
    for _ in range(_TRIES - 1):
        now = read_manifest(folder)
        try:
            return read(folder, now)
        except ValueError:
            if read_manifest(folder).id == now.id:
                raise
    return read(folder, read_manifest(folder))
