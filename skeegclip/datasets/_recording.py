"""One subject's recording, and the decoder that knows how it was made."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.distance import cdist

from ._forward import MAX_DELAY, Dipoles, Head, common_dipoles, feature_dipoles, make_head, noise_dipoles
from ._noise import Noise, spatial_covariances

# Root mean square of the noise, and the common evoked response's largest value: microvolts, femtotesla.
LEVELS = {"eeg": (10.0, 8.0), "meg": (200.0, 160.0)}
# At snr=1, what one epoch tells of one low-level and one high-level feature: the squared distance between the
# responses to 0 and to 1, in units of the noise (Mahalanobis).
_INFORMATION = (0.3, 0.38)
# Spread of the part of a response that no feature predicts (the subject's own, the same at each repetition).
OWN_RESPONSE = 0.9
# How subjects differ, fitted to 46 people's evoked responses (examples/benchmarks/simulator_fit.py). Of anatomy: turn of
# the whole head, of each source's place and of its orientation, which the folds of a cortex decide (degrees).
_TURN, _SCATTER, _FOLD = 4.0, 6.0, 22.0
# Of function: mixing of features; spread of the logarithm of what all responses, and each common wave, are multiplied by.
_MIXING, _LOG_GAIN, _LOG_WAVE = 0.1, 0.08, 0.3
# Of the recording: spread of the logarithm of its amplitude (skull, amplifier), and of each electrode's. MEG has none.
_LOG_AMPLITUDE, _LOG_ELECTRODE = 0.45, {"eeg": 0.1, "meg": 0.0}
# Of ongoing activity: spread of the logarithm of each source's strength; power of an electrode's own noise relative to
# the sources', and the spread of its logarithm; alpha's share of the power, the spread of its logit, how far its
# middle lies from that of others (degrees), and how narrow it is.
_LOG_SOURCE, _ELECTRODE_NOISE, _LOG_ELECTRODE_NOISE = 1.5, 0.11, 0.6
_ALPHA_SHARE, _LOGIT_ALPHA, _ALPHA_TURN, _ALPHA_NARROW = 0.16, 1.0, 25.0, 4.0
# Scales are set on these samples, so that they depend on no user's window.
_REFERENCE_SFREQ = 100.0
_REFERENCE_TIMES = np.arange(50) / _REFERENCE_SFREQ


@dataclass(frozen=True)
class Cortex:
    """What all subjects share: sensors, sources and their waves."""

    head: Head
    features: Dipoles
    common: Dipoles
    noise: Dipoles
    n_low: int
    n_high: int
    modality: str


@dataclass(frozen=True)
class Subject:
    """One subject's forward model."""

    patterns: np.ndarray  # (n_features, n_chans, n_times), response to one unit of each feature
    common: np.ndarray  # (n_chans, n_times), evoked response to any picture
    noise: Noise


def make_cortex(modality: str, sfreq: float, n_low: int, n_high: int, rng: np.random.Generator) -> Cortex:
    """Draw the sources that all subjects share."""
    head = make_head(modality, sfreq)
    features = feature_dipoles(head, n_low, n_high, rng)
    return Cortex(head, features, common_dipoles(head, rng), noise_dipoles(rng), n_low, n_high, modality)


def make_subject(cortex: Cortex, times: np.ndarray, snr: float, rng: np.random.Generator) -> Subject:
    """Draw one subject's anatomy, latency, mixing, gain, ongoing activity and electrodes."""
    level, evoked = LEVELS[cortex.modality]
    features, common, sources = (
        dipoles.turned(rng, _TURN, _SCATTER, _FOLD)
        for dipoles in (cortex.features, cortex.common, cortex.noise)
    )
    delay = rng.uniform(0, MAX_DELAY)
    gain = np.exp(_LOG_GAIN * rng.standard_normal())
    spatial = _ongoing(cortex, sources, level, rng)

    n_features = cortex.n_low + cortex.n_high
    field = cortex.head.leadfield(features).reshape(spatial.shape[1], n_features, -1)
    reference, patterns = (
        np.einsum("cfd,fdt->fct", field, features.waves(t, delay).reshape(n_features, -1, len(t)))
        for t in (_REFERENCE_TIMES, times)
    )
    noise = Noise(spatial, len(_REFERENCE_TIMES), _REFERENCE_SFREQ)
    information = (noise.solve(reference) * reference).sum(axis=(1, 2))
    wanted = gain**2 * snr * np.repeat(_INFORMATION, [cortex.n_low, cortex.n_high])
    mixing = np.eye(n_features) + _MIXING * rng.standard_normal((n_features, n_features))
    # Low-level features stay with low-level sources, and so in their window.
    mixing[: cortex.n_low, cortex.n_low :] = mixing[cortex.n_low :, : cortex.n_low] = 0
    mixing *= np.sqrt(wanted)[:, None] / np.sqrt(information)
    patterns = np.tensordot(mixing, patterns, 1)

    field = cortex.head.leadfield(common) * np.exp(_LOG_WAVE * rng.standard_normal(len(common.depths)))
    scale = gain * evoked / np.abs(field @ common.waves(_REFERENCE_TIMES, delay)).max()
    response = scale * field @ common.waves(times, delay)

    # What the recording does to all of it alike hides nothing from the decoder that knows it.
    amplifier = np.exp(
        _LOG_AMPLITUDE * rng.standard_normal()
        + _LOG_ELECTRODE[cortex.modality] * rng.standard_normal(len(response))
    )
    return Subject(
        (amplifier[:, None] * patterns).astype(np.float32),
        (amplifier[:, None] * response).astype(np.float32),
        Noise(np.outer(amplifier, amplifier) * spatial, len(times), cortex.head.info["sfreq"]),
    )


def _ongoing(cortex: Cortex, sources: Dipoles, level: float, rng: np.random.Generator) -> np.ndarray:
    """Return the sensor covariances of one subject's background and alpha."""
    field = cortex.head.leadfield(sources)
    n_chans, n_sources = field.shape
    background = field * np.exp(_LOG_SOURCE * rng.standard_normal(n_sources))
    middle = cortex.head.electrodes["POz"] + np.deg2rad(_ALPHA_TURN) * rng.standard_normal(3)
    near = sources.directions @ middle / np.linalg.norm(middle)
    alpha = field * np.exp(_ALPHA_NARROW * (near - 1))
    electrodes = _ELECTRODE_NOISE * np.exp(_LOG_ELECTRODE_NOISE * rng.standard_normal(n_chans))
    odds = _ALPHA_SHARE / (1 - _ALPHA_SHARE) * np.exp(_LOGIT_ALPHA * rng.standard_normal())
    return spatial_covariances(background, alpha, electrodes, level=level, share=odds / (1 + odds))


def record(
    cortex: Cortex,
    times: np.ndarray,
    snr: float,
    features: np.ndarray,
    counts: np.ndarray,
    is_test: np.ndarray,
    seeds: list[np.random.SeedSequence],
) -> tuple[np.ndarray, list[Subject], list[float]]:
    """Record one subject per seed.

    Parameters
    ----------
    cortex : Cortex
        What subjects share.
    times : ndarray, shape (n_times,)
        Seconds from picture onset.
    snr : float
        Power of the responses to features.
    features : ndarray, shape (n_stimuli, n_features)
        Features of the stimuli.
    counts : ndarray of int, shape (n_stimuli,)
        How often each is shown.
    is_test : ndarray of bool, shape (n_stimuli,)
        The candidates of the knowing decoder, all shown equally often.
    seeds : list of SeedSequence
        One per subject.

    Returns
    -------
    X : ndarray of float32, shape (n_subjects * n_epochs, n_chans, n_times)
        Epochs by subject, stimulus, repetition.
    subjects : list of Subject
        Their forward models.
    accuracies : list of float
        Top-1 accuracy of the knowing decoder.
    """
    X = np.empty((len(seeds), counts.sum(), cortex.head.info["nchan"], len(times)), dtype=np.float32)
    rows = np.repeat(np.arange(len(counts)), counts)
    n_test, n_averaged = is_test.sum(), counts[is_test][0]
    subjects, accuracies = [], []
    for epochs, seed in zip(X, seeds, strict=True):
        rng = np.random.default_rng(seed)
        subject = make_subject(cortex, times, snr, rng)
        responses = features + OWN_RESPONSE * rng.standard_normal(features.shape)
        weights = responses[rows].astype(np.float32)
        patterns = subject.patterns.reshape(features.shape[1], -1)
        np.matmul(weights, patterns, out=epochs.reshape(len(rows), -1))
        epochs += subject.common
        subject.noise.add(epochs, rng)
        means = epochs[is_test[rows]].reshape(n_test, n_averaged, *epochs.shape[1:]).mean(axis=1)
        accuracies.append(knowing_accuracy(subject, means, features[is_test], n_averaged))
        subjects.append(subject)
    return X.reshape(-1, *X.shape[2:]), subjects, accuracies


def knowing_accuracy(subject: Subject, X: np.ndarray, features: np.ndarray, n_averaged: int) -> float:
    r"""Return the top-1 accuracy of the most likely candidate, for a decoder that knows the forward model.

    With M the patterns as a matrix and C the covariance of the noise, :math:`v = \Lambda^{-1/2} Q' M' C^{-1} x` is
    sufficient, where :math:`M' C^{-1} M = Q \Lambda Q'`. Given features a it is Gaussian with mean
    :math:`\Lambda^{1/2} Q' a` and variance :math:`\kappa^2 \Lambda + 1 / n`: the subject's own response, and
    the noise that is left in the mean of n repetitions.

    Parameters
    ----------
    subject : Subject
        The forward model.
    X : ndarray, shape (n_stimuli, n_chans, n_times)
        Mean responses, one for each candidate.
    features : ndarray, shape (n_stimuli, n_features)
        Features of the candidates, in the same order.
    n_averaged : int
        Number of repetitions in each mean.

    Returns
    -------
    float
        Share of rows whose own features are the most likely.
    """
    filters = subject.noise.solve(subject.patterns).reshape(features.shape[1], -1)
    information, axes = np.linalg.eigh(filters @ subject.patterns.reshape(filters.shape).T)
    # Without a response in the window, or with snr=0, nothing is seen and every candidate is as likely.
    seen = information > 1e-9
    information, axes = information[seen], axes[:, seen]
    spread = np.sqrt(OWN_RESPONSE**2 * information + 1 / n_averaged)
    statistic = (X - subject.common).reshape(len(X), -1) @ filters.T @ axes / np.sqrt(information) / spread
    expected = features @ axes * np.sqrt(information) / spread
    distance = cdist(statistic, expected, "sqeuclidean")
    return float(np.mean(distance.argmin(axis=1) == np.arange(len(X))))
