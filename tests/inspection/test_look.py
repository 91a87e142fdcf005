"""What all analyses share: finished work in a folder."""

import numpy as np
import pytest

from skeegclip.inspection import time as module
from skeegclip.inspection import time_resolved


def test_damaged_and_foreign_files_are_done_again(view, setting, tmp_path, monkeypatch):
    asked = {"X": view, "mode": "sliding", "width": 0.3, "step": 0.6, "folder": tmp_path, **setting}
    first = time_resolved(**asked)
    paths = sorted(tmp_path.iterdir())
    assert len(paths) == len(first.table) >= 2
    calls, real = [], module.fit
    monkeypatch.setattr(module, "fit", lambda *args: calls.append(1) or real(*args))
    contents = [path.read_bytes() for path in paths]
    paths[0].write_bytes(contents[0][:-1])
    with pytest.warns(RuntimeWarning, match="is not a result that was written here"):
        again = time_resolved(**asked)
    assert len(calls) == 1
    paths[1].write_bytes(contents[0])  # whole, but of another window
    with pytest.warns(RuntimeWarning, match="belongs to other work"):
        again = time_resolved(**asked)
    assert len(calls) == 2
    np.testing.assert_array_equal(again.table.to_numpy(), first.table.to_numpy())
