"""Pictures as they are painted: failures, runs that go on, and files that are another's."""

import os
import pickle

import numpy as np
import pytest
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import Ridge
from stand_ins import Recorder

from skeegclip import EEGImageReconstructor, EmbeddingTable, ImageTable
from skeegclip.generation import GenerationError, LinearGenerator, NearestImageGenerator, SDXLGenerator
from skeegclip.generation._painting import Order, _describe, paint

RNG = np.random.default_rng(0)
TARGETS = EmbeddingTable([f"s{i:02d}" for i in range(40)], RNG.normal(size=(40, 6)))
IMAGES = ImageTable(TARGETS.ids, RNG.integers(0, 256, size=(40, 8, 8, 3), dtype=np.uint8))
Y = np.repeat(TARGETS.ids, 2)
X = (TARGETS.lookup(Y) @ RNG.normal(size=(6, 30)) + RNG.normal(size=(80, 30))).reshape(80, 3, 10)
del RNG
TRAIN, TEST = np.arange(60), np.arange(60, 80)  # other stimuli


def make(**params):
    parts = {"targets": TARGETS, "images": IMAGES, "generator": LinearGenerator(size=8), "verbose": 0}
    return EEGImageReconstructor(Ridge(), **(parts | params))


def test_a_failure_names_the_rows_and_keeps_what_is_done(tmp_path):
    painter = Recorder(fails_at=3)
    reconstructor = make(generator=painter, random_state=0, out_dir=tmp_path)
    reconstructor.fit(X[TRAIN], Y[TRAIN])
    with pytest.raises(
        GenerationError, match=r"rows 16 to 19 of 20 .*out of memory.*16 pictures .*goes on"
    ) as failure:
        reconstructor.transform(X[TEST])
    assert failure.value.rows == range(16, 20)
    assert len(failure.value.pictures) == 16
    assert pickle.loads(pickle.dumps(failure.value)).rows == range(16, 20)
    assert len(list(tmp_path.glob("*.png"))) == 16
    pictures = reconstructor.transform(X[TEST])  # painted: the last batch only
    assert [len(call["Z"]) for call in painter.log] == [8, 8, 4, 4]
    np.testing.assert_array_equal(pictures[:16], failure.value.pictures)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        *(f"{i:05d}.png" for i in range(20)),
        "embeddings.safetensors",
        "painting.json",
    ]
    unsaved = make(generator=Recorder(fails_at=2)).fit(X[TRAIN], Y[TRAIN])
    with pytest.raises(GenerationError, match="8 pictures were painted before; error.pictures holds them"):
        unsaved.transform(X[TEST])
    with pytest.raises(GenerationError, match="rows 0 to 7 of 20.*nothing was painted before"):
        make(generator=Recorder(fails_at=1)).fit(X[TRAIN], Y[TRAIN]).transform(X[TEST])


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"random_state": 1}, "seeds"),
        ({"generator": Recorder(fails_at=99)}, "generator"),
        ({}, "embeddings"),
    ],
)
def test_pictures_of_another_run_are_not_mixed_in(tmp_path, change, what):
    reconstructor = make(generator=Recorder(), random_state=0, out_dir=tmp_path).fit(X[TRAIN], Y[TRAIN])
    reconstructor.transform(X[TEST])
    other = make(generator=Recorder(), random_state=0, out_dir=tmp_path).set_params(**change)
    with pytest.raises(ValueError, match=rf"holds pictures of another run \(differing in {what}\)"):
        other.fit(X[TRAIN], Y[TRAIN]).transform(X[TEST] if change else X[:20])


@pytest.mark.parametrize("what", ["linear", "nearest", "low_level pictures"])
def test_pictures_of_what_was_fitted_to_others_are_not_taken(tmp_path, what):
    rng = np.random.default_rng(0)
    Z, codes = rng.normal(size=(12, 4)).astype("float32"), np.zeros((6, 1), int)
    embeddings = Z[:6, None]

    def painted(seed, folder):
        images = np.random.default_rng(seed).integers(0, 256, size=(12, 8, 8, 3), dtype=np.uint8)
        low = list(images[:6]) if what == "low_level pictures" else None
        generator = {"linear": LinearGenerator(size=8), "nearest": NearestImageGenerator()}.get(
            what, Recorder()
        )
        generator = generator.fit(Z, images) if what != "low_level pictures" else generator
        return paint(generator, Order(embeddings, low, None, codes), out_dir=folder)

    first = painted(1, tmp_path / "a")
    np.testing.assert_array_equal(painted(1, tmp_path / "a"), first)
    with pytest.raises(ValueError, match="holds pictures of another run"):
        painted(2, tmp_path / "a")


@pytest.mark.parametrize("name", ["embeddings.safetensors", "painting.json", "00003.png", "00019.png"])
@pytest.mark.parametrize("kind", ["file", "link", "folder", "pipe"])
def test_files_of_somebody_else_stay_as_they_are(tmp_path, name, kind):
    folder, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    folder.mkdir()
    elsewhere.write_bytes(b"work of weeks")
    path = folder / name
    {
        "file": lambda: path.write_bytes(b"work of weeks"),
        "link": lambda: path.symlink_to(elsewhere),
        "folder": path.mkdir,
        "pipe": lambda: os.mkfifo(path),
    }[kind]()
    reconstructor = make(generator=Recorder(), random_state=0, out_dir=folder).fit(X[TRAIN], Y[TRAIN])
    with pytest.raises((FileExistsError, ValueError), match="out_dir: .* folder"):
        reconstructor.transform(X[TEST])
    assert [p.name for p in folder.iterdir()] == [name]
    assert elsewhere.read_bytes() == b"work of weeks"
    if kind == "file":
        assert path.read_bytes() == b"work of weeks"


def test_a_kill_before_the_first_picture_is_no_obstacle(tmp_path):
    reconstructor = make(generator=Recorder(), random_state=0, out_dir=tmp_path).fit(X[TRAIN], Y[TRAIN])
    reconstructor.transform(X[TEST])
    for path in tmp_path.iterdir():
        if path.name != "embeddings.safetensors":
            path.unlink()
    assert len(reconstructor.transform(X[TEST])) == 20


def test_what_changes_no_picture_makes_no_other_run():
    one = SDXLGenerator(batch_size=2, device="cuda:0", offload="model", verbose=0)
    other = FrozenEstimator(SDXLGenerator(batch_size=9, device="cpu", cache_dir="x", local_files_only=True))
    assert _describe(one) == _describe(other)
    assert _describe(one) != _describe(SDXLGenerator(n_steps=5))


def test_scoring_writes_nothing(tmp_path):
    reconstructor = make(random_state=0, out_dir=tmp_path).fit(X[TRAIN], Y[TRAIN])
    reconstructor.score(X[TEST], Y[TEST])
    assert list(tmp_path.iterdir()) == []
