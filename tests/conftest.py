"""Fixtures that several test modules share."""

from __future__ import annotations

import contextlib
import functools
import http.server
import json
import os
import random
import shutil
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from functools import partial
from pathlib import Path

# The workers share the cores: with threads of their own on top they would wait for each other. Read when torch and
# numpy are loaded, and handed on to workers and subprocesses.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest

from skeegclip import EpochsView

_DEFAULT = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.hookimpl(tryfirst=True)
def pytest_fixture_setup() -> None:
    _seed_what_all_share(0)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call() -> None:
    _seed_what_all_share(1)


def _seed_what_all_share(seed: int) -> None:
    """Seed the generators of the process and let it tell all warnings, whichever test ran before."""
    if "skeegclip._utils.telling" in sys.modules:
        sys.modules["skeegclip._utils.telling"].forget()
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    if "torch" in sys.modules:
        sys.modules["torch"].default_generator.manual_seed(seed)


@pytest.fixture
def rng() -> np.random.Generator:
    """A generator of the test's own, so that no draw depends on which tests ran before."""
    return np.random.default_rng(1)  # modules draw the data that their tests share with seed 0


@pytest.fixture
def checks_in_single_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let scikit-learn's estimator checks compare what a network gives to the rounding of single precision.

    They ask for 1e-7, which is less: whether a row gets the same number alone, in a batch and in another order of rows
    then depends on the kernels that the processor takes.
    """
    from sklearn.utils import estimator_checks

    def compare(strictly, x, y, rtol=None, atol=0.0, **more):
        tolerance = {} if rtol is None else {"rtol": max(rtol, 1e-5)}
        strictly(x, y, atol=max(atol, 1e-6), **tolerance, **more)

    for name in ("assert_allclose", "assert_allclose_dense_sparse"):
        monkeypatch.setattr(estimator_checks, name, partial(compare, getattr(estimator_checks, name)))


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Let processes that the test starts be interrupted, also where the tests run in the background of a shell."""
    # A shell has its background jobs ignore the signal, and they hand that on.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real recordings; tests that need it are skipped where it is absent."""
    folder = Path(os.environ.get("SKEEGCLIP_TEST_DATA", _DEFAULT))
    if not folder.is_dir():
        pytest.skip(
            "no folder of real data; set SKEEGCLIP_TEST_DATA to one that holds things_eeg1_category_erps/ etc."
        )
    return folder


@pytest.fixture(scope="session")
def category_erps(real_data: Path) -> EpochsView:
    """Evoked responses of 46 people to five categories (THINGS-EEG1), person after person; stimulus is the category."""
    import mne

    path = real_data / "things_eeg1_category_erps" / "erps.npz"
    if not path.exists():
        pytest.skip("real data has no file things_eeg1_category_erps/erps.npz")
    file = np.load(path)
    n_people, n_categories, n_chans, n_times = file["X"].shape
    return EpochsView.from_arrays(
        file["X"].reshape(-1, n_chans, n_times),
        subject=np.repeat(file["subjects"], n_categories),
        stimulus=np.tile(file["cats"], n_people),
        info=mne.create_info([str(name) for name in file["ch_names"]], 250.0, "eeg"),
        tmin=-0.1,
    )


@pytest.fixture(scope="session")
def things_eeg2_sub08() -> tuple[np.ndarray, np.ndarray]:
    """EEG and image embeddings (200, 1024) of THINGS-EEG2's test images, subject 8, in the same order."""
    from skeegclip.datasets import load_things_sub08

    data = load_things_sub08()
    return data.X, data.image_embeddings.vectors


class Killer:
    """Runs functions in processes that get SIGKILL at a step on files of their choice."""

    _EVENTS = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.link")

    def run(self, function, *args, step: int | None = None, file_size: int | None = None) -> bool:
        """Return whether the function came to its end; what it raises ends it too.

        Parameters
        ----------
        function : callable
            What to run, with `args`.
        step : int | None
            The step on files in whose middle it is killed, from 0.
        file_size : int | None
            The length beyond which no file grows, as if the disk were full.
        """
        sys.stdout.flush()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of forking a process that has threads
            child = os.fork()
        if child == 0:
            try:
                self._mortal(step, file_size)
                function(*args)
            except BaseException:
                os._exit(1)
            os._exit(0)
        status = os.waitpid(child, 0)[1]
        return os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0

    def every_step(self, function, *args) -> Iterator[int]:
        """Kill at the first step, at the second, ..., until the function comes to its end; that is not yielded."""
        for step in range(2000):
            if self.run(function, *args, step=step):
                return
            yield step
        pytest.fail("it never came to its end")

    def _mortal(self, step: int | None, file_size: int | None) -> None:
        if file_size is not None:
            import resource

            resource.setrlimit(resource.RLIMIT_FSIZE, (file_size, file_size))
        if step is None:
            return
        left = step

        def pass_one() -> bool:
            nonlocal left
            left -= 1
            return left < 0

        def die() -> None:
            os.kill(os.getpid(), signal.SIGKILL)

        def watch(event: str, args: tuple) -> None:
            is_write = event == "open" and isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR)
            if (is_write or event in self._EVENTS) and pass_one():
                die()

        sys.addaudithook(watch)
        write, fsync = os.write, os.fsync

        def half(file: int, content: bytes) -> int:
            if pass_one():
                write(file, bytes(content)[: len(content) // 2])
                die()
            return write(file, content)

        def synced(file: int) -> None:
            if pass_one():
                die()
            fsync(file)

        os.write, os.fsync = half, synced


@pytest.fixture
def killer() -> Killer:
    if not hasattr(os, "fork"):
        pytest.skip("needs fork")
    return Killer()


class Mutator:
    """Changes files as damage and strangers do: bytes, ends, values, types and depth."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)

    def __call__(self, content: bytes) -> bytes:
        """Return other content."""
        while True:
            kinds = [self._flip, self._cut, self._insert]
            kinds += [self._value] * 3 if content[:1] == b"{" else []
            changed = kinds[self.rng.integers(len(kinds))](content)
            if changed != content:
                return changed

    def _flip(self, content: bytes) -> bytes:
        changed = bytearray(content)
        for place in self.rng.integers(len(content), size=self.rng.integers(1, 4)):
            changed[place] = self.rng.integers(256)
        return bytes(changed)

    def _cut(self, content: bytes) -> bytes:
        return content[: self.rng.integers(len(content))]

    def _insert(self, content: bytes) -> bytes:
        place = self.rng.integers(len(content))
        return content[:place] + self.rng.bytes(self.rng.integers(1, 9)) + content[place:]

    def _value(self, content: bytes) -> bytes:
        """Replace one value somewhere in a JSON text."""
        whole = json.loads(content)
        places = list(_places(whole))
        holder, key = places[self.rng.integers(len(places))]
        odd = [
            None,
            True,
            -1,
            0,
            3,
            2**40,
            10**30,
            1.5,
            float("nan"),
            "",
            "x/../../victim",
            [],
            {},
            [[]],
            "DEEP",
        ]
        old = holder[key]
        odd += [old + 1, old - 1] if type(old) is int else []
        holder[key] = odd[self.rng.integers(len(odd))]
        text = json.dumps(whole, indent=1)
        return text.replace('"DEEP"', "[" * 20_000 + "]" * 20_000).encode()


def _places(value):
    keys = value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield value, key
        yield from _places(value[key])


@pytest.fixture
def mutate() -> Mutator:
    return Mutator(7)


@pytest.fixture
def offline(monkeypatch, tmp_path):
    """No network, and an empty hub cache."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture
def in_hub_cache(tmp_path):
    """Put files where the hub's client keeps what it has downloaded."""

    def put(repository, commit, *files):
        folder = tmp_path / "hub" / f"models--{repository.replace('/', '--')}"
        snapshot = folder / "snapshots" / commit
        snapshot.mkdir(parents=True)
        (folder / "refs").mkdir(exist_ok=True)
        (folder / "refs" / "main").write_text(commit)
        for file in files:
            shutil.copy(file, snapshot)
        return snapshot

    return put


class _Hub(http.server.SimpleHTTPRequestHandler):
    """Serves files as the hub does: /owner/name/resolve/main/file, with the commit in a header."""

    def _asked(self):
        """Revision and file; of an address that is not the hub's, a file alone."""
        path = self.path.partition("?")[0]
        _, hub, inside = path.partition("/resolve/")
        revision, _, file = inside.partition("/") if hub else ("", "", path.rpartition("/")[2])
        return revision, file

    def translate_path(self, path):
        return os.path.join(self.directory, self._asked()[1])

    def end_headers(self):
        revision, _ = self._asked()
        self.send_header("X-Repo-Commit", "0" * 40 if revision == "main" else revision)
        self.send_header("ETag", '"' + self.path.rpartition("/")[2] + '"')
        if not os.path.exists(self.translate_path(self.path)):
            self.send_header("X-Error-Code", "EntryNotFound")
        super().end_headers()

    def log_message(self, *args):
        pass


@pytest.fixture
def serve():
    """From a folder to the address of a server that gives its files as the hub does."""
    with contextlib.ExitStack() as stack:

        def start(folder):
            handler = functools.partial(_Hub, directory=str(folder))
            serving = stack.enter_context(http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler))
            thread = threading.Thread(target=serving.serve_forever, daemon=True)
            thread.start()
            stack.callback(thread.join)
            stack.callback(serving.shutdown)
            return f"http://127.0.0.1:{serving.server_port}"

        yield start


@pytest.fixture
def to_hub(monkeypatch):
    """Let the hub's client talk to a server of ours."""
    from huggingface_hub import constants

    def direct(server):
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "ENDPOINT", server)
        template = server + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)

    return direct
