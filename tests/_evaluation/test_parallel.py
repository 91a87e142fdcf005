"""Errors of workers and disks, in real processes."""

import os
import re
import resource
import signal
import subprocess
import sys
import textwrap

import pytest

from skeegclip._evaluation.parallel import in_parallel

pytestmark = pytest.mark.slow


def killed(shared, number):
    if number == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def test_a_killed_worker_is_named_and_what_to_do(tmp_path):
    settings = {"n_jobs": 2, "verbose": 0, "what": "trying"}
    with pytest.raises(RuntimeError, match=r"a worker process was killed.*smaller n_jobs than 2"):
        list(in_parallel(killed, None, [(0,), (1,), (2,)], folder=tmp_path, **settings))
    assert sorted(in_parallel(killed, None, [(0,), (2,)], folder=tmp_path, **settings)) == [0, 2]


PROGRAM = """
    import sys, warnings
    import numpy as np
    from sklearn.linear_model import Ridge
    from skeegclip import EmbeddingTable, evaluate
    from skeegclip.model_selection import WithinSubject
    rng = np.random.default_rng(0)
    table = EmbeddingTable([f"image_{i:02d}" for i in range(60)], rng.normal(size=(60, 5)))
    X = rng.normal(size=(60, 4, 2500))
    cv = WithinSubject(test_stimuli=table.ids[:20])
    evaluate({"a": Ridge(), "b": Ridge(2)}, X, table.ids, targets=table, cv=cv, folder=sys.argv[1], n_jobs=int(sys.argv[2]))
"""


@pytest.mark.parametrize(("n_jobs", "most"), [(2, 1_000_000), (1, 1_000)], ids=["sent", "written"])
def test_no_room_on_the_disk_is_said_so(tmp_path, n_jobs, most):
    def limited():
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))

    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(PROGRAM), tmp_path, str(n_jobs)],
        capture_output=True,
        text=True,
        preexec_fn=limited,
        check=False,
    )
    last = done.stderr.splitlines()[-1]
    assert last.startswith("OSError")
    assert re.search(r"\d+ bytes are needed and \d+ are free", last)
    assert str(tmp_path) in last
    assert not list(tmp_path.rglob("*.tmp"))
