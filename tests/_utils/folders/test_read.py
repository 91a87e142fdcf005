"""A folder from anywhere: read as it was saved, or refused in a sentence, whatever it says."""

import json
import os
import shutil
import signal
import tracemalloc
from contextlib import contextmanager

import numpy as np
import pytest
from folder_faults import make_content, mutated, same

from skeegclip._utils.folders import Content, FolderError, read_folder, write_folder
from skeegclip._utils.folders.manifest import sealed

SAVED = make_content(1, 2)
REFUSALS = (FolderError, FileNotFoundError)


@pytest.fixture
def folder(tmp_path):
    write_folder(tmp_path / "saved", SAVED)
    return tmp_path / "saved"


def manifest_of(folder):
    return json.loads((folder / "skeegclip.json").read_bytes())


def generation(folder):
    return folder / manifest_of(folder)["folder"]


@contextmanager
def within(seconds):
    """An error where it takes longer: a pipe without a writer would wait for ever."""

    def late(*_):
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def test_absent(tmp_path):
    for place in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(
            FileNotFoundError, match=r"is not a folder that skeegclip saved: it has no skeegclip.json"
        ):
            read_folder(place)


def test_a_file_is_no_folder(folder):
    for path in (folder / "skeegclip.json", generation(folder) / "weights.safetensors"):
        with pytest.raises(FolderError, match=f"'{path}' is a file. Pass the folder that was saved."):
            read_folder(path)


def test_another_kind(folder):
    with pytest.raises(FolderError, match="holds a saved Whole and no Other"):
        read_folder(folder, kind="Other")
    assert read_folder(folder).kind == "Whole"


def test_copies_are_as_good(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "copy")
    os.unlink(tmp_path / "copy" / ".skeegclip.lock")
    assert same(read_folder(tmp_path / "copy"), SAVED)


PLACES = [
    "skeegclip.json",
    "{}",
    "{}/f.bin",
    "{}/weights.safetensors",
    "{}/part_0",
    "{}/part_0/inner/inner_1.bin",
]


@pytest.mark.parametrize("place", PLACES)
def test_links_are_not_followed(folder, tmp_path, place):
    path = folder / place.format(manifest_of(folder)["folder"])
    path.rename(tmp_path / "aside")  # the very same content, so that only its being a link is refused
    path.symlink_to(tmp_path / "aside")
    with pytest.raises(FolderError, match="is a link or no ordinary file"):
        read_folder(folder)


@pytest.mark.parametrize("place", [place for place in PLACES if "." in place])
@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_pipes_and_folders_in_the_place_of_files(folder, place, make):
    path = folder / place.format(manifest_of(folder)["folder"])
    path.unlink()
    make(path)
    with within(5), pytest.raises(FolderError, match="is a link or no ordinary file"):
        read_folder(folder)


@pytest.mark.parametrize("place", [place for place in PLACES if "{}/" in place])
def test_a_part_that_is_missing(folder, place):
    path = folder / place.format(manifest_of(folder)["folder"])
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(FolderError, match="does not exist: the folder was not copied whole"):
        read_folder(folder)


@pytest.mark.parametrize(
    "name", ["../f.bin", "/etc/passwd", "part_0/../f.bin", "files.json", ".x", "part_0//x", ""]
)
def test_names_that_no_save_gives(folder, name):
    said = manifest_of(folder)
    said["files"][name] = said["files"].pop("f.bin")
    said["content"]["files"] = [name if n == "f.bin" else n for n in said["content"]["files"]]
    (folder / "skeegclip.json").write_text(json.dumps(sealed(said)))
    with pytest.raises(FolderError, match="names files that no save writes"):
        read_folder(folder)


@pytest.mark.parametrize(
    "name", ["..", ".", "/tmp", "saved-x", "saved-0123456789abcdef/..", "saved-0123456789ABCDEF"]
)
def test_folders_that_no_save_makes(folder, name):
    (folder / "skeegclip.json").write_text(json.dumps(sealed({**manifest_of(folder), "folder": name})))
    with pytest.raises(FolderError, match="names files that no save writes"):
        read_folder(folder)


def test_of_another_version(folder):
    said = {**manifest_of(folder), "version": 99, "skeegclip": "9.9"}
    (folder / "skeegclip.json").write_text(json.dumps(said))
    with pytest.raises(
        FolderError, match="has format 99, this version reads 2. It was written by skeegclip '9.9'"
    ):
        read_folder(folder)


def test_sizes_are_looked_at_before_memory_is_asked_for(folder):
    said = manifest_of(folder)
    said["files"]["f.bin"]["bytes"] = 10**15
    (folder / "skeegclip.json").write_text(json.dumps(sealed(said)))
    with pytest.raises(FolderError, match="has 50 bytes, which is not what was saved"):
        read_folder(folder)
    with open(folder / "skeegclip.json", "ab") as file:
        file.truncate(10**12)  # nothing of it is on the disk
    tracemalloc.start()
    with pytest.raises(FolderError, match="bytes, which is not what was saved"):
        read_folder(folder)
    assert tracemalloc.get_traced_memory()[1] < 10**7
    tracemalloc.stop()


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"null",
        b"[]",
        b"3",
        b'"x"',
        b"{}",
        b"\0\xff",
        b"[" * 10**5,
        b'{"a":' * 10**5,
        b'{"format": "skeegclip", "version": 2}',
    ],
)
def test_manifests_of_something_else(folder, text):
    (folder / "skeegclip.json").write_bytes(text)
    with pytest.raises(FolderError, match=r"skeegclip.json' is not what skeegclip saves"):
        read_folder(folder)


def test_weights_that_are_none(tmp_path):
    write_folder(tmp_path, Content("Whole", files={"weights.safetensors": b"\xff" * 100}))
    with pytest.raises(FolderError, match=r"weights.safetensors is not a readable safetensors file"):
        read_folder(tmp_path)


# -- what nobody thought of ----------------------------------------------------------------------------------


def file_bytes(content):
    yield from content.files.values()
    for part in content.parts.values():
        yield from file_bytes(part)


MANY = pytest.mark.parametrize("n", [60, pytest.param(600, marks=pytest.mark.slow)])


@MANY
@pytest.mark.parametrize("is_sealed", [False, True])
def test_fuzzed_manifests(folder, n, is_sealed):
    """With their right checksum too: whoever forges a manifest can compute it."""
    rng = np.random.default_rng(0)
    said, n_read = manifest_of(folder), 0
    tracemalloc.start()
    with within(200):
        for _ in range(n):
            forged = mutated(said, rng)
            (folder / "skeegclip.json").write_text(json.dumps(sealed(forged) if is_sealed else forged))
            try:
                read = read_folder(folder)
            except REFUSALS:
                continue
            n_read += 1
            assert set(file_bytes(read)) <= set(file_bytes(SAVED))
            assert is_sealed or same(read, SAVED)
    assert tracemalloc.get_traced_memory()[1] < 2 * 10**7
    tracemalloc.stop()
    assert n_read < 0.4 * n
    assert n_read > 0 or not is_sealed


@MANY
def test_fuzzed_bytes(folder, n):
    rng = np.random.default_rng(1)
    paths = [
        path
        for path in folder.rglob("*")
        if path.is_file() and path.name not in (".skeegclip.lock", "files.json")
    ]
    before = {path: path.read_bytes() for path in paths}
    assert len(paths) == 7
    tracemalloc.start()
    for number in range(n):
        path = paths[number % len(paths)]
        content = bytearray(before[path])
        how = rng.integers(3)
        if how == 0:
            content[rng.integers(len(content))] ^= 1 << rng.integers(8)
        elif how == 1:
            del content[rng.integers(len(content)) :]
        else:
            at = rng.integers(len(content))
            content[at:at] = rng.bytes(int(rng.integers(1, 50)))
        path.write_bytes(content)
        try:
            read = read_folder(folder)
        except REFUSALS:
            pass
        else:
            assert same(read, SAVED), path
        path.write_bytes(before[path])
    assert tracemalloc.get_traced_memory()[1] < 2 * 10**7
    tracemalloc.stop()
    assert same(read_folder(folder), SAVED)
