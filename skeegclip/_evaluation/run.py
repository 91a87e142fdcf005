"""Train and test one estimator on one fold: what a worker of `evaluate` does."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sklearn import config_context
from sklearn.base import clone, is_classifier
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline

from .._utils.epoched import is_view
from .._utils.estimators import embed, find_table, inner_most, last_step, project, wanted
from .._utils.inputs import carried_subject
from .._utils.seeding import set_seeds
from .._version import __version__
from ..decoders.composite import EmbeddingComposite
from ..decoders.encoder import EEGEncoder
from ..decoders.retrieval import ImageRetriever
from ..metrics import cosine_similarity
from ..metrics.of_estimators import image_similarity
from ..preprocessing import average_repetitions
from .cells import Cell, Ranked, rank
from .company import depends_on_company
from .frozen import frozen_findings, parts_of


@dataclass(frozen=True)
class Task:
    """Data and settings that all cells of an evaluation share.

    Attributes
    ----------
    X : ndarray | EpochsView | Epochs
        All epochs.
    y, subject, concept : ndarray of str, shape (n_epochs,) | None
        Stimulus, person and kind of each.
    targets, candidates : EmbeddingTable | None
        For estimators without targets of their own; and vectors of the concepts.
    average_test, oracle : bool
        As in `evaluate`.
    random_state : int
        Seed of the seeds.
    """

    X: Any
    y: np.ndarray
    subject: np.ndarray | None
    concept: np.ndarray | None
    targets: Any
    candidates: Any
    average_test: bool
    oracle: bool
    random_state: int


def run_cell(
    task: Task, name: str, estimator: Any, fold: str, train: np.ndarray, test: np.ndarray, seed: int
) -> Cell:
    """Fit a clone on the training rows and rank the test rows."""
    decoder = as_decoder(estimator, task.targets)
    set_seeds(decoder, np.random.default_rng([task.random_state, seed]))
    with tempfile.TemporaryDirectory(prefix="skeegclip-") if task.oracle else nullcontext() as passes:
        if passes is not None:
            _keep_passes(decoder, passes)
        start = time.perf_counter()
        _fit(decoder, task, train)
        seconds = time.perf_counter() - start
        queries = _queries(task, test)
        tasks, notes, steps = _rank_tasks(decoder, task, queries)
        encoders = list(fitted_encoders(decoder))
        if passes is not None and encoders and "retrieval" in tasks:
            tasks["retrieval"] = _with_passes(decoder, task, queries, encoders, tasks["retrieval"])
    return Cell(
        name,
        fold,
        seed,
        tasks,
        {
            "selection": [_selection(encoder) for encoder in encoders],
            "transductive": steps,
            "frozen": frozen_parts(decoder, task, test),
            "notes": notes,
            "labels": _table(decoder) is None,
            "n_train": len(train),
            "n_train_stimuli": len(np.unique(task.y[train])),
            "n_test": len(queries.y),
            "n_averaged": [int(queries.counts.min()), int(queries.counts.max())],
            "seconds": round(seconds, 3),
            "version": __version__,
        },
    )


def as_decoder(estimator: Any, targets: Any) -> Any:
    """A clone whose last step is a classifier, or searches images: encoders are put into an ImageRetriever."""
    decoder = clone(estimator)
    last, frozen = decoder, False
    while (inside := _inside(last)) is not None:
        frozen = frozen or isinstance(last, FrozenEstimator)
        last = inside
    if isinstance(last, ImageRetriever) or is_classifier(last):
        if isinstance(last, EmbeddingComposite) and find_table(last) is None and not frozen:
            last.set_params(targets=targets)
        return decoder
    # The table of an encoder is its own business; `targets` are for those without.
    return ImageRetriever(decoder, targets=None if find_table(decoder) is not None else targets)


def _inside(estimator: Any) -> Any:
    """The last step of a Pipeline, and what a search, a frozen or another estimator is around; None of all else."""
    if isinstance(estimator, Pipeline):
        return estimator.steps[-1][1]
    inside = getattr(estimator, "estimator", None)  # in another library the name of a method, as text
    return inside if hasattr(inside, "fit") and not isinstance(inside, type) else None


def _fit(decoder: Any, task: Task, train: np.ndarray) -> None:
    X, y = task.X[train], task.y[train]
    if task.subject is None or carried_subject(task.X) is not None:
        decoder.fit(X, y)
        return
    with config_context(enable_metadata_routing=True):
        decoder.fit(X, y, **wanted(decoder, "fit", {"subject": task.subject[train]}))


@dataclass(frozen=True)
class Queries:
    """Test epochs, averaged where asked for, and how many trials each stands for."""

    X: Any
    y: np.ndarray
    subject: np.ndarray | None
    concept: np.ndarray | None
    counts: np.ndarray

    @property
    def who(self) -> dict[str, np.ndarray]:
        """Subject and stimulus of each query."""
        people = np.full(len(self.y), "all") if self.subject is None else self.subject
        return {"subject": people, "stimulus": self.y}

    @property
    def params(self) -> dict[str, np.ndarray]:
        """The subject, where it must be handed over because X does not carry it."""
        if self.subject is None or carried_subject(self.X) is not None:
            return {}
        return {"subject": self.subject}


def _queries(task: Task, test: np.ndarray) -> Queries:
    X, y = task.X[test], task.y[test]
    subject = None if task.subject is None else task.subject[test]
    concept = None if task.concept is None else task.concept[test]
    if not task.average_test:
        return Queries(X, y, subject, concept, np.ones(len(y), dtype=int))
    X, shown, people = average_repetitions(X, y, subject)
    X = X.load() if is_view(X) else X  # it is looked at several times
    keys = y if subject is None else np.char.add(np.char.add(subject, "\x1f"), y)
    made = shown if people is None else np.char.add(np.char.add(people, "\x1f"), shown)
    names, first, counts = np.unique(keys, return_index=True, return_counts=True)
    place = np.searchsorted(names, made)
    return Queries(X, shown, people, None if concept is None else concept[first[place]], counts[place])


def _rank_tasks(decoder: Any, task: Task, queries: Queries) -> tuple[dict[str, Ranked], list[str], list[str]]:
    """Rank the true items in every task that the decoder and the data allow; notes, and transductive steps."""
    tasks, notes = {}, []
    table = _table(decoder)

    def ask(X: Any, params: dict[str, np.ndarray]) -> np.ndarray:
        if table is not None:
            return image_similarity(decoder, X, table, gallery, params)
        return _class_scores(decoder, replace(queries, X=X, subject=params.get("subject")))[0]

    if table is not None:
        gallery = np.unique(queries.y)
        scores = ask(queries.X, queries.params)
        tasks["retrieval"] = rank(scores, gallery, queries.y, **queries.who)
        if task.candidates is not None and queries.concept is not None:
            names = np.unique(queries.concept)
            vectors = task.candidates.lookup(names)
            if vectors.shape[1] == table.n_dims:
                z = embed(decoder, queries.X, queries.params)
                similarity = cosine_similarity(z, project(decoder, vectors))
                tasks["classification"] = rank(similarity, names, queries.concept, **queries.who)
            else:
                notes.append(
                    f"classification left out: candidates have {vectors.shape[1]} dimensions, its targets {table.n_dims}"
                )
    else:
        scores, classes = _class_scores(decoder, queries)
        labels = np.array([str(label) for label in classes.tolist()])
        order = np.argsort(labels)
        unknown = np.setdiff1d(queries.y, labels)
        if len(unknown):
            raise ValueError(
                f"{len(unknown)} labels of the test set were not in training (first: {str(unknown[0])!r}): a classifier"
                " without targets cannot name them. Pass targets=EmbeddingTable(...), or another cv."
            )
        tasks["classification"] = rank(scores[:, order], labels[order], queries.y, **queries.who)
    last = inner_most(decoder)
    if table is not None and isinstance(last, ImageRetriever) and last.gallery is not None:
        notes.append(
            f"its own gallery of {len(last.gallery)} pictures: searched are the {len(gallery)} test stimuli of the fold"
        )
    steps = transductive_steps(decoder)
    if not steps and (said := depends_on_company(ask, queries.X, queries.params, scores)) is not None:
        steps = [said]
    return tasks, notes, steps


def _table(decoder: Any) -> Any:
    """The table of image vectors that the decoder was trained on, or None for a classifier of labels."""
    table = find_table(decoder)
    return None if table is None or getattr(table, "meta", {}).get("class_codes") else table


def _class_scores(decoder: Any, queries: Queries) -> tuple[np.ndarray, Any]:
    last, X = last_step(decoder, queries.X, queries.params)
    params = wanted(last, "predict", queries.params)
    if isinstance(last, ImageRetriever):  # labels, by their codes
        return last.similarity(X, **params), last.seen_
    scores = (last.decision_function if hasattr(last, "decision_function") else last.predict_proba)(
        X, **params
    )
    # scikit-learn's form for two classes is one column.
    return (scores if scores.ndim == 2 else np.column_stack([-scores, scores])), last.classes_


def _keep_passes(decoder: Any, folder: str) -> None:
    from .._training.callbacks import KeepPasses

    for name, part in [("", decoder), *decoder.get_params().items()]:
        if isinstance(part, EEGEncoder):
            key = f"{name}__callbacks" if name else "callbacks"
            decoder.set_params(**{key: [*(part.callbacks or []), ("keep_passes", KeepPasses(folder))]})


def _with_passes(
    decoder: Any, task: Task, queries: Queries, encoders: list[EEGEncoder], ranked: Ranked
) -> Ranked:
    """Rank the queries with the weights of every pass; the encoders of an ensemble go through them together."""
    import torch

    from .._training.callbacks import KeepPasses, get_weights, set_weights

    kept = [
        next((cb.passes() for _, cb in encoder.net_.callbacks if isinstance(cb, KeepPasses)), [])
        for encoder in encoders
    ]
    n_passes = min(len(files) for files in kept)
    chosen = [get_weights(encoder.net_) for encoder in encoders]
    counts = []
    for number in range(n_passes):
        for encoder, files in zip(encoders, kept, strict=True):
            set_weights(
                encoder.net_, torch.load(files[number], map_location=encoder.net_.device, weights_only=True)
            )
        similarity = image_similarity(decoder, queries.X, _table(decoder), ranked.gallery, queries.params)
        here = rank(similarity, ranked.gallery, queries.y, **queries.who)
        counts.append((here.better, here.equal))
    for encoder, weights in zip(encoders, chosen, strict=True):
        set_weights(encoder.net_, weights)
    if not counts:
        return ranked
    better, equal = (np.stack(part) for part in zip(*counts, strict=True))
    return replace(ranked, pass_better=better, pass_equal=equal)


def fitted_encoders(estimator: Any) -> Iterator[EEGEncoder]:
    """All fitted EEGEncoders inside a fitted estimator."""
    for part in parts_of(estimator):
        if isinstance(part, EEGEncoder) and hasattr(part, "net_"):
            yield part


def frozen_parts(estimator: Any, task: Task, test: np.ndarray) -> list[tuple[str, str]]:
    """Levels and sentences about what the frozen parts of an estimator have seen of the test set."""
    return frozen_findings(estimator, task.X, task.y, task.subject, test, _table(estimator))


def transductive_steps(estimator: Any) -> list[str]:
    """What steps of an estimator look at the test epochs together."""
    said = []
    for part in parts_of(estimator):
        said.append(getattr(part, "_transductive", None))
        if getattr(part, "transductive_", False):  # preprocessing
            said.append(
                f"{type(part).__name__}: people not seen in training are scaled by their own test epochs"
            )
    return list(dict.fromkeys(text for text in said if text))


def _selection(encoder: EEGEncoder) -> dict[str, Any]:
    chosen = encoder.selection_
    return {
        "net": str(getattr(encoder.net, "__name__", encoder.net)),
        "n_passes": len(encoder.history_),
        **chosen,
    }
