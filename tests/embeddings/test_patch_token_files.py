"""The folder of patch tokens: gone on with after a kill, never in a folder of others, never believed unchecked."""

from __future__ import annotations

import json
import os
import shutil

import numpy as np
import pytest

from skeegclip.embeddings import load_patch_tokens
from skeegclip.embeddings.patch_tokens import write_patch_tokens

IDS = np.array(["a", "b", "c", "d"])
TOKENS = np.arange(24.0).reshape(4, 3, 2).astype(np.float32)


def write(folder, scale=1.0):
    def batches(first):
        for start in range(first, 4, 2):
            yield IDS[start : start + 2], scale * TOKENS[start : start + 2]

    write_patch_tokens(
        folder,
        IDS,
        batches,
        contents=list("wxyz"),
        settings={"scale": scale},
        dtype="float32",
        verbose=0,
    )


def check(folder, scale=1.0):
    ids, tokens = load_patch_tokens(folder)
    assert ids.tolist() == IDS.tolist()
    np.testing.assert_array_equal(tokens, scale * TOKENS)


@pytest.mark.slow
def test_a_kill_at_any_step_is_gone_on_from(tmp_path, killer):
    folder = tmp_path / "tokens"
    n_steps = 0
    for _ in killer.every_step(write, folder):
        n_steps += 1
        if folder.exists():
            check(folder)
        else:
            write(folder)
            check(folder)
        assert os.listdir(tmp_path) == ["tokens"]
        shutil.rmtree(folder)
    check(folder)
    assert n_steps > 15


def test_a_second_writer_is_told_of_the_first(tmp_path):
    folder = tmp_path / "tokens"

    def batches(first):
        yield IDS[:2], TOKENS[:2]
        with pytest.raises(BlockingIOError, match="being written by another"):
            write(folder, scale=2.0)  # would take the file away, and mix its tokens in
        yield IDS[2:], TOKENS[2:]

    write_patch_tokens(
        folder, IDS, batches, contents=IDS, settings={"scale": 1.0}, dtype="float32", verbose=0
    )
    check(folder)
    assert sorted(os.listdir(folder)) == ["about.json", "tokens.npy"]
    assert os.listdir(tmp_path) == ["tokens"]


def test_a_run_that_fails_at_once_leaves_nothing(tmp_path):
    def batches(first):
        raise RuntimeError("no picture")
        yield

    with pytest.raises(RuntimeError, match="no picture"):
        write_patch_tokens(
            tmp_path / "t", IDS, batches, contents=IDS, settings={}, dtype="float32", verbose=0
        )
    assert os.listdir(tmp_path) == []


def test_a_run_of_other_settings_begins_anew(tmp_path, killer):
    folder = tmp_path / "tokens"
    assert not killer.run(write, folder, step=16)
    write(folder, scale=2.0)
    check(folder, scale=2.0)


@pytest.mark.parametrize("name", ["tokens.npy", "state.json", "notes"])
def test_a_folder_of_others_is_refused(tmp_path, name):
    mine = tmp_path / "tokens.partial" / name
    mine.parent.mkdir()
    mine.write_text("[]" if name == "state.json" else "precious")
    before = mine.read_text()
    with pytest.raises(FileExistsError, match=r"tokens.partial' is in the way"):
        write(tmp_path / "tokens")
    assert mine.read_text() == before
    assert os.listdir(mine.parent) == [name]


def test_links_in_a_stopped_run_lead_nowhere(tmp_path, killer):
    folder, victim = tmp_path / "tokens", tmp_path / "victim"
    for step in range(100):
        assert not killer.run(write, folder, step=step)
        state = tmp_path / "tokens.partial" / "state.json"
        if state.exists() and json.loads(state.read_text())["done"]:
            break
        shutil.rmtree(tmp_path / "tokens.partial", ignore_errors=True)
    data = tmp_path / "tokens.partial" / "tokens.npy"
    shutil.copy(data, victim)
    before = victim.read_bytes()
    data.unlink()
    data.symlink_to(victim)
    with pytest.raises(ValueError, match="is a link"):
        write(folder)
    assert victim.read_bytes() == before


def test_changed_facts_are_refused_or_say_the_same(tmp_path, mutate):
    folder = tmp_path / "tokens"
    write(folder)
    for name in ("about.json", "tokens.npy"):
        content = (folder / name).read_bytes()
        header = content[:128]
        refused = []
        for _ in range(250):
            changed = mutate(content if name == "about.json" else header)
            (folder / name).write_bytes(changed if name == "about.json" else changed + content[128:])
            try:
                ids, tokens = load_patch_tokens(folder)
                assert (len(ids), tokens.ndim) == (4, 3)
            except ValueError as error:
                refused.append(str(error))
        assert len(refused) > 100
        assert all(str(folder) in error for error in refused)
        (folder / name).write_bytes(content)
    check(folder)
    (folder / "tokens.npy").unlink()
    os.mkfifo(folder / "tokens.npy")
    with pytest.raises(ValueError, match="pipe"):
        load_patch_tokens(folder)
