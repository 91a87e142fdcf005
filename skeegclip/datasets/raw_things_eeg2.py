"""THINGS-EEG2 from its raw recordings: the published recipe, written into a store."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .._utils.params import check_number, check_option
from .._utils.seeding import draw_seed
from ..epochs import EpochsStore
from ..preprocessing.mvnn import MVNN
from ._eeg2_files import subject_names
from ._manifest import find_manifest, numbered_manifest
from ._montages import eeg_info
from ._raw_eeg2 import Cut, PictureEpochs, epoch_file
from ._stores import add_epochs, stored_view

if TYPE_CHECKING:
    import pandas as pd

FILES = {"train": "raw_eeg_training.npy", "test": "raw_eeg_test.npy"}
_REPETITIONS = {"train": 2, "test": 20}  # of a picture in a session, by the design
_N_IMAGES = {"train": 16540, "test": 200}
_IMAGES_PER_CONCEPT = {"train": 10, "test": 1}
_BLOCK = 256
_LAYOUT = """\
{folder}/
    sub-01/
        ses-01/
            raw_eeg_training.npy
            raw_eeg_test.npy
        ...
    ..."""


def preprocess_things_eeg2(
    raw_folder: str | os.PathLike,
    folder: str | os.PathLike,
    *,
    subjects: Any = None,
    images: str | os.PathLike | None = None,
    tmin: float = -0.2,
    tmax: float = 1.0,
    sfreq: float = 250.0,
    window: tuple[float, float] = (0.0, 1.0),
    mvnn: str | None = "epoch",
    dtype: str = "float32",
    random_state: Any = 20200220,
    verbose: int = 1,
) -> EpochsStore:
    """Preprocess the raw recordings of THINGS-EEG2 [1]_ as [2]_ does, into an :class:`~skeegclip.EpochsStore`.

    For each subject and session: events from the channel ``stim``, without the target trials; epochs of the 63
    channels from `tmin` to `tmax`; the mean of the time before the picture subtracted; resampled to `sfreq`; sorted by
    picture, with at most 2 repetitions of a training picture and 20 of a test picture; times outside of `window` cut
    off; whitened by :class:`~skeegclip.preprocessing.MVNN`, learned from the session's training epochs alone. A session is written whole or not
    at all, and one that is in the store already is left out, so that an interrupted run goes on where it stopped.

    Parameters
    ----------
    raw_folder : path-like
        Where ``sub-01/ses-01/raw_eeg_{training,test}.npy`` lie, or a folder whose ``raw_data`` holds them.
    folder : path-like
        Folder of the store.
    subjects : int | str | sequence | None
        Subjects to preprocess. None takes all that are there.
    images : path-like | "numbered" | None
        What tells the names of the pictures, as in :func:`~skeegclip.datasets.load_things_eeg2`.
    tmin, tmax : float
        Ends of an epoch, in seconds from picture onset.
    sfreq : float
        Sampling rate of the store in Hz.
    window : tuple of float
        Times kept, in seconds: from the first to before the last.
    mvnn : "epoch" | "time" | None
        Mode of :class:`~skeegclip.preprocessing.MVNN`; None does not whiten, and the store holds microvolts.
    dtype : "float32" | "float16"
        Type on disk.
    random_state : int | RandomState | Generator | None
        Seed of the draw of repetitions, where there are more than the design has.
    verbose : int
        1 shows progress bars.

    Returns
    -------
    EpochsStore
        Rows have the columns stimulus, concept, subject, session, onset (seconds from the start of the recording),
        repetition (counted over sessions) and split.

    Raises
    ------
    FileNotFoundError
        If the files are not there; the message shows the layout expected.
    ValueError
        If a file is refused or damaged, or a parameter is not usable.

    See Also
    --------
    skeegclip.datasets.fetch_things_eeg2 : Download the raw recordings.
    skeegclip.datasets.load_things_eeg2 : Open data that are preprocessed already.

    Notes
    -----
    The published files differ in that repetitions are shuffled over sessions, so that they do not tell the session;
    here they keep their order, and rows tell it. The recipe of [1]_ learned the whitening from test epochs too.

    References
    ----------
    .. [1] Gifford et al., "A large and rich EEG dataset for modeling human visual object recognition", NeuroImage
       264, 2022.
    .. [2] Li et al., "Visual Decoding and Reconstruction via EEG Embeddings with Guided Diffusion", NeurIPS 2024,
       arXiv:2403.07721.

    Examples
    --------
    >>> from skeegclip.datasets import preprocess_things_eeg2
    >>> store = preprocess_things_eeg2("things-eeg2", "things-eeg2/store", subjects=8)  # doctest: +SKIP
    >>> store.view().select(split="train").shape  # doctest: +SKIP
    (66160, 63, 250)
    """
    check_option("dtype", dtype, ["float32", "float16"])
    check_option("mvnn", mvnn, ["epoch", "time", None])
    check_number("tmax", tmax, low=0, open_low=True)
    check_number("tmin", tmin, high=0)
    check_number("sfreq", sfreq, low=0, open_low=True)
    root, path = Path(raw_folder), Path(folder)
    place = next((p for p in (root, root / "raw_data") if _sessions(p)), None)
    there = {} if place is None else _sessions(place)
    wanted = sorted(there) if subjects is None else subject_names(subjects)
    if absent := [name for name in wanted if name not in there] or ([] if wanted else ["recordings"]):
        raise FileNotFoundError(
            f"raw_folder: {', '.join(absent)} not found in {str(root)!r}. Download with"
            f' fetch_things_eeg2(what="raw"), or lay the files out as\n{_LAYOUT.format(folder=root)}'
        )
    if images == "numbered":
        manifest = numbered_manifest(_N_IMAGES, _IMAGES_PER_CONCEPT)
    else:
        manifest = find_manifest(images, [root, root.parent])
    if manifest is None:
        raise FileNotFoundError(
            f"images: nothing near {str(root)!r} tells the names of the pictures. Pass images= the folder of"
            ' training_images and test_images, or image_metadata.npy; or images="numbered" to make ids of numbers.'
        )
    cut = Cut(tmin, tmax, sfreq, window)
    view = stored_view(path)
    done = set() if view is None else set(zip(view.rows["subject"], view.rows["session"], strict=True))
    todo = [
        (name, session) for name in wanted for session in there[name] if (name, session.name[4:]) not in done
    ]
    for number, (name, session) in enumerate(todo, 1):
        view = stored_view(path)
        shown = (
            None if view is None else view.rows.loc[view.rows["subject"] == name, "stimulus"].value_counts()
        )
        rng = np.random.default_rng(draw_seed(random_state))
        parts = {
            split: epoch_file(session / file, cut, _REPETITIONS[split], rng) for split, file in FILES.items()
        }
        add_epochs(
            path,
            _whitened(parts, mvnn),
            _rows(parts, manifest, name, session, shown),
            info=eeg_info(sfreq),
            tmin=parts["train"].tmin,
            n_times=parts["train"].X.shape[2],
            dtype=dtype,
            name=f"{name} {session.name}",
            then=[(other, its.name[4:]) for other, its in todo[number:]],
            verbose=verbose,
        )
    return EpochsStore._at(path)


def _sessions(place: Path) -> dict[str, list[Path]]:
    """Sessions of each subject that have both files."""
    found: dict[str, list[Path]] = {}
    for session in sorted(place.glob("sub-*/ses-*")):
        if all((session / file).is_file() for file in FILES.values()):
            found.setdefault(session.parent.name, []).append(session)
    return found


def _whitened(parts: dict[str, PictureEpochs], mode: str | None) -> Iterator[np.ndarray]:
    """Yield the epochs of a session, training first, whitened by what the training epochs tell."""
    whiten = None if mode is None else MVNN(mode).fit(parts["train"].X, parts["train"].picture)
    for part in parts.values():
        for start in range(0, len(part.X), _BLOCK):
            block = part.X[start : start + _BLOCK]
            yield block if whiten is None else whiten.transform(block)


def _rows(
    parts: dict[str, PictureEpochs], manifest: pd.DataFrame, name: str, session: Path, shown: pd.Series | None
) -> pd.DataFrame:
    import pandas as pd

    tables = []
    for split, part in parts.items():
        pictures = manifest[manifest["split"] == split]
        if part.picture.max() > len(pictures):
            raise ValueError(
                f"images: {str(session / FILES[split])!r} shows picture {part.picture.max()}, but there are"
                f" {len(pictures)} {split} pictures. Rows are matched to pictures by their order: every one must be there."
            )
        each = pictures.iloc[part.picture - 1]
        rows = pd.DataFrame(
            {
                "stimulus": each["id"].to_numpy(),
                "concept": each["concept"].to_numpy(),
                "subject": name,
                "session": session.name[4:],
                "onset": part.onset,
            }
        )
        before = 0 if shown is None else rows["stimulus"].map(shown).fillna(0).astype(int)
        rows["repetition"] = rows.groupby("stimulus").cumcount() + before
        tables.append(rows.assign(split=split))
    return pd.concat(tables, ignore_index=True)
