"""What an encoder takes, whoever wrote it: epochs or matrices, stimulus ids or vectors, weights."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
from sklearn import config_context
from sklearn.utils.validation import has_fit_parameter

from .._utils.channels import data_picks
from .._utils.epoched import Epoched
from .._utils.estimators import is_own, is_pipeline, learners, steps
from .._utils.inputs import as_mne_list, read_epochs
from .._utils.loaded import loaded
from ..embeddings import EmbeddingTable


def says_three_d(estimator: Any) -> bool:
    """Whether an estimator announces three-dimensional input in its tags."""
    return hasattr(estimator, "__sklearn_tags__") and bool(
        estimator.__sklearn_tags__().input_tags.three_d_array
    )


def takes_epochs(encoder: Any) -> bool:
    """Whether X goes in as it is: to a Pipeline, to what announces three dimensions, to a net, and to what wraps these.

    What else there is (a bare regressor, or a search around one) takes matrices.
    """
    net = loaded("skorch", "NeuralNet")
    return (
        is_pipeline(encoder)
        or (net is not None and isinstance(encoder, net))
        or says_three_d(encoder)
        or any(map(takes_epochs, learners(encoder)))
    )


def as_input(encoder: Any, X: Any, read: Epoched | None = None) -> Any:
    """X for the encoder: as it is for one of ours, for others an array (flat where they take matrices).

    Epochs of MNE become microvolts of the data channels, whole or in rows that scikit-learn has cut, so that no door leads
    to another unit; only a step that MNE scales by an `info` gets theirs. `read` is X as read, where somebody has done so.
    """
    if not takes_epochs(encoder):
        shape = getattr(X, "shape", None)
        if shape is not None and len(shape) == 2:
            return X
        array = np.asarray((read or read_epochs(X)).X)
        if array.ndim == 3 and len(array) == 0:
            raise ValueError("Found array with 0 sample(s) in X while a minimum of 1 is required.")
        return array.reshape(len(array), -1) if array.ndim == 3 else X
    first = encoder
    while not says_three_d(first):
        first = next(iter(steps(first) if is_pipeline(first) else learners(first)), None)
        if first is None:
            break
        if (parts := as_mne_list(X)) is not None and _scales_by_info(first):
            return _in_own_unit(parts, first)
    else:
        return X
    is_array = isinstance(X, np.ndarray) or hasattr(X, "__dlpack__")
    return X if is_array else np.asarray((read or read_epochs(X)).X)


def _scales_by_info(step: Any) -> bool:
    """Whether a step is MNE's and knows from an info in which unit its channels come."""
    return type(step).__module__.startswith("mne.") and getattr(step, "info", None) is not None


def _in_own_unit(parts: list, step: Any) -> np.ndarray:
    """Epochs, or the rows that scikit-learn has cut them into, as an array in volts (or tesla)."""
    for part in parts:
        names = [part.ch_names[i] for i in np.setdiff1d(np.arange(len(part.ch_names)), data_picks(part.info))]
        if names:
            raise ValueError(
                f"X holds channels that are not data ({', '.join(names[:5])}), and {type(step).__name__} gets all the"
                " channels of its info. Pass epochs.pick('data'), and the info of these to the step."
            )
    return np.concatenate([part.get_data(copy=False) for part in parts])


def explain_step(error: ValueError, encoder: Any, X: Any) -> None:
    """Say what to do where a step wants matrices and got epochs, or wants classes or one number and got vectors."""
    text = str(error)
    if "y should be a 1d array" in text:
        raise ValueError(
            f"{text.rstrip('.')}: an encoder learns the vectors of the targets, not classes. For a regressor of one number"
            " put sklearn.multioutput.MultiOutputRegressor around it; a step that learns from classes, such as CSP, has no"
            " place in it."
        ) from error
    if "dim 3" in text and is_pipeline(encoder) and getattr(X, "ndim", 0) == 3:
        raise ValueError(
            f"{text.rstrip('.')}: a Pipeline as encoder gets epochs as they are, shape {tuple(X.shape)}. Put"
            " a step that flattens them before it, such as mne.decoding.Vectorizer()."
        ) from error


def target_slots(encoder: Any) -> list[str]:
    """Names of the parameters of an encoder that hold the table, or tables, it looks ids up in."""
    params = encoder.get_params()
    slots = []
    for name, value in params.items():
        owner, _, last = name.rpartition("__")
        # Somebody else's `targets` may mean anything, unless it holds a table.
        if last == "targets" and (
            isinstance(value, EmbeddingTable)
            or (
                (value is None or isinstance(value, (list, tuple, dict)))
                and is_own(params[owner] if owner else encoder)
            )
        ):
            slots.append(name)
    return slots


def ask_for_weights(encoder: Any) -> None:
    """Have what learns the targets in `encoder`, a clone, ask for sample_weight; refuse where it takes none."""
    chain = [encoder]
    while (inner := next(learners(chain[-1]), None)) is not None:
        chain.append(inner)
    takes = [has_fit_parameter(part, "sample_weight") for part in chain]
    hands_on = [_takes_any(part.fit) for part in chain]
    last = max((number for number, yes in enumerate(takes) if yes), default=-1)
    stops = next((n for n in range(last) if not takes[n] and not hands_on[n]), None)
    if last < 0 or stops is not None:
        culprit = type(chain[-1 if stops is None else stops]).__name__
        raise TypeError(
            f"sample_weight: fit of {culprit} takes no weights. Use an encoder whose fit does, such as EEGEncoder or"
            " Ridge, or neither sample_weight nor class_weight."
        )
    with config_context(enable_metadata_routing=True):
        for part in [encoder, *encoder.get_params().values()]:
            if isinstance(part, type) or not hasattr(part, "fit"):
                continue
            learns = any(part is other for other in chain)
            if hasattr(part, "set_fit_request") and has_fit_parameter(part, "sample_weight"):
                _settle(part, "fit", learns)
            # What a search chooses by is weighted as well: Pipeline.score could not bear a refusal.
            scores = learns and hasattr(part, "set_score_request")
            if scores and "sample_weight" in inspect.signature(part.score).parameters:
                _settle(part, "score", True)


def _takes_any(method: Any) -> bool:
    return any(p.kind is p.VAR_KEYWORD for p in inspect.signature(method).parameters.values())


def _settle(part: Any, method: str, wanted: bool) -> None:
    """Ask for sample_weight or not, where the user has left it open."""
    requests = getattr(getattr(part.get_metadata_routing(), method, None), "requests", {})
    if requests.get("sample_weight", wanted) is None or wanted and "sample_weight" not in requests:
        getattr(part, f"set_{method}_request")(sample_weight=wanted)
