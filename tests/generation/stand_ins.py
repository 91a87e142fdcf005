"""Stand-ins for the parts of a reconstructor, which keep what they are given."""

from __future__ import annotations

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.linear_model import Ridge


class Recorder(BaseEstimator):
    """A generator that paints the mean of an embedding, and keeps what it was given."""

    batch_size = 8

    def __init__(self, fails_at=None):
        self.fails_at = fails_at
        self.log = []

    def generate(self, embeddings, low_level=None, captions=None, random_state=None):
        self.log.append(
            {"Z": embeddings, "low_level": low_level, "captions": captions, "seeds": random_state}
        )
        if self.fails_at is not None and len(self.log) == self.fails_at:
            raise RuntimeError("out of memory")
        level = np.clip(128 + 40 * embeddings.mean(axis=1), 0, 255).astype(np.uint8)
        return np.broadcast_to(level[:, None, None, None], (len(level), 4, 4, 3)).copy()

    def __sklearn_clone__(self):
        return self


class Blur(BaseEstimator):
    """A low-level decoder: the mean colour of what was seen."""

    def fit(self, X, images):
        assert X.ndim == 3
        self.ridge_ = Ridge().fit(X.reshape(len(X), -1), [np.mean(image, axis=(0, 1)) for image in images])
        return self

    def transform(self, X):
        colour = self.ridge_.predict(X.reshape(len(X), -1))
        return np.broadcast_to(np.clip(colour, 0, 255).astype(np.uint8)[:, None, None], (len(X), 4, 4, 3))


class Namer(BaseEstimator):
    """A captioner: the id of the nearest stimulus."""

    def __init__(self, targets=None):
        self.targets = targets

    def fit(self, Z, y):
        self.ids_ = np.unique(y)
        self.Z_ = Z
        return self

    def predict(self, Z):
        nearest = np.argmin(((Z[:, None] - self.targets.vectors) ** 2).sum(axis=2), axis=1)
        return [f"{self.targets.ids[i]} of {len(self.ids_)}" for i in nearest]


class Sampler(BaseEstimator):
    """A prior with samples: the embedding times its scale, and a little apart."""

    def __init__(self, targets=None, guidance_scale=1.0, random_state=None):
        self.targets = targets
        self.guidance_scale = guidance_scale
        self.random_state = random_state

    def fit(self, Z, y):
        self.Z_, self.y_ = Z, y
        return self

    def transform(self, Z):
        return self.guidance_scale * Z

    def sample(self, Z, n_samples):
        return self.transform(Z)[:, None] + 0.01 * np.arange(n_samples)[:, None]
