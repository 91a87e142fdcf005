"""Every model of the installed braindecode as the network of an encoder, at its own rate and at 250 Hz.

Sixty-three named channels (those of THINGS-EEG2), epochs of one second, 16 of them, embeddings of 16 numbers, one pass in
two batches; then the encoder is saved and loaded, and must embed as before. Where it does not, the last column is the
end of the error: what to change. The rate of a model is that of braindecode's own summary. REVE and STEEGFormer fetch a
file when they are built; the table in the docs was made on a machine without a network.

Run: ``python examples/benchmarks/braindecode_models.py [model ...]`` (ten minutes on one core; ZUNA alone takes 20 GB).
"""

import csv
import inspect
import os
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
    classes = [name for name, cls in named.items() if inspect.isclass(cls) and issubclass(cls, nn.Module)]
    return {name: rates.get(name, RATE) for name in sorted(classes, key=str.lower)}


def tried(name, sfreq, folder):
    """Number of parameters, and what keeps an encoder from using the model at this rate, if anything does."""
    info = eeg_info(sfreq)
    X = 10 * np.random.default_rng(0).standard_normal((16, len(info["ch_names"]), round(sfreq)))
    view = EpochsView.from_arrays(X.astype("float32"), info=info)
    encoder = EEGEncoder(name, max_epochs=1, batch_size=8, validation=0, random_state=0, device="cpu")
    try:
        z = encoder.fit_transform(view, np.eye(16))
    except ValueError as error:
        return None, str(error).rpartition(". ")[2].replace(f"{folder}{os.sep}", "")
    encoder.save(folder / "encoder")
    again = EEGEncoder.load(folder / "encoder").transform(view)
    if not (np.isfinite(z).all() and np.ptp(z, axis=0).min() > 0 and np.array_equal(z, again)):
        raise AssertionError(
            f"{name} at {sfreq:g} Hz embeds as {z[0, :3]}, and as {again[0, :3]} when loaded"
        )
    return sum(p.numel() for p in encoder.net_.module_.parameters()), None


def row_of(name, rate, folder):
    """A row of the table."""
    results = {sfreq: tried(name, sfreq, folder) for sfreq in (rate, RATE)}
    said = {sfreq: error for sfreq, (_, error) in results.items() if error}
    size = next((f"{count:,}" for count, _ in results.values() if count), "")
    advice = list(dict.fromkeys(said.values()))
    if len(advice) > 1 or len(said) < len(results):
        advice = [f"At {sfreq:g} Hz: {error}" for sfreq, error in said.items()]
    yes = ["no" if sfreq in said else "yes" for sfreq in (rate, RATE)]
    return [name, size, f"{rate:g}", *yes, " ".join(advice)]


def main():
    """Print the table, one row a model."""
    warnings.simplefilter("ignore")
    mne.set_log_level("ERROR")
    write = csv.writer(sys.stdout, quoting=csv.QUOTE_ALL, lineterminator="\n").writerow
    write(["Model", "Parameters", "Own rate (Hz)", "At its rate", "At 250 Hz", "What to change"])
    rates = models()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["REVE_POSITIONS_PATH"] = folder
        for name in sys.argv[1:] or rates:
            write(row_of(name, rates[name], Path(folder)))
            sys.stdout.flush()


if __name__ == "__main__":
    main()
