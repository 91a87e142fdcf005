"""Dimensions of objects, from a server on this machine."""

import hashlib
import io

import numpy as np
import pytest

from skeegclip.datasets import dimensions as module
from skeegclip.datasets import fetch_dimensions

RNG = np.random.default_rng(0)
OBJECTS = [f"object_{i:02d}" for i in range(20)]
VALUES = {n: RNG.gamma(0.5, size=(20, n)).astype("float32") for n in (66, 82)}
NAMES = [f"something {i} / of a kind" for i in range(66)]
del RNG


def saved(array):
    out = io.BytesIO()
    np.save(out, array, allow_pickle=True)
    return out.getvalue()


@pytest.fixture
def published(publisher, monkeypatch):
    text = "\n".join("\t".join(f"{value:.8g}" for value in row) for row in VALUES[66])
    publisher.osf["f5rn6"] = {
        "data/spose_embedding_66d_sorted.txt": text.encode(),
        "data/other.mat": b"-",
        "variables/labels.txt": "\n".join(NAMES).encode(),
        "variables/unique_id.txt": "\r\n".join(OBJECTS).encode() + b"\r\n",
    }
    files = {
        "spose_embedding_82d_sorted.npy": saved(VALUES[82]),
        "unique_id.csv": "\n".join(["id", *OBJECTS]).encode(),
    }
    for name, content in files.items():
        publisher.bucket[f"{module._COMMIT}/{name}"] = content
    digests = {
        name: (len(content), f"sha256:{hashlib.sha256(content).hexdigest()}")
        for name, content in files.items()
    }
    monkeypatch.setattr(module, "_OF_COMMIT", digests)
    return publisher


def fetch(publisher, folder, n_dims, **kwargs):
    places = {"osf": f"{publisher.address}/v2", "github": f"{publisher.address}/bucket", "verbose": 0}
    return fetch_dimensions(n_dims, folder, **(places | kwargs))


def test_sixty_six_with_their_names(published, tmp_path):
    table = fetch(published, tmp_path, 66)
    assert table.ids.tolist() == OBJECTS
    np.testing.assert_allclose(table.vectors, VALUES[66], rtol=1e-6)
    assert table.meta["names"] == NAMES
    asked = len(published.asked)
    assert fetch(published, tmp_path, 66, offline=True) == table
    assert len(published.asked) == asked == 3  # other.mat is left where it is


def test_eighty_two_are_called_after_their_highest_objects(published, tmp_path):
    table = fetch(published, tmp_path, 82)
    np.testing.assert_array_equal(table.vectors, VALUES[82])
    highest = np.argsort(VALUES[82][:, 5])[::-1][:3]
    assert table.meta["names"][5] == ", ".join(OBJECTS[i] for i in highest)
    assert len(table.meta["names"]) == 82


def test_what_is_not_what_it_should_be_is_refused(published, tmp_path):
    name = f"{module._COMMIT}/spose_embedding_82d_sorted.npy"
    good = published.bucket[name]
    published.bucket[name] = good[:-1] + b"x"
    with pytest.raises(ValueError, match="not what its publisher says"):
        fetch(published, tmp_path, 82)
    assert not list((tmp_path / "82").glob("*.npy"))
    del published.osf["f5rn6"]["variables/labels.txt"]
    with pytest.raises(FileNotFoundError, match="labels.txt not found"):
        fetch(published, tmp_path, 66)
    with pytest.raises(FileNotFoundError, match="offline=True"):
        fetch(published, tmp_path, 66, offline=True)
    with pytest.raises(ValueError, match="n_dims"):
        fetch(published, tmp_path, 49)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (saved(VALUES[66]), "do not fit each other"),
        (saved(np.array([{}], dtype=object)), "cannot be read"),
        (b"no array", "cannot be read"),
    ],
)
def test_files_that_somebody_changed_are_refused(published, tmp_path, content, message):
    fetch(published, tmp_path, 82)
    (tmp_path / "82" / "spose_embedding_82d_sorted.npy").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        fetch(published, tmp_path, 82)
