"""Only our own files are replaced, all or none."""

import signal
import subprocess
import sys

import pytest

from skeegclip._utils.listed import LIST, check_unclaimed, write_listed


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != LIST}


def test_own_files_are_replaced_and_others_left(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    write_listed(tmp_path, {"a": b"1", "b": b"2"})
    write_listed(tmp_path, {"a": b"3"})
    write_listed(tmp_path, {"b": b"4", "c": b"5"})
    assert content(tmp_path) == {"notes.txt": b"mine", "a": b"3", "b": b"4", "c": b"5"}


@pytest.mark.parametrize("kind", ["foreign", "edited", "link", "folder", "list of another folder"])
def test_what_is_not_ours_is_refused_and_nothing_changes(tmp_path, kind):
    folder = tmp_path / "out"
    write_listed(folder, {"a": b"1"})
    path = folder / "b"
    if kind == "edited":
        path = folder / "a"
    if kind in ("foreign", "edited"):
        path.write_bytes(b"work of weeks")
    elif kind == "link":
        (tmp_path / "elsewhere").write_bytes(b"1")
        path.symlink_to(tmp_path / "elsewhere")
    elif kind == "folder":
        path.mkdir()
    else:
        write_listed(tmp_path / "other", {"b": b"2"})
        (folder / LIST).write_bytes((tmp_path / "other" / LIST).read_bytes())
        path = folder / "a"
    before = sorted((p.name, p.is_symlink() or (p.is_file() and p.read_bytes())) for p in folder.iterdir())
    for refused in (
        lambda: check_unclaimed(folder, ["a", "b"]),
        lambda: write_listed(folder, {"a": b"9", "b": b"9"}),
    ):
        with pytest.raises(FileExistsError, match=f"{path.name}' is not what an earlier save wrote"):
            refused()
    assert before == sorted(
        (p.name, p.is_symlink() or (p.is_file() and p.read_bytes())) for p in folder.iterdir()
    )


def test_a_file_in_place_of_the_folder(tmp_path):
    (tmp_path / "out").write_text("mine")
    with pytest.raises(FileExistsError, match="is a file"):
        write_listed(tmp_path / "out", {"a": b"1"})
    assert (tmp_path / "out").read_text() == "mine"


@pytest.mark.parametrize("call", range(1, 8))
def test_a_kill_at_any_replacement_leaves_a_folder_that_can_be_saved_to(tmp_path, call):
    write_listed(tmp_path, {"a": b"1", "b": b"1"})
    program = (
        "import os, signal, sys\n"
        "from skeegclip._utils.listed import write_listed\n"
        "real, calls = os.replace, []\n"
        "def replace(*args):\n"
        "    calls.append(1)\n"
        "    if len(calls) == int(sys.argv[2]): os.kill(os.getpid(), signal.SIGKILL)\n"
        "    real(*args)\n"
        "os.replace = replace\n"
        "write_listed(sys.argv[1], {'a': b'2', 'b': b'2', 'c': b'2'})\n"
    )
    code = subprocess.run([sys.executable, "-c", program, tmp_path, str(call)], check=False).returncode
    assert code == (-signal.SIGKILL if call <= 5 else 0)
    found = {name: value for name, value in content(tmp_path).items() if not name.endswith(".tmp")}
    assert set(found.values()) <= {b"1", b"2"}
    write_listed(tmp_path, {"a": b"3", "b": b"3", "c": b"3"})
    assert content(tmp_path) == {"a": b"3", "b": b"3", "c": b"3"}  # nothing that the kill has left


def test_no_room_leaves_what_was_there(tmp_path):
    write_listed(tmp_path, {"a": b"1", "b": b"1"})
    program = (
        "import resource, sys\n"
        "from skeegclip._utils.listed import write_listed\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "write_listed(sys.argv[1], {'a': b'2', 'b': bytes(2000)})\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, tmp_path], capture_output=True, text=True, check=False
    )
    assert "OSError" in done.stderr
    assert content(tmp_path) == {"a": b"1", "b": b"1"}
