"""
From a braindecode tutorial to zero-shot decoding
=================================================

A `braindecode <https://braindecode.org>`__ tutorial ends with a network that sorts windows into the classes it was
trained on. Here we start from the same windows and the same network, and go on to classes it has never seen.

The recordings are simulated, so that nothing has to be downloaded; with your own ``Raw`` only the first section
changes.
"""

# %%
# Windows, as in a tutorial
# -------------------------
# Two people look at pictures, in one continuous recording each. Annotations say when each picture came on.
import mne
import numpy as np
from braindecode.datasets import BaseConcatDataset, RawDataset

from skeegclip.datasets import make_things_like

mne.set_log_level("ERROR")
data = make_things_like(
    n_subjects=2,
    n_train_concepts=80,
    n_images_per_concept=4,
    n_test_concepts=30,
    n_train_repetitions=2,
    n_test_repetitions=4,
    snr=4.0,
    random_state=0,
)
n_times = data.X.shape[2]


def continuous(epochs, stimuli, info):
    """Put epochs one behind the other, with an annotation where each of them starts."""
    raw = mne.io.RawArray(1e-6 * np.concatenate(epochs, axis=1), info)  # MNE wants volts
    onsets = np.arange(len(epochs)) * n_times / info["sfreq"]
    return raw.set_annotations(mne.Annotations(onsets, 1.0, stimuli))


recordings = BaseConcatDataset(
    [
        RawDataset(
            continuous(data.X[rows], data.y[rows], data.info),
            description={"subject": subject, "split": split},
        )
        for subject in np.unique(data.subject)
        for split in ("train", "test")
        for rows in [np.flatnonzero((data.subject == subject) & (data.split == split))]
    ]
)
recordings.description

# %%
# braindecode's preprocessing, with the step to microvolts that its tutorials take too, and its windows. The channels
# over the back of the head are enough.
from braindecode.preprocessing import Preprocessor, create_windows_from_events, preprocess


def to_microvolts(x):
    """braindecode hands over volts."""
    return 1e6 * x


posterior = [name for name in data.info["ch_names"] if name.startswith(("P", "O"))]
preprocess(
    recordings,
    [
        Preprocessor("pick", apply_on_array=False, picks=posterior),
        Preprocessor(to_microvolts),
        Preprocessor("filter", apply_on_array=False, l_freq=None, h_freq=40),
    ],
)
stimuli = {stimulus: code for code, stimulus in enumerate(np.unique(data.y))}
windows = create_windows_from_events(
    recordings,
    trial_start_offset_samples=0,
    trial_stop_offset_samples=0,
    window_size_samples=n_times,
    window_stride_samples=n_times,
    mapping=stimuli,
    preload=True,
)
parts = windows.split("split")
train, test = parts["train"], parts["test"]
len(train), len(test)

# %%
# Where the tutorial ends
# -----------------------
# A classifier of braindecode's sorts windows into the classes it was trained on: here ten concepts, tested on the
# last of the four pictures of each. A network of ours goes in as a class, like its own, and is told the shape of the
# windows.
#
# There is one output for each class. So it has the twelve windows of a class to learn it from and no use for all the
# others, and it can never name anything else.
import torch
from braindecode import EEGClassifier

from skeegclip.nets import NICE

y_train = np.array(list(stimuli))[train.get_metadata()["target"]]
concept = dict(zip(data.y, data.concept, strict=True))
concepts = np.array([concept[stimulus] for stimulus in y_train])
classes = np.unique(concepts)[:10]
held_out = np.isin(y_train, [np.unique(y_train[concepts == name])[-1] for name in classes])
some = np.flatnonzero(np.isin(concepts, classes))
learned, tested = some[~held_out[some]], some[held_out[some]]

torch.manual_seed(0)
classifier = EEGClassifier(
    NICE,
    criterion=torch.nn.CrossEntropyLoss,
    optimizer=torch.optim.AdamW,
    lr=1e-3,
    batch_size=16,
    max_epochs=20,
    train_split=None,
    verbose=0,
)
X = np.stack([window for window, *_ in train])
labels = np.searchsorted(classes, concepts)
classifier.fit(X[learned], labels[learned])
accuracy = np.mean(classifier.predict(X[tested]) == labels[tested])
print(f"Right class among {len(classes)}: {accuracy:.0%}, chance 10%")

# %%
# The same windows, into the space of pictures
# --------------------------------------------
# An :class:`~skeegclip.EEGEncoder` takes the windows as they are. Instead of one output for each class it learns
# where a picture lies in CLIP's space: ``y`` holds the id of the picture seen in each window, and ``targets`` the
# vector of each id. The network is braindecode's EEGNet, by name, and braindecode's augmentations act in training.
from braindecode.augmentation import ChannelsDropout, SmoothTimeMask

from skeegclip import EEGEncoder

encoder = EEGEncoder(
    "EEGNet",
    targets=data.image_embeddings,
    augment=[ChannelsDropout(0.5, p_drop=0.1), SmoothTimeMask(0.5, mask_len_samples=10)],
    lr=1e-2,
    batch_size=64,
    max_epochs=15,
    validation=0.1,
    random_state=0,
    device="cpu",
)
encoder.fit(train, y_train)
encoder.subjects_, encoder.selection_

# %%
# The people were read from the description of the recordings.
#
# Name what was never trained on
# ------------------------------
# None of the thirty test concepts is in training. Their names are embedded as text, and the nearest one is chosen.
from sklearn.frozen import FrozenEstimator

from skeegclip import ZeroShotClassifier

y_test = np.array(list(stimuli))[test.get_metadata()["target"]]
truth = np.array([concept[stimulus] for stimulus in y_test])
zero_shot = ZeroShotClassifier(
    FrozenEstimator(encoder), candidates=data.text_embeddings.subset(np.unique(truth))
).fit(train, y_train)
print(f"Right name among {len(zero_shot.classes_)}: {zero_shot.score(test, truth):.0%}, chance {1 / 30:.0%}")

# %%
# The retriever finds pictures with the same encoder. Three windows of the test, the first of three concepts:
from skorch.helper import SliceDataset

from skeegclip import ImageRetriever
from skeegclip.plotting import plot_retrieval_grid

retriever = ImageRetriever(
    FrozenEstimator(encoder),
    targets=data.image_embeddings,
    gallery=data.image_embeddings.subset(np.unique(y_test)),
).fit(train, y_train)
first = [int(np.flatnonzero(y_test == stimulus)[0]) for stimulus in np.unique(y_test)[:3]]
found, similarity = retriever.retrieve(SliceDataset(test)[np.array(first)], k=5)
fig = plot_retrieval_grid(
    [data.images[i] for i in y_test[first]],
    [[data.images[i] for i in row] for row in found],
    hits=found == y_test[first][:, None],
    similarity=similarity,
)

# %%
# Cross-validation of a data set
# ------------------------------
# scikit-learn slices what it is given. A :class:`skorch.helper.SliceDataset` around the windows keeps the people and
# the channels through every split; grouped by concept, each fold is tested on concepts that it has not seen.
import pandas as pd
from sklearn.linear_model import Ridge
from sklearn.model_selection import GroupKFold, cross_validate

from skeegclip.metrics import make_retrieval_scorer

options = {
    "cv": GroupKFold(2),
    "groups": concepts,
    "scoring": make_retrieval_scorer(k=5),
    "error_score": "raise",
}
scores = {
    name: cross_validate(
        ImageRetriever(decoder, targets=data.image_embeddings), SliceDataset(train), y_train, **options
    )["test_score"]
    for name, decoder in {"EEGNet": encoder, "Ridge": Ridge(3e3)}.items()
}
n_gallery = len(np.unique(y_train)) // 2
table = pd.DataFrame(scores, index=["fold 1", "fold 2"]).T.round(3)
print(f"Right picture among the first five of {n_gallery}; chance {5 / n_gallery:.3f}")
table
