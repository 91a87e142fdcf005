"""Where pretrained weights come from: files, folders, the hub, memory and loaders; none of which may run code."""

import functools
import hashlib
import json
import pickle
import sys

import huggingface_hub
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from small_nets import Blocks

from skeegclip import EEGEncoder
from skeegclip._training.weights_source import read_pretrained

COMMIT = "0" * 40  # the server's name for "main"


@pytest.fixture
def state():
    return {"student." + name: value for name, value in Blocks(5, 2, 6).state_dict().items()} | {
        "x": torch.ones(1)
    }


def same(source, state):
    return source.state.keys() == state.keys() and all(
        torch.equal(source.state[name], value) for name, value in state.items()
    )


def sha(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("suffix", [".safetensors", ".pt", ".bin"])
@pytest.mark.parametrize("as_text", [False, True])
def test_files(state, tmp_path, suffix, as_text):
    path = tmp_path / f"weights{suffix}"
    save_file(state, path) if suffix == ".safetensors" else torch.save({"epoch": 3, "model": state}, path)
    source = read_pretrained(str(path) if as_text else path)
    assert same(source, state)
    assert source.named == {"source": "file", "file": path.name, "sha256": sha(path)}


def test_folders(state, tmp_path):
    save_file(state, tmp_path / "model.safetensors")
    torch.save({"other": torch.ones(1)}, tmp_path / "optimizer.pt")
    source = read_pretrained(tmp_path)
    assert same(source, state)
    assert (source.named["source"], source.named["file"]) == ("folder", "model.safetensors")
    (tmp_path / "model.safetensors").rename(tmp_path / "best.safetensors")
    with pytest.raises(ValueError, match="holds 2 files of weights"):
        read_pretrained(tmp_path)
    (tmp_path / "optimizer.pt").unlink()
    assert same(read_pretrained(tmp_path), state)
    (tmp_path / "best.safetensors").unlink()
    with pytest.raises(ValueError, match="holds no weights"):
        read_pretrained(tmp_path)


def in_parts(state, folder, pattern="model{suffix}.safetensors"):
    """Write weights as huggingface_hub does where they are large; returns the names of the parts."""
    huggingface_hub.save_torch_state_dict(
        state, folder, filename_pattern=pattern, max_shard_size=120, safe_serialization="safe" in pattern
    )
    return sorted(path.name for path in folder.glob("*-of-*"))


@pytest.mark.parametrize("pattern", ["model{suffix}.safetensors", "pytorch_model{suffix}.bin"])
def test_weights_in_several_files_are_read_as_one(state, tmp_path, pattern):
    parts = in_parts({"model." + name: value for name, value in state.items()}, tmp_path, pattern)
    assert len(parts) > 2
    (index,) = tmp_path.glob("*.index.json")
    for given in (tmp_path, index):
        source = read_pretrained(given)
        assert same(source, state)
        assert source.named["file"] == index.name
    parts_alone = "".join(sha(tmp_path / part) for part in parts)
    assert source.named["sha256"] == hashlib.sha256(parts_alone.encode()).hexdigest()


def test_a_part_of_the_weights_is_not_taken_for_all(state, tmp_path):
    parts = in_parts(state, tmp_path)
    with pytest.raises(
        ValueError,
        match=rf"{parts[1]} is one of {len(parts)} files .* Pass model.safetensors.index.json, which",
    ):
        read_pretrained(tmp_path / parts[1])
    for part in parts[1:3]:
        (tmp_path / part).unlink()
    with pytest.raises(
        FileNotFoundError, match=f"names {len(parts)} files .* 2 of them .*: {parts[1]}, {parts[2]}. Copy"
    ):
        read_pretrained(tmp_path)


def test_an_index_that_does_not_fit_is_refused(state, tmp_path):
    parts = in_parts(state, tmp_path)
    path = tmp_path / "model.safetensors.index.json"
    index = json.loads(path.read_text())
    index["weight_map"]["lost"] = parts[0]
    path.write_text(json.dumps(index))
    with pytest.raises(ValueError, match=r"names 1 tensors that its files do not hold \(one: 'lost'\)"):
        read_pretrained(tmp_path)
    for content in ("{", "[]", "{}", '{"weight_map": {"a": "../model.safetensors"}}'):
        path.write_text(content)
        with pytest.raises(ValueError, match="is no index of files of weights"):
            read_pretrained(tmp_path)


def test_the_index_says_which_of_two_files_a_tensor_is_of(state, tmp_path):
    in_parts(state, tmp_path)
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text())["weight_map"]
    first = min(index, key=index.get)
    last = tmp_path / max(index.values())
    assert index[first] != last.name
    save_file({**load_file(last), first: state[first] + 1}, last)  # left of another save
    assert same(read_pretrained(tmp_path), state)


def test_parts_that_hold_no_weights_are_named(state, tmp_path):
    parts = in_parts(state, tmp_path, "pytorch_model{suffix}.bin")
    torch.save([1, 2], tmp_path / parts[1])
    with pytest.raises(ValueError, match=rf"{parts[1]} holds a list, not one state dict"):
        read_pretrained(tmp_path)
    index = tmp_path / "pytorch_model.bin.index.json"
    for name in ("..", ".", "", "/etc/passwd"):
        index.write_text(json.dumps({"weight_map": {"a": name}}))
        with pytest.raises(ValueError, match="is no index of files of weights"):
            read_pretrained(tmp_path)


@pytest.mark.parametrize("inside", ["", "nested/deep/"])
def test_the_hub_gives_all_parts_of_one_commit(state, tmp_path, offline, serve, to_hub, inside):
    folder = tmp_path / "files" / inside
    folder.mkdir(parents=True)
    in_parts(state, folder)
    to_hub(serve(tmp_path / "files"))
    source = read_pretrained(f"lab/eeg:{inside}model.safetensors.index.json" if inside else "lab/eeg")
    assert same(source, state)
    assert (source.named["revision"], source.named["file"]) == (COMMIT, "model.safetensors.index.json")


def test_a_saved_encoder_is_a_folder_of_weights(tmp_path, rng):
    X, y = rng.normal(size=(12, 2, 6)).astype(np.float32), rng.normal(size=(12, 5)).astype(np.float32)
    common = {"max_epochs": 1, "device": "cpu", "random_state": 0}
    first = EEGEncoder(Blocks, **common).fit(X, y)
    first.save(tmp_path / "first")
    source = read_pretrained(tmp_path / "first")
    assert same(source, first.net_.module_.state_dict())
    assert (source.named["source"], source.named["file"]) == ("saved EEGEncoder", "first")
    from skeegclip import EmbeddingTable, save

    save(EmbeddingTable(["a", "b"], np.eye(2)), tmp_path / "table")
    with pytest.raises(ValueError, match="is a save of EmbeddingTable, which holds no network"):
        read_pretrained(tmp_path / "table")


def test_the_hub(state, tmp_path, offline, serve, to_hub):
    files = tmp_path / "files"
    files.mkdir()
    save_file(state, files / "model.safetensors")
    late = Blocks(5, 2, 6).state_dict()
    torch.save(late, files / "late.pth")
    to_hub(serve(files))
    source = read_pretrained("lab/eeg")
    assert same(source, state)
    assert source.named == {
        "source": "lab/eeg",
        "revision": COMMIT,
        "file": "model.safetensors",
        "sha256": sha(files / "model.safetensors"),
    }
    pinned = read_pretrained(f"lab/eeg@{'a' * 40}:late.pth")
    assert same(pinned, late)
    assert (pinned.named["revision"], pinned.named["file"]) == ("a" * 40, "late.pth")
    with pytest.raises(
        ValueError, match=r"that repository has no absent.pt. Name the file of the weights: .*lab/eeg:file"
    ):
        read_pretrained("lab/eeg:absent.pt")


def test_the_hub_is_asked_once_and_not_needed_afterwards(
    state, tmp_path, offline, serve, to_hub, monkeypatch
):
    from huggingface_hub import constants

    files = tmp_path / "files"
    files.mkdir()
    torch.save(state, files / "pytorch_model.bin")
    to_hub(serve(files))
    assert read_pretrained("lab/eeg").named["file"] == "pytorch_model.bin"
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert same(read_pretrained("lab/eeg"), state)


def test_a_hub_that_is_out_of_reach_says_what_to_do(offline):
    with pytest.raises(OSError, match=r"hf download lab/eeg.*none of that name here\) as pretrained="):
        read_pretrained("lab/eeg")


def test_memory_and_loaders(state):
    def load():
        torch.rand(3)
        return state

    before = torch.random.get_rng_state()
    plain, loaded = read_pretrained(state), read_pretrained(load)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert same(plain, state)
    assert same(loaded, state)
    assert plain.named["source"] == "state dict"
    assert loaded.named["source"].endswith("load")
    assert loaded.named["sha256"] == plain.named["sha256"]
    arrays = {name: value.numpy() for name, value in state.items()}
    assert read_pretrained(arrays).named["sha256"] == plain.named["sha256"]
    other = {**state, "x": torch.zeros(1)}
    assert read_pretrained(other).named["sha256"] != plain.named["sha256"]


def test_a_loader_of_braindecode_is_called_as_it_is(tmp_path):
    from braindecode.models import Labram

    net = Labram(n_outputs=3, n_chans=4, n_times=200, patch_size=100, num_layers=1, embed_dim=20, num_heads=2)
    net.save_pretrained(tmp_path)
    source = read_pretrained(functools.partial(Labram.from_pretrained, str(tmp_path)))
    assert same(source, net.state_dict())
    assert "from_pretrained" in source.named["source"]
    assert str(tmp_path) not in source.named["source"]
    assert same(read_pretrained(tmp_path), net.state_dict())


class _Bomb:
    def __reduce__(self):
        return sys.exit, ("code was run",)


def test_no_code_is_run(tmp_path):
    path = tmp_path / "weights.pt"
    path.write_bytes(pickle.dumps({"a": _Bomb()}))
    with pytest.raises(
        ValueError, match="it was not opened, because that could run code|not a whole torch file"
    ):
        read_pretrained(path)
    torch.save({"a": _Bomb()}, path)
    with pytest.raises(ValueError, match="it was not opened, because that could run code"):
        read_pretrained(path)


@pytest.mark.parametrize(
    ("given", "error", "match"),
    [
        ("weights/none.pt", FileNotFoundError, "neither a file nor a folder, nor owner/name"),
        ("a b", FileNotFoundError, "neither a file nor a folder"),
        (3, TypeError, "pretrained must be None or a file, a folder, owner/name"),
        (Blocks, TypeError, "pretrained must be None"),
        (lambda: 3, TypeError, "returned a int, neither a torch module nor a state dict"),
        ({"a": 3}, ValueError, "not one state dict"),
    ],
)
def test_what_is_no_weights_is_refused(given, error, match):
    with pytest.raises(error, match=match):
        read_pretrained(given)
