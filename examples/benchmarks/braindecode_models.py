"""Every model of the installed braindecode as the network of an encoder, at its own rate and at 250 Hz.

Sixty-three named channels (those of THINGS-EEG2), epochs of one second, 16 of them, embeddings of 16 numbers, one pass in
two batches; then the encoder is saved and loaded, and must embed as before. What a model cannot take is told in the
words of the error. The rate of a model is that of braindecode's own summary.

Run: ``python examples/benchmarks/braindecode_models.py [model ...]`` (some minutes and 4 GB on one core; nothing is
downloaded).
"""

import csv
import inspect
import sys
import tempfile
import warnings
from pathlib import Path

import braindecode.models
import mne
import numpy as np
from torch import nn

from skeegclip import EEGEncoder, EpochsView
from skeegclip.datasets._montages import eeg_info

RATE = 250.0


def models():
    """Models, and the rates that they were made for."""
    path = Path(braindecode.models.__file__).parent / "summary.csv"
    with path.open(encoding="utf-8-sig") as file:
        rates = {row["Model"]: float(row["Sampling Frequency (Hz)"]) for row in csv.DictReader(file)}
    named = {name: getattr(braindecode.models, name) for name in braindecode.models.__all__}
    classes = [n for n, c in named.items() if inspect.isclass(c) and issubclass(c, nn.Module)]
    return {name: rates.get(name, RATE) for name in sorted(classes, key=str.lower)}


def tried(name, sfreq):
    """Number of parameters and None, or None and what keeps an encoder from using the model at a rate."""
    info = eeg_info(sfreq)
    X = 10 * np.random.default_rng(0).standard_normal((16, len(info["ch_names"]), round(sfreq)))
    view = EpochsView.from_arrays(X.astype("float32"), info=info)
    encoder = EEGEncoder(name, max_epochs=1, batch_size=8, validation=0, random_state=0, device="cpu")
    try:
        z = encoder.fit_transform(view, np.eye(16))
    except ValueError as error:
        return None, str(error)
    with tempfile.TemporaryDirectory() as folder:
        encoder.save(folder)
        again = EEGEncoder.load(folder).transform(view)
    if not (np.isfinite(z).all() and np.array_equal(z, again)):
        return None, f"embeds as {z[0, :3]}, and as {again[0, :3]} when loaded."
    return sum(p.numel() for p in encoder.net_.module_.parameters()), None


def main():
    """Print the table, one row a model."""
    warnings.simplefilter("ignore")
    mne.set_log_level("ERROR")
    rates = models()
    print("model | parameters | own rate | works | 250 Hz | what to change")
    for name in sys.argv[1:] or rates:
        results = {sfreq: tried(name, sfreq) for sfreq in (rates[name], RATE)}
        counts, errors = zip(*results.values(), strict=True)
        size = next((f"{n:,}" for n in counts if n), "")
        words = ["yes" if error is None else "no" for error in (errors[0], errors[-1])]
        print(" | ".join([name, size, f"{rates[name]:g}", *words, *dict.fromkeys(e for e in errors if e)]), flush=True)


if __name__ == "__main__":
    main()
