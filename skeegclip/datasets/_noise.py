"""Ongoing brain activity: Gaussian noise, a 1/f background and an alpha rhythm, each with its own place on the head."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import scipy.linalg

# Power spectra: 1/f above the knee and the white floor of the amplifier; alpha.
_KNEE_HZ, _FLOOR, _ALPHA_HZ, _ALPHA_WIDTH_HZ = 1.0, 0.002, 10.0, 1.5


@dataclass(frozen=True)
class Noise:
    r"""Noise whose covariance is the sum of two products, :math:`S_0 \otimes T_0 + S_1 \otimes T_1`.

    With U and V such that :math:`U' S_0 U = V' T_0 V = 1`, :math:`U' S_1 U = \Lambda` and :math:`V' T_1 V = M`, both
    diagonal, it is :math:`(S_0 U \otimes T_0 V) (1 + \Lambda \otimes M) (S_0 U \otimes T_0 V)'`: to draw it and to
    solve with it costs hardly more than for a single product.
    """

    spatial: np.ndarray  # (2, n_chans, n_chans): background, alpha
    n_times: int
    sfreq: float

    @cached_property
    def _over_sensors(self) -> tuple[np.ndarray, np.ndarray]:
        return _diagonalize(*self.spatial)

    def solve(self, X: np.ndarray) -> np.ndarray:
        """Return the inverse covariance times `X` (n, n_chans, n_times)."""
        (over_sensors, u), (over_times, v) = self._over_sensors, _over_times(self.n_times, self.sfreq)
        return u @ (u.T @ X @ v / (1 + np.outer(over_sensors, over_times))) @ v.T

    def add(self, X: np.ndarray, rng: np.random.Generator, block: int = 256) -> None:
        """Add it to `X` (n_epochs, n_chans, n_times), in place, drawn in blocks so that memory does not grow."""
        (over_sensors, u), (over_times, v) = self._over_sensors, _over_times(self.n_times, self.sfreq)
        scale = np.sqrt(1 + np.outer(over_sensors, over_times)).astype(np.float32)[:, None]
        to_sensors = (self.spatial[0] @ u).astype(np.float32)
        to_times = (temporal_covariances(self.n_times, self.sfreq)[0] @ v).T.astype(np.float32)
        n_chans, n_times = X.shape[1:]
        for start in range(0, len(X), block):
            part = X[start : start + block]
            # Channels first: both products are then one large matrix product each, not one per epoch.
            noise = rng.standard_normal((n_chans, len(part), n_times), dtype=np.float32)
            noise *= scale
            noise = to_sensors @ (noise.reshape(-1, n_times) @ to_times).reshape(n_chans, -1)
            part += noise.reshape(n_chans, len(part), n_times).transpose(1, 0, 2)


def spatial_covariances(
    background: np.ndarray, alpha: np.ndarray, electrodes: np.ndarray, *, level: float, share: float
) -> np.ndarray:
    """Return the sensor covariances of background and alpha.

    Parameters
    ----------
    background, alpha : ndarray, shape (n_chans, n_sources)
        Gain of each source of either.
    electrodes : ndarray, shape (n_chans,)
        Power of the sensors' own noise, a part of the background, relative to the sources' mean.
    level : float
        Root mean square of the whole over sensors.
    share : float
        Alpha's share of the power.

    Returns
    -------
    ndarray, shape (2, n_chans, n_chans)
    """
    brain = background @ background.T
    brain = brain * (len(brain) / np.trace(brain)) + np.diag(electrodes)
    rhythm = alpha @ alpha.T
    powers = ((1 - share, brain), (share, rhythm))
    return np.stack([level**2 * part * len(one) / np.trace(one) * one for part, one in powers])


@lru_cache(maxsize=4)
def temporal_covariances(n_times: int, sfreq: float) -> np.ndarray:
    """Return the autocovariances (unit variance) of background and alpha, shape (2, n_times, n_times)."""
    frequencies = np.arange(0.05, sfreq / 2, 0.1)
    lags = np.arange(n_times) / sfreq
    waves = np.cos(2 * np.pi * lags[:, None] * frequencies)
    background = 1 / np.maximum(frequencies, _KNEE_HZ) + _FLOOR
    alpha = np.exp(-0.5 * ((frequencies - _ALPHA_HZ) / _ALPHA_WIDTH_HZ) ** 2)
    return np.stack([scipy.linalg.toeplitz(waves @ power / power.sum()) for power in (background, alpha)])


@lru_cache(maxsize=4)
def _over_times(n_times: int, sfreq: float) -> tuple[np.ndarray, np.ndarray]:
    return _diagonalize(*temporal_covariances(n_times, sfreq))


def _diagonalize(one: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return values and the matrix U with U' one U = 1 and U' other U = diag(values)."""
    values, u = scipy.linalg.eigh(other, one)
    return np.maximum(values, 0.0), u
