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

from ..._utils.persistence import write_whole
from ...datasets import make_things_like
from .config import Config
from .decoders import RIDGE, Trials, make_decoders, make_trials
from .figures import make_figures
from .output import versions
from .painting import paint_test
from .report import make_report
from .scores import TASKS, Results, score_decoder, text_table


def run_demo(folder: Path, config: Config, *, seed: int = 0) -> Results:
    """Simulate, train, score, and write ``metrics.json``, the figures and ``report.html``.

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
        single, averaged, test = make_trials(data)
    n_epochs, n_chans, n_times = data.X.shape
    shape = {"n_epochs": n_epochs, "n_chans": n_chans, "n_times": n_times, "n_train_epochs": len(single.X)}
    data.X = None  # both parts are copies: without this the epochs would be held twice
    results = Results(config, seed, data, test, shape, seconds=seconds)

    # A bar is drawn over and over: right on a screen, clutter in a file.
    verbose = int(sys.stderr.isatty())
    decoders = make_decoders(config, data, test.y, seed=seed, verbose=verbose)
    for name, decoder in decoders.items():
        trials = averaged if name == RIDGE else single
        with _step(f"Training {name} on {len(trials.X)} epochs", seconds, f"train {name}"):
            decoder.fit(trials.X, trials.y)
        _describe(results, name, decoder, trials)
    with _step(f"Testing on {len(test.X)} pictures of concepts never seen", seconds, "test"):
        for name, decoder in decoders.items():
            score_decoder(results, name, decoder)
    first = next(iter(config.encoders))
    with _step("Painting what was seen", seconds, "paint"):
        results.painted = paint_test(decoders[first], data, averaged, test, seed=seed)
    with _step("Drawing", seconds, "draw"):
        figures = make_figures(results)
    seconds["total"] = time.perf_counter() - start

    write_whole(folder / "metrics.json", json.dumps(as_json(results), indent=1).encode())
    for name, png in figures.items():
        write_whole(folder / f"{name}.png", png)
    write_whole(folder / "report.html", make_report(results, figures).encode())
    print(f"\n{text_table(results)}\n\nReport: {folder / 'report.html'}")
    return results


@contextmanager
def _step(text: str, seconds: dict[str, float], key: str) -> Iterator[None]:
    print(f"{text} ...", file=sys.stderr, flush=True)
    start = time.perf_counter()
    yield
    seconds[key] = time.perf_counter() - start


def _describe(results: Results, name: str, decoder: Any, trials: Trials) -> None:
    """Note how the weights, or the penalty, were chosen."""
    encoder = decoder[-1].encoder_
    kept: dict[str, Any] = {"trials": "averaged" if name == RIDGE else "single", "n_epochs": len(trials.X)}
    if name == RIDGE:
        kept |= {"rule": "leave one training picture out", "alpha": float(encoder.alpha_)}
    else:
        results.history[name] = encoder.history_
        kept |= encoder.selection_
    results.selection[name] = kept


def as_json(results: Results) -> dict[str, Any]:
    """Return all that ``metrics.json`` holds."""
    truth = results.data.truth
    return {
        "simulated": True,
        "seed": results.seed,
        "parameters": asdict(results.config),
        "data": results.shape,
        "accuracy": {
            task: {name: table.to_dict("records") for name, table in results.tables[task].items()}
            for task in TASKS
        },
        "interval": "95 %, over test stimuli",
        "knowing_decoder": {
            "task": "retrieval",
            "n_way": len(results.test.y),
            "k": 1,
            "accuracy": truth.accuracy,
        },
        "reconstruction": {
            "two_way_by_pixels": results.painted.identified,
            "metrics": results.painted.table.to_dict("index"),
        },
        "selection": results.selection,
        "history": results.history,
        "seconds": results.seconds,
        "versions": versions(),
    }
