"""From the features of a picture to the field at the sensors: dipoles in a spherical head."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial.transform import Rotation

from ._montages import eeg_info, meg_info

if TYPE_CHECKING:
    import mne

# Planted truth: when (seconds) and under which electrodes each kind of feature is processed.
WINDOWS = {"low_level": (0.08, 0.25), "high_level": (0.15, 0.45)}
AREAS: dict[str, dict[str, tuple[str, ...]]] = {
    "low_level": {"occipital": ("O1", "Oz", "O2", "POz", "PO7", "PO8")},
    "high_level": {
        "occipito-temporal": ("O1", "PO7", "P7", "O2", "PO8", "P8"),
        "parietal": ("P3", "POz", "P4"),
    },
}
# The response common to all pictures: start, duration (s), electrode and sign of its waves (P1, N1, N170, P2).
_COMMON = (
    (0.08, 0.08, "O1", 1.0),
    (0.08, 0.08, "O2", 1.0),
    (0.13, 0.09, "P7", -1.2),
    (0.13, 0.09, "P8", -1.4),
    (0.19, 0.16, "POz", 1.0),
    (0.28, 0.17, "Pz", 0.6),
)
_DURATIONS = (0.07, 0.13)  # of one wave, seconds
MAX_DELAY = (
    0.03  # a subject's own latency, seconds, fitted as those in _recording.py; the windows hold with it
)
_DEPTHS = (0.60, 0.74)  # distance of sources from the centre, in radii of the head
N_DIPOLES = 3  # per feature
_N_NOISE_SOURCES = 200


@dataclass(frozen=True)
class Head:
    """Sensors and a spherical head."""

    info: mne.Info
    sphere: mne.bem.ConductorModel
    electrodes: dict[str, np.ndarray]  # unit vectors from the centre to the EEG electrodes

    def leadfield(self, dipoles: Dipoles) -> np.ndarray:
        """Return the sensors' gain for each dipole, shape (n_chans, n_dipoles), in volts or tesla per ampere metre."""
        import mne

        places = self.sphere["r0"] + self.sphere.radius * dipoles.depths[:, None] * dipoles.directions
        source = mne.setup_volume_source_space(pos={"rr": places, "nn": dipoles.directions}, verbose="ERROR")
        eeg = "eeg" in self.info.get_channel_types(unique=True)
        forward = mne.make_forward_solution(
            self.info, None, source, self.sphere, meg=not eeg, eeg=eeg, mindist=0.0, verbose="ERROR"
        )
        gain = forward["sol"]["data"].reshape(self.info["nchan"], len(places), 3)
        return np.einsum("csx,sx->cs", gain, dipoles.moments)


@dataclass(frozen=True)
class Dipoles:
    """Current dipoles, each with one wave: half a period of a squared sine, zero outside."""

    directions: np.ndarray  # (n, 3), unit vectors from the head's centre
    depths: np.ndarray  # (n,), in radii of the head
    moments: np.ndarray  # (n, 3)
    onsets: np.ndarray  # (n,), seconds
    durations: np.ndarray  # (n,), seconds

    def waves(self, times: np.ndarray, delay: float) -> np.ndarray:
        """Return the time courses, shape (n, n_times)."""
        phase = (times - delay - self.onsets[:, None]) / self.durations[:, None]
        return np.where((phase > 0) & (phase < 1), np.sin(np.pi * phase) ** 2, 0.0)

    def turned(self, rng: np.random.Generator, degrees: float, spread: float, fold: float) -> Dipoles:
        """Return another subject's dipoles.

        All are turned together by `degrees`, each by `spread` of its own, and the orientation alone of each by `fold`.
        """
        n = len(self.depths)
        common = Rotation.from_rotvec(np.deg2rad(degrees) * rng.standard_normal(3))
        own = Rotation.from_rotvec(np.deg2rad(spread) * rng.standard_normal((n, 3)))
        folds = Rotation.from_rotvec(np.deg2rad(fold) * rng.standard_normal((n, 3)))
        turn = common * own
        return replace(
            self, directions=turn.apply(self.directions), moments=(folds * turn).apply(self.moments)
        )


def make_head(modality: str, sfreq: float) -> Head:
    """Return the THINGS-EEG2 or THINGS-MEG sensors around a spherical head."""
    import mne

    # The head is fitted to the EEG electrodes for MEG too: the sources are then the same in both.
    eeg = eeg_info(sfreq)
    radius, center, _ = mne.bem.fit_sphere_to_headshape(eeg, units="m", verbose="ERROR")
    sphere = mne.make_sphere_model(center, radius, verbose="ERROR")
    places = {ch["ch_name"]: ch["loc"][:3] - center for ch in eeg["chs"]}
    electrodes = {name: place / np.linalg.norm(place) for name, place in places.items()}
    return Head(eeg if modality == "eeg" else meg_info(sfreq, center), sphere, electrodes)


def feature_dipoles(head: Head, n_low: int, n_high: int, rng: np.random.Generator) -> Dipoles:
    """Return the dipoles that carry the features, ``N_DIPOLES`` each, low-level features first."""
    names, windows = [], []
    for kind, n_features in (("low_level", n_low), ("high_level", n_high)):
        under = [name for area in AREAS[kind].values() for name in area]
        names += rng.choice(under, n_features * N_DIPOLES).tolist()
        windows += [WINDOWS[kind]] * n_features * N_DIPOLES
    start, stop = np.transpose(windows)
    durations = rng.uniform(*_DURATIONS, len(names))
    onsets = start + rng.random(len(names)) * (stop - MAX_DELAY - durations - start)
    return _dipoles(head, names, onsets, durations, rng)


def common_dipoles(head: Head, rng: np.random.Generator) -> Dipoles:
    """Return the dipoles of the evoked response that all pictures share."""
    onsets, durations, names, signs = zip(*_COMMON, strict=True)
    dipoles = _dipoles(head, names, np.array(onsets), np.array(durations), rng, radial=0.95)
    return replace(dipoles, moments=dipoles.moments * np.array(signs)[:, None])


def noise_dipoles(rng: np.random.Generator) -> Dipoles:
    """Return sources of ongoing activity, spread over the upper brain, of random orientation."""
    directions = _unit(rng.standard_normal((3 * _N_NOISE_SOURCES, 3)))
    directions = directions[directions[:, 2] > -0.5][:_N_NOISE_SOURCES]
    n = len(directions)
    moments = _unit(rng.standard_normal((n, 3)))
    return Dipoles(directions, rng.uniform(0.3, 0.8, n), moments, np.zeros(n), np.ones(n))


def _dipoles(head, names, onsets, durations, rng, radial: float = 0.7) -> Dipoles:
    """Dipoles near electrodes; `radial` is the radial share of the moment (MEG sees only the rest)."""
    under = np.array([head.electrodes[name] for name in names])
    directions = _unit(under + 0.15 * rng.standard_normal(under.shape))
    tangents = _unit(np.cross(directions, rng.standard_normal(directions.shape)))
    moments = radial * directions + np.sqrt(1 - radial**2) * tangents
    return Dipoles(directions, rng.uniform(*_DEPTHS, len(names)), moments, onsets, durations)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
