"""THINGS-MEG: published epochs, or raw recordings in BIDS, converted once into a store."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._utils.params import check_option
from ._eeg2_files import subject_names
from ._folders import default_folder
from ._meg_bids import bids_subjects, convert_bids
from ._meg_files import EpochsFile, find_epochs, layout_error
from ._meg_rows import picture_paths, read_image_list, rows_of
from ._stores import add_epochs, as_bunch, stored_subjects, stored_view

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.utils import Bunch

_IMAGE_FOLDERS = ("object_images", "images", "Images")


def load_things_meg(
    folder: str | os.PathLike | None = None,
    *,
    subjects: Any = None,
    source: str = "epochs",
    images: str | os.PathLike | None = None,
    window: tuple[float, float] = (0.0, 1.0),
    store: str | os.PathLike | None = None,
    dtype: str = "float32",
    verbose: int = 1,
) -> Bunch:
    """Open THINGS-MEG [1]_; the first time its files are converted into an :class:`~skeegclip.EpochsStore`.

    The split is concept-disjoint: the 200 pictures shown 12 times are the test set, and training pictures of their
    concepts are left out, as are catch trials. With the published epochs that leaves 19,848 training epochs (1,654
    concepts with 12 pictures each) and 2,400 test epochs for each of the four subjects.

    Parameters
    ----------
    folder : path-like | None
        Where ``derivatives/preprocessed/preprocessed_P1-epo.fif`` or the files themselves lie; for ``source="bids"``
        the root of the BIDS data set. None is where :func:`fetch_things_meg` puts them.
    subjects : int | str | sequence | None
        Subjects to open, 1 to 4. None opens all that are there.
    source : "epochs" | "bids"
        "epochs" reads the published epochs: 271 channels at 200 Hz, filtered to 0.1-40 Hz, each channel of an epoch
        z-scored by its time before the picture. "bids" makes the same of the raw recordings of OpenNeuro's ds004212
        (needs the package ``mne-bids``); two short dropouts, which the publishers replaced by hand, stay in.
    images : path-like | None
        Folder of THINGS' pictures (``aardvark/aardvark_01b.jpg``), for ``data.images``; or, for epochs without
        metadata, the file ``image_paths.csv`` of THINGS. None looks for a folder ``object_images`` or ``images`` in
        `folder`.
    window : tuple of float
        Times to keep, in seconds from picture onset, both included: the papers' (0, 1) gives 201.
    store : path-like | None
        Folder of the store; None is ``skeegclip-{dtype}`` in `folder`. Remove it to convert anew.
    dtype : "float32" | "float16"
        Type on disk. float16 halves the 5 GB of a subject; its rounding (0.05 %) is far below the noise.
    verbose : int
        1 shows a progress bar while converting.

    Returns
    -------
    Bunch
        ``X`` : EpochsView, shape (n_epochs, n_chans, n_times)
            Single trials in the order of the recording, none of them read yet; z-scores, without a unit.
        ``y``, ``concept``, ``split``, ``subject`` : ndarray of str, shape (n_epochs,)
            Stimulus id (file name without suffix: "aardvark_09s"), concept ("aardvark"), "train" or "test", "sub-01".
            ``X.rows`` has the columns session and run too.
        ``repetition`` : ndarray of int, shape (n_epochs,)
            Counted from 0.
        ``times`` : ndarray, shape (n_times,)
            Seconds from picture onset.
        ``info`` : mne.Info
            Sensors with their positions.
        ``manifest`` : DataFrame
            The pictures: id, concept, split, path ("" where it is not known).
        ``images`` : ImageTable | None
            The pictures by id, where they are on disk.

    Raises
    ------
    FileNotFoundError
        If the files are not there; the message shows the layout expected.
    ImportError
        If ``source="bids"`` and ``mne-bids`` is not installed.
    ValueError
        If a file is damaged, pictures cannot be named, or a parameter is not usable.

    See Also
    --------
    fetch_things_meg : Download the published epochs.

    References
    ----------
    .. [1] Hebart et al., "THINGS-data, a multimodal collection of large-scale datasets for investigating object
       representations in human brain and behavior", eLife 12, 2023.

    Examples
    --------
    >>> from skeegclip.datasets import load_things_meg
    >>> data = load_things_meg("things-meg", subjects=1)  # doctest: +SKIP
    >>> data.X.shape  # doctest: +SKIP
    (22248, 271, 201)
    """
    check_option("dtype", dtype, ["float32", "float16"])
    check_option("source", source, ["epochs", "bids"])
    root = default_folder("things-meg") if folder is None else Path(folder)
    path = root / f"skeegclip-{dtype}" if store is None else Path(store)
    if images is not None and not Path(images).exists():
        raise FileNotFoundError(f"images: {str(images)!r} does not exist.")
    files = find_epochs(root) if source == "epochs" else dict.fromkeys(bids_subjects(root), root)

    view = stored_view(path)
    stored = stored_subjects(view)
    wanted = sorted(stored | set(files)) if subjects is None else subject_names(subjects)
    absent = [name for name in wanted if name not in stored | set(files)]
    if absent or not wanted:
        raise layout_error(root, f"{', '.join(absent) or 'recordings'} not found in {str(root)!r}")
    new = [name for name in wanted if name not in stored]
    for number, name in enumerate(new, 1):
        then = [(other,) for other in new[number:]]
        if source == "bids":
            convert_bids(path, root, name, window, dtype=dtype, then=then, verbose=verbose)
        else:
            _convert_epochs(path, files[name], name, images, window, dtype=dtype, then=then, verbose=verbose)
        view = stored_view(path)
    assert view is not None
    if stored_subjects(view) - set(wanted):
        view = view.select(subject=wanted)
    rows = view.rows
    return as_bunch(view, rows, _manifest(rows, root, images))


def _convert_epochs(
    path: Path,
    file: Path,
    name: str,
    images: Any,
    window: tuple[float, float],
    *,
    dtype: str,
    then: Collection[tuple[str, ...]],
    verbose: int,
) -> None:
    epochs = EpochsFile(file, window)
    listed = read_image_list(Path(images)) if images is not None and Path(images).is_file() else None
    paths = picture_paths(epochs.codes, epochs.metadata, listed, repr(str(file)))
    keep, rows = rows_of(paths, epochs.metadata, name)
    add_epochs(
        path,
        epochs.blocks(keep),
        rows,
        info=epochs.info,
        tmin=epochs.tmin,
        n_times=len(epochs.times),
        dtype=dtype,
        name=name,
        then=then,
        verbose=verbose,
    )


def _manifest(rows: pd.DataFrame, root: Path, images: Any) -> pd.DataFrame:
    """The pictures shown, sorted by split and name, with their files where they are there."""
    shown = rows[["stimulus", "concept", "split"]].drop_duplicates("stimulus")
    shown = shown.sort_values(["split", "stimulus"], ascending=[False, True], ignore_index=True)
    places = [Path(images)] if images is not None else [root / name for name in _IMAGE_FOLDERS]
    place = next((place for place in places if place.is_dir()), None)
    files = [
        None if place is None else place / concept / f"{stimulus}.jpg"
        for stimulus, concept in zip(shown["stimulus"], shown["concept"], strict=True)
    ]
    paths = [str(file) if file is not None and file.is_file() else "" for file in files]
    return shown.rename(columns={"stimulus": "id"}).assign(path=paths)
