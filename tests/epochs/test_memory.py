"""Leave-one-subject-out over a store that is larger than the memory the process may have."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "examples" / "benchmarks" / "store_memory.py"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_DATA counts anonymous memory on Linux only")
def test_leave_one_subject_out_in_less_memory_than_the_store_takes(tmp_path):
    options = ["--epochs", "1200", "--chans", "16", "--batch", "64", "--limit-mb", "150"]
    done = subprocess.run(
        [sys.executable, SCRIPT, *options, "--folder", tmp_path], capture_output=True, text=True, timeout=280
    )
    assert done.returncode == 0, done.stderr
    lines = {line.split()[0]: line for line in done.stdout.splitlines()}
    assert "192 MB" in lines["(12000,"]
    # The limit is a real one: what does not stream does not fit.
    assert "failed" in lines["array"]
    assert "MemoryError" in lines["array"]
    assert "failed" not in lines["store"]
    assert float(lines["store"].split("top-1")[1].split()[0]) > 0.5  # and it learned; chance is 0.02
