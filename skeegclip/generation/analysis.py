"""How generated pictures relate to the embeddings that they were painted from (section 3.3 of the ATM paper)."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.preprocessing import normalize
from sklearn.utils import check_array

from .._utils.ids import as_ids, positions, unique_ids
from .._utils.params import check_number
from ..embeddings.table import check_table
from ..metrics import cosine_similarity, n_way_table

if TYPE_CHECKING:
    import pandas as pd


def similarity_distributions(eeg: Any, generated: Any, others: Any, *, shown: Any = None) -> pd.DataFrame:
    """Compare each EEG embedding with random pictures, with those painted from it, and with the one shown.

    Parameters
    ----------
    eeg : array-like, shape (n, n_dims)
        EEG embeddings.
    generated : array-like, shape (n, n_dims) | (n, n_images, n_dims)
        Embeddings of the pictures generated from them, by the model whose space the EEG was mapped into.
    others : array-like, shape (n_others, n_dims)
        Embeddings of random pictures, for example of the training set.
    shown : array-like, shape (n, n_dims) | None
        Embeddings of the pictures shown.

    Returns
    -------
    DataFrame
        One row for each pair. Columns: ``row`` (of `eeg`), ``picture`` ("random", "generated" or "shown") and
        ``similarity``, the cosine.

    Raises
    ------
    ValueError
        If shapes do not match.

    References
    ----------
    Li et al., "Visual Decoding and Reconstruction via EEG Embeddings with Guided Diffusion", NeurIPS 2024, figure 6b.

    Examples
    --------
    >>> import numpy as np
    >>> from skeegclip.generation import similarity_distributions
    >>> rng = np.random.default_rng(0)
    >>> eeg = rng.normal(size=(20, 16))
    >>> table = similarity_distributions(eeg, eeg + rng.normal(size=(20, 16)), rng.normal(size=(50, 16)))
    >>> table.groupby("picture")["similarity"].mean().round(1)
    picture
    generated    0.7
    random      -0.0
    Name: similarity, dtype: float64
    """
    import pandas as pd

    eeg = check_array(eeg, input_name="eeg")
    own = {"generated": _stack(generated, "generated", eeg)}
    if shown is not None:
        own["shown"] = _stack(shown, "shown", eeg)
    others = check_array(others, input_name="others")
    cosines = {"random": cosine_similarity(eeg, others)}
    cosines |= {name: _cosines(vectors, eeg) for name, vectors in own.items()}
    return pd.concat(
        pd.DataFrame(
            {
                "row": np.repeat(np.arange(len(eeg)), values.shape[1]),
                "picture": name,
                "similarity": values.ravel(),
            }
        )
        for name, values in cosines.items()
    ).reset_index(drop=True)


def generated_retrieval(generated: Any, y: Any, gallery: Any, **kwargs: Any) -> pd.DataFrame:
    """Search a gallery for the pictures shown, with the embeddings of the pictures generated.

    Parameters
    ----------
    generated : array-like, shape (n, n_dims) | (n, n_images, n_dims)
        Embeddings of the generated pictures.
    y : array-like of str, shape (n,)
        Ids of the pictures shown, in the gallery.
    gallery : EmbeddingTable
        Embeddings of the pictures searched, from the same model.
    **kwargs : dict
        Further arguments of :func:`skeegclip.metrics.n_way_table`.

    Returns
    -------
    DataFrame
        Exact n-way accuracies, with intervals over stimuli.

    Raises
    ------
    KeyError
        If an id is not in the gallery.
    ValueError
        If shapes do not match.

    References
    ----------
    Li et al., "Visual Decoding and Reconstruction via EEG Embeddings with Guided Diffusion", NeurIPS 2024, figure 6a.

    Examples
    --------
    >>> import numpy as np
    >>> from skeegclip import EmbeddingTable
    >>> from skeegclip.generation import generated_retrieval
    >>> gallery = EmbeddingTable(list("abcd"), np.eye(4))
    >>> generated_retrieval([[1, 0.2, 0, 0], [0.5, 0.4, 0, 0]], ["a", "b"], gallery, n_ways=[2], ks=[1], n_resamples=0)
       n_way  k  accuracy  chance
    0      2  1  0.833333     0.5
    """
    check_table("gallery", gallery)
    names = as_ids(y, name="y")
    vectors = _stack(generated, "generated", np.empty((len(names), gallery.n_dims)))
    _, place = unique_ids(gallery.ids, name="gallery")
    target = positions(place, names, name="y", what="gallery")
    similarity = cosine_similarity(vectors.reshape(-1, gallery.n_dims), gallery.vectors)
    return n_way_table(similarity, np.repeat(target, vectors.shape[1]), **kwargs)


def guidance_curve(
    prior: Any,
    Z: Any,
    guidance_scales: Sequence[float] = (1.0, 2.0, 3.0, 5.0, 7.5, 10.0),
    *,
    n_samples: int = 10,
    truth: Any = None,
    generator: Any = None,
    embed: Callable[[np.ndarray], Any] | None = None,
    random_state: Any = None,
) -> pd.DataFrame:
    """Measure how near to the EEG, and how diverse, what is drawn is at each guidance scale.

    Parameters
    ----------
    prior : DiffusionPrior
        Fitted; it stays as it is.
    Z : array-like, shape (n, n_features)
        EEG embeddings.
    guidance_scales : sequence of float
        Values to try.
    n_samples : int
        Samples of each row, at least 2.
    truth : array-like, shape (n, n_dims) | None
        Embeddings of the pictures shown.
    generator : object | None
        Paints a picture from each sample, and `embed` embeds it: then the curve is of pictures. None takes the samples of
        the prior themselves.
    embed : callable | None
        From uint8 pictures (m, height, width, 3) to their embeddings (m, n_dims).
    random_state : int | RandomState | Generator | None
        Seed of the painting; every guidance scale gets the same one.

    Returns
    -------
    DataFrame
        One row for each scale. Columns: ``guidance_scale``; ``similarity``, the mean cosine with the EEG embedding (where
        it has the same width); ``similarity_to_truth``; ``diversity``, one minus the mean cosine between two samples of a
        row.

    Raises
    ------
    TypeError
        If there is no way to draw samples.
    ValueError
        If only one of `generator` and `embed` is given, or a shape or number is wrong.

    References
    ----------
    Li et al., "Visual Decoding and Reconstruction via EEG Embeddings with Guided Diffusion", NeurIPS 2024, figure 6d.

    Examples
    --------
    >>> import numpy as np
    >>> from skeegclip import DiffusionPrior
    >>> from skeegclip.generation import guidance_curve
    >>> rng = np.random.default_rng(0)
    >>> images = rng.normal(size=(200, 6))
    >>> Z = images + rng.normal(size=(200, 6))
    >>> prior = DiffusionPrior(net="gaussian", scheduler="ddim", n_steps=20, random_state=0, device="cpu").fit(Z, images)
    >>> curve = guidance_curve(prior, Z[:50], [1.0, 5.0], n_samples=4, truth=images[:50])
    >>> bool(curve["similarity"].is_monotonic_increasing and curve["diversity"].is_monotonic_decreasing)
    True
    """
    import pandas as pd

    if not hasattr(prior, "sample"):
        raise TypeError(f"prior must be a fitted DiffusionPrior, got {type(prior).__name__}.")
    if (generator is None) != (embed is None):
        raise ValueError("generator and embed go together: pictures are painted to be embedded.")
    check_number("n_samples", n_samples, low=2, integer=True)
    Z = check_array(Z, input_name="Z")
    rows = []
    for scale in guidance_scales:
        guided = copy.copy(prior).set_params(guidance_scale=scale)
        vectors = np.asarray(guided.sample(Z, n_samples))
        if generator is not None and embed is not None:
            flat = vectors.reshape(-1, vectors.shape[2])
            pictures = generator.generate(flat, random_state=copy.deepcopy(random_state))
            vectors = check_array(embed(pictures), input_name="embed(pictures)").reshape(
                len(Z), n_samples, -1
            )
        row = {"guidance_scale": float(scale)}
        if vectors.shape[2] == Z.shape[1]:
            row["similarity"] = float(_cosines(vectors, Z).mean())
        if truth is not None:
            row["similarity_to_truth"] = float(_cosines(vectors, _like(truth, "truth", vectors)).mean())
        rows.append(row | {"diversity": _diversity(vectors)})
    return pd.DataFrame(rows)


def _stack(vectors: Any, name: str, like: np.ndarray) -> np.ndarray:
    """Vectors as (n, n_images, n_dims), for the rows and the width of `like`."""
    array = check_array(vectors, allow_nd=True, input_name=name)
    array = array[:, None] if array.ndim == 2 else array
    if array.ndim != 3 or (len(array), array.shape[2]) != like.shape:
        raise ValueError(
            f"{name} must have shape {like.shape} or ({len(like)}, n_images, {like.shape[1]}), got"
            f" {np.shape(vectors)}."
        )
    return array


def _like(vectors: Any, name: str, samples: np.ndarray) -> np.ndarray:
    array = check_array(vectors, input_name=name)
    if array.shape != (len(samples), samples.shape[2]):
        raise ValueError(
            f"{name} must have shape {(len(samples), samples.shape[2])}, one vector for each row of Z as wide as the"
            f" samples, got {array.shape}."
        )
    return array


def _cosines(vectors: np.ndarray, own: np.ndarray) -> np.ndarray:
    """Cosine (n, n_images) of each vector of a row with the row's own one."""
    unit = normalize(vectors.reshape(-1, vectors.shape[2])).reshape(vectors.shape)
    return np.einsum("nsd,nd->ns", unit, normalize(own))


def _diversity(vectors: np.ndarray) -> float:
    """One minus the mean cosine of two different samples of a row."""
    n, n_samples, _ = vectors.shape
    unit = normalize(vectors.reshape(n * n_samples, -1)).reshape(vectors.shape)
    pairs = (np.square(unit.sum(axis=1)).sum(axis=1) - n_samples) / (n_samples * (n_samples - 1))
    return float(1 - pairs.mean())
