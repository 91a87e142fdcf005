"""
Your own data: from raw files to a store with embeddings
========================================================

You have recordings of people who look at pictures, with a mark at each picture, and more of it than memory holds. This
example leads from the files to decoding: epochs of one person after the other in an :class:`~skeegclip.EpochsStore` on
disk, with a table of what each of them is, a vector for each picture, and an estimator that is trained from the disk.

The files are simulated, so that every step runs here; with files of your own the first section falls away.
"""

# %%
# Files, as if recorded
# ---------------------
# Three people see 100 pictures four times each. What is simulated is laid end to end, with a mark at each picture that
# says which one it is, and saved: a file for each person, and a folder of pictures.
import tempfile
from pathlib import Path

import mne
import numpy as np
import pandas as pd
from PIL import Image

from skeegclip.datasets import make_things_like

mne.set_log_level("ERROR")
folder = Path(tempfile.mkdtemp())
simulated = make_things_like(
    n_subjects=3, n_train_concepts=50, n_test_concepts=50, n_images_per_concept=1, n_train_repetitions=4,
    n_test_repetitions=4, tmin=-0.2, duration=1.2, snr=2, random_state=0,
)  # fmt: skip
(folder / "pictures").mkdir()
for name, picture in simulated.images.items():
    Image.fromarray(picture).save(folder / "pictures" / f"{name}.png")
files = {}
for person in ("sub-01", "sub-02", "sub-03"):
    mine = np.random.default_rng(len(files)).permutation(np.flatnonzero(simulated.subject == person))
    raw = mne.io.RawArray(1e-6 * np.concatenate(simulated.X[mine], axis=1), simulated.info.copy())  # in volts
    onset = 1.2 * np.arange(len(mine)) + 0.2
    raw.set_annotations(mne.Annotations(onset, 0.1, [f"picture/{name}" for name in simulated.y[mine]]))
    files[person] = folder / f"{person}_raw.fif"
    raw.save(files[person])

# %%
# Everybody into a store
# ----------------------
# :func:`~skeegclip.datasets.load_recordings` wants to know which file is whose, and what was shown when. Here each picture
# has a mark of its own, and a mapping leads from the mark to the picture; a table with onsets would do as well, and a data
# set in BIDS, with :func:`~skeegclip.datasets.load_bids`, tells all of it by itself: see :doc:`/user_guide/your_recordings`.
#
# Each recording is filtered, cut and baseline-corrected, and written whole or not at all: if the computer fails in the
# middle of it, the same call goes on where it stopped.
from skeegclip.datasets import load_recordings

data = load_recordings(
    files,
    {f"picture/{name}": f"{name}.png" for name in simulated.images},
    folder / "store",
    images=folder / "pictures",
    band=(0.1, 40),
    sfreq=None,
    tmax=0.8,
    verbose=0,
)
data.recordings

# %%
# The rows say what each epoch is: *stimulus*, the picture's id, is what embeddings are found by; *subject* tells people
# apart. The pictures come by the same ids.
data.X.rows.head()

# %%
# It is read through a view, which keeps the table with the epochs and reads nothing until it must. Choosing people,
# channels by region, or times costs nothing either.
view = data.X
view.pick(["occipital", "parietal"]).crop(0.05, 0.6)

# %%
# A look at it: the mean over everything, at the back and at the front of the head. The response comes after the
# picture, and at the back first: the marks are where they should be.
import matplotlib.pyplot as plt

figure, axes = plt.subplots(figsize=(4.5, 2.4), layout="constrained")
for region in ("occipital", "frontal"):
    means = np.asarray(view.pick(region).average(by="stimulus"))
    axes.plot(1e3 * view.times, means.std(axis=0).mean(axis=0), label=region)
axes.axvline(0, color="0.6", linewidth=0.8)
axes.set(xlabel="Time from picture (ms)", ylabel="Spread over pictures (µV)")
axes.legend(frameon=False)

# %%
# A vector for each picture
# -------------------------
# Training needs an :class:`~skeegclip.EmbeddingTable`: stimulus id -> vector. :class:`~skeegclip.CLIPEmbedder` makes one
# of pictures:
#
# .. code-block:: python
#
#    table = CLIPEmbedder("ViT-H-14", "laion2b_s32b_b79k").embed_images(data.images)
#
# The simulation comes with vectors of its own. Whatever model yours are from, save the table beside the store, and see
# that no picture is missing.
simulated.image_embeddings.save(folder / "image_embeddings.safetensors")

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

del data, view, posterior, mean
shutil.rmtree(folder)
