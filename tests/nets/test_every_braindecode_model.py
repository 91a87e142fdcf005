"""Every model of the installed braindecode on 63 named channels: it embeds as by its own call, or says what to change."""

from __future__ import annotations

import csv
import inspect
import json
import os
from pathlib import Path

import braindecode.models
import numpy as np
import pytest
import torch

from skeegclip import EEGEncoder, EpochsView
from skeegclip.datasets._montages import eeg_info
from skeegclip.nets.build import build_net
from skeegclip.nets.facts import accepted_by

NAMES = sorted(
    name
    for name, cls in ((name, getattr(braindecode.models, name)) for name in braindecode.models.__all__)
    if inspect.isclass(cls) and issubclass(cls, torch.nn.Module)
)
# Those that make no embeddings of one second of 63 channels, with their defaults: sequences, or made for other data.
NEVER = {
    *(
        "AttnSleep",
        "BENDR",
        "DANCE",
        "EEGDINO",
        "EMG2QwertyNet",
        "HybridNet",
        "InterpolatedSignalJEPA",
        "LUNA",
    ),
    *("MetaNeuromotorHand", "NeuroPose", "SensingDynamics", "SignalJEPA", "SleepStagerBlanco2020"),
    *("SleepStagerChambon2018", "TCN", "VEMG2Pose"),
}
SMALL = 100_000  # parameters: those are fitted, saved and loaded

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),
]


def own_rate(name):
    """The rate that a model was made for, as braindecode's own summary has it."""
    path = Path(braindecode.models.__file__).parent / "summary.csv"
    with path.open(encoding="utf-8-sig") as file:
        rates = {row["Model"]: int(row["Sampling Frequency (Hz)"]) for row in csv.DictReader(file)}
    return rates.get(name, 250)


@pytest.fixture
def files(tmp_path, monkeypatch):
    """What REVE and STEEGFormer fetch, as made here."""
    import braindecode.models.steegformer as module

    names = eeg_info(200.0)["ch_names"]
    (tmp_path / "reve_positions.json").write_text(
        json.dumps({n: [0.01 * i, 0, 0] for i, n in enumerate(names)})
    )
    monkeypatch.setenv("REVE_POSITIONS_PATH", os.fspath(tmp_path))
    monkeypatch.setattr(module, "_channel_index", lambda: {n.upper(): i for i, n in enumerate(names[::-1])})


def by_hand(name, info):
    """What a model's forward must be given, and is documented to want."""
    places = torch.tensor(np.array([ch["loc"][:3] for ch in info["chs"]]), dtype=torch.float32)
    return {"Labram": {"ch_names": info["ch_names"]}, "LUNA": {"channel_locations": places[None]}}.get(
        name, {}
    )


@pytest.mark.parametrize("name", NAMES)
def test_it_embeds_as_by_its_own_call_or_says_what_to_change(name, files, tmp_path):
    cls, worked = getattr(braindecode.models, name), False
    for n_times in {own_rate(name), 250}:
        info = eeg_info(sfreq := float(n_times))
        known = {"n_outputs": 16, "n_chans": 63, "n_times": n_times, "sfreq": sfreq, "chs_info": info["chs"]}
        params = {key: value for key, value in known.items() if key in accepted_by(cls)}
        said = ""
        try:
            net = build_net(cls, params).eval()
        except ValueError as error:
            said = str(error)
        if said:
            assert said.startswith(("net=", "net must map"))
            assert said.endswith(".")
            assert "\n" not in said
            continue
        worked |= net(torch.zeros(1, 63, n_times)).shape == (1, 16)
        model = cls(**params).eval()
        model.load_state_dict(net.state_dict())
        x = torch.from_numpy(np.random.default_rng(0).standard_normal((1, 63, n_times)).astype("float32"))
        with torch.no_grad():
            torch.testing.assert_close(net(x), model(x, **by_hand(name, info)), rtol=1e-6, atol=1e-6)
        if name not in NEVER and sum(p.numel() for p in net.parameters()) < SMALL:
            view = EpochsView.from_arrays(
                10 * np.random.default_rng(1).standard_normal((8, 63, n_times)), info=info
            )
            encoder = EEGEncoder(name, max_epochs=1, batch_size=4, validation=0, random_state=0, device="cpu")
            z = encoder.fit_transform(view, np.eye(8, 16))
            encoder.save(tmp_path / "encoder")
            np.testing.assert_array_equal(EEGEncoder.load(tmp_path / "encoder").transform(view), z)
    assert worked == (name not in NEVER)


def test_labram_as_published_is_fitted_saved_and_loaded(tmp_path):
    info = eeg_info(200.0)
    view = EpochsView.from_arrays(10 * np.random.default_rng(1).standard_normal((8, 63, 200)), info=info)
    encoder = EEGEncoder("Labram", max_epochs=1, batch_size=4, validation=0, random_state=0, device="cpu")
    z = encoder.fit_transform(view, np.eye(8, 16))
    encoder.save(tmp_path / "encoder")
    np.testing.assert_array_equal(EEGEncoder.load(tmp_path / "encoder").transform(view), z)
