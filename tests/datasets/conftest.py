"""THINGS-EEG2 in miniature: simulated data in the published files and folders."""

from __future__ import annotations

import hashlib
import json
import pickle
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np
import pytest
import torch
from PIL import Image

from skeegclip.datasets import make_things_like

FOLDERS = {"train": "training_images", "test": "test_images"}
FILES = {"train": "preprocessed_eeg_training.npy", "test": "preprocessed_eeg_test.npy"}
SHORT = {"train": "train", "test": "test"}


@pytest.fixture(scope="session")
def simulated():
    """Two subjects; 30 training concepts of 3 pictures shown twice, 10 test concepts shown 8 times."""
    return make_things_like(
        n_subjects=2,
        n_train_concepts=30,
        n_images_per_concept=3,
        n_test_concepts=10,
        n_train_repetitions=2,
        n_test_repetitions=8,
        sfreq=250,
        n_dims=32,
        snr=30.0,
        random_state=0,
    )


def write_recordings(place, data, *, picks=slice(None), step=1, write=None):
    """Write sub-XX/preprocessed_eeg_*.npy as the reference does: times begin before the data do."""
    times = np.round(np.arange(-50, 250) / 250, 3)
    for subject in np.unique(data.subject):
        (place / subject).mkdir(parents=True, exist_ok=True)
        for split, name in FILES.items():
            rows = (data.subject == subject) & (data.split == split)
            n_repetitions = data.repetition[rows].max() + 1
            X = data.X[rows][:, picks, ::step]
            content = {
                "preprocessed_eeg_data": X.reshape(-1, n_repetitions, *X.shape[1:]),
                "ch_names": np.array(data.info["ch_names"])[picks].tolist(),
                "times": times[::step],
            }
            with open(place / subject / name, "wb") as file:
                pickle.dump(content, file, protocol=4) if write is None else write(file, content)


def write_images(root, data):
    """Write training_images/00001_concept/concept_01.jpg and so on."""
    manifest = list(dict.fromkeys(zip(data.split, data.concept, data.y, strict=True)))
    for split, name in FOLDERS.items():
        concepts = list(dict.fromkeys(concept for s, concept, _ in manifest if s == split))
        for s, concept, stimulus in manifest:
            if s == split:
                folder = root / name / f"{concepts.index(concept) + 1:05d}_{concept}"
                folder.mkdir(parents=True, exist_ok=True)
                Image.fromarray(data.images[stimulus]).save(folder / f"{stimulus}.jpg", quality=95)


def write_features(folder, data, *, unit=True):
    """Write ViT-H-14_features_train.pt and _test.pt."""
    for split, short in SHORT.items():
        stimuli = list(dict.fromkeys(data.y[data.split == split].tolist()))
        concepts = list(dict.fromkeys(data.concept[data.split == split].tolist()))
        images, texts = data.image_embeddings, data.text_embeddings
        if unit:
            images, texts = images.normalized(), texts.normalized()
        torch.save(
            {
                "text_features": torch.from_numpy(texts.lookup(concepts)),
                "img_features": torch.from_numpy(images.lookup(stimuli)),
            },
            folder / f"ViT-H-14_features_{short}.pt",
        )


@pytest.fixture(scope="session")
def things_eeg2(simulated, tmp_path_factory):
    """A folder with everything, not to be written to."""
    folder = tmp_path_factory.mktemp("things-eeg2")
    write_recordings(folder / "Preprocessed_data_250Hz", simulated)
    write_images(folder / "image_set", simulated)
    write_features(folder, simulated)
    return folder


@pytest.fixture
def writers():
    """The functions that write parts of such a folder."""
    return write_recordings, write_images, write_features


# -- a place of publication ---------------------------------------------------------------------------

HUB = "LidongYang/EEG_Image_decode"


class Publisher:
    """A hub, an OSF and a bucket on this machine, for files given as {path: bytes}.

    Attributes
    ----------
    hub, osf, bucket : dict
        Files by path; those of `osf` by component and path.
    asked : list of (path, Range header)
        Downloads so far.
    cut_after : int | None
        End the connection after so many bytes of a file.
    resumes : bool
        Whether parts of files are served.
    """

    def __init__(self, address):
        self.address = address
        self.hub, self.osf, self.bucket = {}, {}, {}
        self.asked, self.cut_after, self.resumes, self.lies = [], None, True, {}

    def content(self, path):
        """Bytes of a download, or None."""
        for prefix, files in ((f"/datasets/{HUB}/resolve/main/", self.hub), ("/bucket/", self.bucket)):
            if path.startswith(prefix):
                return files.get(path.removeprefix(prefix))
        node, _, name = path.removeprefix("/download/").partition("/")
        return self.osf.get(node, {}).get(name) if path.startswith("/download/") else None

    def paths_info(self, paths):
        """Answer of the hub."""
        return [
            {"type": "file", "path": path, "size": len(self.hub[path]), "oid": "0" * 40}
            | {"lfs": {"size": len(self.hub[path]), "oid": self.sha256(self.hub[path]), "pointerSize": 1}}
            for path in paths
            if path in self.hub
        ]

    def osf_page(self, node, folder, page):
        """Answer of OSF: two entries a page, folders as entries of their own."""
        entries = {}
        for name, content in self.osf.get(node, {}).items():
            if name.startswith(folder):
                first, slash, _ = name.removeprefix(folder).partition("/")
                entries[first] = None if slash else (folder + first, content)
        here = f"{self.address}/v2/nodes/{node}/files/osfstorage/"
        items = []
        for name, file in sorted(entries.items()):
            if file is None:
                related = {"href": f"{here}?folder={folder}{name}/"}
                items.append(
                    {
                        "attributes": {"name": name, "kind": "folder"},
                        "relationships": {"files": {"links": {"related": related}}},
                    }
                )
            else:
                hashes = {"sha256": self.sha256(file[1]), "md5": "0" * 32}
                attributes = {"name": name, "kind": "file", "size": len(file[1]), "extra": {"hashes": hashes}}
                items.append(
                    {
                        "attributes": attributes,
                        "links": {"download": f"{self.address}/download/{node}/{file[0]}"},
                    }
                )
        more = f"{here}?folder={folder}&page={page + 1}" if len(items) > 2 * page else None
        return {"data": items[2 * page - 2 : 2 * page], "links": {"next": more}}

    def bucket_page(self, prefix, token):
        """Answer of S3: two keys a page."""
        keys = sorted(key for key in self.bucket if key.startswith(prefix))
        start = int(token or 0)
        entries = ""
        for key in keys[start : start + 2]:
            mark = hashlib.md5(self.bucket[key]).hexdigest() + (
                "-2" if len(self.bucket[key]) > 50_000 else ""
            )
            entries += f"<Contents><Key>{key}</Key><Size>{len(self.bucket[key])}</Size><ETag>&quot;{mark}&quot;</ETag></Contents>"
        if len(keys) > start + 2:
            entries += f"<NextContinuationToken>{start + 2}</NextContinuationToken>"
        return (
            f'<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{entries}</ListBucketResult>'
        )

    def sha256(self, content):
        """Hash as published; wrong for contents in `lies`."""
        return self.lies.get(content, hashlib.sha256(content).hexdigest())


class _Handler(BaseHTTPRequestHandler):
    publisher: Publisher

    def log_message(self, *args):
        pass

    def do_POST(self):
        length = int(self.headers["Content-Length"])
        paths = parse_qs(self.rfile.read(length).decode())["paths"]
        self._answer(json.dumps(self.publisher.paths_info(paths)).encode(), "application/json")

    def do_GET(self):
        url = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        if url.path.startswith("/v2/nodes/"):
            page = self.publisher.osf_page(
                url.path.split("/")[3], query.get("folder", ""), int(query.get("page", 1))
            )
            self._answer(json.dumps(page).encode(), "application/json")
        elif url.path == "/bucket":
            page = self.publisher.bucket_page(query["prefix"], query.get("continuation-token"))
            self._answer(page.encode(), "application/xml")
        else:
            self._download(unquote(url.path))

    def _answer(self, content, kind):
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _download(self, path):
        content = self.publisher.content(path)
        if content is None:
            self.send_error(404)
            return
        asked = self.headers.get("Range")
        self.publisher.asked.append((path, asked))
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and self.publisher.resumes else 0
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        cut = self.publisher.cut_after
        self.wfile.write(content[start : None if cut is None else start + cut])
        self.close_connection = True


@pytest.fixture
def publisher(monkeypatch):
    """A server for the length of the test."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr("pooch.core.time.sleep", lambda seconds: None)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    _Handler.publisher = Publisher(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield _Handler.publisher
    server.shutdown()
    server.server_close()
