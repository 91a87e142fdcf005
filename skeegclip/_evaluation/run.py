"""Train and test one estimator on one fold: what a worker of `evaluate` does."""

from __future__ import annotations

import time
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import numpy as np

from .._utils.company import each_alone
from .._utils.estimators import embed, inner_most, project
from .._utils.scratch import scratch_folder
from .._utils.seeding import set_seeds
from .._version import __version__
from ..decoders.encoder import EEGEncoder
from ..decoders.retrieval import ImageRetriever
from ..metrics import cosine_similarity
from ..metrics.of_estimators import image_similarity
from .cells import Cell, Ranked, rank
from .company import Ask, depends_on_company
from .decoder import (
    as_decoder,
    class_scores,
    fit,
    fitted_encoders,
    frozen_parts,
    targets_of,
    transductive_steps,
)
from .passes import keep_passes, with_passes
from .queries import Queries, averaged, queries_of
from .task import Task


def run_cell(
    task: Task, name: str, estimator: Any, fold: str, train: np.ndarray, test: np.ndarray, seed: int
) -> Cell:
    """Fit a clone on the training rows and rank the test rows."""
    decoder = as_decoder(estimator, task.targets)
    set_seeds(decoder, np.random.default_rng([task.random_state, seed]))
    with scratch_folder("passes") if task.oracle else nullcontext() as passes:
        if passes is not None:
            keep_passes(decoder, passes)
        start = time.perf_counter()
        fit(decoder, task, train)
        seconds = time.perf_counter() - start
        queries = queries_of(task, test)
        tasks, alone, notes, steps = _rank_tasks(decoder, task, queries)
        counts = queries.counts
        if task.average_test == "embeddings":
            counts = averaged(queries, np.zeros((len(queries.y), 0)))[0].counts
        encoders = list(fitted_encoders(decoder))
        if passes is not None and encoders and "retrieval" in tasks:
            tasks["retrieval"] = with_passes(decoder, queries, encoders, tasks["retrieval"])
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
            "labels": targets_of(decoder) is None,
            "n_train": len(train),
            "n_train_stimuli": len(np.unique(task.y[train])),
            "n_test": len(counts),
            "n_averaged": [int(counts.min()), int(counts.max())],
            "seconds": round(seconds, 3),
            "version": __version__,
        },
        alone,
    )


def _rank_tasks(
    decoder: Any, task: Task, queries: Queries
) -> tuple[dict[str, Ranked], dict[str, Ranked], list[str], list[str]]:
    """Rank the true items in every task that the decoder and the data allow, together and alone; notes, transductive steps."""
    table = targets_of(decoder)
    gallery = np.unique(queries.y)

    def ask(X: Any, params: dict[str, np.ndarray]) -> np.ndarray:
        if table is not None:
            return image_similarity(decoder, X, table, gallery, params)
        return class_scores(decoder, replace(queries, X=X, subject=params.get("subject")))[0]

    tasks, scores, notes = _ranked(decoder, task, queries, ask)
    last = inner_most(decoder)
    if table is not None and isinstance(last, ImageRetriever) and last.gallery is not None:
        notes.append(
            f"its own gallery of {len(last.gallery)} pictures: searched are the {len(gallery)} test stimuli of the fold"
        )
    alone: dict[str, Ranked] = {}
    if steps := transductive_steps(decoder):
        with each_alone():
            found, scores, _ = _ranked(decoder, task, queries, ask)
            if depends_on_company(ask, queries.X, queries.params, scores) is None:
                alone = found
    elif (said := depends_on_company(ask, queries.X, queries.params, scores)) is not None:
        steps = [said]
    return tasks, alone, notes, steps


def _ranked(
    decoder: Any, task: Task, queries: Queries, ask: Ask
) -> tuple[dict[str, Ranked], np.ndarray, list[str]]:
    """Ranks by task, the scores of the first of them, and notes."""
    tasks, notes = {}, []
    table = targets_of(decoder)
    if table is not None:
        scores = similarity = ask(queries.X, queries.params)
        asked, z, gallery = queries, None, np.unique(queries.y)
        if task.average_test == "embeddings":
            asked, z = averaged(queries, _uncorrected(decoder, queries))
            similarity = cosine_similarity(z, project(decoder, table.lookup(gallery)))
            notes.append("averaged are its embeddings, as they are, and not the epochs")
        tasks["retrieval"] = rank(similarity, gallery, asked.y, **asked.who)
        if task.candidates is not None and queries.concept is not None and asked.concept is not None:
            names = np.unique(queries.concept)
            vectors = task.candidates.lookup(names)
            if vectors.shape[1] == table.n_dims:
                z = embed(decoder, queries.X, queries.params) if z is None else z
                similarity = cosine_similarity(z, project(decoder, vectors))
                tasks["classification"] = rank(similarity, names, asked.concept, **asked.who)
            else:
                notes.append(
                    f"classification left out: candidates have {vectors.shape[1]} dimensions, its targets {table.n_dims}"
                )
        return tasks, scores, notes
    if task.average_test == "embeddings":
        raise ValueError(
            "average_test='embeddings' needs targets, which a classifier of labels has none of. Pass average_test=True."
        )
    scores, classes = class_scores(decoder, queries)
    labels = np.array([str(label) for label in classes.tolist()])
    order = np.argsort(labels)
    unknown = np.setdiff1d(queries.y, labels)
    if len(unknown):
        raise ValueError(
            f"{len(unknown)} labels of the test set were not in training (first: {str(unknown[0])!r}): a classifier"
            " without targets cannot name them. Pass targets=EmbeddingTable(...), or another cv."
        )
    tasks["classification"] = rank(scores[:, order], labels[order], queries.y, **queries.who)
    return tasks, scores, notes


def _uncorrected(decoder: Any, queries: Queries) -> np.ndarray:
    """Embeddings that are compared by their cosine alone."""
    if getattr(last := inner_most(decoder), "_corrects", False):
        raise ValueError(
            f"average_test='embeddings' compares by cosine, but {type(last).__name__} corrects its similarities. Leave out"
            " whiten, hubness and refine, or pass average_test=True."
        )
    return embed(decoder, queries.X, queries.params)


def _selection(encoder: EEGEncoder) -> dict[str, Any]:
    chosen = encoder.selection_
    return {
        "net": str(getattr(encoder.net, "__name__", encoder.net)),
        "n_passes": len(encoder.history_),
        **chosen,
    }
