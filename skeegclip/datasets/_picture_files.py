"""From what events call a picture to its id and its file."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .._utils.pictures import SUFFIXES

if TYPE_CHECKING:
    import pandas as pd

_ABSOLUTE = re.compile(r"(/|[A-Za-z]:/|//)")
_SHOWN = 5  # missing pictures that a warning names


def picture_place(written: str) -> str:
    """Return where a picture lies below the folder of pictures, as text with slashes.

    BIDS names it from the folder "stimuli", which may be named too; of a path on the computer that showed the picture
    only the name is of use here.
    """
    path = written.strip().replace("\\", "/")
    if _ABSOLUTE.match(path):
        return path.rsplit("/", 1)[1]
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if len(parts) > 1 and parts[0] == "stimuli":
        del parts[0]
    return "/".join(parts)


def picture_id(written: str) -> str:
    """Return the id: the place without the suffix of a picture."""
    place = picture_place(written)
    stem, dot, suffix = place.rpartition(".")
    return stem if dot and f".{suffix.lower()}" in SUFFIXES else place


def picture_manifest(written: Iterable[str], folders: Sequence[Path], *, stacklevel: int) -> pd.DataFrame:
    """Look for pictures; warn, all at once, of those that are not there.

    Parameters
    ----------
    written : iterable of str
        What events call the pictures, repeats allowed.
    folders : sequence of Path
        Where to look, in this order. Without any, no picture is looked for.
    stacklevel : int
        Of the warning.

    Returns
    -------
    DataFrame
        Columns id, file (as events call it) and path ("" where it is not there), sorted by id.
    """
    import pandas as pd

    names = dict(sorted((picture_id(name), name) for name in set(written)))
    refuse_alike(set(written))
    paths = [_find(names[key], folders) for key in names]
    missing = [key for key, path in zip(names, paths, strict=True) if path == ""]
    if folders and missing:
        some = "; ".join(f"{key!r} ({names[key]})" for key in missing[:_SHOWN])
        warnings.warn(
            f"images: {len(missing)} of {len(names)} pictures are not in {', '.join(repr(str(f)) for f in folders)}:"
            f" {some}{'; ...' if len(missing) > _SHOWN else ''}. Their epochs are kept; manifest has path '' for them,"
            " and images leaves them out.",
            UserWarning,
            stacklevel=stacklevel + 1,
        )
    return pd.DataFrame({"id": list(names), "file": list(names.values()), "path": paths}, dtype=object)


def refuse_alike(written: set[str], *, one_computer: bool = False) -> None:
    """Refuse two pictures under one id; two ways to write one place are one picture.

    Of paths on another computer the last folder counts, as computers keep one folder of pictures in several places; if
    they are all of `one_computer`, the whole path does.
    """
    seen: dict[tuple[str, bool], tuple[str, str]] = {}
    for name in sorted(written):
        path = name.strip().replace("\\", "/")
        absolute = bool(_ABSOLUTE.match(path))
        ends = path if one_computer else "/".join(path.split("/")[-2:])
        place = ends if absolute else picture_place(name)
        if place == picture_id(name):  # without a suffix, which the folder of pictures will tell
            continue
        other, kept = seen.setdefault((picture_id(name), absolute), (place, name))
        if other != place:
            raise ValueError(
                f"stimulus: {kept!r} and {name!r} would have one id, {picture_id(name)!r}. Ids are paths without suffix (of"
                " absolute paths the name alone); rename one of them."
            )


def _find(written: str, folders: Sequence[Path]) -> str:
    place = picture_place(written)
    has_suffix = Path(place).suffix.lower() in SUFFIXES
    for folder in folders:
        files = (
            [folder / place] if has_suffix else [folder / f"{place}{suffix}" for suffix in sorted(SUFFIXES)]
        )
        found = [file for file in files if file.is_file()]
        if len(found) > 1:
            raise ValueError(
                f"images: {written!r} may be {found[0].name!r} or {found[1].name!r} in {str(folder)!r}. Remove one, or"
                " write suffixes in the events."
            )
        if found:
            return str(found[0])
    return ""
