"""Fixtures that several test modules share."""

from __future__ import annotations

import os
import random
import signal
import sys
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
    """Seed the generators of the process, so that a test draws the same numbers whichever ran before it."""
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
            "no folder of real data; set SKEEGCLIP_TEST_DATA to one that holds things_eeg2_sub08/ etc."
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
def things_eeg2_sub08(real_data: Path) -> tuple[np.ndarray, np.ndarray]:
    """EEG and image embeddings (200, 1024) of THINGS-EEG2's test images, subject 8, in the same order."""
    folder = real_data / "things_eeg2_sub08"
    if not folder.is_dir():
        pytest.skip("real data has no folder things_eeg2_sub08/")
    return np.load(folder / "eeg_embeddings.npy"), np.load(folder / "image_embeddings.npy")
