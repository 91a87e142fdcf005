"""Real brains: a gallery searched by published embeddings, and faces told from houses in single trials."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ...datasets import load_faces_houses, load_things_sub08
from ...metrics import bootstrap_interval

# What a rung is called -> the retriever's `hubness`. All but the first look at all queries together.
_RUNGS: dict[str, str | None] = {"Each query alone": None, "CSLS": "csls", "Sinkhorn": "sinkhorn"}
LOGISTIC, NETWORK = "Logistic regression", "EEGProject"
_EARS = ("TP9", "TP10")
_N_BINS, _WINDOW, _N_RESAMPLES = 25, 0.1, 500


@dataclass(frozen=True)
class Real:
    """What was found in the recordings of the package.

    Attributes
    ----------
    rungs : DataFrame
        By rung: share of pictures found first, its interval over pictures, and what is gained on the first rung.
    faces : DataFrame
        By decoder: area under the curve, faces against houses, its interval over epochs, and what it has more than logistic
        regression.
    course : DataFrame
        Area under the curve in windows of time, each the mean over stretches of the recording, with the standard error.
    evoked : DataFrame
        By time: mean response above the ears to faces and to houses, in microvolts, and its standard error over trials
        ("face_se", "house_se").
    counts : dict of str to int
        Trials of faces and of houses.
    """

    rungs: pd.DataFrame
    faces: pd.DataFrame
    course: pd.DataFrame
    evoked: pd.DataFrame
    counts: dict[str, int]

    @property
    def n_epochs(self) -> int:
        """Of faces and houses."""
        return sum(self.counts.values())


def look_at_real(*, n_passes: int, seed: int) -> Real:
    """Decode the recordings of the package.

    Parameters
    ----------
    n_passes : int
        Of the network that tells faces from houses.
    seed : int
        Of training and of the bootstrap.

    Returns
    -------
    Real
        What was found.
    """
    data = load_faces_houses()
    return Real(
        search_gallery(load_things_sub08(), seed),
        tell_faces(data, n_passes, seed),
        follow_time(data),
        evoked_above_ears(data),
        {name: int((data.y == name).sum()) for name in data.event_id},
    )


def evoked_above_ears(data: Any) -> pd.DataFrame:
    """Mean response of the two ears' channels to each kind of picture, and its standard error over trials."""
    ears = [data.ch_names.index(name) for name in _EARS]
    found = {}
    for name in data.event_id:
        trials = data.X[data.y == name][:, ears].mean(axis=1, dtype=np.float64)
        found[name] = trials.mean(axis=0)
        found[f"{name}_se"] = trials.std(axis=0, ddof=1) / np.sqrt(len(trials))
    return pd.DataFrame(found, index=pd.Index(data.times, name="time"))


def search_gallery(data: Any, seed: int) -> pd.DataFrame:
    """Share of subject 8's pictures that are found first, rung by rung."""
    from ...decoders.retrieval import ImageRetriever

    rows, alone = {}, None
    for name, hubness in _RUNGS.items():
        retriever = ImageRetriever("passthrough", gallery=data.image_embeddings, hubness=hubness)
        hits = (retriever.fit(data.X, data.y).predict(data.X) == data.y).astype(float)
        alone = hits if alone is None else alone
        rows[name] = _with_interval("found", hits, seed) | _with_interval("gain", hits - alone, seed)
    return pd.DataFrame.from_dict(rows, orient="index")


def _with_interval(name: str, values: np.ndarray, seed: int) -> dict[str, float]:
    low, high = bootstrap_interval(values, random_state=seed)
    return {name: values.mean(), f"{name}_low": low, f"{name}_high": high}


def tell_faces(data: Any, n_passes: int, seed: int) -> pd.DataFrame:
    """Area under the curve of a linear classifier and of a network, each fifth of the recording left out once."""
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import KFold, cross_val_predict

    from ...decoders.encoder import EEGEncoder
    from ...decoders.zero_shot import ZeroShotClassifier

    encoder = EEGEncoder("eegproject", lr=1e-3, max_epochs=n_passes, random_state=seed)
    decoders = {LOGISTIC: (_linear(), _binned(data.X)), NETWORK: (ZeroShotClassifier(encoder), data.X)}
    is_face = data.y == "face"
    scores = {
        # Classes are sorted: faces come first.
        name: cross_val_predict(decoder, X, data.y, cv=KFold(5), method="predict_proba")[:, 0]
        for name, (decoder, X) in decoders.items()
    }
    rng = np.random.default_rng([seed, 2])
    drawn = rng.multinomial(len(is_face), np.full(len(is_face), 1 / len(is_face)), size=_N_RESAMPLES)
    again = {
        name: np.array([roc_auc_score(is_face, score, sample_weight=counts) for counts in drawn])
        for name, score in scores.items()
    }
    rows = {}
    for name, score in scores.items():
        low, high = np.percentile(again[name], [2.5, 97.5])
        more_low, more_high = np.percentile(again[name] - again[LOGISTIC], [2.5, 97.5])
        auc = roc_auc_score(is_face, score)
        more = auc - roc_auc_score(is_face, scores[LOGISTIC])
        rows[name] = {"auc": auc, "auc_low": low, "auc_high": high}
        rows[name] |= {"more": more, "more_low": more_low, "more_high": more_high}
    return pd.DataFrame.from_dict(rows, orient="index")


def follow_time(data: Any) -> pd.DataFrame:
    """Area under the curve of logistic regression in windows of a tenth of a second, every twentieth."""
    from sklearn.model_selection import KFold, cross_val_score

    rows = []
    for start in np.arange(data.times[0], data.times[-1] - _WINDOW + 1e-9, _WINDOW / 2):
        window = (data.times >= start) & (data.times < start + _WINDOW)
        X = _binned(data.X[:, :, window], n_bins=3)
        auc = cross_val_score(_linear(), X, data.y == "face", cv=KFold(5), scoring="roc_auc")
        rows.append(
            {"time": start + _WINDOW / 2, "auc": auc.mean(), "se": auc.std(ddof=1) / np.sqrt(len(auc))}
        )
    return pd.DataFrame(rows)


def _linear() -> Any:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LogisticRegression(C=1e-2, max_iter=1000))


def _binned(X: np.ndarray, n_bins: int = _N_BINS) -> np.ndarray:
    """Means over time bins, one row for each epoch."""
    parts = np.array_split(X, n_bins, axis=2)
    return np.stack([part.mean(axis=2) for part in parts], axis=2).reshape(len(X), -1)
