"""Reconstructors as folders."""

import json

import numpy as np
import pytest
import torch
from mne.decoding import Vectorizer
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import skeegclip
from skeegclip import (
    DiffusionPrior,
    EEGEncoder,
    EEGImageReconstructor,
    EmbeddingTable,
    ImageTable,
    LowLevelDecoder,
)
from skeegclip._utils.folders import FolderError
from skeegclip._utils.folders.manifest import sealed
from skeegclip.generation import LinearGenerator

RNG = np.random.default_rng(0)
IDS = [f"s{i:02d}" for i in range(20)]
VECTORS = RNG.normal(size=(20, 6))
TARGETS = EmbeddingTable(IDS, VECTORS)
IMAGES = ImageTable(IDS, RNG.integers(0, 256, (20, 8, 8, 3), dtype=np.uint8))
X = (VECTORS @ RNG.normal(size=(6, 60)) + RNG.normal(size=(20, 60))).reshape(20, 4, 15)
del RNG
PRIOR = DiffusionPrior(net="gaussian", scheduler="ddim", n_steps=5, device="cpu")


def make(encoder, **params):
    given = {"targets": TARGETS, "images": IMAGES, "random_state": 3, "verbose": 0, "cross_fit": 2}
    return EEGImageReconstructor(encoder, **(given | params)).fit(X, IDS)


def same(a, b):
    np.testing.assert_array_equal(a.transform(X), b.transform(X))
    assert a.score(X, IDS) == b.score(X, IDS)
    report = [r.report(X, IDS, ["PixCorr"], n_resamples=0, verbose=0) for r in (a, b)]
    np.testing.assert_array_equal(report[0], report[1])


@pytest.mark.slow
def test_our_own_parts_travel_without_pickles(tmp_path):
    encoder = EEGEncoder("eegproject", max_epochs=2, batch_size=8, random_state=0, device="cpu")
    saved = make(encoder, prior=PRIOR, generator=LinearGenerator(size=8), n_images=2)
    saved.save(tmp_path)
    assert not list(tmp_path.rglob("*.joblib"))
    loaded = EEGImageReconstructor.load(tmp_path, images=IMAGES, device="cpu")
    same(saved, loaded)
    loaded.save(tmp_path / "again")
    same(saved, EEGImageReconstructor.load(tmp_path / "again", images=IMAGES, device="cpu"))
    loaded.fit(X)  # every part is frozen: nothing is learned
    np.testing.assert_array_equal(loaded.transform(X), saved.transform(X))


@pytest.mark.slow
def test_parts_of_scikit_learn_are_no_pickles(tmp_path):
    saved = make(make_pipeline(Vectorizer(), StandardScaler(), Ridge()), prior=Ridge(), generator="linear")
    saved.save(tmp_path)
    assert not {path.suffix for path in tmp_path.rglob("*")} & {".joblib", ".pkl", ".bin"}
    theirs = ["mne.decoding.transformer.Vectorizer"]
    with pytest.raises(
        ValueError,
        match=rf"encoder: vectorizer' holds objects of other libraries .* trusted={theirs!r}".replace(
            "[", r"\["
        ),
    ):
        EEGImageReconstructor.load(tmp_path, images=IMAGES)
    same(saved, EEGImageReconstructor.load(tmp_path, images=IMAGES, trusted=theirs))
    same(saved, skeegclip.load(tmp_path, images=IMAGES, trusted=True))


def test_the_nearest_pictures_are_looked_up_again(tmp_path, rng):
    saved = EEGImageReconstructor(
        "passthrough", targets=TARGETS, images=IMAGES, generator="nearest", random_state=0, verbose=0
    ).fit(VECTORS, IDS)
    saved.save(tmp_path)
    with pytest.raises(ValueError, match=r"not in the folder. Pass them: load\(folder, images="):
        EEGImageReconstructor.load(tmp_path)
    loaded = EEGImageReconstructor.load(tmp_path, images=IMAGES)
    Z = rng.normal(size=(9, 6))
    np.testing.assert_array_equal(loaded.transform(Z), saved.transform(Z))


def test_folders_that_are_not_whole_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"is not a folder that skeegclip saved"):
        EEGImageReconstructor.load(tmp_path)
    saved = make(Ridge(), generator="linear")
    saved.save(tmp_path / "whole")
    path = tmp_path / "whole" / "skeegclip.json"
    said = json.loads(path.read_bytes())
    facts = said["content"]["facts"]
    for part, change, match in [
        ("params", {"n_images": 0}, "n_images must lie in"),
        ("params", {"transform": 1}, "has no 'transform'"),
        ("state", {"transform": 1}, "has no 'transform'"),
        ("state", {"generator_": None}, "generator must be one of"),
        ("state", {"generator_": {"__part__": "targets"}}, "generator must be one of"),
        ("state", {"prior_": {"__part__": "nothing"}}, "its 'nothing' is missing"),
        ("state", {"seen_": "s00"}, "its seen_ is of type str"),
    ]:
        changed = {**facts, part: {**facts[part], **change}}
        path.write_text(json.dumps(sealed({**said, "content": {**said["content"], "facts": changed}})))
        with pytest.raises(FolderError, match=match):
            EEGImageReconstructor.load(tmp_path / "whole")


class Latents(torch.nn.Module):
    """A network of the user's for the low-level decoder."""

    def __init__(
        self, n_outputs=None, n_chans=None, n_times=None, sfreq=None, chs_info=None, *, latent_shape=None
    ):
        super().__init__()
        self.linear = torch.nn.Linear(n_chans * n_times, n_outputs)

    def forward(self, x):
        return self.linear(x.flatten(1))


class Mine(torch.nn.Module):
    """A network of the user's for the encoder."""

    def __init__(self, n_outputs=None, n_chans=None, n_times=None, sfreq=None, chs_info=None):
        super().__init__()
        self.linear = torch.nn.Linear(n_chans * n_times, n_outputs)

    def forward(self, x):
        return self.linear(x.flatten(1))


@pytest.fixture(scope="module")
def of_my_own():
    from diffusers import AutoencoderKL

    with torch.random.fork_rng():
        torch.manual_seed(0)
        vae = AutoencoderKL(block_out_channels=(8,), norm_num_groups=4, latent_channels=2, layers_per_block=1)
    quick = {"max_epochs": 2, "batch_size": 8, "device": "cpu"}
    low_level = LowLevelDecoder(vae, net=Latents, image_size=8, **quick)
    return make(
        EEGEncoder(Mine, random_state=0, **quick),
        low_level=low_level,
        prior=PRIOR,
        generator=LinearGenerator(size=8),
    )


@pytest.mark.slow
def test_what_the_user_wrote_is_handed_to_the_parts(of_my_own, tmp_path):
    of_my_own.save(tmp_path)
    given = {"encoder__net": Mine, "low_level__net": Latents, "low_level__vae": of_my_own.low_level.vae}
    loaded = EEGImageReconstructor.load(tmp_path, images=IMAGES, device="cpu", **given)
    same(of_my_own, loaded)
    np.testing.assert_array_equal(loaded.low_level_.transform(X), of_my_own.low_level_.transform(X))
    loaded.save(tmp_path / "again")
    again = EEGImageReconstructor.load(tmp_path / "again", images=IMAGES, device="cpu", **given)
    same(of_my_own, again)


@pytest.mark.parametrize("name", ["encoder__net", "low_level__net", "low_level__vae"])
def test_what_is_missing_is_named_before_anything_is_read(of_my_own, tmp_path, name):
    of_my_own.save(tmp_path)
    given = {"encoder__net": Mine, "low_level__net": Latents, "low_level__vae": of_my_own.low_level.vae}
    given.pop(name)
    with pytest.raises(ValueError, match=rf"Pass it: load\(folder, {name}=\.\.\.\)"):
        EEGImageReconstructor.load(tmp_path, images=IMAGES, **given)


def test_what_no_part_takes_is_refused(tmp_path):
    make(EEGEncoder("eegproject", max_epochs=1, device="cpu"), generator="linear").save(tmp_path)
    with pytest.raises(TypeError, match="load has no parameter 'net'; .* it takes images, encoder__net"):
        EEGImageReconstructor.load(tmp_path, net=Mine)


def test_a_part_that_has_no_place_in_a_file_is_refused_and_the_folder_stays(tmp_path):
    class Painter:
        """Neither an estimator of ours nor of scikit-learn."""

        def generate(self, embeddings, low_level=None, captions=None, random_state=None):
            return np.zeros((len(embeddings), 8, 8, 3), dtype=np.uint8)

    class Prior(DiffusionPrior):
        """A class of the user's, which no file may name."""

    whole = make(Ridge(), generator="linear")
    whole.save(tmp_path)
    for part in (
        {"generator": Painter()},
        {"generator": "linear", "prior": Prior(net="gaussian", device="cpu")},
    ):
        with pytest.raises(TypeError, match="Painter|Prior"):
            make(Ridge(), **part).save(tmp_path)
    same(whole, EEGImageReconstructor.load(tmp_path, images=IMAGES))
