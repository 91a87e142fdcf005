"""Folders of json and safetensors: every network, and what a bad one gets."""

import functools
import hashlib
import json
import pickle
import resource
import shutil
import time
from pathlib import Path

import mne
import numpy as np
import pytest
import torch
from safetensors.numpy import save
from sklearn.pipeline import Pipeline

import skeegclip
from skeegclip import EEGEncoder, EmbeddingTable, EpochsView
from skeegclip._training.sharing import weights_of
from skeegclip._utils.folders import FolderError
from skeegclip._utils.folders.manifest import MANIFEST, sealed
from skeegclip.nets import ATM
from skeegclip.nets.registry import _NETS

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning:braindecode",
    "ignore:Parameter .final_layer:DeprecationWarning",
    "ignore:Using padding='same':UserWarning",
    "ignore:This model has only been trained:UserWarning",
    "ignore:n_times .250. is smaller than the minimum:UserWarning",  # ATCNet
    "ignore:Only 4 head digitization points:RuntimeWarning",
    "ignore:Estimated head radius:RuntimeWarning",
)


@pytest.fixture(scope="module")
def data():
    info = mne.create_info(["T7", "Fz", "T8", "Oz"], 250.0, "eeg").set_montage("colin27_1005")
    rng = np.random.default_rng(0)
    X = 10 * rng.standard_normal((12, 4, 250), dtype="float32")
    view = EpochsView.from_arrays(X, subject=["ana", "ben"] * 6, info=info)
    return view, np.repeat(rng.standard_normal((6, 8)), 2, axis=0)


def fitted(data, net, **params):
    return EEGEncoder(net, max_epochs=1, random_state=0, device="cpu", **params).fit(*data)


# Parametrised weights, a place for each sensor, a class made at run time, filters that are designed.
BRAINDECODE = ["EEGNet", "SignalJEPA_PreLocal", "InterpolatedBIOT", "EEGMiner", "SCCNet", "EEGSym"]


SLOW = {"atm-e", "atm-eegnet", "brain-module", "simpleconv", "mlp", "EEGSym", "InterpolatedBIOT"}


@pytest.mark.parametrize(
    "net",
    [
        pytest.param(
            net, marks=[pytest.mark.slow, pytest.mark.filterwarnings("ignore")] if net in SLOW else ()
        )
        for net in dict.fromkeys([*_NETS, *BRAINDECODE])
    ],
)
def test_every_network_comes_back(data, net, tmp_path):
    encoder = fitted(data, net)
    encoder.save(tmp_path / "saved")
    shutil.copytree(tmp_path / "saved", tmp_path / "copied")  # as an upload and a download do
    again = EEGEncoder.load(tmp_path / "copied", device="cpu")
    np.testing.assert_array_equal(
        pickle.loads(pickle.dumps(encoder)).transform(data[0]), again.transform(data[0])
    )
    np.testing.assert_array_equal(again.transform(data[0]), encoder.transform(data[0]))
    parts = [name for name in dir(encoder) if name.endswith("_") and not name.startswith("_")]
    assert {"n_chans_", "history_", "subjects_", "trained_on_"} < set(parts)
    for name in set(parts) - {"net_", "fitted_"}:
        np.testing.assert_equal(getattr(again, name), getattr(encoder, name), err_msg=name)
    assert again.fitted_.stated == encoder.fitted_.stated
    assert again.fit(*data).transform(data[0]).shape == (12, 8)


def test_channels_travel_with_networks_that_read_their_places(data, tmp_path):
    encoder = fitted(data, "SignalJEPA_PreLocal")
    encoder.save(tmp_path)
    again = EEGEncoder.load(tmp_path, device="cpu")
    np.testing.assert_array_equal(again.transform(data[0]), encoder.transform(data[0]))
    for old, new in zip(
        encoder.fitted_.spec.net_params["chs_info"], again.fitted_.spec.net_params["chs_info"], strict=True
    ):
        np.testing.assert_array_equal(old["loc"], new["loc"])
        assert old["ch_name"] == new["ch_name"]


def test_parameters_that_are_tuples_and_classes_come_back(data, tmp_path):
    encoder = fitted(
        data,
        "EEGNeX",
        net_params={"activation": torch.nn.ReLU, "kernel_block_1_2": 32},
        optimizer=torch.optim.SGD,
        lr_scheduler=functools.partial(torch.optim.lr_scheduler.StepLR, step_size=3),
        optimizer_params={"momentum": 0.5},
    )
    encoder.save(tmp_path)
    again = EEGEncoder.load(tmp_path, device="cpu")
    assert again.net_params == encoder.net_params
    assert again.optimizer is torch.optim.SGD
    assert again.lr_scheduler.keywords == {"step_size": 3}
    np.testing.assert_array_equal(again.transform(data[0]), encoder.transform(data[0]))


def test_a_class_that_has_a_name_needs_no_net(data, tmp_path):
    from braindecode.models import ShallowFBCSPNet

    encoder = fitted(data, ShallowFBCSPNet)
    encoder.save(tmp_path)
    again = EEGEncoder.load(tmp_path, device="cpu")
    np.testing.assert_array_equal(again.transform(data[0]), encoder.transform(data[0]))


class OwnActivation(torch.nn.ELU):
    pass


def test_what_has_no_place_in_a_folder(data, tmp_path):
    encoder = fitted(data, "EEGNet", net_params={"activation": OwnActivation})
    with pytest.raises(
        TypeError, match=r"net_params.activation of this EEGEncoder has no place in a file: .*OwnActivation"
    ):
        encoder.save(tmp_path / "encoder")
    assert not (tmp_path / "encoder").exists()


def test_a_second_save_replaces_the_first_whole(data, tmp_path):
    table = EmbeddingTable([f"s{i}" for i in range(6)], data[1][::2])
    y = np.repeat(table.ids, 2)
    with_table = EEGEncoder("eegproject", targets=table, max_epochs=1, random_state=0, device="cpu")
    with_table.fit(data[0], y).save(tmp_path)
    assert EEGEncoder.load(tmp_path).targets == table
    fitted(data, "eegproject").save(tmp_path)
    assert EEGEncoder.load(tmp_path).targets is None
    assert list(tmp_path.rglob("*/table.safetensors")) == []


def test_files_of_the_user_stay(data, tmp_path):
    for name in ("targets.safetensors", "text_targets.safetensors", "README.md"):
        (tmp_path / name).write_text("mine")
    with pytest.raises(FileExistsError, match="holds other files"):
        fitted(data, "eegproject").save(tmp_path)
    fitted(data, "eegproject").save(tmp_path / "inside")
    (tmp_path / "inside" / "targets.safetensors").write_text("mine")
    fitted(data, "eegproject").save(tmp_path / "inside")
    assert {path.read_text() for path in tmp_path.rglob("targets.safetensors")} == {"mine"}
    assert len(list(tmp_path.iterdir())) == 4


# -- bad folders -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def saved(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved") / "encoder"
    table = EmbeddingTable([f"s{i}" for i in range(6)], data[1][::2])
    encoder = EEGEncoder("eegproject", targets=table, max_epochs=1, random_state=0, device="cpu")
    encoder.fit(data[0], np.repeat(table.ids, 2)).save(folder)
    return folder


@pytest.fixture
def folder(saved, tmp_path):
    return shutil.copytree(saved, tmp_path / "encoder")


def path_of(folder, name):
    """The manifest, or a file below it."""
    return folder / name if name == MANIFEST else next(folder.rglob(f"saved-*/**/{name}"))


FILES = [MANIFEST, "weights.safetensors", "table.safetensors"]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("share", [0, 0.5, 0.99])
def test_files_cut_short(folder, name, share):
    path = path_of(folder, name)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(ValueError, match="which is not what was saved|is not what skeegclip saves"):
        EEGEncoder.load(folder)


@pytest.mark.parametrize("name", FILES)
def test_files_that_are_absent(folder, name):
    path_of(folder, name).unlink()
    with pytest.raises((FileNotFoundError, FolderError), match=name):
        EEGEncoder.load(folder)


def test_weights_of_another_save(folder, data):
    other = folder.with_name("other")
    fitted(data, "eegproject", lr=1e-3).save(other)
    shutil.copy(path_of(other, "weights.safetensors"), path_of(folder, "weights.safetensors"))
    with pytest.raises(ValueError, match=r"weights.safetensors' is not the file that was saved"):
        EEGEncoder.load(folder)


def change(folder, **facts):
    """Forge a manifest, its checksum included."""
    path = folder / MANIFEST
    said = json.loads(path.read_text())
    said["content"]["facts"].update(facts)
    path.write_text(json.dumps(sealed(said)))


NET = {"n_outputs": 8, "n_chans": 4, "n_times": 250}


@pytest.mark.parametrize(
    ("facts", "match"),
    [
        ({"net": "os.system"}, "net='os.system' is not known"),
        ({"net": "reference/../ATMS"}, "is not known"),
        ({"net": "nice"}, "is missing"),
        ({"net": ["eegproject"]}, "net: Input should be a valid string"),
        ({"net": "Module"}, "net='Module' is not known"),
        ({"net_params": {**NET, "hook": 1}}, "unexpected keyword"),
        ({"net_params": {**NET, "n_outputs": 9}}, "of shape"),
        ({"net_params": {**NET, "n_times": 99}}, "n_times is 250, but 99 in the network"),
        ({"net_params": {**NET, "n_times": 99}, "n_times": 99}, "of shape"),
        (
            {"net_params": {**NET, "dropout": {"__class__": "os.system"}}},
            "'os.system' is not a class of torch.nn",
        ),
        ({"net_params": {**NET, "dropout": {"__part__": "../x"}}}, "its '../x' is missing"),
        ({"net_params": {**NET, "dropout": {"__record__": "x", "says": {}}}}, "KeyError: 'x'"),
        ({"params": {"callbacks": [1]}}, "no parameter 'callbacks' in a folder"),
        ({"params": {"net__x": 1}}, "no parameter 'net__x' in a folder"),
        ({"params": {"fit": "x"}}, "no parameter 'fit' in a folder"),
        ({"params": {"batch_size": -1}}, "batch_size must lie in"),
        ({"params": None}, "params: Input should be an object"),
        ({"n_chans": "x"}, "n_chans: Input should be a valid integer"),
        ({"history": {}}, "history: Input should be a valid (array|list)"),
        ({"stated": {"sfreq": "x"}}, "stated.sfreq: Input should be a valid number"),
        ({"criterion_params": {"temperature_mode": "free"}}, "temperature_mode must be one of"),
        ({"subjects": 3}, "subjects: Input should be a valid (array|list)"),
        ({"subjects": ["b", "a"]}, "its subjects are not sorted"),
        ({"ch_names": ["a"]}, "n_chans is 4, but 1 are named"),
        ({"net": None}, "the network is a class, 'EEGProject'. Pass it"),
    ],
)
def test_facts_that_are_not_ours_are_refused(folder, facts, match):
    change(folder, **facts)
    with pytest.raises(ValueError, match=match):
        EEGEncoder.load(folder, device="cpu")


BIG = 10**8


@pytest.mark.parametrize(
    "facts",
    [
        {"n_times": BIG, "net_params": {**NET, "n_times": BIG}},
        {"n_chans": BIG, "net_params": {**NET, "n_chans": BIG}},
        {"n_times": 60_000, "n_chans": 60_000, "net_params": {**NET, "n_times": 60_000, "n_chans": 60_000}},
        {"n_outputs": BIG, "net_params": {**NET, "n_outputs": BIG}},
        {"net": "atm-s", "net_params": {**NET, "n_layers": 60_000}},
        {"net": "EEGNet", "net_params": {**NET, "F1": 60_000, "D": 60_000}},
        {"net": "EEGMiner", "net_params": {**NET, "n_times": 60_000}, "n_times": 60_000},
        {"criterion_params": {"projector": {"__tuple__": [60_000, 60_000]}}},
    ],
)
def test_sizes_are_compared_with_the_weights_before_anything_is_built(folder, facts):
    change(folder, **facts)
    limits = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 2**30, limits[1]))
    start = time.process_time()
    try:
        with pytest.raises(ValueError, match="does not describe what this version can build"):
            EEGEncoder.load(folder, device="cpu")
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)
    assert time.process_time() - start < 5


@pytest.mark.parametrize("content", ["[]", "3", '"x"', "null", "{}", "[" * 100_000, "\x00\xff"])
def test_json_of_something_else(folder, content):
    (folder / MANIFEST).write_text(content)
    with pytest.raises(ValueError, match="skeegclip.json' is not what skeegclip saves"):
        EEGEncoder.load(folder)


def test_a_network_given_must_be_a_class_and_fit(folder):
    with pytest.raises(ValueError, match="give the class, not an instance"):
        EEGEncoder.load(folder, net=torch.nn.Linear(2, 2))
    with pytest.raises(ValueError, match="does not describe what this version can build"):
        EEGEncoder.load(folder, net=ATM)
    with pytest.raises(TypeError, match="load has no parameter 'nett'; of what is in .* it takes net"):
        EEGEncoder.load(folder, nett=ATM)


class OwnNet(torch.nn.Module):
    def __init__(self, n_outputs=None, n_chans=None, n_times=None, *, width=3):
        super().__init__()
        self.layers = torch.nn.Sequential(
            torch.nn.Flatten(), torch.nn.Linear(n_chans * n_times, width), torch.nn.Linear(width, n_outputs)
        )

    def forward(self, x):
        return self.layers(x)


class OwnEncoder(EEGEncoder):
    """A class of the user's, which no file names."""


def test_classes_of_the_users_own(data, tmp_path):
    encoder = OwnEncoder(OwnNet, net_params={"width": 5}, max_epochs=1, random_state=0, device="cpu").fit(
        *data
    )
    encoder.save(tmp_path)
    with pytest.raises(
        ValueError, match=r"the network is a class, 'OwnNet'. Pass it: load\(folder, net=...\)"
    ):
        OwnEncoder.load(tmp_path)
    again = OwnEncoder.load(tmp_path, net=OwnNet, device="cpu")
    assert type(again) is OwnEncoder
    np.testing.assert_array_equal(again.transform(data[0]), encoder.transform(data[0]))
    with pytest.raises(FolderError, match="holds a saved OwnEncoder and no EEGEncoder"):
        EEGEncoder.load(tmp_path, net=OwnNet)
    with pytest.raises(TypeError, match="OwnEncoder is a class of your own, which no file may name"):
        skeegclip.save(Pipeline([("encoder", encoder)]), tmp_path / "pipeline")


# -- before there was one format -----------------------------------------------------------------------------


@pytest.fixture
def older(folder, tmp_path):
    """The same encoder as version 1 of the format had it."""
    encoder = EEGEncoder.load(folder, device="cpu")
    said = json.loads((folder / MANIFEST).read_text())["content"]["facts"]
    place = tmp_path / "older"
    place.mkdir()
    weights = save(weights_of(encoder.net_))
    (place / "weights.safetensors").write_bytes(weights)
    encoder.targets.save(place / "targets.safetensors")
    stated = dict(said["stated"], size={"__tuple__": said["stated"]["size"]}, bads={"__tuple__": []})
    facts = {
        "format": 1,
        "skeegclip": "0.1.0",
        "params": {k: v for k, v in said["params"].items() if k not in ("targets", "text_targets")},
        "fitted": {
            "n_chans_": 4,
            "n_times_in_": 250,
            "n_features_in_": 4,
            "n_outputs_": 8,
            "history_": said["history"],
            "selection_": said["selection"],
        },
        "input": {**stated, **{k: {"__tuple__": stated[k]} for k in ("ch_names", "ch_types")}},
        **{k: said[k] for k in ("trained_on", "subjects", "ch_names", "net", "net_class", "net_params")},
        **{k: said[k] for k in ("chs_info", "criterion_params")},
        "tables": ["targets"],
        "sha256": hashlib.sha256(weights).hexdigest(),
    }
    (place / "encoder.json").write_text(json.dumps(facts))
    return place, encoder


def test_folders_of_format_1_still_load(older, data):
    place, encoder = older
    for again in (EEGEncoder.load(place, device="cpu"), skeegclip.load(place, device="cpu")):
        np.testing.assert_array_equal(again.transform(data[0]), encoder.transform(data[0]))
        assert again.targets == encoder.targets
        assert again.fitted_.stated == encoder.fitted_.stated
        assert again.trained_on_ == encoder.trained_on_
        assert again.get_params() == {**encoder.get_params(), "targets": again.targets}


@pytest.mark.parametrize("name", ["encoder.json", "weights.safetensors", "targets.safetensors"])
def test_folders_of_format_1_that_are_damaged(older, name):
    place, _ = older
    content = (place / name).read_bytes()
    (place / name).write_bytes(content[:-9])
    with pytest.raises(ValueError, match="encoder.json|weights.safetensors|table.safetensors"):
        EEGEncoder.load(place)
    (place / name).unlink()
    with pytest.raises(FileNotFoundError):
        EEGEncoder.load(place)


@pytest.mark.parametrize("name", ["prior.json", "reconstructor.json", "captioner.json", "low_level.json"])
def test_other_kinds_of_format_1_are_named(tmp_path, name):
    (tmp_path / name).write_text("{}")
    with pytest.raises(
        ValueError, match=rf"is a save of format 1 \({name}\), which this version reads for EEGEncoder"
    ):
        skeegclip.load(tmp_path)
