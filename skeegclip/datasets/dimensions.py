"""Dimensions by which people judge the objects of THINGS: from where they are published to a table with names."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from .._utils.params import check_option
from ..embeddings import EmbeddingTable
from ._download import Remote, download
from ._folders import default_folder
from ._listings import OSF, osf_files

GITHUB = "https://raw.githubusercontent.com"
_NODE = "f5rn6"  # component of the OSF project jum2f
_OF_OSF = ("data/spose_embedding_66d_sorted.txt", "variables/labels.txt", "variables/unique_id.txt")
# Of the 82 dimensions there is one copy, without hashes beside it: a commit, and what its files were when this was written.
_COMMIT = "candemircan/THINGSDecisions/7d2829eaa82691a5a167ae522e54102fbcc5978a/data"
_OF_COMMIT = {
    "spose_embedding_82d_sorted.npy": (
        608240,
        "sha256:50aadf88dc37bc48e46ab8a59db3ad7591dcb461da09a9a436d4289f5cc54856",
    ),
    "unique_id.csv": (15204, "sha256:9dc74513d9365849d078b20bcb83159e0a76a030346b805279de91920f91290a"),
}
_N_NAMED_BY = 3  # objects that stand for a dimension without a name


def fetch_dimensions(
    n_dims: int = 66,
    folder: str | os.PathLike | None = None,
    *,
    offline: bool = False,
    verbose: int = 1,
    osf: str = OSF,
    github: str = GITHUB,
) -> EmbeddingTable:
    """Download the values of the 1,854 objects of THINGS on dimensions learned from human judgements.

    People chose the odd one out of three pictures, millions of times; a sparse positive embedding ("SPoSE") of the objects
    was learned that predicts what they chose.

    Parameters
    ----------
    n_dims : {66, 82}
        66: of 4.7 million judgements [1]_, with names given by people, from OSF. 82: of the 1.46 million of an earlier
        study [2]_, learned anew with a smaller penalty by [3]_, from their repository, which states no licence; its
        dimensions have no names, and are called after the three objects that are highest on them.
    folder : path-like | None
        Where to keep the files; None is a folder in the user's cache.
    offline : bool
        Download nothing, and only read what is there.
    verbose : int
        1 shows progress bars.
    osf, github : str
        Addresses of OSF's interface, and of files of GitHub, or of mirrors.

    Returns
    -------
    EmbeddingTable
        One row an object, such as ``"aardvark"``; names of the dimensions in ``meta["names"]``.

    Raises
    ------
    ConnectionError
        If a place cannot be reached, or a download ends early. Call again to go on.
    FileNotFoundError
        If ``offline=True`` and something is missing, or the place does not have it.
    ValueError
        If a parameter is not usable, or a file is not what it should be.

    See Also
    --------
    skeegclip.DimensionDecoder : Learn to tell them from embeddings.

    References
    ----------
    .. [1] Hebart et al., "THINGS-data, a multimodal collection of large-scale datasets for investigating object
       representations in human brain and behavior", eLife 12, 2023.
    .. [2] Hebart et al., "Revealing the multidimensional mental representations of natural objects underlying human
       similarity judgements", Nature Human Behaviour 4, 2020.
    .. [3] Demircan et al., "Decision-making with naturalistic options", CogSci 2022.

    Examples
    --------
    >>> from skeegclip.datasets import fetch_dimensions
    >>> dimensions = fetch_dimensions(66)  # doctest: +SKIP
    >>> dimensions.meta["names"][:2]  # doctest: +SKIP
    """
    check_option("n_dims", n_dims, [66, 82])
    root = default_folder("things-dimensions") if folder is None else Path(folder)
    root = root / str(n_dims)
    wanted = _OF_OSF if n_dims == 66 else tuple(_OF_COMMIT)
    if missing := [name for name in wanted if not (root / name).is_file()]:
        if offline:
            raise FileNotFoundError(
                f"offline=True, but {missing[0]} is not in {str(root)!r}. Pass offline=False to download it."
            )
        files = _on_osf(osf) if n_dims == 66 else _on_github(github)
        download(files, root, verbose=verbose)
    values, objects, names = _read(root, n_dims)
    if values.shape != (len(objects), n_dims) or (names is not None and len(names) != n_dims):
        raise ValueError(
            f"the files in {str(root)!r} do not fit each other: values of shape {values.shape}, {len(objects)} objects."
            " Delete the folder and fetch again."
        )
    if names is None:
        highest = np.argsort(-values, axis=0, kind="stable")[:_N_NAMED_BY].T
        names = [", ".join(objects[row] for row in rows) for rows in highest.tolist()]
    return EmbeddingTable(objects, values, meta={"names": names, "source": f"SPoSE, {n_dims} dimensions"})


def _on_osf(osf: str) -> list[Remote]:
    found = {file.name: file for file in osf_files(_NODE, osf)}
    for name in _OF_OSF:
        if name not in found:
            raise FileNotFoundError(f"{name} not found in the OSF component {_NODE}. Has it changed?")
    return [found[name] for name in _OF_OSF]


def _on_github(github: str) -> list[Remote]:
    return [
        Remote(name, f"{github}/{_COMMIT}/{name}", size, digest)
        for name, (size, digest) in _OF_COMMIT.items()
    ]


def _read(root: Path, n_dims: int) -> tuple[np.ndarray, list[str], list[str] | None]:
    """Values (n_objects, n_dims), objects, and names where there are any."""
    try:
        if n_dims == 66:
            values: Any = np.loadtxt(root / _OF_OSF[0], ndmin=2)
            names, objects = (_lines(root / name) for name in _OF_OSF[1:])
            return values, objects, names
        values = np.load(root / "spose_embedding_82d_sorted.npy", allow_pickle=False)
        return values, _lines(root / "unique_id.csv")[1:], None  # the first line is a heading
    except ValueError as error:
        raise ValueError(
            f"the files in {str(root)!r} cannot be read ({error}). Delete the folder and fetch again."
        ) from error


def _lines(path: Path) -> list[str]:
    return [line for line in (row.strip() for row in path.read_text(encoding="utf-8").splitlines()) if line]
