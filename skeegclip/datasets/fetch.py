"""Download THINGS-EEG2 and THINGS-MEG from where they are published."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .._utils.params import check_option
from ._download import Remote, download, path_below, unpack
from ._eeg2_files import FILES, subject_names
from ._folders import default_folder
from ._listings import OPENNEURO, OSF, hub_files, osf_files, s3_files
from ._manifest import SPLITS

_HUB = "LidongYang/EEG_Image_decode"
_IMAGES, _RAW = "y63gw", "crxs4"  # components of the OSF project 3jk45
_EEG_SUBJECTS = tuple(range(1, 11))
_MEG_SUBJECTS = tuple(range(1, 5))
_DERIVATIVES = "derivatives/preprocessed"
_FEATURES = ("ViT-H-14_features_train.pt", "ViT-H-14_features_test.pt")
_LIST = "image_metadata.npy"


def fetch_things_eeg2(
    subjects: Any = None,
    what: str | Sequence[str] = ("preprocessed", "images", "features"),
    folder: str | os.PathLike | None = None,
    *,
    offline: bool = False,
    verbose: int = 1,
    hub: str | None = None,
    osf: str = OSF,
) -> Path:
    """Download THINGS-EEG2 [1]_, in the layout that :func:`load_things_eeg2` reads.

    Downloads go on where they stopped, are checked against the publisher's hashes, and get their names only when
    whole; what is there already is not downloaded again.

    Parameters
    ----------
    subjects : int | str | sequence | None
        Subjects 1 to 10; None is all of them (52 GB preprocessed).
    what : str | sequence of str
        Any of "preprocessed" (63 channels at 250 Hz, whitened: 5.2 GB a subject, from the hub data set of the paper),
        "images" (the pictures, and the list of their names, from OSF), "features" (CLIP ViT-H-14 of pictures and
        names, from the hub), "raw" (recordings at 1000 Hz for
        :func:`~skeegclip.datasets.preprocess_things_eeg2`, from OSF).
    folder : path-like | None
        Where to put it; None is a folder in the user's cache.
    offline : bool
        Download nothing, and only look whether everything is there.
    verbose : int
        1 shows progress bars.
    hub : str | None
        Address of the hub, or of a mirror; None is the default of ``huggingface_hub``.
    osf : str
        Address of OSF's interface.

    Returns
    -------
    Path
        The folder, for :func:`load_things_eeg2`.

    Raises
    ------
    ConnectionError
        If a place cannot be reached, or a download ends early. Call again to go on.
    FileNotFoundError
        If ``offline=True`` and something is missing.
    ValueError
        If a parameter is not usable, or a file is not what its publisher says.

    See Also
    --------
    load_things_eeg2 : Open what was downloaded.

    References
    ----------
    .. [1] Gifford et al., "A large and rich EEG dataset for modeling human visual object recognition", NeuroImage
       264, 2022.

    Examples
    --------
    >>> from skeegclip.datasets import fetch_things_eeg2
    >>> folder = fetch_things_eeg2(subjects=[1, 8], folder="things-eeg2")  # doctest: +SKIP
    """
    names = _subjects(subjects, _EEG_SUBJECTS)
    wanted = [what] if isinstance(what, str) else list(what)
    for item in wanted:
        check_option("what", item, ["preprocessed", "images", "features", "raw"])
    root = default_folder("things-eeg2") if folder is None else Path(folder)
    on_hub = []
    if "preprocessed" in wanted:
        on_hub += [f"Preprocessed_data_250Hz/{name}/{file}" for name in names for file in FILES.values()]
    if "features" in wanted:
        on_hub += _FEATURES
    if offline:
        _look(root, on_hub, wanted, names)
        return root
    if on_hub:
        download(hub_files(_HUB, on_hub, hub), root, verbose=verbose)
    if "images" in wanted:
        _fetch_images(root / "image_set", osf, verbose)
    if "raw" in wanted:
        _fetch_raw(root / "raw_data", names, osf, verbose)
    return root


def fetch_things_meg(
    subjects: Any = None,
    folder: str | os.PathLike | None = None,
    *,
    offline: bool = False,
    verbose: int = 1,
    openneuro: str = OPENNEURO,
) -> Path:
    """Download the epochs of THINGS-MEG [1]_, in the layout that :func:`load_things_meg` reads.

    These are the files ``preprocessed_P{1..4}-epo.fif`` and their parts, from OpenNeuro (ds004212). The pictures of
    THINGS have a licence to be accepted first, at https://osf.io/jum2f; this function does not download them.

    Parameters
    ----------
    subjects : int | str | sequence | None
        Subjects 1 to 4; None is all of them (8 GB each).
    folder : path-like | None
        Where to put it; None is a folder in the user's cache.
    offline : bool
        Download nothing, and only look whether everything is there.
    verbose : int
        1 shows progress bars.
    openneuro : str
        Address of OpenNeuro's public bucket.

    Returns
    -------
    Path
        The folder, for :func:`load_things_meg`.

    Raises
    ------
    ConnectionError
        If OpenNeuro cannot be reached, or a download ends early. Call again to go on.
    FileNotFoundError
        If ``offline=True`` and something is missing, or OpenNeuro does not have it.
    ValueError
        If a parameter is not usable, or a file is not what its publisher says.

    See Also
    --------
    load_things_meg : Open what was downloaded.

    References
    ----------
    .. [1] Hebart et al., "THINGS-data, a multimodal collection of large-scale datasets for investigating object
       representations in human brain and behavior", eLife 12, 2023.

    Examples
    --------
    >>> from skeegclip.datasets import fetch_things_meg
    >>> folder = fetch_things_meg(subjects=1, folder="things-meg")  # doctest: +SKIP
    """
    names = _subjects(subjects, _MEG_SUBJECTS)
    root = default_folder("things-meg") if folder is None else Path(folder)
    for name in names:
        stem = f"{_DERIVATIVES}/preprocessed_P{int(name[4:])}-epo"
        if offline:
            if not (root / f"{stem}.fif").is_file():
                raise _missing(root, [f"{stem}.fif"])
            continue
        files = s3_files(f"ds004212/{stem}", openneuro)
        if not files:
            raise FileNotFoundError(
                f"{stem}.fif not found in ds004212 at {openneuro}. Has the data set changed?"
            )
        parts = [
            Remote(file.name.removeprefix("ds004212/"), file.url, file.size, file.hash, file.etag)
            for file in files
        ]
        download(parts, root, verbose=verbose)
    return root


def _subjects(subjects: Any, known: Sequence[int]) -> list[str]:
    names = subject_names(known if subjects is None else subjects)
    for name in names:
        if int(name[4:]) not in known:
            raise ValueError(f"subjects must be among {known[0]} to {known[-1]}, got {name!r}.")
    return names


def _fetch_images(root: Path, osf: str, verbose: int) -> None:
    absent = [name for name in SPLITS.values() if not (root / name).is_dir()]
    if not absent and (root / _LIST).is_file():
        return
    files = {file.name: file for file in osf_files(_IMAGES, osf)}
    archives = [f"{name}.zip" for name in absent]
    for name in (*archives, _LIST):
        if name not in files:
            raise FileNotFoundError(
                f"{name} not found in the OSF component {_IMAGES}, which holds {', '.join(files)}."
            )
    download([files[name] for name in (_LIST, *archives)], root, verbose=verbose)
    for name in absent:
        unpack(root / f"{name}.zip", root / name, verbose=verbose)
        (root / f"{name}.zip").unlink()


def _fetch_raw(root: Path, names: list[str], osf: str, verbose: int) -> None:
    absent = [name for name in names if not (root / name).is_dir()]
    if not absent:
        return
    archives = {Path(file.name).stem: file for file in osf_files(_RAW, osf) if file.name.endswith(".zip")}
    for name in absent:
        if name not in archives:
            raise FileNotFoundError(
                f"{name}.zip not found in the OSF component {_RAW}, which holds {', '.join(archives) or 'no archive'}."
            )
        file = archives[name]
        download([file], root, verbose=verbose)
        archive = path_below(root, file.name)
        unpack(archive, root / name, verbose=verbose)
        archive.unlink()


def _look(root: Path, files: list[str], wanted: list[str], names: list[str]) -> None:
    """Raise if something is missing on disk."""
    if "images" in wanted:
        files = [*files, *(f"image_set/{name}" for name in SPLITS.values())]
    if "raw" in wanted:
        files = [*files, *(f"raw_data/{name}" for name in names)]
    if missing := [name for name in files if not (root / name).exists()]:
        raise _missing(root, missing)


def _missing(root: Path, names: list[str]) -> FileNotFoundError:
    return FileNotFoundError(
        f"offline=True, but {len(names)} of the files are not in {str(root)!r} (first: {names[0]}). Pass offline=False"
        " to download them."
    )
