"""The folder for the contest: as the decoder predicts, on its own, whole or not at all."""

import importlib.util
import json
import subprocess
import sys

import mne
import numpy as np
import pytest
import torch
from scipy.signal import resample
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, GroupKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from torch.utils.data import DataLoader, TensorDataset

from skeegclip import (
    AveragedTraining,
    EEGEncoder,
    EmbeddingTable,
    EnsembleEncoder,
    EpochsView,
    ImageRetriever,
    InvertedEncoding,
    SubjectWhitening,
    ZeroShotClassifier,
    recipes,
)
from skeegclip.contest import export_submission, submission
from skeegclip.contest._bare import SCRIPT
from skeegclip.contest._translate import translate
from skeegclip.epochs.view import joined as joined_caps
from skeegclip.metrics import make_retrieval_scorer
from skeegclip.preprocessing import MVNN, EpochScaler, PickChannels, SubjectAligner

NAMES, SFREQ = ["Fz", "Cz", "Pz", "O1", "Oz", "O2"], 30.0
FILES = {"submission.py", "model.pt2", "facts.json", "README.md", "requirements.txt", "skeegclip-files.json"}
NET = {"max_epochs": 1, "batch_size": 16, "device": "cpu", "random_state": 0}
POOLED = {"unknown": "pooled"}


def epochs(seed=0, n_stimuli=50, n_dims=12, n_times=24):
    """A view of two people who see each stimulus once, and vectors of the stimuli."""
    rng = np.random.default_rng(seed)
    table = EmbeddingTable([f"image_{i:02d}" for i in range(n_stimuli)], rng.normal(size=(n_stimuli, n_dims)))
    y = np.repeat(table.ids, 2)
    X = (table.lookup(y) @ rng.normal(size=(n_dims, 6 * n_times))).reshape(-1, 6, n_times)
    X = 5 * X + 10 * rng.normal(size=X.shape) + 20
    info = mne.create_info(NAMES, SFREQ, "eeg")
    return EpochsView.from_arrays(X, subject=np.tile(["ana", "ben"], n_stimuli), stimulus=y, info=info), table


VIEW, TABLE = epochs()


def retriever(encoder, **params):
    return ImageRetriever(encoder, targets=TABLE, **params)


DECODERS = {
    "flat ridge": retriever(Ridge()),
    "scikit-learn": retriever(make_pipeline(mne.decoding.Vectorizer(), StandardScaler(), PCA(9), Ridge())),
    "channels by place, each epoch": make_pipeline(
        PickChannels([3, 0, 5]), SubjectAligner("epoch"), retriever(Ridge())
    ),
    "each epoch, not centred": make_pipeline(
        SubjectAligner("epoch", center=False, reference="mean"), retriever(InvertedEncoding(3))
    ),
    "people pooled": make_pipeline(
        MVNN(**POOLED), EpochScaler("robust", per_subject=True, **POOLED), retriever(InvertedEncoding(3))
    ),
    "aligned by others": make_pipeline(
        SubjectAligner(reference="mean", **POOLED), EpochScaler(), retriever(Ridge())
    ),
    "linear in between": make_pipeline(
        FunctionTransformer(lambda X: np.asarray(X)[..., ::2] - 1), EEGEncoder("mlp", targets=TABLE, **NET)
    ),
    "averages": AveragedTraining(InvertedEncoding(2, space="targets"), targets=TABLE),
    "ensemble": retriever(EnsembleEncoder([("a", Ridge()), ("b", InvertedEncoding(2, space="targets"))])),
    "default": EEGEncoder(targets=TABLE, **NET),
    "scaled outputs": ZeroShotClassifier(EEGEncoder("eegproject", targets=TABLE, loss_weight=0.5, **NET)),
    "map of each person": EEGEncoder("nice", targets=TABLE, subject_layer="linear", **NET),
    "projector": retriever(EEGEncoder("eegproject", projector=5, **NET)),
    "frozen": retriever(
        FrozenEstimator(EEGEncoder("eegproject", **NET).fit(VIEW, TABLE.lookup(VIEW.stimulus)))
    ),
    "search": GridSearchCV(
        retriever(Ridge()), {"encoder__alpha": [1, 10]}, cv=GroupKFold(2).split(VIEW, groups=VIEW.subject)
    ),
    "recipe": recipes.contest(TABLE),
    "braindecode": EEGEncoder(
        "EEGNet", targets=TABLE, net_params={"pool1_kernel_size": 2, "pool2_kernel_size": 4}, **NET
    ),
    "nice": EEGEncoder("nice", targets=TABLE, **NET),
    "any cap": EEGEncoder("nice", targets=TABLE, montage="positions", **NET),
    "targets, scaled": make_pipeline(EpochScaler(), InvertedEncoding(3, space="targets")),
    "low rank": None,  # of weights that were trained before
}


class Small(torch.nn.Module):
    """A user's network of two linear layers."""

    def __init__(self, n_outputs, n_chans, n_times):
        super().__init__()
        self.embed = torch.nn.Linear(n_chans * n_times, 8)
        self.final_layer = torch.nn.Linear(8, n_outputs)

    def forward(self, x):
        return self.final_layer(torch.relu(self.embed(x.flatten(1))))


def low_rank():
    first = EEGEncoder(Small, targets=TABLE, **NET).fit(VIEW, VIEW.stimulus)
    state = first.net_.module_.state_dict()
    return EEGEncoder(Small, targets=TABLE, pretrained=state, train="lora", lora_rank=2, **NET)


def fitted(name):
    if name == "low rank":
        pytest.importorskip("peft")
    decoder = low_rank() if name == "low rank" else DECODERS[name]
    own = isinstance(decoder, Pipeline) and isinstance(decoder[-1], InvertedEncoding)
    return decoder.fit(VIEW, TABLE.lookup(VIEW.stimulus) if own else VIEW.stimulus)


def by_hand(decoder, X):
    """What a decoder predicts: its embeddings, brought back by the transpose of its map of targets."""
    from skeegclip._utils.estimators import embed, inner_most

    z, last = embed(decoder, X, {}), inner_most(decoder)
    if z.shape[1] == TABLE.n_dims:
        return z
    unit = np.vstack([np.zeros(TABLE.n_dims), np.eye(TABLE.n_dims)])
    images = last.project(unit)
    return z @ (images[1:] - images[0]).T


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", DECODERS)
def test_the_network_predicts_what_the_decoder_does(name):
    decoder = fitted(name)
    view = epochs(1, n_stimuli=4)[0]
    X = view.read(np.arange(8))
    network = translate(decoder, X.shape[1:]).eval()
    with torch.no_grad():
        found = network(torch.from_numpy(X)).numpy()
    expected = by_hand(decoder, view[:8] if name == "any cap" else X)
    assert np.abs(expected).max() > 1e-3
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def solver_of(folder):
    """The contest's way in: submission.py by its path."""
    spec = importlib.util.spec_from_file_location("submission", folder / "submission.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Solver()


def meta_of(folder, **changed):
    meta = {
        "sfreq": SFREQ,
        "ch_names": NAMES,
        "chs_info": [{"ch_name": name} for name in NAMES],
        "n_chans": 6,
    }
    return {**meta, "n_times": 24, "n_outputs": 12, "device": "cpu", "submission_dir": folder, **changed}


def predict(model, X, batch_size=7):
    """As a contest's loop does: the last batch is a single epoch."""
    loader = DataLoader(TensorDataset(torch.from_numpy(X)), batch_size=batch_size)
    model = model.to("cpu").eval()
    with torch.inference_mode():
        return torch.cat([model(batch) for (batch,) in loader]).numpy()


@pytest.mark.slow
def test_the_contests_side(tmp_path):
    """Everything that is asked of one folder is asked here: a bare process takes seconds to start."""
    decoder = make_pipeline(PickChannels(["O1", "Oz", "O2", "Cz"]), *recipes.contest(TABLE))
    decoder.fit(VIEW, VIEW.stimulus)
    folder = tmp_path / "submission"
    export_submission(decoder, folder)
    check_scores(decoder, folder, tmp_path)
    check_meta(folder)


def check_scores(decoder, folder, tmp_path):
    assert {path.name for path in folder.iterdir()} == FILES
    assert "skeegclip" not in (folder / "requirements.txt").read_text()
    view = epochs(2, n_stimuli=32)[0]
    view, table = view[:50], TABLE
    X, y, who = view.read(np.arange(50)), view.stimulus, view.subject
    solver = solver_of(folder)
    assert not hasattr(solver, "fit")
    model = solver.load_model(meta_of(folder))
    found = predict(model, X)
    expected = by_hand(decoder, X)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())
    # Averages per person and image, unit length, cosine against the different images: the contest's own arithmetic.
    gallery = np.array(sorted(set(y.tolist())))
    vectors = table.lookup(gallery)
    vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    hits = []
    for person, image in sorted(set(zip(who.tolist(), y.tolist(), strict=True))):
        mean = found[(who == person) & (y == image)].mean(axis=0)
        order = np.argsort(-vectors @ (mean / np.linalg.norm(mean)))
        hits.append(image in gallery[order[:5]])
    assert make_retrieval_scorer(k=5, average="embeddings")(decoder, view, y) == pytest.approx(np.mean(hits))
    # What is saved is what was loaded: a program of torch.
    solver.save_model(model, tmp_path / "mine.pt2")
    program = torch.export.load(tmp_path / "mine.pt2").module()
    np.testing.assert_array_equal(program(torch.from_numpy(X[:7])).numpy(), found[:7])


def check_meta(folder):
    X = epochs(3, n_stimuli=4)[0].read(np.arange(8))
    solver = solver_of(folder)
    expected = predict(solver.load_model(meta_of(folder)), X)
    order = np.random.default_rng(0).permutation(6)
    other = np.concatenate([np.zeros_like(X[:, :1]), X[:, order]], axis=1)
    names = ["EOG", *np.array(NAMES)[order]]
    model = solver.load_model(meta_of(folder, ch_names=names, n_chans=7, chs_info=None))
    np.testing.assert_allclose(predict(model, other), expected, rtol=1e-6)
    model = solver.load_model(
        meta_of(folder, ch_names=None, chs_info=[{"ch_name": name} for name in names], n_chans=7)
    )
    np.testing.assert_allclose(predict(model, other), expected, rtol=1e-6)
    for n_times in (20, 36, 25, 23):  # the same 0.8 s at another rate
        given = resample(X, n_times, axis=2).astype(np.float32)
        model = solver.load_model(meta_of(folder, n_times=n_times, sfreq=n_times / 0.8))
        back = resample(given, 24, axis=2).astype(np.float32)
        np.testing.assert_allclose(
            predict(model, given),
            predict(solver.load_model(meta_of(folder)), back),
            rtol=0,
            atol=2e-4 * np.abs(expected).max(),
        )
    for changed, said in (
        ({"ch_names": NAMES[:5] + ["Iz"]}, "meta lacks 1 of the 6 channels that this model reads: O2"),
        ({"n_times": 30}, "n_times=30 at 30.0 Hz, but this model reads epochs of 24 samples at 30"),
        ({"sfreq": 60.0}, "another length of time"),
        ({"n_outputs": 1536}, "n_outputs=1536, but this model was trained to give 12"),
        ({"n_chans": 5}, "n_chans=5, but names 6 channels"),
        ({"ch_names": None, "chs_info": None, "n_chans": 5}, "n_chans=5, but this model reads 6"),
    ):
        with pytest.raises(ValueError, match=said):
            solver.load_model(meta_of(folder, **changed))
    with pytest.raises(
        ValueError, match=r"X must have shape \(batch, 6, 24\), as meta said, got \(8, 7, 24\)"
    ):
        solver.load_model(meta_of(folder))(torch.from_numpy(other))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("decoder", "said"),
    [
        (
            make_pipeline(
                FunctionTransformer(lambda X: np.asarray(X) ** 2), EEGEncoder("mlp", targets=TABLE, **NET)
            ),
            "FunctionTransformer cannot be exported: what it does is not linear",
        ),
        (
            make_pipeline(SubjectAligner(), retriever(Ridge())),
            "SubjectAligner .* Fit it with unknown='pooled'",
        ),
        (
            make_pipeline(SubjectAligner(unknown="transductive"), retriever(Ridge())),
            "SubjectAligner cannot be exported: it looks at all test epochs together",
        ),
        (SubjectWhitening(Ridge(), targets=TABLE), "SubjectWhitening .* looks at all test epochs"),
        (retriever(Ridge(), whiten=0.5), r"ImageRetriever .* whiten=0.5 .* Pass whiten=0"),
        (retriever(Ridge(), hubness="csls"), "ImageRetriever cannot be exported"),
        (retriever(EnsembleEncoder([("a", InvertedEncoding(2))])), "EnsembleEncoder .* spaces of their own"),
    ],
)
def test_what_cannot_be_exported_is_refused_by_name(decoder, said, tmp_path):
    decoder.fit(VIEW, VIEW.stimulus)
    with pytest.raises(ValueError, match=said):
        export_submission(decoder, tmp_path / "folder", VIEW[:5])
    assert not (tmp_path / "folder").exists()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_an_encoder_of_any_cap_is_written_for_the_cap_of_the_contest(tmp_path):
    """Against `transform` of named epochs of a cap that has one channel less, another one, and another order."""
    names = ["Oz", "PO8", "Cz", "O1", "Fz"]
    net = EEGEncoder("nice", montage="positions", subject_layer="linear", projector=5, **NET)
    decoder = retriever(net).fit(VIEW, VIEW.stimulus)
    with torch.no_grad():  # as if much had been learned
        layer = decoder.encoder_.net_.module_.channel_layer
        layer.weight.copy_(torch.randn(layer.weight.shape, generator=torch.Generator().manual_seed(0)))
    X = np.random.default_rng(5).normal(20, 10, size=(9, 5, 24)).astype(np.float32)
    other = EpochsView.from_arrays(X, info=mne.create_info(names, SFREQ, "eeg"))
    folder = tmp_path / "folder"
    export_submission(decoder, folder, other)
    meta = meta_of(folder, ch_names=names[::-1], chs_info=None, n_chans=5)
    found = predict(solver_of(folder).load_model(meta), X[:, ::-1].copy())
    expected = by_hand(decoder, other)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())
    # Of people whom the decoder knows the folder knows nothing: it decodes them as anybody.
    of_known = EpochsView.from_arrays(X, subject=VIEW.subject[:9], info=mne.create_info(names, SFREQ, "eeg"))
    assert np.abs(by_hand(decoder, of_known) - expected).max() > 1e-3 * np.abs(expected).max()
    export_submission(decoder, tmp_path / "known", of_known)
    elsewhere = EpochsView.from_arrays(X, info=mne.create_info([*names[:-1], "Fp1"], SFREQ, "eeg"))
    assert np.abs(by_hand(decoder, elsewhere) - expected).max() > 1e-2 * np.abs(expected).max()


@pytest.mark.filterwarnings("ignore")
def test_an_encoder_of_any_cap_behind_a_step_is_written_for_the_cap_of_fit(tmp_path):
    encoder = EEGEncoder("eegproject", targets=TABLE, montage="positions", **NET)
    decoder = make_pipeline(EpochScaler(), encoder).fit(VIEW, VIEW.stimulus)
    export_submission(decoder, tmp_path / "folder", VIEW[:3])
    X = VIEW.read(np.arange(9))
    found = predict(solver_of(tmp_path / "folder").load_model(meta_of(tmp_path / "folder")), X)
    expected = by_hand(decoder, VIEW[:9])
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())
    other = EpochsView.from_arrays(X[:, :4], info=mne.create_info(NAMES[:4], SFREQ, "eeg"))
    with pytest.raises(ValueError, match="X has 4 features, but EpochScaler"):
        export_submission(decoder, tmp_path / "other", other)
    assert not (tmp_path / "other").exists()


@pytest.mark.filterwarnings("ignore")
def test_the_cap_must_be_told(tmp_path):
    decoder = EEGEncoder("eegproject", targets=TABLE, montage="positions", **NET).fit(VIEW, VIEW.stimulus)
    for X in (None, VIEW.read(np.arange(3))):
        with pytest.raises(ValueError, match="X is needed: EEGEncoder.*any cap"):
            export_submission(decoder, tmp_path, X)
    caps = [
        mne.EpochsArray(np.ones((2, 2, 24)), mne.create_info(names, SFREQ, "eeg"), verbose=False)
        for names in (["Cz", "Pz"], ["Cz", "Oz"])
    ]
    with pytest.raises(ValueError, match="X holds epochs of several caps"):
        export_submission(decoder, tmp_path, joined_caps(caps)[1:3])
    assert not any(tmp_path.iterdir())


def test_other_refusals(tmp_path):
    with pytest.raises(NotFittedError):
        export_submission(retriever(Ridge()), tmp_path)
    ridge = retriever(Ridge()).fit(VIEW, VIEW.stimulus)
    with pytest.raises(ValueError, match="X is needed: Ridge"):
        export_submission(ridge, tmp_path)
    scaled = make_pipeline(EpochScaler(), ridge).fit(VIEW, VIEW.stimulus)
    with pytest.raises(ValueError, match="ch_names must name the 6 channels"):
        export_submission(scaled, tmp_path, ch_names=NAMES[:5])
    with pytest.raises(ValueError, match="the decoder was fitted with"):
        export_submission(scaled, tmp_path, ch_names=NAMES[::-1])
    with pytest.raises(ValueError, match="sampling rate of 60 Hz"):
        export_submission(scaled, tmp_path, sfreq=60)
    embeddings = ImageRetriever("passthrough", targets=TABLE).fit(TABLE.vectors)
    with pytest.raises(ValueError, match="decodes embeddings, not epochs"):
        translate(embeddings, (6, 24))
    assert not any(tmp_path.iterdir())


def test_only_what_was_written_is_replaced(tmp_path, monkeypatch):
    decoder = make_pipeline(EpochScaler(), retriever(Ridge())).fit(VIEW.read(np.arange(100)), VIEW.stimulus)
    foreign, folder = tmp_path / "foreign", tmp_path / "folder"
    foreign.mkdir()
    (foreign / "README.md").write_text("mine")
    with pytest.raises(FileExistsError, match=r"README.md.*not what an earlier save wrote"):
        export_submission(decoder, foreign)
    assert [path.name for path in foreign.iterdir()] == ["README.md"]

    def write_program(model, shape, spread, path):
        path.write_bytes(b"program")
        return 12

    monkeypatch.setattr(submission, "_write_program", write_program)
    monkeypatch.setattr(submission, "_run_bare", lambda place, tried: [by_hand(decoder, X) for X in tried])
    export_submission(decoder, folder)
    export_submission(decoder, folder, ch_names=NAMES, sfreq=SFREQ)
    facts = json.loads((folder / "facts.json").read_text())
    assert (facts["ch_names"], facts["sfreq"], facts["n_times"], facts["n_outputs"]) == (NAMES, SFREQ, 24, 12)
    # Where the predictions differ nothing is written, and what was there before stays.
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    wrong = lambda place, tried: [1.0001 * by_hand(decoder, X) for X in tried]  # noqa: E731
    monkeypatch.setattr(submission, "_run_bare", wrong)
    for place in (folder, tmp_path / "new"):
        with pytest.raises(ValueError, match="predictions, shape .*differ from its own"):
            export_submission(decoder, place)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("package", ["skeegclip", "scipy"])
def test_the_bare_process_has_no_other_package(package, tmp_path):
    (tmp_path / "submission.py").write_text(f"import {package}")
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, tmp_path], capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert f"No module named '{package}'" in done.stderr


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", [name for name in DECODERS if name not in ("frozen", "search", "recipe")])
def test_every_decoder_runs_in_a_bare_process(name, tmp_path):
    decoder = fitted(name)
    export_submission(decoder, tmp_path, VIEW[:5])
    assert {path.name for path in tmp_path.iterdir()} == FILES
