"""Equal fingerprints for what gives the same, others for what does not; told from outside, by other processes."""

import functools
import importlib.util
import json
import os
import pathlib
import subprocess
import sys
import textwrap
import threading
from enum import Enum

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.decomposition import PCA
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline

from skeegclip import EEGEncoder, EmbeddingTable, EpochsView
from skeegclip._utils.identity import UnknownIdentityError, identity
from skeegclip.nets import NICE


def changed(place):
    array = np.zeros(5000)
    array[place] = 1
    return array


class Colour(Enum):
    RED = 1
    BLUE = 2


def table(last):
    return EmbeddingTable(["a", "b"], [[1, 0], [0, last]])


def view(last):
    X = np.zeros((3, 2, 4), np.float32)
    X[-1, -1, -1] = last
    return EpochsView.from_arrays(X)


# Pairs that any two of differ; each is made twice, and is then equal to itself.
MAKERS = {
    "none": lambda: None,
    "one": lambda: 1,
    "true": lambda: True,
    "one_half": lambda: 0.5,
    "text_one": lambda: "1",
    "bytes": lambda: b"1",
    "tuple": lambda: (1, 2),
    "list": lambda: [1, 2],
    "nested": lambda: [1, [2]],
    "dict": lambda: {"a": 1, "b": 2},
    "other_dict": lambda: {"a": 2, "b": 1},
    "set": lambda: {"a", "b"},
    "array": lambda: changed(2500),  # of which repr shows the ends alone
    "other_array": lambda: changed(2501),
    "float32": lambda: changed(2500).astype(np.float32),
    "matrix": lambda: changed(2500).reshape(50, 100),
    "objects": lambda: np.array(["a", None], dtype=object),
    "other_objects": lambda: np.array(["b", None], dtype=object),
    "tensor": lambda: torch.from_numpy(changed(2500)),
    "bfloat16": lambda: torch.from_numpy(changed(2500)).bfloat16(),
    "table": lambda: table(1),
    "other_table": lambda: table(2),
    "view": lambda: view(1),
    "other_view": lambda: view(2),
    "frame": lambda: pd.DataFrame({"a": [1, 2]}),
    "other_frame": lambda: pd.DataFrame({"a": [1, 3]}),
    "path": lambda: pathlib.Path("a"),
    "red": lambda: Colour.RED,
    "blue": lambda: Colour.BLUE,
    "partial": lambda: functools.partial(max, 1),
    "other_partial": lambda: functools.partial(max, 2),
    "class": lambda: torch.nn.ReLU,
    "other_class": lambda: torch.nn.GELU,
    "module": lambda: torch.nn.Softplus(beta=1),
    "other_module": lambda: torch.nn.Softplus(beta=2),
    "builtin": lambda: len,
    "ufunc": lambda: np.sin,
    "estimator": lambda: Ridge(alpha=1),
    "other_estimator": lambda: Ridge(alpha=2),
    "pipeline": lambda: make_pipeline(PCA(2), Ridge()),
    "other_pipeline": lambda: make_pipeline(PCA(3), Ridge()),
    "frozen": lambda: FrozenEstimator(Ridge().fit([[0], [1]], [0, 1])),
    "other_frozen": lambda: FrozenEstimator(Ridge().fit([[0], [1]], [0, 2])),
    "encoder": lambda: EEGEncoder("nice", net_params={"kernel_length": 5}),
    "other_encoder": lambda: EEGEncoder("nice", net_params={"kernel_length": 7}),
    "of_a_class": lambda: EEGEncoder(NICE),
    "generator": lambda: np.random.default_rng(0),
    "other_generator": lambda: np.random.default_rng(1),
    "slice": lambda: slice(1, 2),
    "device": lambda: torch.device("cpu"),
}


def test_what_is_made_twice_is_the_same_and_no_two_others_are():
    first = {name: identity(make()) for name, make in MAKERS.items()}
    assert first == {name: identity(make()) for name, make in MAKERS.items()}
    assert len(set(first.values())) == len(MAKERS)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (np.float64(0.5), 0.5),
        (np.int64(3), 3),
        (np.bool_(True), True),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        (np.zeros((3, 4)).T, np.zeros((4, 3))),
        ([[0.5], [0.5]], [[0.5]] * 2),  # one object twice, or two equal ones
        (table(1), table(1.0)),
    ],
)
def test_what_means_the_same_is_the_same(a, b):
    assert identity(a) == identity(b)


def test_an_object_that_contains_itself_comes_to_an_end():
    def loop(last):
        a = [1]
        a += [a, last]
        return a

    assert identity(loop(1)) == identity(loop(1)) != identity(loop(2))


def test_what_has_no_state_is_refused_with_its_type():
    with pytest.raises(UnknownIdentityError, match=r"lock.* cannot be told from another"):
        identity({"a": [threading.Lock()]})


CODE = """
    import functools
    import logging
    import math
    import helpers
    from helpers import narrow

    WIDTH = 8
    lock = logging.getLogger("mine")

    class Base:
        gain = 2.0

        def __init__(self, n_outputs):
            super().__init__()
            self.lin = n_outputs

        @staticmethod
        def act(x):
            return math.cos(x)

        @property
        def width(self):
            return WIDTH

    class Net(Base):
        def forward(self, x):
            lock.debug("forward")
            return self.gain * self.act(narrow(helpers.scale(self.lin)))

    def made(k):
        def inner(x):
            from lazily import late
            return late(x) * k + recursive(2)
        return inner

    def recursive(n):
        return n and recursive(n - 1)

    by = lambda x, k=3: x + k
    wrapped = functools.lru_cache(made(2))
"""
HELPERS = """
    FACTOR = 3
    UNUSED = 1

    def scale(x):
        return FACTOR * x

    def narrow(x):
        return x[:, :2]
"""
LAZILY = "def late(x): return x + 1\n"


TELL = """
import functools, json, runpy, sys
from skeegclip._utils.identity import identity

def tell(folder):
    sys.path.insert(0, folder)
    space = runpy.run_path(folder + "/main.py")
    Net, made, by = space["Net"], space["made"], space["by"]
    own = {"Net": Net, "made2": made(2), "made": made, "by": by, "partial": {"f": functools.partial(by, 1)}}
    told = {name: identity(value) for name, value in {**own, "forward": Net.forward}.items()}
    sys.path.remove(folder)
    for name in ("helpers", "lazily"):
        sys.modules.pop(name, None)
    return told

print(json.dumps([tell(folder) for folder in sys.argv[1:]]))
"""


def tell(tmp_path, variants, seed):
    """Fingerprints of the user's classes and functions, told by a fresh process, for each way their files are written."""
    folders = [tmp_path / f"{seed}-{number}" for number in range(len(variants))]
    for folder, (code, helpers, lazily) in zip(folders, variants, strict=True):
        folder.mkdir()
        (folder / "main.py").write_text(textwrap.dedent(code), encoding="utf-8")
        (folder / "helpers.py").write_text(textwrap.dedent(helpers), encoding="utf-8")
        (folder / "lazily.py").write_text(lazily, encoding="utf-8")
    command = [sys.executable, "-B", "-c", TELL, *map(str, folders)]
    env = {**os.environ, "PYTHONHASHSEED": seed}
    done = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_code_of_the_users_own_counts_by_what_it_does(tmp_path):
    changes = {
        "forward": (CODE.replace("self.gain *", "self.gain +"), HELPERS, LAZILY, {"Net", "forward"}),
        "of a base": (CODE.replace("math.cos", "math.sin"), HELPERS, LAZILY, {"Net"}),
        "attribute": (CODE.replace("gain = 2.0", "gain = 2.5"), HELPERS, LAZILY, {"Net"}),
        "global": (CODE.replace("WIDTH = 8", "WIDTH = 9"), HELPERS, LAZILY, {"Net"}),
        "by name": (CODE, HELPERS.replace(":2]", ":3]"), LAZILY, {"Net", "forward"}),
        "by module": (CODE, HELPERS.replace("FACTOR = 3", "FACTOR = 4"), LAZILY, {"Net", "forward"}),
        "closure": (
            CODE.replace("made(k):", "made(k):\n        k = k + 1"),
            HELPERS,
            LAZILY,
            {"made", "made2"},
        ),
        "late": (CODE, HELPERS, LAZILY.replace("1", "2"), {"made", "made2"}),
        "recursive": (CODE.replace("n - 1", "n - 2"), HELPERS, LAZILY, {"made", "made2"}),
        "default": (CODE.replace("k=3", "k=4"), HELPERS, LAZILY, {"by", "partial"}),
    }
    variants = [(CODE, HELPERS, LAZILY), *(change[:3] for change in changes.values())]
    plain, *told = tell(tmp_path, variants, "0")
    for now, (name, (*_, others)) in zip(told, changes.items(), strict=True):
        assert {key for key in now if now[key] != plain[key]} == others, name
    # Comments, blank lines, other lines of the script and what nothing names change nothing, nor does the hash seed.
    same = CODE.replace("WIDTH = 8", "# a comment\n\n    NOTHING = 1\n    WIDTH = 8")
    assert tell(tmp_path, [(same, HELPERS.replace("UNUSED = 1", "UNUSED = 2"), LAZILY)], "7") == [plain]


BEHIND = {
    "cache": "@functools.cache\ndef used(x): return x * {k}",
    "script": "@torch.jit.script\ndef used(x): return x * {k}",
    "script of a module": "used = torch.nn.Linear(1, 1)\ntorch.nn.init.constant_(used.weight, {k})\n"
    "torch.nn.init.zeros_(used.bias)\nused = torch.jit.script(used)",
    "autograd": "class F(torch.autograd.Function):\n    @staticmethod\n    def forward(ctx, x): return x * {k}\n"
    "used = F.apply",
    "lock": "class C:\n    def __init__(self, k): self.k, self.lock = k, threading.Lock()\n    def f(self, x): return x\n"
    "used = C({k})",
    "method": "class C:\n    def __init__(self, k): self.k, self.lock = k, threading.Lock()\n    def f(self, x): return x\n"
    "used = C({k}).f",
    "proxy": "used = types.MappingProxyType({{'k': {k}}})",
    "pattern": "used = re.compile('{k}').match",
    "sparse": "used = torch.full((1,), {k}).to_sparse()",
}


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning", "ignore:.*torch.jit:FutureWarning")
@pytest.mark.parametrize("kind", BEHIND)
def test_what_goes_by_a_name_counts_by_what_is_behind_it(kind, tmp_path):
    def net(number, k):
        path = tmp_path / f"{number}.py"
        text = BEHIND[kind].format(k=k)
        path.write_text(
            f"import functools, re, threading, torch, types\n{text}\ndef net(x): return used(x)\n"
        )
        spec = importlib.util.spec_from_file_location("of_the_user", path)
        spec.loader.exec_module(module := importlib.util.module_from_spec(spec))
        return module.net

    assert identity(net(0, 2)) == identity(net(1, 2)) != identity(net(2, 3))


def test_code_that_was_typed_in_is_told_too():
    def net(line):
        space = {}
        exec(
            f"import torch\nclass Net(torch.nn.Module):\n    def forward(self, x):\n        return {line}",
            space,
        )
        return space["Net"]

    assert identity(net("x + 1")) == identity(net("x + 1")) != identity(net("x + 2"))


def test_code_of_a_package_counts_by_its_version(monkeypatch):
    from skeegclip._utils import own_code

    before = identity(torch.nn.ReLU), identity(np.linalg.norm)
    monkeypatch.setattr(torch, "__version__", "0.0")
    own_code._release.cache_clear()
    try:
        after = identity(torch.nn.ReLU), identity(np.linalg.norm)
    finally:
        own_code._release.cache_clear()
    assert before[0] != after[0]
    assert before[1] == after[1]
