"""Folders of json and safetensors: every network, and what a bad one gets."""

import functools
import json
import pickle
import shutil

import mne
import numpy as np
import pytest
import torch

from skeegclip import EEGEncoder, EmbeddingTable, EpochsView
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
        TypeError, match=r"net_params of this encoder has no place in a JSON file: .*OwnActivation"
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
    assert sorted(path.name for path in tmp_path.iterdir()) == ["encoder.json", "weights.safetensors"]


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


@pytest.mark.parametrize("name", ["encoder.json", "weights.safetensors", "targets.safetensors"])
@pytest.mark.parametrize("share", [0, 0.5, 0.99])
def test_files_cut_short(folder, name, share):
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: int(share * len(content))])
    with pytest.raises(ValueError, match=rf"{name} is not (what EEGEncoder.save writes|the file|a readable)"):
        EEGEncoder.load(folder)


@pytest.mark.parametrize("name", ["encoder.json", "weights.safetensors", "targets.safetensors"])
def test_files_that_are_absent(folder, name):
    (folder / name).unlink()
    with pytest.raises(FileNotFoundError, match=name):
        EEGEncoder.load(folder)


def test_weights_of_another_save(folder, data):
    other = folder.with_name("other")
    fitted(data, "eegproject", lr=1e-3).save(other)
    shutil.copy(other / "weights.safetensors", folder / "weights.safetensors")
    with pytest.raises(ValueError, match="is not the file that was saved with this encoder.json"):
        EEGEncoder.load(folder)


def change(folder, **facts):
    path = folder / "encoder.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **facts}))


@pytest.mark.parametrize(
    ("facts", "match"),
    [
        ({"net": "os.system"}, "net='os.system' is not known"),
        ({"net": "reference/../ATMS"}, "is not known"),
        ({"net": "nice"}, "is missing"),
        ({"net": ["eegproject"]}, "ValueError|TypeError"),
        ({"net": "Module"}, "net='Module' is not known"),
        ({"net_params": {"n_outputs": 8, "n_chans": 4, "n_times": 250, "hook": 1}}, "unexpected keyword"),
        ({"net_params": {"n_outputs": 8, "n_chans": 4, "n_times": 99}}, "of shape"),
        ({"net_params": {"dropout": {"__class__": "os.system"}}}, "'os.system' is not a class of torch.nn"),
        ({"params": {"callbacks": [1]}}, "no parameter 'callbacks' in a folder"),
        ({"params": {"net__x": 1}}, "no parameter 'net__x' in a folder"),
        ({"params": {"fit": "x"}}, "no parameter 'fit' in a folder"),
        ({"params": None}, "TypeError"),
        ({"fitted": {"__class__": "x"}}, "does not describe an encoder"),
        ({"fitted": {}}, "KeyError: 'n_chans_'"),
        ({"criterion_params": {"temperature_mode": "free"}}, "temperature_mode must be one of"),
        ({"subjects": 3, "ch_names": 3}, "does not describe an encoder"),
        ({"format": 2}, "has format 2, this version reads 1"),
        ({"net": None}, "the network is a class, 'EEGProject'"),
    ],
)
def test_facts_that_are_not_ours_are_refused(folder, facts, match):
    change(folder, **facts)
    with pytest.raises(ValueError, match=match):
        EEGEncoder.load(folder, device="cpu")


@pytest.mark.parametrize("content", ["[]", "3", '"x"', "null", "{}", "[" * 100_000, "\x00\xff"])
def test_json_of_something_else(folder, content):
    (folder / "encoder.json").write_text(content)
    with pytest.raises(ValueError, match="encoder.json is not what EEGEncoder.save writes"):
        EEGEncoder.load(folder)


def test_only_the_known_tables_are_read(folder):
    change(folder, tables=["../../secret", "targets"])
    assert EEGEncoder.load(folder, device="cpu").targets is not None


def test_a_network_given_must_be_a_class_and_fit(folder):
    with pytest.raises(ValueError, match="give the class, not an instance"):
        EEGEncoder.load(folder, net=torch.nn.Linear(2, 2))
    with pytest.raises(ValueError, match="does not describe an encoder that this version can build"):
        EEGEncoder.load(folder, net=ATM)
