"""How names are written: what does not count when two of them are compared."""

from __future__ import annotations

import re
import unicodedata
import warnings
from collections.abc import Iterable
from functools import lru_cache

_PREFIX = re.compile(r"^(participant|subject|subj|sub|s|p)(?=\d)")
_FILE = re.compile(r"\.(jpe?g|png|bmp|gif|tiff?|webp|npy|npz|wav|mp4)$")


@lru_cache(maxsize=2**17)  # the same stimuli are compared in every fold
def plain_form(name: str) -> tuple[str, ...]:
    """Folders and name of a file, last first, without extension, case, white space and form of Unicode."""
    text = unicodedata.normalize("NFKC", name).casefold()
    text = _FILE.sub("", " ".join(text.split()).replace("\\", "/"))
    return tuple(part.strip() for part in reversed(text.split("/")) if part.strip() not in ("", "."))


def warn_alike(subjects: Iterable[str], known: Iterable[str], *, stacklevel: int) -> None:
    """Warn of the first subject that is not known, but looks like a known one spelt otherwise."""
    known = list(known)
    unknown = [subject for subject in dict.fromkeys(subjects) if subject not in set(known)]
    spelt = {_bare(name): name for name in known}
    for subject in unknown:
        if (other := spelt.get(_bare(subject))) is not None:
            warnings.warn(
                f"subject {str(subject)!r} is not known, but looks like {str(other)!r} spelt otherwise; it is taken for"
                " somebody else. Write ids alike everywhere if they are the same person.",
                UserWarning,
                stacklevel=stacklevel + 1,
            )
            return


def warn_alike_within(subjects: Iterable[str], *, stacklevel: int) -> None:
    """Warn where two of the subjects look like one spelt in two ways."""
    first: dict[str, str] = {}
    for subject in sorted(set(subjects)):
        if (other := first.setdefault(_bare(subject), subject)) != subject:
            warnings.warn(
                f"subjects {other!r} and {subject!r} look like one person spelt in two ways; they are taken for two."
                " Write ids alike everywhere if they are the same person.",
                UserWarning,
                stacklevel=stacklevel + 1,
            )
            return


@lru_cache(maxsize=4096)
def _bare(subject: str) -> str:
    """What is left of an id without case, spaces, signs, "sub" and leading zeros."""
    text = re.sub(r"\.0+$", "", subject.strip().casefold())
    text = _PREFIX.sub("", re.sub(r"[\W_]+", "", text))
    return re.sub(r"0*(\d+)", r"\1", text)
