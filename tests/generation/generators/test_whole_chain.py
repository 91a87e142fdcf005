"""Encoder, prior, low-level decoder, captioner and SDXL, one after the other, from files to pictures."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from skeegclip import (
    DiffusionPrior,
    EEGCaptioner,
    EEGImageReconstructor,
    EmbeddingTable,
    ImageTable,
    LowLevelDecoder,
)
from skeegclip.generation import GenerationError, SDXLGenerator
from skeegclip.generation.generators import sdxl

pytestmark = pytest.mark.slow

RNG = np.random.default_rng(0)
N = 30
IDS = np.array([f"s{i:02d}" for i in range(N)])
VECTORS = 3 * RNG.normal(size=(N, 1024))
TARGETS = EmbeddingTable(IDS, VECTORS)
COLOUR = RNG.integers(0, 256, (N, 1, 1, 3), dtype=np.uint8)
IMAGES = ImageTable(IDS, np.broadcast_to(COLOUR, (N, 64, 64, 3)).copy())
X = (
    (VECTORS @ RNG.normal(size=(1024, 80)) + 10 * RNG.normal(size=(N, 80)))
    .reshape(N, 4, 20)
    .astype("float32")
)
del RNG


@pytest.fixture(scope="module")
def reconstructor(tiny_sdxl):
    generator = SDXLGenerator(
        weights=tiny_sdxl / "sdxl", ip_adapter=tiny_sdxl, size=64, batch_size=4, device="cpu", verbose=0
    )
    return EEGImageReconstructor(
        Ridge(),
        targets=TARGETS,
        images=IMAGES,
        prior=DiffusionPrior(
            net="mlp",
            net_params={"width": 32, "n_blocks": 1, "n_time_features": 8},
            max_epochs=3,
            scheduler="ddim",
            n_steps=5,
            device="cpu",
        ),
        low_level=LowLevelDecoder(tiny_sdxl / "sdxl", image_size=64, device="cpu"),
        captioner=EEGCaptioner("nearest", captions={name: f"picture {name}" for name in IDS}),
        generator=generator,
        cross_fit=2,
        random_state=0,
        verbose=0,
    ).fit(X[:20], IDS[:20])


@pytest.mark.slow
def test_every_part_has_its_say(reconstructor, monkeypatch):
    seen = []
    paint = SDXLGenerator.generate

    def spy(self, embeddings, low_level=None, captions=None, random_state=None):
        seen.append((embeddings, low_level, captions))
        return paint(self, embeddings, low_level, captions, random_state)

    monkeypatch.setattr(SDXLGenerator, "generate", spy)
    pictures = reconstructor.transform(X[20:26])
    assert pictures.shape == (6, 64, 64, 3)
    assert pictures.std() > 5
    Z = reconstructor.prior_.transform(reconstructor.embed(X[20:26]))
    np.testing.assert_allclose(np.concatenate([call[0] for call in seen]), Z, rtol=1e-5)
    low = reconstructor.low_level_.transform(X[20:26])
    np.testing.assert_array_equal(np.concatenate([call[1] for call in seen]), low)
    assert [text for call in seen for text in call[2]] == reconstructor.captioner_.predict(Z)
    alone = [reconstructor.transform(X[[i]])[0] for i in (20,)]
    assert np.abs(alone[0].astype(int) - pictures[0]).max() <= 1


def test_memory_that_runs_out_costs_one_batch(reconstructor, tmp_path, monkeypatch):
    import torch

    paint = SDXLGenerator._paint
    calls = []

    def exhausted(self, *args):
        calls.append(args)
        if len(calls) == 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return paint(self, *args)

    whole = reconstructor.transform(X[20:])
    monkeypatch.setattr(sdxl.SDXLGenerator, "_paint", exhausted)
    writing = reconstructor.set_params(out_dir=tmp_path)
    try:
        with pytest.raises(GenerationError, match=r"rows 4 to 7 of 10 .*CUDA out of memory"):
            writing.transform(X[20:])
        assert len(list(tmp_path.glob("*.png"))) == 4
        # With smaller batches it goes on: they change no picture.
        writing.generator_.set_params(batch_size=2)
        assert np.abs(writing.transform(X[20:]).astype(int) - whole).max() <= 1
    finally:
        reconstructor.set_params(out_dir=None).generator_.set_params(batch_size=4)


def test_it_travels(reconstructor, tmp_path):
    loaded_from = tmp_path / "saved"
    reconstructor.save(loaded_from)
    assert not list(loaded_from.rglob("*.joblib"))
    loaded = EEGImageReconstructor.load(loaded_from, trusted=True, device="cpu").set_params(verbose=0)
    np.testing.assert_allclose(loaded.transform(X[20:22]), reconstructor.transform(X[20:22]), atol=1)
