"""Real recordings that come with the package."""

from __future__ import annotations

from importlib.resources import as_file, files
from typing import TYPE_CHECKING, Any

import numpy as np

from ..embeddings import EmbeddingTable
from ..epochs.positions import eeg_montage

if TYPE_CHECKING:
    from sklearn.utils import Bunch

_FOLDER = files(__package__) / "_shipped"


def load_faces_houses(*, return_X_y: bool = False) -> Any:
    """Load EEG of one person who looks at faces and houses: 1,127 single trials, four channels.

    Parameters
    ----------
    return_X_y : bool
        Whether to return ``(X, y)`` alone.

    Returns
    -------
    Bunch or tuple of (X, y)
        ``X`` : ndarray of float32, shape (1127, 4, 232)
            Epochs in microvolts, in the order of the recordings, 256 Hz, 1 to 30 Hz.
        ``y`` : ndarray of str, shape (1127,)
            "face" or "house".
        ``event_id`` : dict of str to int
            The codes that the source has for them.
        ``ch_names`` : list of str
            TP9, AF7, AF8 and TP10, a headband's.
        ``sfreq``, ``tmin`` : float
            Sampling rate in Hz, and time of the first sample in seconds from picture onset.
        ``times`` : ndarray, shape (232,)
            Seconds from picture onset.
        ``info`` : mne.Info
            Channels with positions.
        ``DESCR`` : str
            What it is, where it comes from, licence and citation.

    See Also
    --------
    load_things_sub08 : Embeddings of THINGS-EEG2, subject 8.
    make_things_like : Simulated recordings of any size.

    References
    ----------
    .. [1] eeg-notebooks, NeuroTechX, https://github.com/NeuroTechX/eeg-notebooks, BSD 3-clause.
    .. [2] Bentin et al., "Electrophysiological studies of face perception in humans", Journal of Cognitive Neuroscience 8,
       1996.

    Examples
    --------
    >>> from skeegclip.datasets import load_faces_houses
    >>> data = load_faces_houses()
    >>> data.X.shape, data.ch_names
    ((1127, 4, 232), ['TP9', 'AF7', 'AF8', 'TP10'])

    MNE takes volts:

    >>> import mne
    >>> epochs = mne.EpochsArray(1e-6 * data.X, data.info, tmin=data.tmin, verbose="error")
    """
    import mne
    from sklearn.utils import Bunch

    file = _read("faces_houses")
    X, y = file["X"].astype(np.float32), np.array(["house", "face"])[file["y"] - 1]
    if return_X_y:
        return X, y
    ch_names, sfreq, tmin = file["ch_names"].tolist(), float(file["sfreq"]), float(file["tmin"])
    return Bunch(
        X=X,
        y=y,
        event_id={"house": 1, "face": 2},
        ch_names=ch_names,
        sfreq=sfreq,
        tmin=tmin,
        times=tmin + np.arange(X.shape[2]) / sfreq,
        info=mne.create_info(ch_names, sfreq, "eeg").set_montage(eeg_montage()),
        DESCR=_description("faces_houses"),
    )


def load_things_sub08(*, return_X_y: bool = False) -> Bunch | tuple[np.ndarray, np.ndarray]:
    """Load what the published encoder made of THINGS-EEG2, subject 8, beside CLIP's embeddings of the 200 test pictures.

    Parameters
    ----------
    return_X_y : bool
        Whether to return ``(X, y)`` alone.

    Returns
    -------
    Bunch or tuple of (X, y)
        ``X`` : ndarray of float32, shape (200, 1024)
            Embeddings of the EEG by ATM-S, each of the mean over 80 repetitions; not normalised.
        ``y`` : ndarray of str, shape (200,)
            Ids of the pictures that were shown: the names of their files.
        ``concept`` : ndarray of str, shape (200,)
            What each picture shows, another thing in each.
        ``category_bottom_up``, ``category_top_down`` : ndarray of str, shape (200,)
            Superordinate categories of THINGS, of what people sorted and of a dictionary; "" where there is none.
        ``image_embeddings`` : EmbeddingTable
            CLIP ViT-H-14's vectors of the pictures by id, of length one.
        ``DESCR`` : str
            What it is, where it comes from, licence and citation.

    See Also
    --------
    load_faces_houses : Single trials of one person.
    load_things_eeg2 : The recordings themselves, once they are fetched.

    References
    ----------
    .. [1] Li et al., "Visual Decoding and Reconstruction via EEG Embeddings with Guided Diffusion", NeurIPS 2024.
    .. [2] Gifford et al., "A large and rich EEG dataset for modeling human visual object recognition", NeuroImage 264,
       2022.
    .. [3] Hebart et al., "THINGS: A database of 1,854 object concepts and more than 26,000 naturalistic object images",
       PLOS ONE 14, 2019.

    Examples
    --------
    >>> from skeegclip import ImageRetriever
    >>> from skeegclip.datasets import load_things_sub08
    >>> data = load_things_sub08()
    >>> retriever = ImageRetriever("passthrough", gallery=data.image_embeddings).fit(data.X, data.y)
    >>> retriever.score(data.X, data.y)  # the right picture of 200 is the first one found
    0.36
    """
    from sklearn.utils import Bunch

    file = _read("things_sub08")
    X, y = file["eeg"], file["stimulus"]
    if return_X_y:
        return X, y
    return Bunch(
        X=X,
        y=y,
        concept=file["concept"],
        category_bottom_up=file["category_bottom_up"],
        category_top_down=file["category_top_down"],
        image_embeddings=EmbeddingTable(y, file["images"]),
        DESCR=_description("things_sub08"),
    )


def _read(name: str) -> dict[str, np.ndarray]:
    with as_file(_FOLDER / f"{name}.npz") as path, np.load(path) as file:
        return dict(file)


def _description(name: str) -> str:
    return (_FOLDER / f"{name}.md").read_text(encoding="utf-8")
