"""The stimuli of a simulated experiment: concepts, their pictures and the pictures' features."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ._concepts import sample_concepts, sample_images
from ._features import VARIATION, low_level_features
from ._pictures import draw

N_LOW = 8  # low-level features


@dataclass(frozen=True)
class Stimuli:
    """Pictures of training concepts, then one picture of each test concept."""

    ids: np.ndarray  # (n,) str
    concepts: np.ndarray  # (n,) str
    is_test: np.ndarray  # (n,) bool
    pictures: np.ndarray  # (n, 64, 64, 3) uint8
    factors: np.ndarray  # (n, n_factors)
    low: np.ndarray  # (n, N_LOW)
    concept_names: np.ndarray  # (n_concepts,) str, training concepts first
    concept_factors: np.ndarray  # (n_concepts, n_factors)

    @property
    def features(self) -> np.ndarray:
        """What the brain responds to: low-level features, then factors, all of about unit variance."""
        return np.hstack([self.low, self.factors])


def make_stimuli(n_train: int, n_images: int, n_test: int, seed: np.random.SeedSequence) -> Stimuli:
    """Draw `n_train` concepts with `n_images` pictures each, and `n_test` others with one.

    The test set comes first from the generators, so that it does not depend on the size of the training set.
    """
    of_concepts, of_test, of_train = map(np.random.default_rng, seed.spawn(3))
    factors, names = sample_concepts(n_test + n_train, of_concepts)
    test, train = slice(None, n_test), slice(n_test, None)
    parts = []
    for part, per_concept, rng in ((train, n_images, of_train), (test, 1, of_test)):
        own = sample_images(factors[part], per_concept, VARIATION, rng)
        pictures = draw(own, np.repeat(factors[part], per_concept, axis=0), rng)
        numbered = [f"{name}_{number:02d}" for name in names[part] for number in range(1, per_concept + 1)]
        parts.append((np.array(numbered), np.repeat(names[part], per_concept), own, pictures))
    ids, concepts, own, pictures = (np.concatenate(pair) for pair in zip(*parts, strict=True))
    return Stimuli(
        ids,
        concepts,
        np.arange(len(ids)) >= n_train * n_images,
        pictures,
        own,
        low_level_features(pictures, N_LOW),
        np.concatenate([names[train], names[test]]),
        np.concatenate([factors[train], factors[test]]),
    )
