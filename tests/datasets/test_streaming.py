"""Recordings that come one after another: verified, written whole or not at all, gone on with after a kill."""

import errno
import hashlib
import random
import shutil
import signal
import subprocess
import sys
import textwrap
import time
import warnings
from functools import partial
from pathlib import Path

import mne
import numpy as np
import pandas as pd
import pytest

from skeegclip import EpochsStore
from skeegclip.datasets._download import Remote
from skeegclip.datasets._streaming import Cut, Recording, stream

INFO = mne.create_info(["Pz", "Oz", "O1"], 100.0, "eeg")
N_RECORDINGS, N_EPOCHS, N_TIMES = 6, 7, 20


def content(number):
    return np.random.default_rng(number).normal(0, 10, (N_EPOCHS, 3, N_TIMES)).astype("<f4").tobytes()


def read(number, folder, log=None, order=(0, 1, 2), blocks=3):
    """What a loader does: epochs of a file, and what they show."""
    if log is not None:
        with open(log, "a") as lines:
            lines.write(f"{number}\n")
    X = np.frombuffer((folder / f"{number}.bin").read_bytes(), "<f4").reshape(N_EPOCHS, 3, N_TIMES)
    rows = pd.DataFrame(
        {
            "subject": f"sub-{number // 3 + 1:02d}",
            "session": str(number % 3 + 1),
            "stimulus": [f"s{(number + k) % 4}" for k in range(N_EPOCHS)],
        }
    )
    info = mne.create_info([INFO["ch_names"][k] for k in order], 100.0, "eeg")
    return Cut(np.array_split(X[:, list(order)], blocks), rows, info, -0.1, N_TIMES)


def recordings_of(folder, url=None, log=None):
    found = []
    for number in range(N_RECORDINGS):
        text = content(number)
        name = f"{number}.bin"
        if url is None:
            (folder / name).write_bytes(text)
        digest = f"sha256:{hashlib.sha256(text).hexdigest()}"
        file = Remote(name, f"{url}/{name}" if url else "", len(text), digest)
        found.append(Recording(f"recording-{number}", (file,), partial(read, number, log=log)))
    return found


@pytest.fixture
def place(tmp_path):
    (tmp_path / "files").mkdir()
    return tmp_path / "files"


HOW = {"tmin": -0.1, "band": [0.1, None]}


def run(recordings, out, folder, **more):
    return stream(recordings, out, folder=folder, **({"how": HOW, "verbose": 0} | more))


def expected_rows():
    rows, shown = [], {}
    for number in range(N_RECORDINGS):
        for k in range(N_EPOCHS):
            pair = (f"sub-{number // 3 + 1:02d}", f"s{(number + k) % 4}")
            rows.append((pair[0], str(number % 3 + 1), pair[1], shown.get(pair, 0)))
            shown[pair] = shown.get(pair, 0) + 1
    return rows


def opened(out):
    """A store that may be unfinished."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".* is unfinished", UserWarning)
        return EpochsStore.open(out)


def state(out):
    view = opened(out).view()
    return np.asarray(view).tobytes(), list(view.rows.itertuples(index=False, name=None))


def test_everything_comes_in_order_and_tells_its_origin(place, tmp_path):
    recordings = recordings_of(place)
    store = run(recordings, tmp_path / "store", place)
    view = store.view()
    numbers = b"".join(content(number) for number in range(N_RECORDINGS))
    assert np.asarray(view).tobytes() == numbers
    assert list(view.rows.itertuples(index=False, name=None)) == expected_rows()
    assert (view.tmin, view.sfreq, view.ch_names) == (-0.1, 100.0, ("Pz", "Oz", "O1"))
    store.verify()
    for number, (origin, rows) in enumerate(store.origins):
        assert rows == slice(number * N_EPOCHS, (number + 1) * N_EPOCHS)
        digest = hashlib.sha256(content(number)).hexdigest()
        files = [{"name": f"{number}.bin", "size": len(content(number)), "sha256": digest}]
        left = N_RECORDINGS - number - 1
        assert origin == {"recording": f"recording-{number}", "files": files, "how": HOW, "left": left}


def test_what_is_there_is_not_read_again(place, tmp_path):
    recordings = recordings_of(place, log=tmp_path / "log")
    run(recordings[:2], tmp_path / "store", place)
    (place / "0.bin").unlink()
    run(recordings, tmp_path / "store", place)
    run(recordings, tmp_path / "store", place)
    assert (tmp_path / "log").read_text().split() == [str(n) for n in range(N_RECORDINGS)]
    assert state(tmp_path / "store")[1] == expected_rows()


def test_an_error_in_the_middle_loses_nothing(place, tmp_path):
    recordings = recordings_of(place)

    def broken(folder):
        cut = read(3, folder)
        return Cut(
            (1 / 0 if k else block for k, block in enumerate(cut.blocks)), cut.rows, INFO, -0.1, N_TIMES
        )

    with pytest.raises(ZeroDivisionError):
        run(
            [*recordings[:3], Recording("recording-3", recordings[3].files, broken)],
            tmp_path / "store",
            place,
        )
    assert state(tmp_path / "store")[1] == expected_rows()[: 3 * N_EPOCHS]
    run(recordings, tmp_path / "store", place)
    assert state(tmp_path / "store")[1] == expected_rows()


def test_who_opens_an_unfinished_store_is_told(place, tmp_path):
    recordings, out = recordings_of(place), tmp_path / "store"
    (place / "3.bin").rename(place / "away")
    with pytest.raises(FileNotFoundError):
        run(recordings, out, place)
    with pytest.warns(
        UserWarning, match=r"store' is unfinished: 3 more recordings were to be .* interrupted again"
    ) as told:
        assert len(EpochsStore.open(out)) == 3 * N_EPOCHS
    assert told[0].filename == __file__
    (place / "away").rename(place / "3.bin")
    (place / "5.bin").rename(place / "away")
    with pytest.raises(FileNotFoundError):
        run(recordings, out, place)
    with pytest.warns(UserWarning, match=r"is unfinished: 1 more recording was to be"):
        EpochsStore.open(out)
    (place / "away").rename(place / "5.bin")
    run(recordings, out, place)
    assert len(EpochsStore.open(out)) == N_RECORDINGS * N_EPOCHS  # a warning would be an error
    # What is asked for is there: nothing is unfinished, and later nothing is written twice.
    run(recordings[:2], tmp_path / "few", place)
    assert len(EpochsStore.open(tmp_path / "few")) == 2 * N_EPOCHS
    origin = {"recording": "recording-1", "left": 7}
    store = EpochsStore.create(
        tmp_path / "own", np.ones((1, 1, 5)), {"stimulus": ["s"]}, info=mne.create_info(1, 9.0), origin=origin
    )
    with pytest.raises(FileExistsError, match="this origin"):
        store.append(np.ones((1, 1, 5)), {"stimulus": ["s"]}, origin={**origin, "left": 6})


def test_what_another_process_wrote_meanwhile_does_not_follow(place, tmp_path):
    recordings, out = recordings_of(place)[:3], tmp_path / "store"
    run(recordings[:1], out, place)

    def read_while_others_write(folder):
        run(recordings[2:], out, place)
        return recordings[1].read(folder)

    slow = Recording(recordings[1].key, recordings[1].files, read_while_others_write)
    with pytest.raises(FileExistsError):  # as it comes to the third
        run([recordings[0], slow, recordings[2]], out, place)
    run(recordings, out, place)  # nothing to do
    assert len(EpochsStore.open(out)) == 3 * N_EPOCHS  # a warning would be an error


def test_what_is_appended_by_hand_finishes_no_conversion(place, tmp_path):
    recordings, out = recordings_of(place), tmp_path / "store"
    (place / "1.bin").unlink()
    with pytest.raises(FileNotFoundError):
        run(recordings, out, place)
    store = opened(out)
    view = store.view()
    store.append(np.asarray(view), view.rows)
    store.append(np.asarray(view), view.rows, origin={"what": "another"})
    with pytest.warns(UserWarning, match=rf"is unfinished: {N_RECORDINGS - 1} more"):
        EpochsStore.open(out)


# -- no room ----------------------------------------------------------------------------------------------


def mounted(place, pages, again=""):
    """A disk in memory of so many pages, where that is allowed."""
    command = ["mount", "-t", "tmpfs", "-o", f"{again}size={4 * pages}k", "tmpfs", str(place)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("may not mount")


@pytest.mark.parametrize("pages", [4, 5, 6, 7, 8])
def test_a_full_disk_is_told_in_a_sentence_and_gone_on_with(place, tmp_path, pages):
    recordings = [Recording(f"{k}-{r.key}", r.files, r.read) for k in range(2) for r in recordings_of(place)]
    run(recordings, tmp_path / "goal", place)
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted(disk, pages)
    try:
        with pytest.raises(
            OSError, match=r"^\[Errno 28\] .*: \d+ bytes are needed and \d+ are free. Make room"
        ) as told:
            run(recordings, disk / "store", place)
        assert told.value.errno == errno.ENOSPC
        n_written = written(disk / "store")
        mounted(disk, 100, again="remount,")
        run(recordings, disk / "store", place)
        assert state(disk / "store") == state(tmp_path / "goal")
        EpochsStore.open(disk / "store").verify()
        assert n_written < len(recordings)
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)  # views may still be mapped


@pytest.mark.skipif(sys.platform == "win32", reason="has no limit of file sizes")
def test_a_download_that_fills_the_disk_goes_on_where_it_stopped(publisher, tmp_path):
    import resource

    for number in range(N_RECORDINGS):
        publisher.bucket[f"{number}.bin"] = content(number)
    recordings = recordings_of(None, url=f"{publisher.address}/bucket")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(OSError, match=r"1680 bytes are needed and \d+ are free. Make room"):
            run(recordings, tmp_path / "store", tmp_path / "kept")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    publisher.asked.clear()
    run(recordings, tmp_path / "store", tmp_path / "kept")
    assert state(tmp_path / "store")[1] == expected_rows()


@pytest.mark.parametrize("known", ["size", "sha256", "md5"])
def test_a_file_that_is_not_as_published_is_not_read(place, tmp_path, known):
    recordings = recordings_of(place, log=tmp_path / "log")
    text = content(1)
    expected = {
        "size": Remote("1.bin", "", len(text)),
        "sha256": recordings[1].files[0],
        "md5": Remote("1.bin", "", None, f"md5:{hashlib.md5(text).hexdigest()}"),
    }[known]
    recordings[1] = Recording("recording-1", (expected,), recordings[1].read)
    wrong = text + b"x" if known == "size" else b"x" + text[1:]
    (place / "1.bin").write_bytes(wrong)
    named = "bytes instead of" if known == "size" else f"the {known} "
    with pytest.raises(ValueError, match=rf"1\.bin' is not what its publisher says: it has .*{named}"):
        run(recordings, tmp_path / "store", place)
    assert (tmp_path / "log").read_text().split() == ["0"]
    (place / "1.bin").write_bytes(text)
    run(recordings, tmp_path / "store", place)
    assert state(tmp_path / "store")[1] == expected_rows()


def test_missing_files_are_named(place, tmp_path):
    recordings = recordings_of(place)
    (place / "2.bin").unlink()
    (place / "2.bin").symlink_to("../.git/annex/objects/nowhere")
    with pytest.raises(FileNotFoundError, match=r"2\.bin' is missing"):
        run(recordings, tmp_path / "store", place)


def test_a_store_that_was_made_otherwise_is_not_gone_on_with(place, tmp_path):
    recordings = recordings_of(place)
    run(recordings[:1], tmp_path / "store", place)
    with pytest.raises(ValueError, match=r"^tmin: .* was made with tmin=-0\.1\. Pass out="):
        run(recordings, tmp_path / "store", place, how={**HOW, "tmin": -0.2})
    file = recordings[0].files[0]
    for other in (
        Remote("0.bin", "", file.size, "sha256:" + "0" * 64),
        Remote("0.bin", "", 1),
        Remote("9.bin", ""),
    ):
        changed = Recording("recording-0", (other,), recordings[0].read)
        with pytest.raises(ValueError, match=r"is not what it was when recording-0 was written"):
            run([changed, *recordings[1:]], tmp_path / "store", place)
    assert len(EpochsStore.open(tmp_path / "store")) == N_EPOCHS


def test_channels_come_in_one_order(place, tmp_path):
    recordings = recordings_of(place)
    recordings[1] = Recording("recording-1", recordings[1].files, partial(read, 1, order=(2, 0, 1)))
    run(recordings, tmp_path / "store", place)
    whole = run(recordings_of(place), tmp_path / "whole", place)
    np.testing.assert_array_equal(EpochsStore.open(tmp_path / "store").view(), whole.view())


def test_recordings_that_do_not_fit_are_named(place, tmp_path):
    recordings = recordings_of(place)

    def other(folder, **facts):
        cut = read(1, folder)
        return Cut(
            **({"blocks": cut.blocks, "rows": cut.rows, "info": INFO, "tmin": -0.1, "n_times": 20} | facts)
        )

    for facts, message in (
        (
            {"info": mne.create_info(["Pz", "Oz", "O2"], 100.0, "eeg")},
            "lacks 1 of the 3 in the store .first: 'O1'",
        ),
        ({"tmin": 0.0}, "recording-1 has 20 times from 0 s"),
        ({"rows": read(1, place).rows[:0]}, "recording-1: no picture was shown"),
    ):
        recordings[1] = Recording("recording-1", recordings[1].files, partial(other, **facts))
        with pytest.raises(ValueError, match=message):
            run(recordings, tmp_path / "store", place)
    with pytest.raises(ValueError, match="recordings have the name of another .first: 'recording-0'"):
        run([recordings[0]] * 2, tmp_path / "store", place)
    with pytest.raises(ValueError, match="no recording"):
        run([], tmp_path / "store", place)


def test_downloads_are_verified_and_go_when_they_are_written(publisher, tmp_path):
    for number in range(N_RECORDINGS):
        publisher.bucket[f"{number}.bin"] = content(number)
    recordings = recordings_of(None, url=f"{publisher.address}/bucket")
    here = []

    def watched(recording):
        def read_and_look(folder):
            here.append(sorted(path.name for path in folder.glob("*.bin")))
            return recording.read(folder)

        return Recording(recording.key, recording.files, read_and_look)

    run([watched(recording) for recording in recordings], tmp_path / "store", None)
    assert here == [[f"{number}.bin"] for number in range(N_RECORDINGS)]
    assert state(tmp_path / "store")[1] == expected_rows()
    assert list(tmp_path.rglob("*.bin")) == []
    # Kept where a folder is given, and not asked for again.
    run(recordings[:2], tmp_path / "other", tmp_path / "kept")
    publisher.asked.clear()
    run(recordings, tmp_path / "other", tmp_path / "kept")
    assert [path for path, _ in publisher.asked] == [
        f"/bucket/{number}.bin" for number in range(2, N_RECORDINGS)
    ]
    assert len(list((tmp_path / "kept").glob("*.bin"))) == N_RECORDINGS


def test_a_broken_connection_is_gone_on_with(publisher, tmp_path):
    for number in range(N_RECORDINGS):
        publisher.bucket[f"{number}.bin"] = content(number)
    recordings = recordings_of(None, url=f"{publisher.address}/bucket")
    run(recordings[:1], tmp_path / "store", None)
    publisher.cut_after = 100
    with pytest.raises(ConnectionError, match="Run this again"):
        run(recordings, tmp_path / "store", None)
    publisher.cut_after = None
    run(recordings, tmp_path / "store", None)
    assert state(tmp_path / "store")[1] == expected_rows()


def test_a_progress_bar_counts_recordings(place, tmp_path, capsys):
    recordings = recordings_of(place)
    run(recordings[:2], tmp_path / "store", place)
    assert capsys.readouterr().err == ""
    run(recordings, tmp_path / "store", place, verbose=1)
    shown = capsys.readouterr().err
    assert "2/6" in shown
    assert "6/6" in shown
    assert "recording-5" in shown


# -- kills ------------------------------------------------------------------------------------------------


def convert(out, folder, recordings):
    run(recordings, out, folder)


def written(out):
    return len(opened(out).origins) if (out / "manifest.json").is_file() else 0


def check_resumed(out, folder, recordings, log, goal):
    """Go on after a kill: exactly what is missing is read, and what comes out is what was to come out."""
    n_written = written(out)
    log.unlink(missing_ok=True)
    convert(out, folder, recordings)
    n_read = len(log.read_text().split()) if log.exists() else 0
    assert n_read == len(recordings) - n_written
    assert state(out) == goal
    EpochsStore.open(out).verify()


@pytest.mark.slow
@pytest.mark.parametrize("is_remote", [False, True])
def test_a_kill_at_any_step(place, tmp_path, killer, publisher, is_remote):
    for number in range(N_RECORDINGS):
        publisher.bucket[f"{number}.bin"] = content(number)
    url = f"{publisher.address}/bucket" if is_remote else None
    folder = None if is_remote else place
    recordings = recordings_of(place, url=url, log=tmp_path / "log")[:2]
    convert(tmp_path / "goal", folder, recordings)
    goal, out, seen = state(tmp_path / "goal"), tmp_path / "store", []
    for step in range(0, 2000, 2):
        if killer.run(convert, out, folder, recordings, step=step):
            break
        seen.append(written(out))
        check_resumed(out, folder, recordings, tmp_path / "log", goal)
        assert list(tmp_path.glob(".store-files/**/*.bin")) == []
        shutil.rmtree(out)
    assert seen == sorted(seen)
    assert set(seen) >= {0, 1}
    assert len(seen) > 30


@pytest.mark.slow
def test_kills_upon_kills(place, tmp_path, killer):
    recordings = recordings_of(place, log=tmp_path / "log")
    convert(tmp_path / "goal", place, recordings)
    rng = random.Random(0)
    out, n_kills = tmp_path / "store", 0
    while not killer.run(convert, out, place, recordings, step=rng.randrange(20, 70)):
        n_kills += 1
        assert n_kills < 60
    assert n_kills > 2
    (tmp_path / "log").unlink()
    check_resumed(out, place, recordings, tmp_path / "log", state(tmp_path / "goal"))


_SCRIPT = """
import sys, time
from pathlib import Path
sys.path.insert(0, {here!r})
from test_streaming import content, read, recordings_of, run
out, folder = Path(sys.argv[1]), Path(sys.argv[2])
print("ready", flush=True)
run(recordings_of(folder), out, folder)
"""


@pytest.mark.slow
def test_processes_killed_at_random_moments(place, tmp_path):
    recordings = recordings_of(place)
    convert(tmp_path / "goal", place, recordings)
    goal, rng, n_kills = state(tmp_path / "goal"), random.Random(1), 0
    script = textwrap.dedent(_SCRIPT).format(here=str(Path(__file__).parent))
    for _ in range(4):
        shutil.rmtree(tmp_path / "store", ignore_errors=True)
        process = subprocess.Popen(
            [sys.executable, "-c", script, tmp_path / "store", place], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout.readline() == "ready\n"
        time.sleep(rng.uniform(0.0, 0.25))
        process.send_signal(signal.SIGKILL)
        n_kills += process.wait() == -signal.SIGKILL
        process.stdout.close()
        convert(tmp_path / "store", place, recordings)
        assert state(tmp_path / "store") == goal
    assert n_kills


def test_ctrl_c_leaves_whole_recordings(place, tmp_path):
    recordings = recordings_of(place)

    def interrupted(folder):
        cut = read(2, folder)

        def blocks():
            yield next(iter(cut.blocks))
            raise KeyboardInterrupt

        return Cut(blocks(), cut.rows, INFO, -0.1, N_TIMES)

    for key, n_whole in (("recording-2", 2), ("recording-0", 0)):
        out = tmp_path / key
        stopped = [
            Recording(key, recording.files, interrupted) if recording.key == key else recording
            for recording in recordings
        ]
        with pytest.raises(KeyboardInterrupt):
            run(stopped, out, place)
        assert written(out) == n_whole
        assert out.exists() == bool(n_whole)
        run(recordings, out, place)
        assert state(out)[1] == expected_rows()
