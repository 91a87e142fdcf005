"""Downloads from a server on this machine that speaks as the places of publication do."""

import hashlib
import io
import os
import shutil
import zipfile

import numpy as np
import pytest

from skeegclip.datasets import fetch_things_eeg2, fetch_things_meg, load_things_eeg2
from skeegclip.datasets._download import Remote, download, unpack


def some_bytes(n, seed=0):
    return np.random.default_rng(seed).bytes(n)


def zipped(files):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()


@pytest.fixture
def published(publisher, things_eeg2):
    """The miniature of THINGS-EEG2, on the server."""
    for path in sorted(things_eeg2.rglob("*")):
        name = path.relative_to(things_eeg2).as_posix()
        if path.is_file() and not name.startswith("image_set"):
            publisher.hub[name] = path.read_bytes()
    archives = {}
    for split in ("training_images", "test_images"):
        files = {
            path.relative_to(things_eeg2 / "image_set").as_posix(): path.read_bytes()
            for path in (things_eeg2 / "image_set" / split).rglob("*.jpg")
        }
        archives[f"{split}.zip"] = zipped(files | {f"__MACOSX/{split}/x": b"", f"{split}/.DS_Store": b""})
    metadata = io.BytesIO()
    np.save(metadata, {"any": ["thing"]}, allow_pickle=True)
    publisher.osf["y63gw"] = archives | {"image_metadata.npy": metadata.getvalue(), "README.md": b"-"}
    raw = {"ses-01/raw_eeg_test.npy": b"raw", "ses-01/raw_eeg_training.npy": b"more"}
    publisher.osf["crxs4"] = {
        f"data/sub-{n:02d}.zip": zipped({f"sub-{n:02d}/{k}": v for k, v in raw.items()}) for n in (1, 2)
    }
    return publisher


def fetch(publisher, folder, *args, **kwargs):
    address = {"hub": publisher.address, "osf": f"{publisher.address}/v2", "verbose": 0}
    return fetch_things_eeg2(*args, folder=folder, **(address | kwargs))


def test_what_is_fetched_can_be_loaded(published, tmp_path, things_eeg2):
    folder = fetch(published, tmp_path / "new", subjects=[1, "sub-02"])
    files = {
        p.relative_to(folder).as_posix()
        for p in folder.rglob("*")
        if p.is_file() and ".downloads" not in p.parts
    }
    expected = {p.relative_to(things_eeg2).as_posix() for p in things_eeg2.rglob("*") if p.is_file()}
    assert files == expected | {"image_set/image_metadata.npy"}
    for name in expected:
        assert (folder / name).read_bytes() == (things_eeg2 / name).read_bytes()
    data = load_things_eeg2(folder, verbose=0)
    assert data.X.shape == (520, 63, 250)
    assert len(data.images) == 100
    assert data.image_embeddings is not None


def test_only_what_is_asked_for(published, tmp_path):
    fetch(published, tmp_path, 2, "preprocessed")
    assert [path.rpartition("main/")[2] for path, _ in published.asked] == [
        "Preprocessed_data_250Hz/sub-02/preprocessed_eeg_training.npy",
        "Preprocessed_data_250Hz/sub-02/preprocessed_eeg_test.npy",
    ]
    fetch(published, tmp_path, 1, ("features", "raw"))
    assert (tmp_path / "raw_data" / "sub-01" / "ses-01" / "raw_eeg_test.npy").read_bytes() == b"raw"
    assert {p.name for p in tmp_path.iterdir()} == {
        "Preprocessed_data_250Hz", "ViT-H-14_features_test.pt", "ViT-H-14_features_train.pt", "raw_data", ".downloads",
    }  # fmt: skip


def test_what_is_there_is_not_downloaded_again(published, tmp_path):
    what = ("preprocessed", "images", "features", "raw")
    fetch(published, tmp_path, 1, what)
    published.asked.clear()
    fetch(published, tmp_path, 1, what)
    assert published.asked == []
    fetch(published, tmp_path, 1, what, offline=True, hub="http://127.0.0.1:9", osf="http://127.0.0.1:9")


def test_offline_tells_what_is_missing(published, tmp_path):
    with pytest.raises(
        FileNotFoundError,
        match=r"offline=True, but 6 of the files .*first: Preprocessed_data_250Hz/sub-01/pre",
    ):
        fetch(published, tmp_path, 1, offline=True)
    with pytest.raises(FileNotFoundError, match="first: raw_data/sub-01"):
        fetch(published, tmp_path, 1, "raw", offline=True)
    assert published.asked == []


def test_interrupted_downloads_go_on_where_they_stopped(published, tmp_path, capsys):
    name = "Preprocessed_data_250Hz/sub-01/preprocessed_eeg_training.npy"
    n_bytes = len(published.hub[name])
    published.cut_after = 1 << 20
    assert n_bytes > 8 * published.cut_after
    with pytest.raises(
        ConnectionError, match="could not be downloaded .* Run this again: it goes on where it stopped"
    ):
        fetch(published, tmp_path, 1, "preprocessed")
    assert not (tmp_path / name).exists()
    (part,) = (tmp_path / ".downloads").glob("*.part")
    assert part.stat().st_size == 4 * published.cut_after  # one attempt, and three more
    assert [asked for _, asked in published.asked] == [None] + [
        f"bytes={k * published.cut_after}-" for k in (1, 2, 3)
    ]
    published.cut_after = None
    published.asked.clear()
    fetch(published, tmp_path, 1, "preprocessed", verbose=1)
    assert published.asked[0][1] == f"bytes={4 << 20}-"
    assert (tmp_path / name).read_bytes() == published.hub[name]
    assert not part.exists()
    assert "preprocessed_eeg_training.npy" in capsys.readouterr().err


def test_ctrl_c_leaves_a_part_to_go_on_from(published, tmp_path, monkeypatch):
    import requests

    original = requests.Response.iter_content

    def interrupted(self, size):
        yield next(original(self, 1000))
        raise KeyboardInterrupt

    monkeypatch.setattr(requests.Response, "iter_content", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fetch(published, tmp_path, 1, "features")
    monkeypatch.undo()
    assert [p.name for p in tmp_path.iterdir()] == [".downloads"]
    (part,) = (tmp_path / ".downloads").glob("*.part")
    assert part.stat().st_size == 1000


def interrupted(publisher, folder, file, n_bytes):
    """Leave a part of so many bytes."""
    publisher.cut_after = n_bytes
    with pytest.raises(ConnectionError):
        download([file], folder, verbose=0)
    publisher.cut_after = None
    publisher.asked.clear()


@pytest.fixture
def impatient(monkeypatch):
    """One attempt, in pieces that are written at once."""
    monkeypatch.setattr("skeegclip.datasets._download._RETRIES", 0)
    monkeypatch.setattr("skeegclip.datasets._download._CHUNK", 1000)


@pytest.mark.usefixtures("impatient")
def test_servers_that_cannot_resume_start_anew(publisher, tmp_path):
    publisher.bucket["file"] = some_bytes(5000)
    file = Remote("file", f"{publisher.address}/bucket/file", 5000)
    interrupted(publisher, tmp_path, file, 3000)
    publisher.resumes = False
    download([file], tmp_path, verbose=0)
    assert (tmp_path / "file").read_bytes() == publisher.bucket["file"]
    assert publisher.asked == [("/bucket/file", "bytes=3000-")]


@pytest.mark.usefixtures("impatient")
def test_a_part_of_another_version_is_not_gone_on_from(publisher, tmp_path):
    publisher.bucket["file"] = some_bytes(5000)
    url = f"{publisher.address}/bucket/file"
    interrupted(publisher, tmp_path, Remote("file", url, 5000, etag='"old"'), 3000)
    publisher.bucket["file"] = some_bytes(5000, seed=1)
    download([Remote("file", url, 5000, etag='"new"')], tmp_path, verbose=0)
    assert (tmp_path / "file").read_bytes() == publisher.bucket["file"]
    assert publisher.asked == [("/bucket/file", None)]
    assert list((tmp_path / ".downloads").glob("*.part")) == []


@pytest.mark.usefixtures("impatient")
def test_a_part_that_is_whole_is_checked_and_used(publisher, tmp_path):
    content = publisher.bucket["file"] = some_bytes(5000)
    file = Remote("a/file", f"{publisher.address}/bucket/file", 5000, "sha256:" + publisher.sha256(content))
    interrupted(publisher, tmp_path, file, 3000)
    (part,) = (tmp_path / ".downloads").glob("*.part")
    part.write_bytes(content)
    download([file], tmp_path, verbose=0)
    assert (tmp_path / "a" / "file").read_bytes() == content
    assert publisher.asked == []


def test_a_wrong_hash_is_refused(published, tmp_path):
    name = "ViT-H-14_features_train.pt"
    published.lies[published.hub[name]] = "0" * 64
    with pytest.raises(
        ValueError, match="ViT-H-14_features_train.pt from .* is not what its publisher says: SHA256 hash"
    ):
        fetch(published, tmp_path, 1, "features")
    assert not (tmp_path / name).exists()
    assert list((tmp_path / ".downloads").glob("*.part")) == []  # nothing to go on from


@pytest.mark.parametrize("kind", ["file", "dangling link", "folder"])
def test_a_file_of_somebody_else_is_not_replaced(publisher, tmp_path, kind):
    publisher.bucket["file"] = some_bytes(5000)
    path = tmp_path / "file"
    {
        "file": lambda: path.write_bytes(b"work of weeks"),
        "dangling link": lambda: path.symlink_to(tmp_path / "elsewhere"),
        "folder": path.mkdir,
    }[kind]()
    with pytest.raises(FileExistsError, match="would be replaced. Move it away"):
        download([Remote("file", f"{publisher.address}/bucket/file", 5000)], tmp_path, verbose=0)
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
    assert kind != "file" or path.read_bytes() == b"work of weeks"


@pytest.mark.parametrize("n_bytes", [4000, 6000])
def test_a_wrong_size_is_refused(n_bytes, publisher, tmp_path):
    publisher.bucket["file"] = some_bytes(5000)
    with pytest.raises(
        (ValueError, ConnectionError), match=r"5000 bytes instead of 4000|after 5000 of 6000 bytes"
    ):
        download([Remote("file", f"{publisher.address}/bucket/file", n_bytes)], tmp_path, verbose=0)
    assert not (tmp_path / "file").exists()


def test_two_at_once(published, tmp_path):
    from filelock import FileLock

    (tmp_path / ".downloads").mkdir()
    with (
        FileLock(tmp_path / ".downloads" / "ViT-H-14_features_train.pt.lock"),
        pytest.raises(BlockingIOError, match="is being downloaded by another process"),
    ):
        fetch(published, tmp_path, 1, "features")


def test_places_that_cannot_be_reached(tmp_path, publisher, monkeypatch):
    with pytest.raises(ConnectionError, match="on the hub cannot be reached"):
        fetch(publisher, tmp_path, 1, "features", hub="http://127.0.0.1:9")
    with pytest.raises(ConnectionError, match="nodes/y63gw.* cannot be reached"):
        fetch(publisher, tmp_path, 1, "images", osf="http://127.0.0.1:9/v2")
    with pytest.raises(FileNotFoundError, match="not found in the data set .* on the hub"):
        fetch(publisher, tmp_path, 1, "features")
    with pytest.raises(FileNotFoundError, match="training_images.zip not found in the OSF component y63gw"):
        fetch(publisher, tmp_path, 1, "images")
    with pytest.raises(
        FileNotFoundError, match="sub-01.zip not found in the OSF component crxs4, which holds no archive"
    ):
        fetch(publisher, tmp_path, 1, "raw")


def test_the_hub_switched_off_by_the_environment(published, tmp_path, monkeypatch):
    from huggingface_hub import close_session, constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    close_session()
    with pytest.raises(ConnectionError, match="HF_HUB_OFFLINE is set"):
        fetch(published, tmp_path, 1, "features")
    close_session()


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"subjects": 11}, "subjects must be among 1 to 10, got 'sub-11'"),
        ({"what": "image"}, "what must be one of .* Did you mean 'images'"),
    ],
)
def test_bad_parameters(options, match, tmp_path):
    with pytest.raises(ValueError, match=match):
        fetch_things_eeg2(folder=tmp_path, **options)
    with pytest.raises(ValueError, match="subjects must be among 1 to 4"):
        fetch_things_meg(subjects=[1, 5], folder=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_default_folder_is_in_the_cache(published, tmp_path, monkeypatch):
    monkeypatch.setattr("pooch.os_cache", lambda name: tmp_path / name)
    assert fetch(published, None, 1, "features") == tmp_path / "skeegclip" / "things-eeg2"


# -- THINGS-MEG ---------------------------------------------------------------------------------------


def test_meg_comes_in_parts(publisher, tmp_path):
    prefix = "ds004212/derivatives/preprocessed/preprocessed_P"
    names = ["1-epo.fif", "1-epo-1.fif", "1-epo-2.fif", "2-epo.fif"]
    publisher.bucket = {prefix + name: some_bytes(60_000, seed) for seed, name in enumerate(names)}
    options = {"openneuro": f"{publisher.address}/bucket", "verbose": 0}
    folder = fetch_things_meg(1, tmp_path, **options)
    here = sorted((folder / "derivatives" / "preprocessed").iterdir())
    assert [p.name for p in here] == [
        "preprocessed_P1-epo-1.fif",
        "preprocessed_P1-epo-2.fif",
        "preprocessed_P1-epo.fif",
    ]
    for path in here:
        assert path.read_bytes() == publisher.bucket[f"ds004212/derivatives/preprocessed/{path.name}"]
    publisher.asked.clear()
    fetch_things_meg(1, tmp_path, **options)
    assert publisher.asked == []
    fetch_things_meg(1, tmp_path, offline=True)
    with pytest.raises(FileNotFoundError, match=r"first: derivatives/preprocessed/preprocessed_P2-epo.fif"):
        fetch_things_meg([1, 2], tmp_path, offline=True)
    with pytest.raises(FileNotFoundError, match=r"preprocessed_P3-epo.fif not found in ds004212"):
        fetch_things_meg(3, tmp_path, **options)
    publisher.bucket[prefix + "2-epo.fif"] = b"small"
    publisher.bucket[prefix + "2-epo.fif"] += b"!"
    assert fetch_things_meg(2, tmp_path, **options)  # a small object's mark is its md5, and is checked


# -- archives -----------------------------------------------------------------------------------------

SLIPS = [
    "../evil",
    "images/../../evil",
    "/evil",
    "images/../../../evil",
    "C:\\evil",
    "..\\evil",
    "c:/evil",
    "a/..",
]


@pytest.mark.parametrize("name", SLIPS)
def test_archives_stay_in_their_folder(name, tmp_path):
    place = tmp_path / "deep" / "deeper"
    place.mkdir(parents=True)
    (place / "x.zip").write_bytes(zipped({"images/good": b"good", name: b"evil"}))
    with pytest.raises(ValueError, match="is refused: it would be written outside"):
        unpack(place / "x.zip", place / "images", verbose=0)
    assert [p.name for p in tmp_path.rglob("*")] == ["deep", "deeper", "x.zip"]


def test_links_in_archives_are_not_followed(tmp_path):
    link = zipfile.ZipInfo("images/link")
    link.external_attr = 0o120777 << 16
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(link, str(tmp_path / "outside"))
        archive.writestr("images/link/evil", b"evil")
    (tmp_path / "outside").mkdir()
    (tmp_path / "x.zip").write_bytes(out.getvalue())
    with pytest.raises((ValueError, OSError)):
        unpack(tmp_path / "x.zip", tmp_path / "images", verbose=0)
    assert list((tmp_path / "outside").iterdir()) == []
    assert not (tmp_path / "images").exists()


@pytest.mark.parametrize(
    "damage",
    [
        lambda b: b[:-30],
        lambda b: b"PK" + b[100:],
        lambda b: b"<html>",
        lambda b: b[:60] + b"\0" * 20 + b[80:],
    ],
)
def test_damaged_archives_leave_nothing(damage, tmp_path):
    content = zipped({f"images/{i}": some_bytes(50, seed=i) for i in range(5)})
    (tmp_path / "x.zip").write_bytes(damage(content))
    with pytest.raises(ValueError, match="is damaged or not a zip archive"):
        unpack(tmp_path / "x.zip", tmp_path / "images", verbose=0)
    assert [p.name for p in tmp_path.iterdir()] == ["x.zip"]


def test_archives_with_and_without_a_folder_at_the_top(tmp_path):
    for k, top in enumerate(("", "images/")):
        (tmp_path / f"{k}.zip").write_bytes(zipped({f"{top}a/b.jpg": b"1", f"{top}c.jpg": b"2"}))
        (tmp_path / str(k)).mkdir()
        unpack(tmp_path / f"{k}.zip", tmp_path / str(k) / "images", verbose=0)
        assert (tmp_path / str(k) / "images" / "a" / "b.jpg").read_bytes() == b"1"


def test_an_archive_made_to_fill_the_disk_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(3):
            archive.writestr(f"images/{number}", bytes(2**25))
    assert (tmp_path / "x.zip").stat().st_size < 2**18
    with pytest.raises(
        ValueError, match=r"x.zip is refused: it would unpack to 100663296 bytes, \d+ times its own"
    ):
        unpack(tmp_path / "x.zip", tmp_path / "images", verbose=0)
    os.mkfifo(tmp_path / "pipe.zip")
    with pytest.raises(
        ValueError, match="pipe.zip is damaged or not a zip archive .it is a folder or a pipe"
    ):
        unpack(tmp_path / "pipe.zip", tmp_path / "images", verbose=0)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["pipe.zip", "x.zip"]


@pytest.mark.slow
def test_unpacking_is_all_or_nothing_whenever_it_is_killed(tmp_path, killer):
    def start():
        unpack(tmp_path / "x.zip", tmp_path / "images", verbose=0)

    files = {f"images/{n}": some_bytes(50, seed=n) for n in range(3)}
    (tmp_path / "x.zip").write_bytes(zipped(files))
    mine = tmp_path / ".images.unpacking" / "precious"
    mine.parent.mkdir()
    mine.write_text("precious")
    n_steps = 0
    for _ in killer.every_step(start):
        n_steps += 1
        if not (tmp_path / "images").exists():
            start()
        assert {f"images/{p.name}": p.read_bytes() for p in (tmp_path / "images").iterdir()} == files
        if n_steps % 2:  # the next one removes what a kill has left
            shutil.rmtree(tmp_path / "images")
            start()
            assert sorted(p.name for p in tmp_path.iterdir()) == [".images.unpacking", "images", "x.zip"]
        shutil.rmtree(tmp_path / "images")
    assert n_steps >= 8
    assert mine.read_text() == "precious"


@pytest.mark.slow
def test_a_download_that_is_killed_is_gone_on_with_and_leaves_nothing(publisher, tmp_path, killer):
    content = some_bytes(200_000)
    publisher.bucket["file"] = content
    remote = Remote(
        "file", f"{publisher.address}/bucket/file", len(content), f"md5:{hashlib.md5(content).hexdigest()}"
    )
    n_steps = 0
    for _ in killer.every_step(lambda: download([remote], tmp_path, verbose=0)):
        n_steps += 1
        if (tmp_path / "file").exists():
            assert (tmp_path / "file").read_bytes() == content
            (tmp_path / "file").unlink()
        download([remote], tmp_path, verbose=0)
        assert (tmp_path / "file").read_bytes() == content
        left = {p.name for p in (tmp_path / ".downloads").iterdir()}
        assert left == {"file.lock"}
        (tmp_path / "file").unlink()
    assert n_steps >= 6


@pytest.mark.parametrize("name", ["../x", "/x", "a/../../x", "..", "a\\b", "C:x", "", "a\0b"])
def test_names_from_a_server_that_lead_elsewhere(name, publisher, tmp_path):
    with pytest.raises(ValueError, match="is refused: it would be written outside"):
        download([Remote(name, f"{publisher.address}/bucket/x", 1)], tmp_path, verbose=0)
    assert os.listdir(tmp_path) == []
