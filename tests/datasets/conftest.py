"""THINGS-EEG2 in miniature: simulated data in the published files and folders."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from PIL import Image

from skeegclip.datasets import make_things_like

FOLDERS = {"train": "training_images", "test": "test_images"}
FILES = {"train": "preprocessed_eeg_training.npy", "test": "preprocessed_eeg_test.npy"}
SHORT = {"train": "train", "test": "test"}


@pytest.fixture(scope="session")
def simulated():
    """Two subjects; 30 training concepts of 3 pictures shown twice, 10 test concepts shown 8 times."""
    return make_things_like(
        n_subjects=2,
        n_train_concepts=30,
        n_images_per_concept=3,
        n_test_concepts=10,
        n_train_repetitions=2,
        n_test_repetitions=8,
        sfreq=250,
        n_dims=32,
        snr=3.0,
        random_state=0,
    )


def write_recordings(place, data, *, picks=slice(None), step=1, write=None):
    """Write sub-XX/preprocessed_eeg_*.npy as the reference does: times begin before the data do."""
    times = np.round(np.arange(-50, 250) / 250, 3)
    for subject in np.unique(data.subject):
        (place / subject).mkdir(parents=True, exist_ok=True)
        for split, name in FILES.items():
            rows = (data.subject == subject) & (data.split == split)
            n_repetitions = data.repetition[rows].max() + 1
            X = data.X[rows][:, picks, ::step]
            content = {
                "preprocessed_eeg_data": X.reshape(-1, n_repetitions, *X.shape[1:]),
                "ch_names": np.array(data.info["ch_names"])[picks].tolist(),
                "times": times[::step],
            }
            with open(place / subject / name, "wb") as file:
                pickle.dump(content, file, protocol=4) if write is None else write(file, content)


def write_images(root, data):
    """Write training_images/00001_concept/concept_01.jpg and so on."""
    manifest = list(dict.fromkeys(zip(data.split, data.concept, data.y, strict=True)))
    for split, name in FOLDERS.items():
        concepts = list(dict.fromkeys(concept for s, concept, _ in manifest if s == split))
        for s, concept, stimulus in manifest:
            if s == split:
                folder = root / name / f"{concepts.index(concept) + 1:05d}_{concept}"
                folder.mkdir(parents=True, exist_ok=True)
                Image.fromarray(data.images[stimulus]).save(folder / f"{stimulus}.jpg", quality=95)


def write_features(folder, data, *, unit=True):
    """Write ViT-H-14_features_train.pt and _test.pt."""
    for split, short in SHORT.items():
        stimuli = list(dict.fromkeys(data.y[data.split == split].tolist()))
        concepts = list(dict.fromkeys(data.concept[data.split == split].tolist()))
        images, texts = data.image_embeddings, data.text_embeddings
        if unit:
            images, texts = images.normalized(), texts.normalized()
        torch.save(
            {
                "text_features": torch.from_numpy(texts.lookup(concepts)),
                "img_features": torch.from_numpy(images.lookup(stimuli)),
            },
            folder / f"ViT-H-14_features_{short}.pt",
        )


@pytest.fixture(scope="session")
def things_eeg2(simulated, tmp_path_factory):
    """A folder with everything, not to be written to."""
    folder = tmp_path_factory.mktemp("things-eeg2")
    write_recordings(folder / "Preprocessed_data_250Hz", simulated)
    write_images(folder / "image_set", simulated)
    write_features(folder, simulated)
    return folder


@pytest.fixture
def writers():
    """The functions that write parts of such a folder."""
    return write_recordings, write_images, write_features
