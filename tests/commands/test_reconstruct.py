"""``skeegclip reconstruct``: a saved reconstructor and recorded epochs, in all their forms."""

import mne
import numpy as np
import pandas as pd
import pytest
from mne.decoding import Vectorizer
from PIL import Image
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from typer.testing import CliRunner

from skeegclip import EEGEncoder, EEGImageReconstructor, EmbeddingTable, EpochsStore, ImageTable
from skeegclip.commands.cli import app
from skeegclip.generation import LinearGenerator

RNG = np.random.default_rng(0)
IDS = [f"s{i:02d}" for i in range(12)]
VECTORS = RNG.normal(size=(12, 4))
TABLES = {
    "targets": EmbeddingTable(IDS, VECTORS),
    "images": ImageTable(IDS, RNG.integers(0, 256, (12, 8, 8, 3), dtype=np.uint8)),
}
X = (
    (10 * (VECTORS @ RNG.normal(size=(4, 60)) + RNG.normal(size=(12, 60))))
    .reshape(12, 3, 20)
    .astype("float32")
)
del RNG
INFO = mne.create_info(["Oz", "Pz", "Cz"], 100.0, "eeg")


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    encoder = EEGEncoder("eegproject", max_epochs=2, batch_size=4, random_state=0, device="cpu")
    reconstructor = EEGImageReconstructor(encoder, **TABLES, generator=LinearGenerator(size=8), cross_fit=2)
    folder = tmp_path_factory.mktemp("saved")
    reconstructor.fit(X, IDS).save(folder)
    return folder, reconstructor.set_params(verbose=0).transform(X)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    rows = pd.DataFrame(
        {"subject": np.repeat(["a", "b"], 12), "stimulus": IDS * 2, "split": ["train"] * 6 + ["test"] * 18}
    )
    noise = np.random.default_rng(1).normal(size=X.shape).astype("float32")
    folder = tmp_path_factory.mktemp("stores") / "store"
    EpochsStore.create(folder, np.concatenate([X + noise, X - noise]), rows, info=INFO)
    return folder


def run(*arguments):
    return CliRunner().invoke(app, ["reconstruct", *map(str, arguments)])


def pictures(folder):
    return [np.asarray(Image.open(path)) for path in sorted(folder.glob("*.png"))]


def test_an_array(parts, tmp_path):
    folder, expected = parts
    np.save(tmp_path / "X.npy", X)
    result = run(folder, tmp_path / "X.npy", "--out", tmp_path / "out", "--device", "cpu")
    assert result.exit_code == 0, result.output
    assert "Pictures of 12 epochs" in result.output
    np.testing.assert_array_equal(pictures(tmp_path / "out"), expected)
    (tmp_path / "out" / "00011.png").unlink()  # as if it had been interrupted
    assert run(folder, tmp_path / "X.npy", "--out", tmp_path / "out", "--device", "cpu").exit_code == 0
    np.testing.assert_array_equal(pictures(tmp_path / "out"), expected)


def test_epochs_of_mne(parts, tmp_path):
    folder, expected = parts
    file = tmp_path / "some-epo.fif"
    mne.EpochsArray(1e-6 * X, INFO, verbose=False).save(file, verbose=False)
    result = run(folder, file, "--out", tmp_path / "out", "--n-images", 2, "--device", "cpu")
    assert result.exit_code == 0, result.output
    found = pictures(tmp_path / "out")
    assert len(found) == 24
    assert np.abs(np.array(found[::2]).astype(int) - expected).max() <= 2


def test_rows_of_epochs_can_be_chosen_and_averaged(parts, tmp_path):
    folder, expected = parts
    noise = np.random.default_rng(2).normal(size=X.shape).astype("float32")
    epochs = mne.EpochsArray(1e-6 * np.concatenate([X + noise, X - noise]), INFO, verbose=False)
    epochs.metadata = pd.DataFrame(
        {"stimulus": IDS * 2, "subject": np.repeat(["ana", "ben"], [20, 4]), "reaction_time": np.arange(24.0)}
    )
    file = tmp_path / "some-epo.fif"
    epochs.save(file, verbose=False)
    result = run(folder, file, "--out", tmp_path / "all", "--device", "cpu")
    assert result.exit_code == 0, result.output
    rows = pd.read_csv(tmp_path / "all" / "rows.csv", index_col="row")
    pd.testing.assert_frame_equal(rows, epochs.metadata, check_names=False)
    assert len(pictures(tmp_path / "all")) == 24
    # Eight of twelve pictures were seen twice by ana, and what was added to the one was taken from the other.
    result = run(folder, file, "--out", tmp_path / "mean", "--average", "--subject", "ana", "--device", "cpu")
    assert result.exit_code == 0, result.output
    rows = pd.read_csv(tmp_path / "mean" / "rows.csv")
    assert rows["stimulus"].tolist() == IDS
    assert set(rows["subject"]) == {"ana"}
    painted = np.array(pictures(tmp_path / "mean"))
    assert np.abs(painted[:8].astype(int) - expected[:8]).max() <= 2
    assert np.abs(painted[8:].astype(int) - expected[8:]).max() > 2


def test_events_say_what_was_shown_where_nothing_else_does(parts, tmp_path):
    folder, expected = parts
    events = np.column_stack([np.arange(24), np.zeros(24, int), np.tile(np.arange(12), 2)])
    names = {name: code for code, name in enumerate(IDS)}
    volts = 1e-6 * np.concatenate([X, X])
    file = tmp_path / "some-epo.fif"
    mne.EpochsArray(volts, INFO, events, event_id=names, verbose=False).save(file, verbose=False)
    result = run(folder, file, "--out", tmp_path / "out", "--average", "--device", "cpu")
    assert result.exit_code == 0, result.output
    assert pd.read_csv(tmp_path / "out" / "rows.csv")["stimulus"].tolist() == IDS
    assert np.abs(np.array(pictures(tmp_path / "out")).astype(int) - expected).max() <= 2


def test_a_store(parts, store, tmp_path):
    folder, expected = parts
    result = run(folder, store, "--out", tmp_path / "all", "--average", "--device", "cpu")
    assert result.exit_code == 0, result.output
    rows = pd.read_csv(tmp_path / "all" / "rows.csv")
    assert len(rows) == len(pictures(tmp_path / "all")) == 24
    some = run(
        folder, store, "--out", tmp_path / "some", "--split", "test", "--subject", "a", "--device", "cpu"
    )
    assert some.exit_code == 0, some.output
    assert pd.read_csv(tmp_path / "some" / "rows.csv")["stimulus"].tolist() == IDS[6:]


@pytest.mark.parametrize("name", ["rows.csv", "embeddings.safetensors", "00004.png"])
def test_files_of_somebody_else_are_not_replaced(parts, store, tmp_path, name):
    (tmp_path / name).write_text("work of weeks")
    result = run(parts[0], store, "--out", tmp_path, "--device", "cpu")
    assert result.exit_code == 2
    assert name in result.output
    assert (tmp_path / name).read_text() == "work of weeks"


def test_what_cannot_be_done_is_said_in_one_line(parts, store, tmp_path):
    folder, _ = parts
    np.save(tmp_path / "X.npy", X)
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object))
    foreign = make_pipeline(Vectorizer(), Ridge())
    EEGImageReconstructor(foreign, **TABLES, generator="linear", cross_fit=2).fit(X, IDS).save(
        tmp_path / "foreign"
    )
    out = ["--out", tmp_path / "out"]
    for arguments, match in [
        ([tmp_path, tmp_path / "X.npy"], "is not a folder that skeegclip saved"),
        ([folder, store, "--subject", "zoe"], "no row has --subject 'zoe'"),
        ([folder, tmp_path / "X.npy", "--average"], "is an array, which does not say what its rows show"),
        ([folder, tmp_path / "objects.npy"], "objects.npy is no array in .npy"),
        ([tmp_path / "foreign", tmp_path / "X.npy"], "holds objects of other libraries"),
        ([folder, tmp_path / "absent.npy"], "absent.npy"),
    ]:
        result = run(*arguments, *out)
        assert result.exit_code == 2
        assert match in result.output
        assert result.output.strip().count("\n") == 0
    trusted = run(tmp_path / "foreign", tmp_path / "X.npy", *out, "--trusted")
    assert trusted.exit_code == 0, trusted.output
