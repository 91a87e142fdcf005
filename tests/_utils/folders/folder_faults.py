"""Faults at every step of a save: before and after each call that changes the disk, and in the middle of each write.

Run as a program, with a folder to work in and a stride, it kills a save at every step (or every third, say), and prints
what was found as JSON.
"""

from __future__ import annotations

import contextlib
import copy
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from skeegclip._utils.folders import Content, files, read_folder, write_folder

CALLS = ("mkdir", "fsync", "replace", "unlink", "rmdir", "open")


def make_content(seed: int, n_parts: int = 2) -> Content:
    """A content with arrays, a file and nested parts, other for each seed."""
    rng = np.random.default_rng(seed)
    parts = {
        f"part_{n}": Content(
            "Part",
            {"n": n + seed},
            arrays={"w": rng.normal(size=(4, 3))},
            parts={"inner": Content("Inner", files={f"inner_{seed}.bin": rng.bytes(20)})},
        )
        for n in range(n_parts)
    }
    return Content(
        "Whole",
        {"seed": seed, "names": ["a", "ü"]},
        {"x": rng.normal(size=5)},
        {"f.bin": rng.bytes(50)},
        parts,
    )


def same(a: Content, b: Content) -> bool:
    return (
        (a.kind, a.facts, a.files, a.arrays.keys(), a.parts.keys())
        == (b.kind, b.facts, b.files, b.arrays.keys(), b.parts.keys())
        and all(
            np.array_equal(a.arrays[k], b.arrays[k]) and a.arrays[k].dtype == b.arrays[k].dtype
            for k in a.arrays
        )
        and all(same(a.parts[k], b.parts[k]) for k in a.parts)
    )


JUNK = [
    None, True, False, 0, -1, 2, 3.5, 10**30, -(10**30), 1e308, float("nan"), float("inf"), "", "x", "../x", "\0", "\ud800",
    "a" * 10_000, [], {}, [None], {"x": {}}, ["f.bin"], {"kind": "Whole"}, [[[[[[[[[[]]]]]]]]]],
]  # fmt: skip


def places_in(value, path=()):
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inner:
        yield from places_in(item, (*path, key))


def mutated(said, rng):
    """The manifest with one value changed, taken away, put in the place of another, or renamed."""
    said = copy.deepcopy(said)
    all_places = [place for place in places_in(said) if place]
    place = all_places[rng.integers(len(all_places))]
    parent = said
    for key in place[:-1]:
        parent = parent[key]
    how = rng.integers(5)
    if how == 0:
        del parent[place[-1]]
    elif how == 1:
        other = said
        for key in all_places[rng.integers(len(all_places))]:
            other = other[key]
        parent[place[-1]] = copy.deepcopy(other)
    elif how == 2 and isinstance(parent, dict):
        parent[str(JUNK[rng.integers(len(JUNK))])] = parent.pop(place[-1])
    elif how == 3:
        deep = parent[place[-1]]
        for _ in range(int(rng.integers(1, 400))):
            deep = [deep] if rng.integers(2) else {"x": deep}
        parent[place[-1]] = deep
    else:
        parent[place[-1]] = JUNK[rng.integers(len(JUNK))]
    return said


def save_on(folder: Path, seed: int, until: Any) -> None:
    content = make_content(seed, seed)
    while not until.is_set():
        write_folder(folder, content)


class Steps:
    """Counts the steps, and lets something happen at one of them."""

    def __init__(self, at: int | None, happens: Callable[[], None]) -> None:
        self.n, self._at, self._happens = 0, at, happens

    def step(self) -> None:
        self.n += 1
        if self.n == self._at:
            self._happens()

    def around(self, call: Callable) -> Callable:
        def called(*args: Any, **kwargs: Any) -> Any:
            self.step()
            result = call(*args, **kwargs)
            self.step()
            return result

        return called

    def open(self, path: Any, mode: str, **kwargs: Any) -> Any:
        if mode != "xb":
            return open(path, mode, **kwargs)
        self.step()
        file = open(path, mode, buffering=0)  # noqa: SIM115
        steps = self

        class Written:
            def write(self, content: Any) -> None:
                content = bytes(content)
                for half in (content[: len(content) // 2], content[len(content) // 2 :]):
                    file.write(half)
                    steps.step()

            def __getattr__(self, name: str) -> Any:
                return getattr(file, name)

            def __enter__(self) -> Written:
                return self

            def __exit__(self, *args: Any) -> None:
                file.close()

        return Written()


@contextlib.contextmanager
def fault(at: int | None, happens: Callable[[], None]) -> Iterator[Steps]:
    """Let something happen at a step of what is done inside."""
    steps = Steps(at, happens)
    with contextlib.ExitStack() as stack:
        for name in CALLS:
            stack.enter_context(mock.patch.object(os, name, steps.around(getattr(os, name))))
        stack.enter_context(mock.patch.object(files, "open", steps.open, create=True))
        yield steps


def n_steps(save: Callable[[], None]) -> int:
    with fault(None, lambda: None) as steps:
        save()
    return steps.n


def kill_everywhere(work: Path, stride: int) -> dict[str, int]:
    """Kill saves over an older one, over one and a killed one, and into new folders; look at what each left."""
    old, new, third = make_content(1, 3), make_content(2, 2), make_content(3, 1)
    found = {"over": 0, "again": 0, "fresh": 0, "old": 0, "new": 0, "nothing": 0}
    totals: dict[str, int] = {}
    for kind in ("over", "again", "fresh"):

        def prepare(name: str, kind: str = kind) -> Path:
            folder = work / f"{kind}-{name}" / "inner"
            if kind != "fresh":
                write_folder(folder, old)
                if kind == "again":
                    killed(folder, third, totals["over"] // 2)
                (folder / "README.md").write_text("mine")
                (folder / "saved-0123456789abcdef").mkdir()
                (folder / "saved-0123456789abcdef" / "mine.txt").write_text("mine")
            return folder

        folder = prepare("count")
        totals[kind] = n_steps(lambda folder=folder: write_folder(folder, new))
        for at in range(1, totals[kind] + 1, stride):
            folder = prepare(str(at))
            before = None if kind == "fresh" else read_folder(folder)
            killed(folder, new, at)
            found[kind] += 1
            try:
                read = read_folder(folder)
            except FileNotFoundError:
                assert before is None, (kind, at)
                found["nothing"] += 1
            else:
                assert same(read, new) or same(read, before), (kind, at)
                found["new" if same(read, new) else "old"] += 1
            # The next save clears away what the killed one left, and nothing else.
            write_folder(folder, third)
            assert same(read_folder(folder), third)
            names = {path.name for path in folder.iterdir()}
            theirs = {"README.md", "saved-0123456789abcdef"} if kind != "fresh" else set()
            manifest = json.loads((folder / "skeegclip.json").read_bytes())
            assert names == theirs | {"skeegclip.json", ".skeegclip.lock", manifest["folder"]}, (
                kind,
                at,
                names,
            )
            if kind != "fresh":
                assert (folder / "saved-0123456789abcdef" / "mine.txt").read_text() == "mine"
            shutil.rmtree(folder.parent)
    return found


def killed(folder: Path, content: Content, at: int) -> None:
    """Save in a process that is killed at a step."""
    child = os.fork()
    if child == 0:
        with fault(at, lambda: os.kill(os.getpid(), signal.SIGKILL)):
            write_folder(folder, content)
        os._exit(7)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), (at, status)
    assert os.WTERMSIG(status) == signal.SIGKILL, (at, status)


if __name__ == "__main__":
    os.fsync = lambda number: None  # the machine goes on
    print(json.dumps(kill_everywhere(Path(sys.argv[1]), int(sys.argv[2]))))
