"""A save is whole or not at all, and touches nothing that is not its own."""

import contextlib
import errno
import json
import multiprocessing
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from folder_faults import fault, make_content, n_steps, same, save_on

from skeegclip._utils.folders import Content, FolderError, is_saved, read_folder, write_folder

OLD, NEW = make_content(1, 3), make_content(2, 2)


@pytest.fixture
def unsynced(monkeypatch):
    """The machine goes on: what is written need not reach the disk."""
    monkeypatch.setattr(os, "fsync", lambda number: None)


@pytest.fixture
def saved(tmp_path):
    folder = tmp_path / "saved"
    write_folder(folder, OLD)
    return folder


def snapshot(folder):
    """Everything below a folder: names, kinds and bytes."""
    return {
        path.relative_to(folder).as_posix(): os.readlink(path)
        if path.is_symlink()
        else path.read_bytes()
        if path.is_file()
        else None
        for path in sorted(folder.rglob("*"))
    }


def test_what_is_written_is_read(saved):
    assert same(read_folder(saved), OLD)
    assert is_saved(saved)
    assert read_folder(saved).kind == "Whole"
    write_folder(saved, NEW)
    assert same(read_folder(saved), NEW)
    manifest = json.loads((saved / "skeegclip.json").read_bytes())
    assert {path.name for path in saved.iterdir()} == {
        "skeegclip.json",
        ".skeegclip.lock",
        manifest["folder"],
    }


def test_what_several_parts_hold_is_written_once(tmp_path):
    table = np.random.default_rng(0).bytes(100_000)
    parts = {name: Content("Part", files={f"{name}.bin": [table[:7], table[7:]]}) for name in "abc"}
    write_folder(tmp_path / "x", Content("Whole", parts=parts))
    assert sum(path.stat().st_size for path in (tmp_path / "x").rglob("*")) < 120_000
    read = read_folder(tmp_path / "x")
    assert [part.files[f"{name}.bin"] for name, part in read.parts.items()] == [table] * 3


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(errno.ENOSPC, "x"), OSError(errno.EIO, "x")])
@pytest.mark.parametrize("is_new", [False, True])
@pytest.mark.parametrize("stride", [17, pytest.param(1, marks=pytest.mark.slow)])
def test_errors_at_every_step(tmp_path, unsynced, error, is_new, stride):
    def fail():
        raise error

    if not is_new:
        write_folder(tmp_path / "count", OLD)
    total = n_steps(lambda: write_folder(tmp_path / "count", NEW))
    assert total > 80
    for at in range(1, total + 1, stride):
        folder = tmp_path / "made" / str(at)
        if not is_new:
            write_folder(folder, OLD)
        with contextlib.suppress(type(error)), fault(at, fail):
            write_folder(folder, NEW)
        if is_new and not is_saved(folder):
            # Of a folder that is new nothing stays, but a lock where taking it was what failed.
            left = set() if not folder.exists() else {path.name for path in folder.iterdir()}
            assert left <= {".skeegclip.lock"}, (at, left)
        else:
            read = read_folder(folder)
            assert same(read, NEW) or (same(read, OLD) and not is_new), at
        write_folder(folder, OLD)
        assert same(read_folder(folder), OLD)
        assert len(list(folder.iterdir())) == 3
        shutil.rmtree(folder)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("stride", [29, pytest.param(1, marks=pytest.mark.slow)])
def test_kills_at_every_step(tmp_path, stride):
    shared = Path("/dev/shm")  # in memory, where there is one, for it is files by the thousand
    place = shared if os.access(shared, os.W_OK) else tmp_path
    with tempfile.TemporaryDirectory(dir=place) as work:
        command = [sys.executable, str(Path(__file__).with_name("folder_faults.py")), work, str(stride)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert min(found[kind] for kind in ("over", "again", "fresh")) * stride > 90
    assert min(found[kind] for kind in ("old", "new", "nothing")) > 1


def test_a_full_disk(tmp_path):
    mounted = tmp_path / "disk"
    mounted.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(mounted)], capture_output=True
    ).returncode:
        pytest.skip("may not mount")
    try:
        write_folder(mounted / "x", OLD)
        before = snapshot(mounted)
        large = Content("Whole", arrays={"x": np.zeros(10**6)})
        with pytest.raises(
            OSError, match=r"no room on the disk for the 8,0\d\d,\d\d\d bytes of this save"
        ) as info:
            write_folder(mounted / "x", large)
        assert info.value.errno == errno.ENOSPC
        assert snapshot(mounted) == before
        assert same(read_folder(mounted / "x"), OLD)
        with pytest.raises(OSError, match="no room on the disk"):
            write_folder(mounted / "new" / "y", large)
        assert sorted(path.name for path in mounted.iterdir()) == ["x"]
        write_folder(mounted / "x", NEW)
        assert same(read_folder(mounted / "x"), NEW)
    finally:
        subprocess.run(["umount", str(mounted)], check=True)


@pytest.mark.skipif(not hasattr(resource, "RLIMIT_FSIZE"), reason="needs a limit of file sizes")
def test_files_larger_than_the_system_allows(saved):
    before = snapshot(saved)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(OSError, match="no room on the disk"):
            write_folder(saved, Content("Whole", arrays={"x": np.zeros(10**6)}))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert snapshot(saved) == before


# -- files of others ---------------------------------------------------------------------------------------


def lay_file(folder, name):
    (folder / name).write_bytes(b"mine")


def lay_folder(folder, name):
    (folder / name).mkdir()
    (folder / name / "rows.csv").write_bytes(b"mine")


def lay_claim(folder, name):
    lay_folder(folder, name)
    (folder / name / "files.json").write_bytes(b'["../../rows.csv"]')


@pytest.mark.parametrize(
    ("lay", "name"),
    [
        (lay_file, "rows.csv"),
        (lay_file, "weights.safetensors"),
        (lay_file, "targets.safetensors"),
        (lay_file, "encoder.json"),
        (lay_file, ".hidden"),
        (lay_file, "saved-0123456789abcdef"),
        (lay_folder, "saved-xyz"),
        (lay_folder, "saved-0123456789abcdef"),
        (lay_claim, "saved-0123456789abcdef"),
    ],
)
def test_folders_of_others_are_refused_and_unchanged(tmp_path, lay, name):
    lay(tmp_path, name)
    before = snapshot(tmp_path)
    with pytest.raises(
        FileExistsError, match=rf"holds other files \(first: '{name}'\).*choose another folder"
    ):
        write_folder(tmp_path, OLD)
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize(
    "text", [b"", b"{}", b"[]", b"{", b'{"format": "skeegclip", "version": 99}', b'{"name": "a package"}']
)
def test_manifests_of_others_are_refused_and_unchanged(saved, text):
    (saved / "skeegclip.json").write_bytes(text)
    before = snapshot(saved)
    with pytest.raises(FileExistsError, match="that this version cannot read .*choose another folder"):
        write_folder(saved, NEW)
    assert snapshot(saved) == before


def test_another_kind_is_refused(saved):
    with pytest.raises(
        FileExistsError, match=r"holds a saved Whole. A save replaces .* the same kind \(Other\)"
    ):
        write_folder(saved, Content("Other"))
    assert same(read_folder(saved), OLD)


def test_files_beside_a_save_stay(saved):
    lay_file(saved, "README.md")
    lay_folder(saved, "saved-0123456789abcdef")
    lay_claim(saved, "saved-fedcba9876543210")
    generation = json.loads((saved / "skeegclip.json").read_bytes())["folder"]
    lay_file(saved / generation, "notes.txt")
    lay_file(saved / generation / "part_0", "notes.txt")
    write_folder(saved, NEW)
    write_folder(saved, OLD)
    left = {name for name, content in snapshot(saved).items() if content == b"mine"}
    assert left == {
        "README.md",
        "saved-0123456789abcdef/rows.csv",
        "saved-fedcba9876543210/rows.csv",
        f"{generation}/notes.txt",
        f"{generation}/part_0/notes.txt",
    }
    assert same(read_folder(saved), OLD)


def test_a_file_is_no_folder(tmp_path):
    lay_file(tmp_path, "x")
    for place in (tmp_path / "x", tmp_path / "x" / "y"):
        with pytest.raises((FileExistsError, NotADirectoryError)):
            write_folder(place, OLD)
    assert (tmp_path / "x").read_bytes() == b"mine"


# -- links ---------------------------------------------------------------------------------------------------


@pytest.fixture
def elsewhere(tmp_path):
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    for name in ("f.bin", "files.json", "weights.safetensors", "skeegclip.json", "lock"):
        lay_file(folder, name)
    return folder


def test_a_link_as_manifest_or_lock_is_not_written_to(saved, elsewhere):
    before = snapshot(elsewhere)
    for name, target in (("skeegclip.json", "skeegclip.json"), (".skeegclip.lock", "lock")):
        (saved / name).rename(saved / "aside")
        (saved / name).symlink_to(elsewhere / target)
        with pytest.raises(FileExistsError, match="link"):
            write_folder(saved, NEW)
        (saved / name).unlink()
        (saved / "aside").rename(saved / name)
    assert snapshot(elsewhere) == before
    assert same(read_folder(saved), OLD)


def test_sweeping_follows_no_link(saved, elsewhere):
    before = snapshot(elsewhere)
    generation = saved / json.loads((saved / "skeegclip.json").read_bytes())["folder"]
    (generation / "f.bin").unlink()
    (generation / "f.bin").symlink_to(elsewhere / "f.bin")
    shutil.rmtree(generation / "part_0")
    (generation / "part_0").symlink_to(elsewhere)
    (saved / "saved-0123456789abcdef").symlink_to(elsewhere)
    (saved / "saved-1123456789abcdef").mkdir()
    (saved / "saved-1123456789abcdef" / "files.json").symlink_to(elsewhere / "files.json")
    write_folder(saved, NEW)
    assert snapshot(elsewhere) == before
    assert same(read_folder(saved), NEW)


def test_a_folder_that_is_a_link_to_one(saved, tmp_path):
    (tmp_path / "link").symlink_to(saved)
    write_folder(tmp_path / "link", NEW)
    assert same(read_folder(saved), NEW)


# -- names ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["../x", "/x", "a/b", "", ".", "..", ".x", "x\0", "ü", "a" * 101, "-x", "c:x"]
)
@pytest.mark.parametrize("where", ["files", "parts"])
def test_names_that_are_no_files_of_the_folder(tmp_path, name, where):
    inside = {"files": {name: b""}} if where == "files" else {"parts": {name: Content("Part")}}
    with pytest.raises(ValueError, match="cannot name a file"):
        write_folder(tmp_path / "x", Content("Whole", **inside))
    assert not (tmp_path / "x").exists()


def test_what_no_load_would_take_is_not_written(saved, tmp_path):
    deep = Content("Whole", files={"f": b""})
    for _ in range(30):
        deep = Content("Whole", parts={"p": deep})
    nested: list = []
    for _ in range(250):
        nested = [nested]
    for content, match in (
        (deep, "no load would take it"),
        (Content("Whole", {"x": nested}), "no load would take it"),
        (Content("Whole", {"x": "\ud800"}), "no load would take it"),
        (Content("Whole", files={"files.json": b""}), "no load would take it"),
        (Content("Whole", {"x": object()}), "not JSON serializable"),
    ):
        with pytest.raises(TypeError, match=match):
            write_folder(tmp_path / "x", content)
    assert not (tmp_path / "x").exists()
    with pytest.raises(ValueError, match="capitals"):
        write_folder(saved, Content("Whole", files={"a": b"", "A": b""}))
    assert same(read_folder(saved), OLD)


# -- several at once -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [0.7, pytest.param(8, marks=pytest.mark.slow)])
def test_two_savers_and_a_reader(tmp_path, seconds):
    context = multiprocessing.get_context("spawn")
    until = context.Event()
    savers = [context.Process(target=save_on, args=(tmp_path / "x", seed, until)) for seed in (1, 2)]
    expected, n_read = [make_content(1, 1), make_content(2, 2)], [0, 0]
    for saver in savers:
        saver.start()
    try:
        while not is_saved(tmp_path / "x"):
            assert all(saver.is_alive() for saver in savers)
        timer = threading.Timer(seconds, until.set)
        timer.start()
        while not until.is_set():
            read = read_folder(tmp_path / "x")
            n_read[[same(read, content) for content in expected].index(True)] += 1
    finally:
        until.set()
        for saver in savers:
            saver.join(60)
    assert [saver.exitcode for saver in savers] == [0, 0]
    assert sum(n_read) > 10
    assert len(list((tmp_path / "x").iterdir())) == 3


def test_threads(tmp_path, unsynced):
    with ThreadPoolExecutor(8) as pool:
        for _ in pool.map(lambda n: write_folder(tmp_path / "x", make_content(n)), range(24)):
            pass
    read = read_folder(tmp_path / "x")
    assert any(same(read, make_content(n)) for n in range(24))
    assert len(list((tmp_path / "x").iterdir())) == 3


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_folder_that_may_only_be_read(saved):
    before = snapshot(saved)
    for path in [*saved.rglob("*"), saved]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    for path in saved.parents[:3]:
        path.chmod(0o755)
    child = os.fork()
    if child == 0:  # root may write everywhere
        if os.getuid() == 0:
            os.setuid(65534)
        try:
            assert same(read_folder(saved), OLD)
            write_folder(saved, NEW)
        except PermissionError:
            os._exit(0)
        finally:
            os._exit(7)
    assert os.waitpid(child, 0)[1] == 0
    saved.chmod(0o755)
    assert snapshot(saved) == before


def test_errors_are_of_one_family():
    assert issubclass(FolderError, ValueError)
