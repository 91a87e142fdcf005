"""What an estimator was fitted on, as fingerprints: enough to recognise test data, not to restore anything."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from .epoched import is_view
from .plain import record
from .sketch import content_hashes, n_rows_of
from .spelling import plain_form

# Of more epochs some are kept: 8 KB, by which a test set that was trained on is still noticed.
_N_EPOCHS = 1024


@record
@dataclass(frozen=True, eq=False)
class Seen:
    """Fingerprints of epochs and stimuli.

    Attributes
    ----------
    epochs : ndarray of uint64
        Of up to 1024 epochs, evenly spread; the same for copies in another unit.
    names : ndarray of uint64
        Of the stimuli's ids, however they are spelt; empty where ids were not known or stand for classes.
    vectors : ndarray of uint64
        Of the stimuli's vectors; empty where they stand for classes.
    """

    epochs: np.ndarray
    names: np.ndarray
    vectors: np.ndarray

    @classmethod
    def of(cls, X: Any, ids: Any = None, vectors: Any = None) -> Seen:
        """Take the fingerprints of epochs (in any form that can be indexed), of ids, and of vectors."""
        return cls(epoch_prints(X), name_prints(() if ids is None else ids), vector_prints(vectors))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Seen):
            return NotImplemented
        return all(
            np.array_equal(getattr(self, part.name), getattr(other, part.name)) for part in fields(self)
        )

    __hash__ = None  # type: ignore[assignment]

    def to_plain(self) -> dict[str, str]:
        """As text, for a JSON file."""
        return {
            part.name: base64.b64encode(getattr(self, part.name).astype("<u8").tobytes()).decode("ascii")
            for part in fields(self)
        }

    @classmethod
    def from_plain(cls, plain: Mapping[str, str]) -> Seen:
        """Read what `to_plain` gave."""
        return cls(*(np.frombuffer(base64.b64decode(plain[part.name]), dtype="<u8") for part in fields(cls)))


def epoch_prints(X: Any) -> np.ndarray:
    """Fingerprints of up to 1024 epochs, sorted, each once; none of what is no epochs."""
    is_array = isinstance(X, np.ndarray) and X.ndim > 1 and X.dtype.kind in "fiu"
    if not (is_array or is_view(X) or hasattr(X, "get_data")) or n_rows_of(X) == 0:
        return np.zeros(0, dtype=np.uint64)
    return _once(content_hashes(X, spread(n_rows_of(X))))


def spread(n_rows: int) -> np.ndarray:
    """The rows whose fingerprints are taken: all, or 1024 of them."""
    return np.unique(np.linspace(0, n_rows - 1, min(_N_EPOCHS, n_rows)).astype(int))


def name_prints(ids: Iterable[Any]) -> np.ndarray:
    """Fingerprints of ids, sorted, each once."""
    texts = {"/".join(plain_form(str(name))) for name in ids}
    return np.unique(np.array([_print(text) for text in texts if text], dtype=np.uint64))


def vector_prints(vectors: Any) -> np.ndarray:
    """Fingerprints of vectors, whatever their length, sorted, each once."""
    if vectors is None or len(vectors) == 0 or vectors.shape[1] < 8:  # fewer numbers agree by chance
        return np.zeros(0, dtype=np.uint64)
    return _once(content_hashes(np.asarray(vectors), np.arange(len(vectors))))


def _once(prints: np.ndarray) -> np.ndarray:
    prints = np.unique(prints)
    return prints[prints != 0]


def _print(text: str) -> int:
    return int.from_bytes(
        hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little"
    )
