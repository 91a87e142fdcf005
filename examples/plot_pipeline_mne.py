"""
From MNE epochs to retrieved pictures
=====================================

A person looks at pictures while EEG is recorded. We train an encoder on some pictures and then ask, for pictures of
things that it has never seen, which one of a gallery was shown.

The recordings are simulated, so that the example needs no download and we know what can be found in them. With your
own ``mne.Epochs`` only the first section changes.
"""

# %%
# Epochs with metadata
# --------------------
# A row of the metadata says what each epoch is: which picture (*stimulus*) was shown, and to whom.
import mne
import pandas as pd

from skeegclip.datasets import make_things_like

mne.set_log_level("WARNING")
data = make_things_like(n_train_concepts=200, n_images_per_concept=4, n_test_concepts=50, random_state=0)
metadata = pd.DataFrame(
    {"stimulus": data.y, "concept": data.concept, "subject": data.subject, "split": data.split}
)
epochs = mne.EpochsArray(1e-6 * data.X, data.info, tmin=data.times[0], metadata=metadata)  # MNE wants volts
epochs

# %%
# The stimuli have a vector each, in CLIP's space if they were real pictures. The table maps stimulus ids to them.
table = data.image_embeddings
table

# %%
# Repetitions of a picture are averaged: the mean is less noisy than each of them. Averaging changes the number of
# epochs, so it is done before, not inside a Pipeline.
from skeegclip.preprocessing import average_repetitions

parts = {part: epochs[f"split == '{part}'"] for part in ("train", "test")}
train, test = (average_repetitions(part, part.metadata["stimulus"])[0] for part in parts.values())
len(train), len(test)

# %%
# A pipeline
# ----------
# The first step keeps the channels over the back of the head and the first 600 ms; the second is the decoder: an
# encoder, and a gallery to search. The pictures in the gallery are those of the test, none of which is in training.
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

from skeegclip import EEGEncoder, ImageRetriever

POSTERIOR = [name for name in epochs.ch_names if name.startswith(("P", "O"))]


def posterior_window(epochs):
    """Pick channels and times."""
    return epochs.copy().pick(POSTERIOR).crop(0.05, 0.6)


gallery = table.subset(test.metadata["stimulus"])
encoder = EEGEncoder("eegproject", lr=1e-3, batch_size=256, max_epochs=20, validation=0.1, random_state=0)
pipeline = Pipeline(
    [
        ("window", FunctionTransformer(posterior_window)),
        ("retriever", ImageRetriever(encoder, targets=table, gallery=gallery)),
    ]
)
pipeline.fit(train, train.metadata["stimulus"])

# %%
# A tenth of the *training* stimuli was held out to choose how long to train. The test set took no part in it.
retriever = pipeline["retriever"]
retriever.encoder_.selection_

# %%
# How well does it work?
# ----------------------
# The score is the share of test epochs for which the picture shown is found first, among 50: chance is 2 %.
# An honest baseline, ridge regression in the same pipeline, tells what the network is worth.
from sklearn.base import clone
from sklearn.linear_model import Ridge

window = posterior_window(test)
ridge = clone(pipeline).set_params(retriever__encoder=Ridge(3e4)).fit(train, train.metadata["stimulus"])
pd.DataFrame(
    {
        name: {
            "top-1": decoder.score(test, test.metadata["stimulus"]),
            "mean rank of 50": decoder["retriever"].rank(window, test.metadata["stimulus"]).mean(),
        }
        for name, decoder in {"EEGEncoder": pipeline, "Ridge": ridge}.items()
    }
).T.round(2)

# %%
# What was retrieved?
# -------------------
# Six of the test pictures (the first six, not the best), and the five that the decoder finds most similar to what
# the brain did. Where it misses, it often finds something that looks alike.
from skeegclip.plotting import plot_retrieval_grid

some = test[:6]
shown = some.metadata["stimulus"].to_numpy()
found, similarity = retriever.retrieve(posterior_window(some), k=5)
fig = plot_retrieval_grid(
    [data.images[i] for i in shown],
    [[data.images[i] for i in row] for row in found],
    hits=found == shown[:, None],
    similarity=similarity,
)

# %%
# Name what was seen
# ------------------
# The same encoder, fitted already, names the things too: the candidates are now embeddings of words.
from sklearn.frozen import FrozenEstimator

from skeegclip import ZeroShotClassifier

concept = dict(zip(data.y, data.concept, strict=True))
names = data.text_embeddings.subset(sorted({concept[i] for i in gallery.ids}))
classifier = ZeroShotClassifier(FrozenEstimator(retriever.encoder_), targets=table, candidates=names)
classifier.fit(posterior_window(train), train.metadata["stimulus"])  # fits nothing: the encoder is frozen
truth = [concept[i] for i in test.metadata["stimulus"]]
best, _ = classifier.predict_top_k(posterior_window(some), k=3)
pd.DataFrame(best, index=truth[:6], columns=["1st", "2nd", "3rd"])

# %%
print(f"Right name among {len(names)}: {classifier.score(posterior_window(test), truth):.0%}")
