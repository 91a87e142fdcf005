"""Simulated recordings in the shape of THINGS-EEG2 and THINGS-MEG, with a planted truth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from threadpoolctl import threadpool_limits

from .._utils.params import check_number, check_option
from .._utils.seeding import draw_seed
from ..embeddings import EmbeddingTable, ImageTable
from ..epochs import regions
from ._concepts import FACTORS, MAX_CONCEPTS
from ._features import EmbeddingMap
from ._forward import AREAS, WINDOWS
from ._recording import make_cortex, record
from ._stimuli import N_LOW, Stimuli, make_stimuli

if TYPE_CHECKING:
    from sklearn.utils import Bunch

_SFREQ = {"eeg": 100.0, "meg": 200.0}


def make_things_like(
    *,
    n_subjects: int = 1,
    n_train_concepts: int = 400,
    n_images_per_concept: int = 5,
    n_test_concepts: int = 200,
    n_train_repetitions: int = 2,
    n_test_repetitions: int = 8,
    modality: str = "eeg",
    sfreq: float | None = None,
    tmin: float = 0.0,
    duration: float = 1.0,
    n_dims: int = 256,
    snr: float = 1.0,
    random_state: Any = None,
) -> Bunch:
    """Simulate EEG or MEG of people who look at pictures, with everything planted known.

    The design is that of THINGS-EEG2 [1]_ and THINGS-MEG [2]_: training concepts with several pictures each, and other
    test concepts with one picture, shown more often. Every concept has its own look (size, colour, texture and shape
    of an object, colour of the ground) and is named after it. Sources in a spherical head respond to a picture:
    occipital ones to its low-level features (coarse light, colour and contrast, measured on the picture) from 80 ms
    on, occipito-temporal and parietal ones to what it shows, from 150 to 450 ms. Each subject adds a response of their
    own, which no feature predicts, and ongoing activity (1/f and alpha, correlated over sensors). Subjects differ in
    anatomy, latency (up to 30 ms), mixing of features and gain, in the strength of the sources of their ongoing
    activity and the strength and place of their alpha, and in the amplitude of the recording and of each electrode:
    after statistics of 46 people of THINGS-EEG1, whose broken electrodes are left out (:ref:`simulated-people`).

    Parameters
    ----------
    n_subjects : int
        Number of subjects; all see the same pictures. A subject's data do not depend on how many there are.
    n_train_concepts : int
        Number of training concepts.
    n_images_per_concept : int
        Pictures per training concept.
    n_test_concepts : int
        Number of test concepts, disjoint from the others, with one picture each.
    n_train_repetitions, n_test_repetitions : int
        How often each picture is shown. Average the test repetitions before decoding, as the papers do.
    modality : "eeg" | "meg"
        63 EEG channels (THINGS-EEG2, 10-05 positions, in microvolts, no reference subtracted) or 271 axial gradiometers
        (THINGS-MEG, CTF positions, in femtotesla).
    sfreq : float | None
        Sampling rate in Hz, at least 50. None is 100 for EEG (a quarter of the time of the papers' 250) and 200 for MEG.
    tmin : float
        Time of the first sample from picture onset, in seconds.
    duration : float
        Length of an epoch in seconds. EEG has ``duration * sfreq`` samples and MEG one more, as in the papers: 250 Hz
        gives (63, 250), and MEG's 200 Hz (271, 201).
    n_dims : int
        Width of the embeddings.
    snr : float
        Power of the responses to features, relative to the default difficulty: larger is easier, 0 is chance.
    random_state : int | RandomState | Generator | None
        Seed: the same int gives the same bits.

    Returns
    -------
    Bunch
        ``X`` : ndarray of float32, shape (n_epochs, n_chans, n_times)
            Epochs in microvolts (MEG: femtotesla), ordered by subject, split, picture, repetition. With the defaults
            141 MB for EEG and 1.2 GB for MEG.
        ``y``, ``concept``, ``split``, ``subject`` : ndarray of str, shape (n_epochs,)
            Stimulus id, name of its concept, "train" or "test", and "sub-01" on.
        ``repetition`` : ndarray of int, shape (n_epochs,)
            Counted from 0.
        ``times`` : ndarray, shape (n_times,)
            Seconds from picture onset.
        ``info`` : mne.Info
            Channels with positions.
        ``image_embeddings``, ``text_embeddings`` : EmbeddingTable
            Vectors of the pictures by stimulus id, and of the concepts' names by concept, in one space with a gap
            between the two; not normalised.
        ``images`` : ImageTable
            The pictures by stimulus id, 64 x 64 RGB.
        ``truth`` : Bunch
            What was planted: ``windows`` (seconds) and ``sources`` (areas) of each kind of feature; ``regions``,
            sensors of each region; ``features`` (n_stimuli, n_features) in the order of ``images.ids`` and
            ``feature_kinds``; ``patterns`` (n_subjects, n_features, n_chans, n_times), the response to one unit of
            each; ``noise_cov`` (n_subjects, n_chans, n_chans); ``accuracy``, mean over subjects of the top-1
            accuracy, on averaged test epochs among the test pictures, of the decoder that knows the forward model;
            ``accuracy_by_subject``; ``chance``.

    Raises
    ------
    TypeError, ValueError
        If a parameter is of the wrong type or out of range.

    References
    ----------
    .. [1] Gifford et al., "A large and rich EEG dataset for modeling human visual object recognition",
       NeuroImage 264, 2022.
    .. [2] Hebart et al., "THINGS-data, a multimodal collection of large-scale datasets for investigating object
       representations in human brain and behavior", eLife 12, 2023.

    Examples
    --------
    >>> from skeegclip.datasets import make_things_like
    >>> data = make_things_like(n_train_concepts=6, n_images_per_concept=2, n_test_concepts=4, random_state=0)
    >>> data.X.shape, len(data.images)
    ((56, 63, 100), 16)
    >>> data.image_embeddings.lookup(data.y).shape
    (56, 256)
    >>> data.truth.windows["high_level"]
    (0.15, 0.45)
    """
    from sklearn.utils import Bunch

    check_option("modality", modality, _SFREQ)
    _check_design(
        n_train_concepts,
        n_test_concepts,
        n_subjects=n_subjects,
        n_images_per_concept=n_images_per_concept,
        n_train_repetitions=n_train_repetitions,
        n_test_repetitions=n_test_repetitions,
    )
    check_number("n_dims", n_dims, low=2, high=65536, integer=True)
    sfreq = float(check_number("sfreq", _SFREQ[modality] if sfreq is None else sfreq, low=50, high=2000))
    check_number("tmin", tmin, low=-10, high=10)
    check_number("duration", duration, low=0.02, high=10)
    check_number("snr", snr, low=0, high=1e6)
    seeds = np.random.SeedSequence(draw_seed(random_state)).spawn(4)
    # The last bits of a matrix product depend on the number of BLAS threads, and joblib's workers have one.
    with threadpool_limits(limits=1, user_api="blas"):
        stimuli = make_stimuli(n_train_concepts, n_images_per_concept, n_test_concepts, seeds[0])
        image_embeddings, text_embeddings = _embed(stimuli, n_dims, np.random.default_rng(seeds[1]))
        cortex = make_cortex(modality, sfreq, N_LOW, len(FACTORS), np.random.default_rng(seeds[2]))
        times = tmin + np.arange(round(duration * sfreq) + (modality == "meg")) / sfreq
        counts = np.where(stimuli.is_test, n_test_repetitions, n_train_repetitions)
        X, subjects, accuracies = record(
            cortex, times, snr, stimuli.features, counts, stimuli.is_test, seeds[3].spawn(n_subjects)
        )

    rows = np.repeat(np.arange(len(counts)), counts)
    names = [f"sub-{number:02d}" for number in range(1, n_subjects + 1)]
    return Bunch(
        X=X,
        y=np.tile(stimuli.ids[rows], n_subjects),
        subject=np.repeat(names, len(rows)),
        concept=np.tile(stimuli.concepts[rows], n_subjects),
        split=np.tile(np.where(stimuli.is_test, "test", "train")[rows], n_subjects),
        repetition=np.tile(np.concatenate([np.arange(count) for count in counts]), n_subjects),
        times=times,
        info=cortex.head.info,
        image_embeddings=image_embeddings,
        text_embeddings=text_embeddings,
        images=ImageTable(stimuli.ids, stimuli.pictures),
        truth=Bunch(
            windows=dict(WINDOWS),
            sources={kind: tuple(areas) for kind, areas in AREAS.items()},
            regions=regions(cortex.head.info),
            features=stimuli.features,
            feature_kinds=np.repeat(["low_level", "high_level"], [N_LOW, len(FACTORS)]),
            patterns=np.stack([subject.patterns for subject in subjects]),
            noise_cov=np.stack([subject.noise.spatial.sum(axis=0) for subject in subjects]),
            accuracy=float(np.mean(accuracies)),
            accuracy_by_subject=dict(zip(names, accuracies, strict=True)),
            chance=1 / n_test_concepts,
        ),
    )


def _check_design(n_train_concepts: Any, n_test_concepts: Any, **counts: Any) -> None:
    check_number("n_train_concepts", n_train_concepts, low=1, high=MAX_CONCEPTS, integer=True)
    check_number("n_test_concepts", n_test_concepts, low=2, high=MAX_CONCEPTS, integer=True)
    if n_train_concepts + n_test_concepts > MAX_CONCEPTS:
        raise ValueError(
            f"n_train_concepts + n_test_concepts must be at most {MAX_CONCEPTS}, as every concept has its own look,"
            f" got {n_train_concepts} + {n_test_concepts}. Ask for fewer concepts, with more pictures each."
        )
    for name, value in counts.items():
        check_number(name, value, low=1, high=99, integer=True)


def _embed(stimuli: Stimuli, n_dims: int, rng: np.random.Generator) -> tuple[EmbeddingTable, EmbeddingTable]:
    embedding = EmbeddingMap(N_LOW, n_dims, rng)
    images = embedding.images(stimuli.factors, stimuli.low)
    texts = embedding.texts(stimuli.concept_factors)
    meta = {"model": "make_things_like", "normalized": False}
    return (
        EmbeddingTable(stimuli.ids, images, meta={**meta, "of": "images"}),
        EmbeddingTable(stimuli.concept_names, texts, meta={**meta, "of": "texts"}),
    )
