"""A store made ready for an append: what was edited since is refused, and version 1 gets its digests."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from .._utils.persistence import read_regular
from ._info import LIMIT
from ._manifest import Manifest, Part
from ._shards import Shards
from ._state import read_rows


def ready_for_more(shards: Shards) -> Manifest:
    """Return the state that an append goes on from.

    Parameters
    ----------
    shards : Shards
        The store, locked.

    Returns
    -------
    Manifest
        Of the present version.

    Raises
    ------
    ValueError
        If the shard that is added to is not what was written.
    """
    now = shards.manifest
    if now.version == 1:
        return _upgraded(shards)
    if now.n_epochs % now.epochs_per_shard:
        # A new time of this shard is told of, which says that it is as it was written.
        shards.check(now.n_shards - 1)
    return now


def _upgraded(shards: Shards) -> Manifest:
    """The state of a store of version 1 with digests, for which all of it is read, once."""
    folder, now = shards.folder, shards.manifest
    text = shards.rows_text()
    read_rows(folder, now, text)
    info = hashlib.sha256(read_regular(folder / now.info_name, limit=LIMIT)).hexdigest()
    epochs = shards.digest(0, now.n_epochs)
    part = Part(now.n_epochs, now.rows_bytes, epochs, hashlib.sha256(text).hexdigest(), now.id)
    return replace(now, version=2, info=info, parts=[part], times=shards.times)
