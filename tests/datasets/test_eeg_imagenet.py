"""EEG-ImageNet in miniature."""

import numpy as np
import pytest
import torch
from PIL import Image

from skeegclip import EpochsStore
from skeegclip.datasets import load_eeg_imagenet


def trial(subject, number, granularity="coarse", n_chans=62, n_times=40):
    rng = np.random.default_rng(100 * subject + number)
    return {
        "eeg_data": torch.from_numpy(rng.normal(0, 10, (n_chans, n_times))),
        "granularity": granularity,
        "subject": subject,
        "label": f"n0210666{number % 2}",
        "image": f"n0210666{number % 2}_{number % 5}.JPEG",
    }


def write(path, trials):
    torch.save({"dataset": trials, "labels": ["n02106660", "n02106661"], "images": []}, path)


@pytest.fixture
def folder(tmp_path):
    """Two files, with the trials of their people mixed."""
    place = tmp_path / "published"
    place.mkdir()
    write(
        place / "EEG-ImageNet_1.pth",
        [trial(s, n, "coarse" if n < 6 else "fine") for n in range(8) for s in (0, 1)],
    )
    write(place / "EEG-ImageNet_2.pth", [trial(8, n) for n in range(3)])
    return place


def test_everything_is_there(folder, tmp_path):
    (folder / "imageNet_images" / "n02106661").mkdir(parents=True)
    Image.new("RGB", (4, 4)).save(
        folder / "imageNet_images" / "n02106661" / "n02106661_3.JPEG", format="JPEG"
    )
    data = load_eeg_imagenet(folder, tmp_path / "store", verbose=0)
    people = [(s, n) for s, count in ((0, 8), (1, 8), (8, 3)) for n in range(count)]
    assert data.X.shape == (19, 62, 40)
    expected = np.stack([trial(s, n)["eeg_data"].numpy() for s, n in people])
    np.testing.assert_allclose(data.X, expected, rtol=1e-6)
    assert data.subject.tolist() == [f"sub-{s:02d}" for s, _ in people]
    assert data.y.tolist() == [trial(s, n)["image"].removesuffix(".JPEG") for s, n in people]
    assert data.concept.tolist() == [trial(s, n)["label"] for s, n in people]
    assert data.X.rows["granularity"].tolist() == (["coarse"] * 6 + ["fine"] * 2) * 2 + ["coarse"] * 3
    assert data.images.ids.tolist() == ["n02106661_3"]
    assert (data.times[0], data.info["sfreq"]) == (0.0, 1000.0)
    np.testing.assert_allclose(data.times, np.arange(40) / 1000)


def test_people_one_after_another_and_their_files(folder, tmp_path):
    load_eeg_imagenet(folder, tmp_path / "store", subjects=8, verbose=0)
    data = load_eeg_imagenet(folder, tmp_path / "store", subjects=[0, 8], verbose=0)
    assert data.subject.tolist() == ["sub-08"] * 3 + ["sub-00"] * 8
    one = load_eeg_imagenet(folder, tmp_path / "store", subjects=[0], verbose=0)
    assert one.subject.tolist() == ["sub-00"] * 8
    named = {o["recording"]: o["files"][0]["name"] for o, _ in EpochsStore.open(tmp_path / "store").origins}
    assert named == {"sub-08": "EEG-ImageNet_2.pth", "sub-00": "EEG-ImageNet_1.pth"}


def test_another_unit(folder, tmp_path):
    data = load_eeg_imagenet(folder, tmp_path / "store", subjects=8, unit=2.0, verbose=0)
    np.testing.assert_allclose(data.X[0], 2 * trial(8, 0)["eeg_data"].numpy(), rtol=1e-6)
    with pytest.warns(UserWarning, match="microvolts"):
        load_eeg_imagenet(folder, tmp_path / "volts", subjects=8, unit=1e-6, verbose=0)


class Evil:
    def __reduce__(self):
        return exec, ("raise SystemExit('code of the file was run')",)


def test_files_that_would_run_code_are_refused(folder, tmp_path):
    torch.save({"dataset": [Evil()]}, folder / "EEG-ImageNet_1.pth")
    with pytest.raises(
        ValueError, match=r"EEG-ImageNet_1\.pth' is damaged, or holds more than tensors and text"
    ):
        load_eeg_imagenet(folder, tmp_path / "store", verbose=0)


def test_files_that_are_others_are_refused(folder, tmp_path):
    file = folder / "EEG-ImageNet_1.pth"
    for content in ([1], {"dataset": []}, {"dataset": [{"eeg": 1}]}):
        torch.save(content, file)
        with pytest.raises(ValueError, match="is not one of EEG-ImageNet's files"):
            load_eeg_imagenet(folder, tmp_path / "store", verbose=0)
    write(file, [trial(0, 0, n_chans=61)])
    with pytest.raises(ValueError, match="must have 62 channels and one length"):
        load_eeg_imagenet(folder, tmp_path / "store", verbose=0)
    file.write_bytes(b"no file of torch")
    with pytest.raises(ValueError, match="is damaged"):
        load_eeg_imagenet(folder, tmp_path / "store", verbose=0)
    with pytest.raises(FileNotFoundError, match="holds none of EEG-ImageNet.pth"):
        load_eeg_imagenet(tmp_path, tmp_path / "store", verbose=0)
    file.unlink()
    with pytest.raises(FileNotFoundError, match="sub-03 not found; there are sub-08"):
        load_eeg_imagenet(folder, tmp_path / "store", subjects=3, verbose=0)
