"""Data sets that come from a server on this machine, which speaks as NEMAR and OpenNeuro do."""

import hashlib
import json
import shutil
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import unquote, urlsplit

import numpy as np
import pytest

from skeegclip import EpochsStore
from skeegclip.datasets import stream_eegdash
from skeegclip.datasets._published import _IMAGE_LIST

from .published import EEG, PLAIN, by_mne, make_raw, write_bdf, write_channels, write_image_list, write_tsv
from .recorded import write_brainvision

TRAIN = [(f"concept{n // 10}", f"concept{n // 10}_{n % 10:02d}s") for n in range(40)]
TEST = [("held", "held_01b"), ("back", "back_02s")]
ONSETS = [1.0, 2.5, 4.0, 6.0]
RUNS = ["train_run-01", "test"]


def raw_of(subject, run):
    return make_raw(10 * subject + RUNS.index(run), sfreq=500.0)


def shown(subject, run):
    """Numbers from 1; the third trial is a target."""
    pictures = TEST if run == "test" else TRAIN
    return [1 + (7 * subject + k) % len(pictures) for k in range(4)]


def write_things_eeg2(root, subjects=(1, 2)):
    for subject in subjects:
        folder = root / f"sub-{subject:02d}" / "ses-01" / "eeg"
        for run in RUNS:
            stem = f"sub-{subject:02d}_ses-01_task-{run}"
            folder.mkdir(parents=True, exist_ok=True)
            write_bdf(folder / f"{stem}_eeg.bdf", raw_of(subject, run))
            write_channels(folder / f"{stem}_channels.tsv", raw_of(subject, run))
            pictures = TEST if run == "test" else TRAIN
            concepts = list(dict.fromkeys(concept for concept, _ in pictures))
            numbers = shown(subject, run)
            names = [pictures[number - 1][0] for number in numbers]
            write_tsv(
                folder / f"{stem}_events.tsv",
                onset=ONSETS,
                duration=0.1,
                sample=0,
                value=1,
                trial_type=["image", "image", "target", "image"],
                tot_img_number=[numbers[0], numbers[1], "n/a", numbers[3]],
                category_name=[f"{concepts.index(name) + 1:05d}_{name}" for name in names[:2]]
                + ["n/a", f"{concepts.index(names[3]) + 1:05d}_{names[3]}"],
            )
        (folder / f"sub-{subject:02d}_ses-01_task-rest_run-01_eeg.bdf").write_bytes(b"at rest")
        source = root / "sourcedata" / f"sub-{subject:02d}" / "ses-01" / "eeg"
        source.mkdir(parents=True)
        (source / f"sub-{subject:02d}_ses-01_task-train_part-01_eeg.vhdr").write_bytes(b"once more")
    write_image_list(root / "stimuli" / "image_metadata.npy", TRAIN, TEST)
    return root


class Server:
    """NEMAR and OpenNeuro, with the files of one folder."""

    def __init__(self):
        self.root, self.asked, self.lies, self.cut_after = None, [], {}, None
        server = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *args):
                pass

            def do_GET(self):
                server.answer(self, unquote(urlsplit(self.path).path), self.path)

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.http.server_port}"
        Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def names(self):
        return sorted(
            path.relative_to(self.root).as_posix() for path in self.root.rglob("*") if path.is_file()
        )

    def manifest(self):
        """NEMAR's list: git's hash of small files, SHA-256 of others, and addresses that have expired."""
        listed = []
        for name in self.names():
            content = self.lies.get(name, (self.root / name).read_bytes())
            if name.endswith((".tsv", ".json")):
                kind, digest = "git", hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
            elif name.endswith(".npy"):
                kind, digest = "md5", hashlib.md5(content).hexdigest()
            else:
                kind, digest = "sha256", hashlib.sha256(content).hexdigest()
            url = f"{self.address}/expired?X-Amz-Expires=3600"
            listed.append(
                {
                    "path": name,
                    "size": len(content),
                    "checksum": digest,
                    "checksum_algorithm": kind,
                    "url": url,
                }
            )
        return listed

    def answer(self, to, path, asked):
        parts = path.strip("/").split("/", 2)
        if path == "/nm000232/":
            content = json.dumps({"dataset_id": "nm000232", "latest": "v1.0.1", "versions": []}).encode()
        elif path == "/nm000232/v1.0.1/manifest.json":
            content = json.dumps(self.manifest()).encode()
        elif path == "/bucket":
            prefix = asked.partition("prefix=")[2].partition("&")[0]
            entries = ""
            for name in self.names():
                if f"ds003825/{name}".startswith(prefix):
                    text = (self.root / name).read_bytes()
                    mark = hashlib.md5(text).hexdigest() + ("-2" if name.endswith(".eeg") else "")
                    entries += f"<Contents><Key>ds003825/{name}</Key><Size>{len(text)}</Size><ETag>&quot;{mark}&quot;</ETag></Contents>"
            content = f"<ListBucketResult>{entries}</ListBucketResult>".encode()
        elif parts[0] == "nm000232" or parts[0] == "bucket":
            # NEMAR sends on to where the file is.
            name = parts[2]
            if parts[0] == "nm000232" and not asked.endswith("?here"):
                to.send_response(302)
                to.send_header("Location", f"{to.path}?here")
                to.send_header("Content-Length", "0")
                to.end_headers()
                return
            content = (self.root / name).read_bytes()
            self.asked.append(name)
        else:
            to.send_error(403)
            return
        to.send_response(200)
        to.send_header("Content-Length", str(len(content)))
        to.end_headers()
        to.wfile.write(
            content if self.cut_after is None or parts[-1].endswith(".json") else content[: self.cut_after]
        )
        to.close_connection = True


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr("pooch.core.time.sleep", lambda seconds: None)
    server = Server()
    yield server
    server.http.shutdown()
    server.http.server_close()


@pytest.fixture(scope="module")
def things_eeg2_raw(tmp_path_factory):
    return write_things_eeg2(tmp_path_factory.mktemp("nm000232"))


@pytest.fixture
def stream(server, things_eeg2_raw, tmp_path):
    server.root = things_eeg2_raw

    def run(out="store", **more):
        return stream_eegdash("nm000232", tmp_path / out, nemar=server.address, **(PLAIN | more))

    return run


def test_things_eeg2(stream, server, tmp_path):
    data = stream()
    assert data.X.ch_names == tuple(EEG)
    runs = [(subject, run) for subject in (1, 2) for run in ("test", "train_run-01")]
    expected = [by_mne(raw_of(*run), [ONSETS[k] for k in (0, 1, 3)], -0.1, 0.5) for run in runs]
    np.testing.assert_allclose(data.X, np.concatenate(expected), atol=1e-3)
    names = [(TEST if run == "test" else TRAIN)[shown(s, run)[k] - 1] for s, run in runs for k in (0, 1, 3)]
    assert data.y.tolist() == [name for _, name in names]
    assert data.concept.tolist() == [concept for concept, _ in names]
    assert data.split.tolist() == (["test"] * 3 + ["train"] * 3) * 2
    # Neither recordings at rest nor their copies are asked for, and nothing stays.
    assert not [name for name in server.asked if "rest" in name or "sourcedata" in name]
    assert server.asked.count(_IMAGE_LIST) == 1
    left = [
        path
        for path in tmp_path.rglob("*")
        if path.is_file() and path.parent.name not in ("store", ".downloads")
    ]
    assert left == []


def test_what_was_downloaded_is_told(stream, server, tmp_path):
    stream()
    listed = {entry["path"]: entry for entry in server.manifest()}
    seen = set()
    for origin, _ in EpochsStore.open(tmp_path / "store").origins:
        assert len(origin["files"]) == 4
        for file in origin["files"]:
            content = (server.root / file["name"]).read_bytes()
            assert file["size"] == listed[file["name"]]["size"]
            assert file["sha256"] == hashlib.sha256(content).hexdigest()
            assert file[listed[file["name"]]["checksum_algorithm"]] == listed[file["name"]]["checksum"]
            seen.add(listed[file["name"]]["checksum_algorithm"])
    assert seen == {"git", "md5", "sha256"}


@pytest.mark.parametrize("name", ["_events.tsv", "_eeg.bdf"])
def test_files_that_are_not_as_listed_are_refused(stream, server, tmp_path, name):
    wrong = f"sub-02/ses-01/eeg/sub-02_ses-01_task-train_run-01{name}"
    content = (server.root / wrong).read_bytes()
    server.lies[wrong] = content[:-1] + b"?"
    with pytest.raises(ValueError, match="is not what its publisher says"):
        stream()
    with pytest.warns(UserWarning, match="is unfinished"):
        assert len(EpochsStore.open(tmp_path / "store").origins) == 3
    server.lies.clear()
    stream()
    whole = stream("whole")
    np.testing.assert_array_equal(EpochsStore.open(tmp_path / "store").view(), whole.X)


def test_another_version_of_a_recording_is_not_mixed_in(stream, server):
    stream(subjects=1)
    name = "sub-01/ses-01/eeg/sub-01_ses-01_task-test_eeg.bdf"
    server.lies[name] = (server.root / name).read_bytes() + b"longer"
    with pytest.raises(ValueError, match="is not what it was when sub-01_ses-01_task-test was written"):
        stream()


def test_downloads_can_be_kept(stream, server, tmp_path):
    stream(folder=tmp_path / "kept")
    kept = {
        p.relative_to(tmp_path / "kept").as_posix() for p in (tmp_path / "kept").rglob("*") if p.is_file()
    }
    assert {name for name in kept if not name.startswith(".downloads")} == set(server.asked)
    asked = len(server.asked)
    stream("again", folder=tmp_path / "kept")
    assert len(server.asked) == asked


def test_a_connection_that_ends(stream, server, tmp_path):
    stream(subjects=1)
    server.cut_after = 70_000
    with pytest.raises(ConnectionError):
        stream()
    server.cut_after = None
    server.asked.clear()
    data = stream()
    assert not [name for name in server.asked if "sub-01" in name]
    np.testing.assert_array_equal(data.X, stream("whole").X)


@pytest.mark.slow
def test_kills(stream, server, tmp_path, killer):
    whole = stream("whole")
    rng, n_kills = np.random.default_rng(0), 0
    while not killer.run(stream, step=int(rng.integers(40, 200))):
        n_kills += 1
        assert n_kills < 40
    assert n_kills
    np.testing.assert_array_equal(EpochsStore.open(tmp_path / "store").view(), whole.X)
    assert stream().X.rows.equals(whole.X.rows)
    assert not list(tmp_path.rglob("*.bdf"))


def test_openneuro(server, tmp_path):
    root = tmp_path / "ds003825"
    folder = root / "sub-03" / "eeg"
    folder.mkdir(parents=True)
    raw = make_raw(3, sfreq=1000.0)
    write_brainvision(folder / "sub-03_task-rsvp_eeg.vhdr", raw)
    write_tsv(
        folder / "sub-03_task-rsvp_events.tsv",
        onset=[1000, 1100], duration=50, stim=[r"stimuli\ant\ant_01b.jpg", r"stimuli\ant\ant_02s.jpg"], istarget=0, isteststim=0,
    )  # fmt: skip
    server.root = root
    data = stream_eegdash("ds003825", tmp_path / "store", openneuro=f"{server.address}/bucket", **PLAIN)
    np.testing.assert_allclose(data.X, by_mne(raw, [1.0, 1.1], -0.1, 0.5), atol=0.02)
    assert data.y.tolist() == ["ant_01b", "ant_02s"]
    ((origin, _),) = EpochsStore.open(tmp_path / "store").origins
    assert {file["name"].rpartition("_")[2] for file in origin["files"]} == {
        "eeg.vhdr",
        "eeg.eeg",
        "eeg.vmrk",
        "events.tsv",
    }
    assert ["md5" in file for file in origin["files"]] == [
        not file["name"].endswith(".eeg") for file in origin["files"]
    ]


def test_what_is_not_known_or_not_there(server, tmp_path):
    with pytest.raises(ValueError, match="dataset must be"):
        stream_eegdash("ds000001", tmp_path / "store")
    server.root = tmp_path
    with pytest.raises(FileNotFoundError, match="recordings of THINGS-EEG2 not found in what is published"):
        stream_eegdash("nm000232", tmp_path / "store", nemar=server.address, verbose=0)
    with pytest.raises(ConnectionError, match="cannot be reached"):
        stream_eegdash("nm000134", tmp_path / "store", nemar=server.address, verbose=0)
    shutil.rmtree(tmp_path / "store", ignore_errors=True)
