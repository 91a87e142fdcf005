"""Parameters as JSON and back."""

import functools
import json

import mne
import numpy as np
import pytest
import torch

from skeegclip._utils.plain import channels_from_plain, channels_to_plain, from_plain, to_plain


@pytest.mark.parametrize(
    "value",
    [
        None,
        3,
        0.07,
        "cosine",
        True,
        [1, (2, 3)],
        (1, [2, (3,)], ()),
        {"kernel": (1, 25), "more": {"lr": 1e-3}},
        torch.nn.ELU,
        torch.optim.AdamW,
        torch.optim.lr_scheduler.OneCycleLR,
    ],
)
def test_they_come_back_as_they_were(value):
    again = from_plain(json.loads(json.dumps(to_plain(value))))
    assert again == value
    assert type(again) is type(value)


def test_numpy_numbers_become_numbers_and_partials_come_back():
    assert type(from_plain(to_plain(np.float32(0.5)))) is float
    partial = functools.partial(torch.optim.lr_scheduler.StepLR, step_size=3)
    again = from_plain(json.loads(json.dumps(to_plain(partial))))
    assert (again.func, again.keywords) == (partial.func, partial.keywords)


class OwnActivation(torch.nn.ELU):
    pass


@pytest.mark.parametrize(
    "value",
    [
        object(),
        OwnActivation,
        torch.nn.ELU(),
        np.zeros(3),
        torch.zeros(3),
        print,
        {1: 2},
        {"__class__": "torch.nn.ELU"},
        functools.partial(print),
        functools.partial(torch.nn.ELU, 1.0),
    ],
)
def test_what_has_no_place_in_json(value):
    with pytest.raises(TypeError, match="of type"):
        to_plain(value)


@pytest.mark.parametrize(
    "path",
    [
        "os.system",
        "torch.nn.functional.elu",
        "torch.nn.init.trunc_normal_",
        "torch.nn.Parameter",
        "torch.nn.modules",
        "torch.nn.__builtins__",
        "builtins.eval",
        "",
        3,
        None,
        ["torch.nn.ELU"],
    ],
)
def test_nothing_but_torch_classes_is_looked_up(path):
    with pytest.raises(ValueError, match="is not a class of torch.nn, torch.optim"):
        from_plain({"__class__": path})
    with pytest.raises(ValueError, match="is not a class of torch.nn, torch.optim"):
        from_plain({"__partial__": {"__class__": path}, "keywords": {}})


def test_channels_keep_their_places():
    info = mne.create_info(["Oz", "Pz"], 250.0, "eeg").set_montage("colin27_1020")
    again = channels_from_plain(json.loads(json.dumps(channels_to_plain(info["chs"]))))
    for new, old in zip(again, info["chs"], strict=True):
        assert set(new) == set(old)
        np.testing.assert_array_equal(new["loc"], old["loc"])
        assert (new["ch_name"], new["kind"]) == (old["ch_name"], int(old["kind"]))
