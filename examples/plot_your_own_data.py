"""
Your own data: from raw files to a store with embeddings
========================================================

You have recordings of people who look at pictures, with a mark at each picture, and more of it than memory holds. This
example leads from the files to decoding: epochs with a table of what each of them is, one person after the other into an
:class:`~skeegclip.EpochsStore` on disk, a vector for each picture, and an estimator that is trained from the disk.

The files are simulated, so that every step runs here; with files of your own the first section falls away.
"""

# %%
# Files, as if recorded
# ---------------------
# Three people see 100 pictures four times each. What is simulated is laid end to end, with a mark at each picture, and
# saved: as a BIDS folder where the packages ``mne-bids`` and ``pybv`` are installed, else as files of MNE.
import tempfile
from pathlib import Path

import mne
import numpy as np
import pandas as pd

from skeegclip.datasets import make_things_like

try:
    import mne_bids
    import pybv  # noqa: F401  what mne-bids writes EEG with
except ImportError:
    mne_bids = None

mne.set_log_level("ERROR")
folder = Path(tempfile.mkdtemp())
data = make_things_like(
    n_subjects=3, n_train_concepts=50, n_test_concepts=50, n_images_per_concept=1, n_train_repetitions=4,
    n_test_repetitions=4, tmin=-0.2, duration=1.2, snr=2, random_state=0,
)  # fmt: skip
for person in ("01", "02", "03"):
    mine = np.random.default_rng(int(person)).permutation(np.flatnonzero(data.subject == f"sub-{person}"))
    raw = mne.io.RawArray(1e-6 * np.concatenate(data.X[mine], axis=1), data.info.copy())  # in volts
    onset = 1.2 * np.arange(len(mine)) + 0.2
    raw.set_annotations(mne.Annotations(onset, 0.1, [f"picture/{stimulus}" for stimulus in data.y[mine]]))
    if mne_bids is None:
        raw.save(folder / f"sub-{person}_raw.fif")
    else:
        path = mne_bids.BIDSPath(subject=person, task="pictures", datatype="eeg", root=folder)
        mne_bids.write_raw_bids(raw, path, format="BrainVision", allow_preload=True, verbose="ERROR")

# %%
# One person's epochs
# -------------------
# A mark says which picture came up. BIDS keeps such marks in ``events.tsv``, and mne-bids reads them as annotations;
# where you have a trigger channel, ``mne.find_events`` gives the events, and a list of what you showed the names.
#
# The metadata is the table that everything else looks things up in: *stimulus*, the picture's id, is what embeddings are
# found by; *subject* tells people apart; further columns are as you like. Ids are text: ``"00012"`` keeps its zeros.


def read(person):
    """Read one person's recording."""
    if mne_bids is None:
        return mne.io.read_raw(folder / f"sub-{person}_raw.fif", preload=True)
    path = mne_bids.BIDSPath(subject=person, task="pictures", datatype="eeg", root=folder)
    return mne_bids.read_raw_bids(path, verbose="ERROR").load_data()


def epochs_of(person):
    """Cut one person's recording into epochs with metadata."""
    raw = read(person).filter(0.1, 40)
    events, event_id = mne.events_from_annotations(raw, regexp="^picture/")
    name = {code: text.removeprefix("picture/") for text, code in event_id.items()}
    metadata = pd.DataFrame({"stimulus": [name[code] for code in events[:, 2]]})
    metadata["subject"] = f"sub-{person}"
    metadata["onset"] = events[:, 0] / raw.info["sfreq"]
    metadata["repetition"] = metadata.groupby("stimulus").cumcount()
    return mne.Epochs(
        raw,
        events,
        tmin=-0.2,
        tmax=0.8,
        baseline=(None, 0),
        metadata=metadata,
        reject={"eeg": 500e-6},
        preload=True,
    )


epochs = epochs_of("01")
epochs.metadata.head()

# %%
# Everybody into a store
# ----------------------
# The first person makes the store, the others are appended: never more than one person is in memory. Epochs come in
# microvolts, rejected ones are left out, and NaN or another set of channels would be refused. If the computer fails in
# the middle of it, the store is as it was before the last append.
from skeegclip import EpochsStore

store = EpochsStore.create(folder / "store", epochs)
for person in ("02", "03"):
    store.append(epochs_of(person))
store

# %%
# It is read through a view, which keeps the table with the epochs and reads nothing until it must. Choosing people,
# channels by region, or times costs nothing either.
view = EpochsStore.open(folder / "store").view()
view.pick(["occipital", "parietal"]).crop(0.05, 0.6)

# %%
# A look at it: the mean over everything, at the back and at the front of the head. The response comes after the
# picture, and at the back first: the marks are where they should be.
from matplotlib.figure import Figure

figure = Figure(figsize=(4.5, 2.4), layout="constrained")
axes = figure.subplots()
for region in ("occipital", "frontal"):
    means = np.asarray(view.pick(region).average(by="stimulus"))
    axes.plot(1e3 * view.times, means.std(axis=0).mean(axis=0), label=region)
axes.axvline(0, color="0.6", linewidth=0.8)
axes.set(xlabel="Time from picture (ms)", ylabel="Spread over pictures (µV)")
axes.legend(frameon=False)

# %%
# A vector for each picture
# -------------------------
# Training needs an :class:`~skeegclip.EmbeddingTable`: stimulus id -> vector. For a folder of pictures whose file names
# are the ids, :class:`~skeegclip.CLIPEmbedder` makes one:
#
# .. code-block:: python
#
#    table = CLIPEmbedder("ViT-H-14", "laion2b_s32b_b79k").embed_images("my_pictures")
#
# The simulation comes with vectors of its own. Whatever model yours are from, save the table beside the store, and see
# that no picture is missing.
data.image_embeddings.save(folder / "image_embeddings.safetensors")

from skeegclip import EmbeddingTable

table = EmbeddingTable.load(folder / "image_embeddings.safetensors")
assert set(view.stimulus) <= set(table.ids)
table

# %%
# Decoding, from the disk
# -----------------------
# Estimators take the view as they take an array, and read it a batch at a time. A fifth of the *pictures* is left out in
# each fold (``GroupKFold`` over stimuli), so that no repetition of a test picture is in training; the gallery is the
# pictures left out, 20 in each fold, so that chance is 5 %.
from sklearn.linear_model import Ridge
from sklearn.model_selection import GroupKFold, cross_val_score

from skeegclip import EEGEncoder, ImageRetriever
from skeegclip.metrics import make_retrieval_scorer

posterior = view.pick(["occipital", "parietal"]).crop(0.05, 0.6)
encoder = EEGEncoder("eegproject", targets=table, max_epochs=15, batch_size=128, lr=1e-3, random_state=0)
settings = {"cv": GroupKFold(5), "scoring": make_retrieval_scorer(), "error_score": "raise"}
network = cross_val_score(encoder, posterior, posterior.stimulus, groups=posterior.stimulus, **settings)
network.round(3)

# %%
# The mean over a person's repetitions is less noisy than each of them. The view of the means is as lazy as the other:
# they are made as they are read. Ridge regression is the baseline; it takes all epochs at once, so it reads them all.
mean = posterior.average(by=("subject", "stimulus"))
scores = pd.DataFrame(
    {
        "EEGProject, single trials": network,
        "EEGProject, means": cross_val_score(encoder, mean, mean.stimulus, groups=mean.stimulus, **settings),
        "Ridge, means": cross_val_score(
            ImageRetriever(Ridge(1e4), targets=table), mean, mean.stimulus, groups=mean.stimulus, **settings
        ),
    }
)
scores.mean().round(3)

# %%
# For a person the decoder has never seen, leave out people: ``LeaveOneGroupOut()`` with ``groups=view.subject``, as the
# example :doc:`plot_leave_one_subject_out` does.
#
# The folder of this example is only needed here.
import shutil

del view, posterior, mean
shutil.rmtree(folder)
