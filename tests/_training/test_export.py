"""Encoders as ONNX files, run by onnxruntime."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
import torch
from sklearn.exceptions import NotFittedError

from skeegclip import EEGEncoder, EmbeddingTable, EpochsView

SMALL = {
    "atm-s": {"d_ff": 16, "n_filters": 4},
    "ridge+atm-s": {"d_ff": 16, "n_filters": 4},
    "atm-e": {"d_ff": 16, "n_features": 32},
    "atm-eegnet": {"d_ff": 16},
    "nice": {"n_filters": 4},
    "mlp": {"n_hidden_times": 16, "n_hidden_chans": 4, "n_hidden_blocks": 0},
    "eegnet": {"D": 2, "F2": 16},
    "eegconformer": {"n_filters_time": 8},
    "brain-module": {"d_ff": 16},
    "simpleconv": {"hidden_dim": 8, "depth": 2},
}
SUBJECTS = ["sub-01", "sub-10"]

pytestmark = pytest.mark.filterwarnings("ignore:n_times .* is smaller than the minimum")


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    table = EmbeddingTable([f"s{i:02d}" for i in range(12)], rng.standard_normal((12, 6)))
    X = 10 * rng.standard_normal((24, 3, 160)).astype("float32")
    return X, np.repeat(table.ids, 2), np.tile(SUBJECTS, 12), table


def fitted(net, data, **params):
    X, y, subject, table = data
    encoder = EEGEncoder(
        net, net_params=SMALL.get(net), targets=table, max_epochs=1, batch_size=12, validation=0,
        random_state=0, device="cpu", **params,
    )  # fmt: skip
    return encoder.fit(X, y, subject=subject)


def run(path, X, codes):
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    given = {"epochs": X, "subject": np.asarray(codes, dtype=np.int64)}
    return session.run(["embeddings"], {i.name: given[i.name] for i in session.get_inputs()})[0], session


def check(encoder, data, path):
    """Any number of epochs, known and unknown subjects: the file gives what the encoder gives."""
    X = data[0]
    encoder.export(path)
    subject = np.tile([*SUBJECTS, "sub-99"], 8)
    for n in (1, 24):
        expected = encoder.transform(X[:n], subject=subject[:n])
        got, session = run(path, X[:n], np.tile([0, 1, -1], 8)[:n])
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())
    return session


@pytest.mark.parametrize(("net", "layer"), [("atm-s", "token"), ("eegproject", "linear")])
@pytest.mark.slow
def test_the_file_gives_what_the_encoder_gives(net, layer, data, tmp_path):
    encoder = fitted(net, data, subject_layer=layer, unknown_subject="mean")
    before = encoder.transform(data[0])
    session = check(encoder, data, tmp_path / "new" / "encoder.onnx")
    assert [i.name for i in session.get_inputs()] == ["epochs", "subject"]
    # A subject counts, and the encoder is as it was.
    own, other = (run(tmp_path / "new" / "encoder.onnx", data[0], [code] * 24)[0] for code in (0, 1))
    assert not np.allclose(own, other, atol=1e-4)
    np.testing.assert_array_equal(encoder.transform(data[0]), before)


# All that torch can export but ATM-S, which has a test of its own.
NETS = ["atm-e", "atm-eegnet", "nice", "eegnet", "eegconformer", "eegitnet", "shallow", "mlp", "brain-module"]
NETS += ["simpleconv", "eegproject", "ridge+atm-s"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("net", "layer"),
    [(net, "token") for net in NETS] + [("nice", "linear"), ("Deep4Net", "token"), ("CTNet", "token")],
)
def test_every_net_that_torch_can_export(net, layer, data, tmp_path):
    check(fitted(net, data, subject_layer=layer), data, tmp_path / "encoder.onnx")


@pytest.mark.slow
def test_what_the_file_tells(data, tmp_path):
    import mne

    X, y, subject, table = data
    info = mne.create_info(["O1", "Oz", "O2"], 250.0, "eeg")
    view = EpochsView.from_arrays(X, subject=subject, stimulus=y, info=info)
    encoder = EEGEncoder("eegproject", targets=table, max_epochs=1, validation=0, device="cpu").fit(view, y)
    encoder.export(tmp_path / "encoder.onnx")
    import onnx

    model = onnx.load(tmp_path / "encoder.onnx")
    onnx.checker.check_model(model)
    facts = {entry.key: json.loads(entry.value) for entry in model.metadata_props}
    assert facts.pop("skeegclip")
    assert facts == {
        "net": "eegproject",
        "unit": "microvolts (MEG: fT)",
        "sfreq": 250.0,
        "n_chans": 3,
        "n_times": 160,
        "n_outputs": 6,
        "ch_names": ["O1", "Oz", "O2"],
        "subjects": [],  # this network has nothing of a subject's own
    }
    assert [i.name for i in model.graph.input] == ["epochs"]


class Untraceable(torch.nn.Module):
    def __init__(self, n_outputs=None, n_chans=None, n_times=None):
        super().__init__()
        self.linear = torch.nn.Linear(n_chans * n_times, n_outputs)

    def forward(self, x):
        # What the data decide: there is no graph of it.
        return self.linear(x.flatten(1)) * (2.0 if x.sum() > 0 else 1.0)


class Random(Untraceable):
    def forward(self, x):
        return self.linear(x.flatten(1)) + torch.rand(1)


@pytest.mark.parametrize(
    ("net", "match"),
    [
        (Untraceable, "net='Untraceable' cannot be exported: torch.export says"),
        (Random, "net='Random' cannot be exported: onnxruntime's embeddings differ from torch's by"),
    ],
)
def test_what_cannot_be_exported_is_said_and_leaves_no_file(net, match, data, tmp_path):
    encoder = fitted(net, data)
    (tmp_path / "encoder.onnx").write_bytes(b"old")
    with pytest.raises(ValueError, match=match):
        encoder.export(tmp_path / "encoder.onnx")
    assert [p.read_bytes() for p in tmp_path.iterdir()] == [b"old"]


@pytest.mark.slow
def test_a_braindecode_net_that_torch_cannot_export_is_named(data, tmp_path):
    with pytest.raises(ValueError, match="net='atcnet' cannot be exported: torch.export says"):
        fitted("atcnet", data).export(tmp_path / "encoder.onnx")


def test_it_asks_for_a_fitted_encoder_and_the_extra(data, tmp_path, monkeypatch):
    with pytest.raises(NotFittedError):
        EEGEncoder().export(tmp_path / "encoder.onnx")
    encoder = fitted("eegproject", data)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ImportError, match=r"pip install 'skeegclip\[onnx\]'"):
        encoder.export(tmp_path / "encoder.onnx")


@pytest.mark.slow
def test_the_sizes_of_epochs_and_targets_are_in_the_file(data, tmp_path):
    X, y, subject, table = data
    table = EmbeddingTable(table.ids, 50 * table.vectors)
    encoder = fitted("nice", (300 * X, y, subject, table), loss_weight=0.5)
    encoder.export(tmp_path / "net.onnx")
    z = encoder.transform(300 * X)
    assert z.std() > 10
    found, _ = run(tmp_path / "net.onnx", 300 * X, np.full(len(X), -1))
    np.testing.assert_allclose(found, z, rtol=1e-3, atol=1e-2)
