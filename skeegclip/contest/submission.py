"""A fitted decoder as the folder that a contest runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from collections.abc import Sequence
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from .._utils.estimators import embed, fitted_parts, is_pipeline, project, steps, unwrap
from .._utils.inputs import read_epochs
from .._utils.listed import check_unclaimed, write_listed
from .._utils.params import check_number
from .._utils.scratch import scratch_folder
from .._utils.size import size_of
from .._utils.stated import Stated, check_alike
from .._version import __version__
from ..epochs import EpochsView
from ._bare import SCRIPT
from ._readme import README

if TYPE_CHECKING:
    from torch import nn

_FILES = ("submission.py", "model.pt2", "facts.json", "README.md", "requirements.txt")
_TOLERANCE = 1e-5  # of the largest prediction
_TRIED = (1, 5)  # rows of the batches that are compared
_SECONDS = 600


def export_submission(
    decoder: Any,
    folder: str | os.PathLike,
    X: Any = None,
    *,
    ch_names: Sequence[str] | None = None,
    sfreq: float | None = None,
) -> None:
    """Write a fitted decoder as a folder that the EEG-to-Image contest runs.

    The folder holds ``submission.py`` with the class ``Solver`` that the contest asks for (``load_model(meta)``,
    ``save_model(model, path)``; for inference only, and so without ``fit``), ``model.pt2``, the whole decoder as a program
    of torch, preprocessing included, ``facts.json``, ``README.md`` and ``requirements.txt``. It needs torch and nothing
    else: neither this package nor scikit-learn is there when it runs. Before it is written, a bare process that can import
    torch and numpy only runs it, and what it predicts is compared with the decoder, to 1e-5 of the largest number.

    The contest does not say whose an epoch is: everybody is unknown, as people never seen. Predictions are in the space of
    the targets. Of a decoder that compares in a space of its own (``EEGEncoder(projector=...)``,
    :class:`~skeegclip.InvertedEncoding`) they are the vectors whose products with targets are the products of that space.

    Parameters
    ----------
    decoder : EEGEncoder | EnsembleEncoder | ImageRetriever | Pipeline | regressor
        Fitted. Steps may be those of ``skeegclip.preprocessing``, and whatever is linear of other libraries.
    folder : path-like
        Made if missing. What an earlier export wrote is replaced, and nothing else.
    X : array-like, shape (n_epochs, n_chans, n_times) | Epochs | EpochsView | None
        A few epochs that it can decode, on which the folder is compared with it. None takes noise; needed where epochs
        reach a part of another library first, which does not remember their shape, and as Epochs or a view of the
        contest's cap for ``EEGEncoder(montage="positions")``: the folder reads that cap, whatever those of fit were.
    ch_names : sequence of str | None
        Names of the channels, where the decoder was fitted on arrays, which have none. They let the folder put the channels
        of another order in place.
    sfreq : float | None
        Sampling rate in Hz, where the decoder was fitted on arrays.

    Raises
    ------
    NotFittedError
        If the decoder is not fitted.
    ValueError
        If a part of the decoder cannot be exported (the message names it and says what to do), if what is given
        contradicts what the decoder knows, or if the predictions differ.
    FileExistsError
        If a file in the folder has one of these names and is not what an earlier export wrote.
    RuntimeError
        If the bare process fails.

    See Also
    --------
    skeegclip.recipes.contest : A decoder for it.
    skeegclip.metrics.make_retrieval_scorer : The contest's score, with ``average="embeddings"``.

    Examples
    --------
    >>> import numpy as np
    >>> from skeegclip import AveragedTraining, EmbeddingTable, InvertedEncoding
    >>> from skeegclip.contest import export_submission
    >>> rng = np.random.default_rng(0)
    >>> ids, X, Y = [f"image_{i}" for i in range(40)], rng.normal(size=(40, 3, 10)), rng.normal(size=(40, 6))
    >>> decoder = AveragedTraining(InvertedEncoding(), targets=EmbeddingTable(ids, Y)).fit(X, ids)
    >>> export_submission(decoder, "submission", ch_names=["O1", "Oz", "O2"], sfreq=120)  # doctest: +SKIP
    """
    import torch

    from ._translate import translate

    check_unclaimed(folder, _FILES)
    stated, shape, spread, places = _input_of(decoder, X, ch_names, sfreq)
    model = translate(decoder, shape, places).eval()
    with scratch_folder("submission") as place:
        n_outputs = _write_program(model, shape, spread, place / "model.pt2")
        facts = {
            "skeegclip": __version__,
            "torch": torch.__version__,
            "ch_names": stated.ch_names,
            "sfreq": stated.sfreq,
            "n_chans": shape[0],
            "n_times": shape[1],
            "n_outputs": n_outputs,
        }
        version = torch.__version__.partition("+")[0]
        contents = {
            "submission.py": files(__package__).joinpath("_solver.py").read_bytes(),
            "model.pt2": (place / "model.pt2").read_bytes(),
            "facts.json": json.dumps(facts, indent=1).encode(),
            "README.md": README.format(version=version, **facts).encode(),
            "requirements.txt": f"torch>={version}\n".encode(),
        }
        for name in set(contents) - {"model.pt2"}:
            (place / name).write_bytes(contents[name])
        rng = np.random.default_rng(0)
        noise = (spread * rng.standard_normal((max(_TRIED), *shape))).astype(np.float32)
        epochs = noise if X is None else np.asarray(read_epochs(X).X, dtype=np.float32)
        tried = [epochs[:n] for n in _TRIED]
        # First, because a decoder says best what it cannot take.
        given = _as_asked(decoder, X, epochs)
        expected = [_expected(decoder, given[:n], n_outputs) for n in _TRIED]
        for of_decoder, found in zip(expected, _run_bare(place, tried), strict=True):
            _compare(found, of_decoder)
    write_listed(folder, contents)


def _input_of(
    decoder: Any, X: Any, ch_names: Any, sfreq: Any
) -> tuple[Stated, tuple[int, int], float, np.ndarray | None]:
    """What is known of the epochs that the decoder takes, their shape, how large they are, and, where that is asked for, where
    their channels are."""
    check_number("sfreq", sfreq, low=0, open_low=True, none=True)
    first = _first(decoder)
    known, places = getattr(first, "_stated", None) or Stated(), None
    if getattr(first, "montage", None) is not None:
        shape, known, places = _of_cap(first, X)
    elif hasattr(first, "n_times_in_"):
        shape = first.n_chans_, first.n_times_in_
    elif X is not None:
        read = read_epochs(X)
        shape, known = read.X.shape[1:], replace(read.stated, size=size_of(read.X))
    else:
        raise ValueError(
            f"X is needed: {type(first).__name__}, which epochs reach first, does not tell their shape. Pass a few epochs."
        )
    names = None if ch_names is None else tuple(map(str, ch_names))
    if names is not None and len(names) != shape[0]:
        raise ValueError(
            f"ch_names must name the {shape[0]} channels that the decoder was fitted on, got {len(names)}."
        )
    check_alike(Stated(ch_names=names, sfreq=sfreq), known, "the decoder was fitted with")
    stated = replace(known, ch_names=names or known.ch_names, sfreq=sfreq or known.sfreq)
    return stated, shape, (stated.size or (1.0,))[0] or 1.0, places


def _of_cap(encoder: Any, X: Any) -> tuple[tuple[int, int], Stated, np.ndarray]:
    """Shape, names and places of the epochs that an encoder of any cap is exported for."""
    if X is None or not hasattr(X, "info"):
        raise ValueError(
            f"X is needed: {type(encoder).__name__}(montage='positions') reads any cap. Pass a few epochs of the contest's,"
            " as mne.Epochs or a view, which name their channels."
        )
    read = encoder._read(X[: max(_TRIED)], None)
    if np.isnan(read.X).any():  # an epoch that lacks channels of others
        raise ValueError("X holds epochs of several caps. Pass those of one, the contest's.")
    return read.X.shape[1:], replace(read.stated, size=size_of(read.X)), read.places


def _as_asked(decoder: Any, X: Any, epochs: np.ndarray) -> Any:
    """The epochs as an array, or, for encoders of any cap, with their channels; of nobody in particular, as in the contest."""
    any_cap = any(getattr(part, "montage", None) is not None for part in fitted_parts(decoder))
    if not (any_cap and hasattr(X, "info")):
        return epochs
    from mne import pick_channels, pick_info

    view = EpochsView.from_epochs(X[: max(_TRIED)])
    if view.info is None or view.ch_names is None:
        return view
    picks = pick_channels(view.info["ch_names"], list(view.ch_names), ordered=True)
    return EpochsView.from_arrays(np.asarray(view), info=pick_info(view.info, picks))


def _first(estimator: Any) -> Any:
    """The part of a decoder that epochs reach first."""
    estimator = unwrap(estimator)
    check_is_fitted(estimator)
    if is_pipeline(estimator):
        return _first(steps(estimator)[0])
    if hasattr(estimator, "n_times_in_"):
        return estimator
    if members := getattr(estimator, "members_", None):
        return _first(members[0])
    return _first(estimator.encoder_) if hasattr(estimator, "encoder_") else estimator


def _write_program(model: nn.Module, shape: tuple[int, int], spread: float, path: Path) -> int:
    """Export the network for batches of any size; return how wide its predictions are."""
    import torch

    x = spread * torch.from_numpy(np.random.default_rng(1).standard_normal((3, *shape)).astype(np.float32))
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            program = torch.export.export(
                model, (x,), dynamic_shapes=({0: torch.export.Dim("batch")},), strict=False
            )
            torch.export.save(program, path)
            return model(x).shape[1]
    except Exception as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise ValueError(
            f"decoder cannot be exported: torch.export says {reason[0].rstrip('.')!r}. Use another net."
        ) from error


def _run_bare(place: Path, tried: list[np.ndarray]) -> list[np.ndarray]:
    """What the folder predicts in a process that has torch and numpy only."""
    paths = [place / f"{number}.npy" for number in range(len(tried))]
    for path, X in zip(paths, tried, strict=True):
        np.save(path, X)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, place, *paths],
        capture_output=True,
        text=True,
        cwd=place,
        timeout=_SECONDS,
        check=False,
    )
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["it says nothing"]
        raise RuntimeError(
            f"a process with torch and numpy only cannot run this decoder: {said[-1]} Use another net."
        )
    return [np.load(path) for path in paths]


def _expected(decoder: Any, X: np.ndarray, n_outputs: int) -> np.ndarray:
    """What the decoder predicts, in the space of the targets."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # noise is no EEG
        z = embed(decoder, X, {})
    unit = np.eye(n_outputs)
    image = project(decoder, unit)
    return z if image is unit or np.array_equal(image, unit) else z @ (image - project(decoder, 0 * unit)).T


def _compare(found: np.ndarray, expected: np.ndarray) -> None:
    size = max(float(np.abs(expected).max()), 1e-12)
    error = float(np.abs(found - expected).max()) / size if found.shape == expected.shape else np.inf
    if not error <= _TOLERANCE:
        raise ValueError(
            f"decoder cannot be exported: the folder's predictions, shape {found.shape}, differ from its own, shape"
            f" {expected.shape}, by {error:.1e} of their size, more than {_TOLERANCE:g}."
        )
