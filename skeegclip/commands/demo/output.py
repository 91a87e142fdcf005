"""Where the demo writes, and what it ran on."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

from ..._utils.listed import check_unclaimed
from ..._version import __version__

FIGURES = ("retrieved", "reconstructed", "training", "similarity")
FILES = ("metrics.json", "report.html", *(f"{name}.png" for name in FIGURES))
_PACKAGES = ("numpy", "scipy", "scikit-learn", "torch", "skorch", "mne", "matplotlib")


def prepare_folder(path: str | os.PathLike, names: Iterable[str] = ()) -> Path:
    """Make the folder and make sure that files can be written to it.

    Parameters
    ----------
    path : path-like
        A folder, or a path at which one can be made.
    names : iterable of str
        Files that are to be written: what is not ours must not have these names.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    OSError
        If there is a file in the way, or one that would be replaced and is not ours, or writing is not allowed; one
        sentence says so.
    """
    folder = Path(path)
    probe = folder / f".skeegclip-{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Asking for permissions is not enough: a disk may be mounted read-only.
        probe.write_bytes(b"")
        probe.unlink()
    except (FileExistsError, NotADirectoryError):
        raise OSError(f"--out: {folder} is a file or lies below one. Name a folder.") from None
    except OSError as error:
        raise OSError(
            f"--out: cannot write to the folder {folder} ({error.strerror}). Name another one."
        ) from None
    check_unclaimed(folder, names)
    return folder


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that the numbers depend on."""
    found = {name: version(name) for name in _PACKAGES}
    return {"skeegclip": __version__, "python": platform.python_version(), **found}
