"""THINGS-EEG2: files that people have, converted once into a store."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._utils.params import check_option
from ._convert import check_manifest, convert_subjects
from ._eeg2_files import find_recordings, layout_error, recorded_subjects, subject_names
from ._feature_files import find_features
from ._folders import default_folder
from ._manifest import find_manifest
from ._stores import as_bunch, stored_subjects, stored_view

if TYPE_CHECKING:
    from sklearn.utils import Bunch


def load_things_eeg2(
    folder: str | os.PathLike | None = None,
    *,
    subjects: Any = None,
    images: str | os.PathLike | None = None,
    features: str | None = None,
    store: str | os.PathLike | None = None,
    dtype: str = "float32",
    verbose: int = 1,
) -> Bunch:
    """Open THINGS-EEG2 [1]_; the first time its files are converted into an :class:`~skeegclip.EpochsStore`.

    It reads what the code of [2]_ publishes (``preprocessed_eeg_{training,test}.npy``, 63 channels at 250 Hz) and the
    first publication's files of the same names (17 channels at 100 Hz). These are pickles, which could run code:
    here nothing in them is run, and whatever is not an array is refused. Converting a subject reads and writes 5 GB
    in blocks, in little memory; opening it later is instant, and needs the pickles no more.

    Parameters
    ----------
    folder : path-like | None
        Where ``Preprocessed_data_250Hz/sub-01/...`` or ``sub-01/...`` lie; None is where
        :func:`fetch_things_eeg2` puts them.
    subjects : int | str | sequence | None
        Subjects to open, ``[1, 8]`` or ``["sub-01", "sub-08"]``. None opens all that are there.
    images : path-like | "numbered" | None
        What tells the names of the pictures: the folder of ``training_images`` and ``test_images``, or the file
        ``image_metadata.npy``, or a CSV file with the columns split, concept and file, in the order of the
        recordings. None looks for them beside the recordings. "numbered" does without, and makes ids of numbers.
    features : str | None
        Model whose ``{model}_features_train.pt`` and ``..._test.pt`` to read; None takes the only ones there.
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
            Single trials, none of them read yet: subject by subject, training trials first, ordered by picture and
            repetition. They are whitened, and so have no unit.
        ``y``, ``concept``, ``split``, ``subject`` : ndarray of str, shape (n_epochs,)
            Stimulus id (file name without suffix: "aardvark_01b"), concept ("aardvark"), "train" or "test", "sub-01".
        ``repetition`` : ndarray of int, shape (n_epochs,)
            Counted from 0.
        ``times`` : ndarray, shape (n_times,)
            Seconds from picture onset.
        ``info`` : mne.Info
            Channels with 10-05 positions.
        ``manifest`` : DataFrame
            The pictures: id, concept, split, path ("" where it is not known), in the order of the recordings.
        ``images`` : ImageTable | None
            The pictures by id, where they are on disk.
        ``image_embeddings``, ``text_embeddings`` : EmbeddingTable | None
            Features by stimulus id and by concept, where their files are there; ``meta["normalized"]`` says whether they
            are unit vectors.

    Raises
    ------
    FileNotFoundError
        If the files are not there; the message shows the layout expected.
    ValueError
        If a file is refused or damaged, files disagree, or a parameter is not usable.

    See Also
    --------
    fetch_things_eeg2 : Download the files.
    skeegclip.datasets.preprocess_things_eeg2 : Make such a store from the raw recordings.

    References
    ----------
    .. [1] Gifford et al., "A large and rich EEG dataset for modeling human visual object recognition", NeuroImage
       264, 2022.
    .. [2] Li et al., "Visual Decoding and Reconstruction via EEG Embeddings with Guided Diffusion", NeurIPS 2024,
       arXiv:2403.07721.

    Examples
    --------
    >>> from skeegclip.datasets import load_things_eeg2
    >>> data = load_things_eeg2("things-eeg2", subjects=8)  # doctest: +SKIP
    >>> data.X.select(split="train").shape  # doctest: +SKIP
    (66160, 63, 250)
    """
    check_option("dtype", dtype, ["float32", "float16"])
    root = default_folder("things-eeg2") if folder is None else Path(folder)
    place = find_recordings(root)
    near = list(dict.fromkeys([root, *([place] if place else []), root.parent]))
    manifest = None if images == "numbered" else find_manifest(images, near)
    path = root / f"skeegclip-{dtype}" if store is None else Path(store)

    view = stored_view(path)
    stored = stored_subjects(view)
    there = set(recorded_subjects(place)) if place else set()
    wanted = sorted(stored | there) if subjects is None else subject_names(subjects)
    absent = [name for name in wanted if name not in stored | there]
    if absent or not wanted:
        what = f"{', '.join(absent) or 'recordings'} not found in {str(root)!r}"
        raise layout_error(root, f"{what}, which holds {', '.join(sorted(stored | there)) or 'none'}")
    if new := [name for name in wanted if name not in stored]:
        assert place is not None
        if manifest is None and images != "numbered":
            raise FileNotFoundError(
                f"images: nothing near {str(root)!r} tells the names of the pictures. Pass images= the folder of"
                ' training_images and test_images, or image_metadata.npy (fetch_things_eeg2(what="images") downloads'
                ' both); or images="numbered" to make ids of numbers.'
            )
        convert_subjects(path, place, new, manifest, dtype=dtype, verbose=verbose)
        view = stored_view(path)
    assert view is not None
    if stored_subjects(view) - set(wanted):
        view = view.select(subject=wanted)
    rows = view.rows
    manifest = check_manifest(path, rows, manifest)
    image_embeddings, text_embeddings = find_features(features, near, manifest)
    return as_bunch(view, rows, manifest, image_embeddings=image_embeddings, text_embeddings=text_embeddings)
