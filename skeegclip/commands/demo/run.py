"""The demo from beginning to end."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.frozen import FrozenEstimator
from threadpoolctl import threadpool_limits

from ..._utils.listed import write_listed
from ...datasets import make_things_like
from ...metrics import cosine_similarity
from ...model_selection import evaluate
from .config import Config
from .decoders import LINEAR, RIDGE, before, make_decoders
from .figures import make_figures
from .output import versions
from .painting import paint_test
from .real import look_at_real
from .report import make_report
from .results import Results, text_table
from .trials import averaged
from .when_where import look_when_where

_NEXT = """\
Next:
  skeegclip fetch things-eeg2 --help   download recordings of people who look at 16,740 pictures
  skeegclip evaluate --help            decode them, or recordings of your own, and report it
  skeegclip reconstruct --help         paint what was seen"""


# Its matrices are small: on busy cores threads of BLAS wait for each other most of the time, on quiet ones they gain little.
@threadpool_limits.wrap(limits=1, user_api="blas")
def run_demo(folder: Path, config: Config, *, seed: int = 0) -> Results:
    """Simulate, train, evaluate, and write ``metrics.json``, the figures and ``report.html``.

    What is going on goes to standard error, the table to standard output.

    Parameters
    ----------
    folder : Path
        An existing folder.
    config : Config
        What to simulate and train.
    seed : int
        Seed of the data, of training and of the bootstrap.

    Returns
    -------
    Results
        What was found.
    """
    start = time.perf_counter()
    seconds: dict[str, float] = {}
    with _step("Simulating EEG of a person who looks at pictures", seconds, "simulate"):
        data = make_things_like(**config.data, random_state=seed)
    train, test = (np.flatnonzero(data.split == split) for split in ("train", "test"))
    # A bar is drawn over and over: right on a screen, clutter in a file.
    decoders = make_decoders(config, data.image_embeddings, seed=seed, verbose=int(sys.stderr.isatty()))
    for name, decoder in decoders.items():
        with _step(f"Training {name} on {len(train)} epochs", seconds, f"train {name}"):
            decoder.fit(data.X[train], data.y[train])
    with _step("Evaluating on pictures of concepts never seen", seconds, "evaluate"):
        report = evaluate(
            # Trained once: the same decoders paint.
            {name: FrozenEstimator(decoder) for name, decoder in decoders.items()},
            data.X,
            data.y,
            cv=[(train, test)],
            subject=data.subject,
            concept=data.concept,
            candidates=data.text_embeddings,
            random_state=seed,
        )
    first = decoders[LINEAR]
    trials, tested = averaged(data, train), averaged(data, test)
    with _step("Looking when and where", seconds, "look"):
        when_where = look_when_where(first, data, trials, tested, seed=seed)
    with _step("Painting what was seen", seconds, "paint"):
        painted = paint_test(first, data, trials, tested, seed=seed)
    with _step("Decoding real brains", seconds, "real"):
        real = look_at_real(n_passes=config.n_real_passes, seed=seed)
    embeddings = first[-1].embed(before(first, tested.X))
    results = Results(
        config,
        seed,
        data,
        tested,
        report,
        similarity=cosine_similarity(embeddings, first[-1].project(data.image_embeddings.lookup(tested.y))),
        painted=painted,
        when_where=when_where,
        history={name: decoders[name][-1].encoder_.history_ for name in config.encoders},
        alpha=float(decoders[RIDGE][-1].encoder_.encoder_.alpha_),
        n_components=int(first[-1].encoder_.encoder_.n_components_),
        real=real,
        seconds=seconds,
    )
    with _step("Drawing", seconds, "draw"):
        figures = make_figures(results)
    seconds["total"] = time.perf_counter() - start
    contents = {f"{name}.png": png for name, png in figures.items()}
    contents["metrics.json"] = json.dumps(as_json(results), indent=1).encode()
    contents["report.html"] = make_report(results, figures).encode()
    write_listed(folder, contents)
    print(f"\n{text_table(results)}\n\nReport: {folder / 'report.html'}\n\n{_NEXT}")
    return results


@contextmanager
def _step(text: str, seconds: dict[str, float], key: str) -> Iterator[None]:
    print(f"{text} ...", file=sys.stderr, flush=True)
    start = time.perf_counter()
    yield
    seconds[key] = time.perf_counter() - start


def as_json(results: Results) -> dict[str, Any]:
    """Return all that ``metrics.json`` holds."""
    report, data = results.report, results.data
    tables = {"summary": report.summary(), "comparisons": report.compare(), "selection": report.selection}
    return {
        "simulated": True,
        "seed": results.seed,
        "parameters": asdict(results.config),
        "data": dict(zip(("n_epochs", "n_chans", "n_times"), data.X.shape, strict=True)),
        **{name: json.loads(table.to_json(orient="records")) for name, table in tables.items()},
        "flags": report.flags.to_dict("records"),
        "knowing_decoder": {"task": "retrieval", "metric": "top-1", "accuracy": data.truth.accuracy},
        "reconstruction": {
            "two_way_by_pixels": results.painted.identified,
            "metrics": results.painted.table.to_dict("index"),
        },
        "real": {
            name: json.loads(getattr(results.real, name).reset_index().to_json(orient="records"))
            for name in ("rungs", "faces", "course")
        },
        "when": json.loads(results.when_where.course.table.to_json(orient="records")),
        "where": json.loads(results.when_where.channels.to_json(orient="records")),
        "alpha": results.alpha,
        "n_components": results.n_components,
        "history": results.history,
        "seconds": results.seconds,
        "versions": versions(),
    }
