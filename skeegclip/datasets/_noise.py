"""Ongoing brain activity: Gaussian noise, 1/f in time and correlated over sensors."""

from __future__ import annotations

import numpy as np
import scipy.linalg

# Power spectrum: 1/f above the knee, an alpha peak, and the white floor of the amplifier.
_KNEE_HZ, _ALPHA_HZ, _ALPHA_WIDTH_HZ, _ALPHA_POWER, _FLOOR = 1.0, 10.0, 1.5, 0.25, 0.002
_SENSOR_SHARE = 0.1


def spatial_covariance(leadfield: np.ndarray, level: float) -> np.ndarray:
    """Return the sensor covariance of independent sources seen through `leadfield`, plus sensor noise.

    Parameters
    ----------
    leadfield : ndarray, shape (n_chans, n_sources)
        Gain of each noise source.
    level : float
        Root mean square of the noise over sensors.

    Returns
    -------
    ndarray, shape (n_chans, n_chans)
        The mean of its diagonal is ``level ** 2``.
    """
    brain = leadfield @ leadfield.T
    brain /= np.trace(brain) / len(brain)
    return level**2 * ((1 - _SENSOR_SHARE) * brain + _SENSOR_SHARE * np.eye(len(brain)))


def temporal_covariance(n_times: int, sfreq: float) -> np.ndarray:
    """Return the autocovariance matrix (unit variance) of noise with a 1/f spectrum and an alpha peak."""
    frequencies = np.arange(0.05, sfreq / 2, 0.1)
    power = 1 / np.maximum(frequencies, _KNEE_HZ)
    power += _ALPHA_POWER * np.exp(-0.5 * ((frequencies - _ALPHA_HZ) / _ALPHA_WIDTH_HZ) ** 2)
    power += _FLOOR
    lags = np.arange(n_times) / sfreq
    autocovariance = np.cos(2 * np.pi * lags[:, None] * frequencies) @ power
    return scipy.linalg.toeplitz(autocovariance / autocovariance[0])


def add_noise(
    X: np.ndarray, spatial: np.ndarray, temporal: np.ndarray, rng: np.random.Generator, block: int = 256
) -> None:
    """Add noise of covariance ``spatial`` x ``temporal`` to `X` (n_epochs, n_chans, n_times), in place.

    White noise Z becomes ``A_s Z A_t'`` with the Cholesky factors of the two covariances. It is drawn in blocks
    of epochs, so that the memory needed does not grow with their number.
    """
    over_sensors = np.linalg.cholesky(spatial).astype(np.float32)
    over_times = np.linalg.cholesky(temporal).astype(np.float32).T
    n_chans, n_times = X.shape[1:]
    for start in range(0, len(X), block):
        part = X[start : start + block]
        # Channels first: both products are then one large matrix product each, not one per epoch.
        noise = rng.standard_normal((n_chans * len(part), n_times), dtype=np.float32) @ over_times
        noise = over_sensors @ noise.reshape(n_chans, -1)
        part += noise.reshape(n_chans, len(part), n_times).transpose(1, 0, 2)
