"""Every public estimator is saved, read in another process, and does there what it did here."""

import importlib
import json
import pickle
import statistics
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from folder_faults import mutated
from PIL import Image
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

import skeegclip
from skeegclip import (
    AveragedTraining,
    DimensionDecoder,
    EEGEncoder,
    EmbeddingTable,
    EnsembleEncoder,
    ImageRetriever,
    ImageTable,
    InvertedEncoding,
    LambdaPath,
    OnlineDecoder,
    SubjectWhitening,
    ZeroShotClassifier,
)
from skeegclip._utils import skops_parts
from skeegclip._utils.folders import FolderError
from skeegclip._utils.folders.manifest import sealed
from skeegclip._utils.saving import Savable
from skeegclip.preprocessing import MVNN, EpochScaler, PickChannels, SubjectAligner

RNG = np.random.default_rng(0)
TABLE = EmbeddingTable(
    [f"image_{n:02d}" for n in range(12)], RNG.normal(size=(12, 8)), meta={"model": "none"}
)
GALLERY = EmbeddingTable([f"other_{n}" for n in range(5)], RNG.normal(size=(5, 8)))
X = 10 * RNG.normal(size=(24, 4, 20)).astype("float32")
Y = np.tile(TABLE.ids, 2)
SUBJECT = np.repeat(["ana", "ben"], 12)


def encoder(**params):
    return EEGEncoder("eegproject", targets=TABLE, max_epochs=1, random_state=0, device="cpu", **params)


def seeded_ensemble():
    members = [("net", encoder()), ("ridge", Ridge())]
    return EnsembleEncoder(members, targets=TABLE, n_seeds=2, random_state=0).fit(X, Y)


def joined_ensemble():
    members = [("ridge", Ridge()), ("net", encoder().set_params(targets=GALLERY_OF_ALL, projector=3))]
    return ImageRetriever(EnsembleEncoder([("a", encoder()), members[1]])).fit(X, Y)


GALLERY_OF_ALL = EmbeddingTable(TABLE.ids, RNG.normal(size=(12, 6)))
del RNG


def grown_retriever():
    retriever = ImageRetriever(encoder(), whiten=0.5, n_retrieved=3).fit(X, Y, subject=SUBJECT)
    return retriever.add(GALLERY)


def online_in_a_trial():
    decoder = OnlineDecoder(make_pipeline(EpochScaler(), ImageRetriever(encoder())).fit(X, Y))
    decoder.calibrate(X, Y).update(X[:2])
    return decoder


def pictures(tmp_path=None):
    return list(np.random.default_rng(1).integers(0, 256, size=(3, 6, 5, 3), dtype=np.uint8))


# What is saved, and what is asked of it: a public method and its arguments.
CASES = {
    "EEGEncoder": (lambda: encoder().fit(X, Y, subject=SUBJECT), "transform", {"subject": SUBJECT}),
    "EEGEncoder, linear layer": (
        lambda: encoder(subject_layer="linear").fit(X, Y, subject=SUBJECT),
        "predict",
        {"subject": SUBJECT},
    ),
    "ImageRetriever": (grown_retriever, "similarity", {"subject": SUBJECT}),
    "ImageRetriever, others": (
        lambda: ImageRetriever(make_pipeline(EpochScaler(), encoder()), gallery=GALLERY, hubness="csls").fit(
            X, Y
        ),
        "similarity",
        {},
    ),
    "ImageRetriever, passthrough": (
        lambda: ImageRetriever("passthrough", gallery=TABLE).fit(X[:, :2].reshape(24, -1)[:, :8], Y),
        None,
        {},
    ),
    "ImageRetriever, frozen": (
        lambda: ImageRetriever(FrozenEstimator(encoder().fit(X, Y))).fit(X),
        "predict",
        {},
    ),
    "ImageRetriever, joined": (joined_ensemble, "similarity", {}),
    "ZeroShotClassifier": (
        lambda: ZeroShotClassifier(
            Ridge(), targets=TABLE, concepts={i: i[-1] for i in TABLE.ids.tolist()}
        ).fit(X, Y),
        "predict_proba",
        {},
    ),
    "ZeroShotClassifier, codes": (
        lambda: ZeroShotClassifier(Ridge(), class_weight=None).fit(X, np.arange(24) % 3),
        "predict",
        {},
    ),
    "EnsembleEncoder": (seeded_ensemble, "predict", {}),
    "AveragedTraining": (lambda: AveragedTraining(encoder(), random_state=0).fit(X, Y), "predict", {}),
    "InvertedEncoding": (lambda: InvertedEncoding().fit(X, TABLE.lookup(Y)), "predict", {}),
    "InvertedEncoding, targets": (
        lambda: InvertedEncoding(space="targets").fit(X, TABLE.lookup(Y)),
        "predict",
        {},
    ),
    "DimensionDecoder": (
        lambda: DimensionDecoder(TABLE).fit(X[:, :2].reshape(24, -1)[:, :8], Y),
        None,
        {},
    ),
    "LambdaPath": (
        lambda: LambdaPath(encoder().set_params(validation=0.2), loss_weights=[1, 0]).fit(
            X, Y, subject=SUBJECT
        ),
        "predict",
        {"subject": SUBJECT},
    ),
    "SubjectWhitening": (
        lambda: SubjectWhitening(encoder()).fit(X, Y, subject=SUBJECT),
        "predict",
        {"subject": SUBJECT},
    ),
    "OnlineDecoder": (online_in_a_trial, "update", {}),
    "MVNN": (
        lambda: MVNN(unknown="pooled").fit(X, Y, subject=SUBJECT, session=SUBJECT[::-1]),
        "transform",
        {"subject": SUBJECT, "session": SUBJECT[::-1]},
    ),
    "EpochScaler": (
        lambda: EpochScaler("robust", per_subject=True).fit(X, subject=SUBJECT),
        "transform",
        {"subject": SUBJECT},
    ),
    "SubjectAligner": (
        lambda: (
            SubjectAligner(reference="mean")
            .fit(X[:18], subject=SUBJECT[:18])
            .calibrate(X[18:], subject="eve")
        ),
        "transform",
        {"subject": SUBJECT},
    ),
    "PickChannels": (lambda: PickChannels([2, 0]).fit(X), "transform", {}),
    "Pipeline": (
        lambda: make_pipeline(MVNN(), PickChannels([0, 1, 3]), ZeroShotClassifier(encoder())).fit(X, Y),
        "predict_proba",
        {},
    ),
}
# What has its own tests of this, and where; and what learns nothing.
ELSEWHERE = {
    "CLIPEmbedder": "",
    "DiffusionPrior": "generation",
    "EEGCaptioner": "generation",
    "EEGImageReconstructor": "generation",
    "ImageEmbedder": "",
    "InterpolateChannels": "preprocessing",  # of named channels alone
    "LowLevelDecoder": "generation",
    "LinearGenerator": "generation",
    "NearestImageGenerator": "generation",
    "SDXLGenerator": "generation",
}


def public_estimators():
    for room in (
        "",
        ".preprocessing",
        ".embeddings",
        ".generation",
        ".epochs",
        ".model_selection",
        ".inspection",
    ):
        module = importlib.import_module(f"skeegclip{room}")
        for name in module.__all__:
            value = getattr(module, name)
            if isinstance(value, type) and issubclass(value, (BaseEstimator, Savable)):
                yield name


def test_no_public_estimator_is_forgotten():
    known = {name.partition(",")[0] for name in CASES} - {"Pipeline"}
    assert set(public_estimators()) - ELSEWHERE.keys() == known


def ask(estimator, method, kwargs):
    if method is None:
        return estimator.predict(X[:, :2].reshape(24, -1)[:, :8])
    result = getattr(estimator, method)(X, **kwargs)
    return result.posterior if method == "update" else result


@pytest.fixture(scope="module")
def fitted():
    return {name: case[0]() for name, case in CASES.items()}


@pytest.fixture(scope="module")
def folders(fitted, tmp_path_factory):
    place = tmp_path_factory.mktemp("saved")
    for name, estimator in fitted.items():
        skeegclip.save(estimator, place / name)
    return place


ELSEWHERE_CODE = """
import pickle, sys, warnings
import skeegclip
asked = pickle.load(open(sys.argv[1], "rb"))
answers = {}
for name, (folder, method, X, kwargs) in asked.items():
    result = getattr(skeegclip.load(folder, device="cpu"), method)(X, **kwargs)
    answers[name] = result.posterior if method == "update" else result
pickle.dump(answers, open(sys.argv[1] + ".answers", "wb"))
"""


@pytest.fixture(scope="module")
def answers(folders, tmp_path_factory):
    """What another process, which knows nothing but the folders, makes of X."""
    path = tmp_path_factory.mktemp("asked") / "asked.pickle"
    asked = {
        name: (
            str(folders / name),
            method or "predict",
            X if method else X[:, :2].reshape(24, -1)[:, :8],
            kwargs,
        )
        for name, (_, method, kwargs) in CASES.items()
    }
    path.write_bytes(pickle.dumps(asked))
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", ELSEWHERE_CODE, str(path)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return pickle.loads(Path(f"{path}.answers").read_bytes())


@pytest.mark.parametrize("name", CASES)
def test_another_process_answers_alike(name, fitted, answers):
    _, method, kwargs = CASES[name]
    # A trial that is decoded goes on: asked on a copy, so that tests share nothing.
    estimator = pickle.loads(pickle.dumps(fitted[name])) if method == "update" else fitted[name]
    np.testing.assert_array_equal(answers[name], ask(estimator, method, kwargs))


@pytest.mark.parametrize("name", CASES)
def test_what_was_read_can_be_saved_pickled_and_cloned(name, folders, tmp_path):
    _, method, kwargs = CASES[name]
    again = skeegclip.load(folders / name, device="cpu")
    skeegclip.save(again, tmp_path / "again")
    copies = [skeegclip.load(tmp_path / "again", device="cpu"), pickle.loads(pickle.dumps(again)), again]
    results = [ask(copy, method, kwargs) for copy in copies]
    for result in results[1:]:
        np.testing.assert_array_equal(result, results[0])
    clone(again)


def test_a_fitted_encoder_and_a_table_are_kept_once(tmp_path):
    table = EmbeddingTable([f"i{n}" for n in range(2000)], np.random.default_rng(1).normal(size=(2000, 8)))
    retriever = ImageRetriever(encoder().set_params(targets=table), gallery=table)
    retriever.fit(X, table.ids[:24]).save(tmp_path / "x")
    files = [path for path in (tmp_path / "x").rglob("*") if path.is_file()]
    assert sum(path.stat().st_size > 64_000 for path in files) == 1
    assert [path.name for path in files].count("weights.safetensors") == 1
    again = ImageRetriever.load(tmp_path / "x")
    assert again.gallery is again.targets_
    assert again.encoder.estimator is again.encoder_
    assert again.encoder_.targets == table


def test_parameters_come_back(folders, fitted):
    again = skeegclip.load(folders / "ZeroShotClassifier")
    assert again.concepts == fitted["ZeroShotClassifier"].concepts
    assert again.targets == TABLE
    assert again.trained_on_ == fitted["ZeroShotClassifier"].trained_on_
    online = skeegclip.load(folders / "OnlineDecoder")
    assert (online.temperature_, online.correlation_) == (
        fitted["OnlineDecoder"].temperature_,
        fitted["OnlineDecoder"].correlation_,
    )
    ensemble = skeegclip.load(folders / "EnsembleEncoder")
    assert [name for name, _ in ensemble.encoders] == ["net_0", "net_1", "ridge_2", "ridge_3"]
    ensemble.fit(X, Y)  # of frozen members: as it was
    np.testing.assert_array_equal(ensemble.predict(X), fitted["EnsembleEncoder"].predict(X))


# -- tables --------------------------------------------------------------------------------------------------


def test_tables(tmp_path):
    skeegclip.save(TABLE, tmp_path / "table")
    assert skeegclip.load(tmp_path / "table") == TABLE
    (file,) = (tmp_path / "table").rglob("table.safetensors")
    assert EmbeddingTable.load(file) == TABLE  # a table by itself, too


def test_pictures_travel_with_their_table(tmp_path):
    arrays = np.random.default_rng(1).integers(0, 256, size=(3, 6, 5, 3), dtype=np.uint8)
    paths = []
    for n, picture in enumerate(arrays):
        paths.append(tmp_path / f"{n}.{'jpg' if n else 'png'}")
        Image.fromarray(picture).save(paths[-1])
    tables = {
        "arrays": ImageTable(list("abc"), arrays),
        "files": ImageTable(list("abc"), paths),
        "both": ImageTable(list("abcd"), [arrays[0], paths[1], arrays[2][:4], paths[2]]),
    }
    expected = {name: [table[key] for key in table] for name, table in tables.items()}
    for name, table in tables.items():
        skeegclip.save(table, tmp_path / name)
    for path in paths:  # as on another machine
        path.unlink()
    for name, pictures in expected.items():
        again = skeegclip.load(tmp_path / name)
        skeegclip.save(again, tmp_path / name)  # what it was read from goes
        skeegclip.save(again.subset(again.ids[1:]), tmp_path / f"{name}_subset")
        for copy in (again, skeegclip.load(tmp_path / name), pickle.loads(pickle.dumps(again))):
            for key, picture in zip(copy, pictures, strict=True):
                np.testing.assert_array_equal(copy[key], picture)
            assert [np.shape(entry) for entry in copy._entries()] == [picture.shape for picture in pictures]


@pytest.mark.parametrize("device", ["nope", "cuda", 3.5])
def test_a_device_that_is_not_there_is_said(device, tmp_path, monkeypatch):
    """It decoded on the CPU instead, which whoever waits for a GPU would hardly guess."""
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    encoder().fit(X, Y).save(tmp_path)
    with pytest.raises(ValueError, match=f"device.*{device}"):
        skeegclip.load(tmp_path, device=device)
    skeegclip.load(tmp_path)


# -- parts of other libraries --------------------------------------------------------------------------------


def test_types_that_could_run_code_are_named(tmp_path):
    pipeline = Pipeline([("f", FunctionTransformer(statistics.fmean)), ("r", Ridge())])
    ensemble = ImageRetriever("passthrough", gallery=TABLE).fit(X[:, 0, :8])
    pipeline.steps[1] = ("retriever", ensemble)
    skeegclip.save(pipeline, tmp_path)
    with pytest.raises(
        ValueError, match=r"could run code: statistics.fmean. .* pass trusted=\['statistics.fmean'\]"
    ):
        skeegclip.load(tmp_path)
    with pytest.raises(ValueError, match="could run code"):
        skeegclip.load(tmp_path, trusted=["os.system"])
    for trusted in (True, ["statistics.fmean"]):
        assert skeegclip.load(tmp_path, trusted=trusted).steps[0][1].func is statistics.fmean


def test_a_network_of_ones_own_inside_others(tmp_path):
    from skeegclip.nets import NICE

    class Own(NICE):
        pass

    net = EEGEncoder(Own, targets=TABLE, max_epochs=1, random_state=0, device="cpu")
    pipeline = make_pipeline(EpochScaler(), ImageRetriever(net)).fit(np.tile(X, (1, 1, 5)), Y)
    skeegclip.save(pipeline, tmp_path)
    with pytest.raises(ValueError, match=r"Pass it: load\(folder, imageretriever__encoder__net=...\)"):
        skeegclip.load(tmp_path)
    again = skeegclip.load(tmp_path, imageretriever__encoder__net=Own, device="cpu")
    np.testing.assert_array_equal(
        again.predict(np.tile(X, (1, 1, 5))), pipeline.predict(np.tile(X, (1, 1, 5)))
    )
    with pytest.raises(
        TypeError, match="load has no parameter 'net'; .* it takes imageretriever__encoder__net"
    ):
        skeegclip.load(tmp_path, net=Own)


# -- what cannot be saved ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "estimator",
    [
        encoder(),
        ImageRetriever(encoder()),
        EnsembleEncoder([("a", encoder())]),
        OnlineDecoder(ImageRetriever(encoder())),
        MVNN(),
        PickChannels([0]),
        make_pipeline(EpochScaler(), Ridge()),
        make_pipeline(StandardScaler(), Ridge()),
        Ridge(),
    ],
)
def test_what_is_not_fitted_is_refused(estimator, tmp_path):
    with pytest.raises(NotFittedError):
        skeegclip.save(estimator, tmp_path / "x")
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("estimator", "match"),
    [
        (
            ZeroShotClassifier(Ridge(), targets=TABLE, concepts=lambda i: i[:2]),
            "concepts of this ZeroShotClassifier",
        ),
        (ImageRetriever(Ridge(), targets=TABLE, hubness=lambda s: s), "hubness of this ImageRetriever"),
        (
            make_pipeline(FunctionTransformer(lambda x: x), ImageRetriever(Ridge(), targets=TABLE)),
            "skops cannot",
        ),
    ],
)
def test_functions_have_no_place_in_a_file(estimator, match, tmp_path):
    estimator.fit(X, Y) if not isinstance(estimator, Pipeline) else estimator[-1].fit(X, Y)
    with pytest.raises(TypeError, match=match):
        skeegclip.save(estimator, tmp_path / "x")
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    "thing",
    [{"a": 1}, None, Ridge, EEGEncoder, np.zeros(3), Path("folder")],
    ids=lambda thing: str(thing)[:20],
)
def test_what_is_no_estimator_is_refused(thing, tmp_path):
    with pytest.raises(TypeError, match="estimator must be fitted, a Pipeline or a table, got "):
        skeegclip.save(thing, tmp_path / "x")
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    "wrap",
    [
        lambda inner: GridSearchCV(inner, {"encoder__alpha": [1.0, 2.0]}, cv=2),
        lambda inner: make_pipeline(EpochScaler(), GridSearchCV(inner, {}, cv=2)),
    ],
)
def test_estimators_inside_a_search_are_refused_when_they_are_saved(wrap, tmp_path):
    """A load would have to trust private attributes: the one who saves can still do something about it."""
    search = wrap(ImageRetriever(Ridge(), targets=TABLE)).fit(X, Y)
    with pytest.raises(
        TypeError, match="GridSearchCV holds ImageRetriever.* Save .* best_estimator_ of a search"
    ):
        skeegclip.save(search, tmp_path / "x")
    assert not (tmp_path / "x").exists()
    best = getattr(search, "best_estimator_", None) or search[-1].best_estimator_
    skeegclip.save(best, tmp_path / "x")
    np.testing.assert_array_equal(skeegclip.load(tmp_path / "x").predict(X), best.predict(X))


def test_a_search_of_scikit_learns_own_is_saved(tmp_path):
    search = GridSearchCV(Ridge(), {"alpha": [1.0, 100.0]}, cv=2).fit(X[:, 0], np.arange(24.0))
    skeegclip.save(search, tmp_path)
    np.testing.assert_array_equal(
        skeegclip.load(tmp_path, trusted=True).predict(X[:, 0]), search.predict(X[:, 0])
    )


def test_one_sentence_for_what_is_there(folders, tmp_path, fitted):
    (tmp_path / "rows.csv").write_text("mine")
    for name, estimator in fitted.items():
        with pytest.raises(
            FileExistsError, match="replaces an earlier save of the same kind .* and nothing else"
        ):
            skeegclip.save(estimator, tmp_path)
        other = "MVNN" if name.startswith("EEGEncoder") else "EEGEncoder"
        with pytest.raises(
            FileExistsError, match="replaces an earlier save of the same kind .* and nothing else"
        ):
            skeegclip.save(estimator, folders / other) if name.partition(",")[0] != other else skeegclip.save(
                estimator, folders / "PickChannels"
            )
    assert [path.name for path in tmp_path.iterdir()] == ["rows.csv"]


# -- forged --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("n", [4, pytest.param(60, marks=pytest.mark.slow)])
def test_forged_facts(name, n, folders, tmp_path):
    """A manifest with one thing changed, its checksum too, is refused in a sentence, or it loads."""
    import shutil

    rng = np.random.default_rng(len(name))
    folder = shutil.copytree(folders / name, tmp_path / "forged")
    path = folder / "skeegclip.json"
    said = json.loads(path.read_bytes())
    for _ in range(n):
        forged = {**said, "content": mutated(said["content"], rng)}
        path.write_text(json.dumps(sealed(forged)))
        try:
            skeegclip.load(folder, device="cpu")
        except FolderError:
            pass
        except ValueError as error:
            told = str(error)
            assert "load(folder" in told or "trusted=" in told  # what to pass


def test_a_name_is_no_list_of_names(folders):
    with pytest.raises(TypeError, match=r"Pass trusted=\['sklearn.x'\]"):
        skeegclip.load(folders / "MVNN", trusted="sklearn.x")


@pytest.mark.parametrize("kind", ["compressed", "sparse"])
def test_a_part_that_would_fill_the_memory(kind, tmp_path, monkeypatch):
    import hashlib
    import io
    import zipfile

    from scipy.sparse import csr_array

    monkeypatch.setattr(skops_parts, "_SPARSE_BYTES", 2**20)  # of 64 MB, which take a second to make
    estimator = FunctionTransformer().fit(np.zeros((2, 2)))
    estimator.zeros_ = np.zeros(2**20) if kind == "compressed" else csr_array(np.ones((1, 2**18)))
    if kind == "sparse":
        estimator.zeros_.indices[:] = 0
    skeegclip.save(estimator, tmp_path / "x")
    path = tmp_path / "x" / "skeegclip.json"
    said = json.loads(path.read_bytes())
    file = path.parent / said["folder"] / "estimator.skops"
    if kind == "compressed":
        stored, packed = zipfile.ZipFile(io.BytesIO(file.read_bytes())), io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in stored.namelist():
                archive.writestr(name, stored.read(name))
        file.write_bytes(packed.getvalue())
    content = file.read_bytes()
    said["files"]["estimator.skops"] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    path.write_text(json.dumps(sealed(said)))
    with pytest.raises(FolderError, match=r"of \d+ bytes would take \d+ of memory"):
        skeegclip.load(tmp_path / "x")


@pytest.mark.parametrize(
    "kind", ["EpochsStore", "save", "evaluate", "os.system", "Bunch", "CLIPEmbedder", "ABC", ""]
)
def test_kinds_that_are_no_estimators(kind, folders, tmp_path):
    import shutil

    folder = shutil.copytree(folders / "MVNN", tmp_path / "forged")
    said = json.loads((folder / "skeegclip.json").read_bytes())
    said["content"]["kind"] = kind
    (folder / "skeegclip.json").write_text(json.dumps(sealed(said)))
    with pytest.raises(FolderError, match="there is no"):
        skeegclip.load(folder)


@pytest.mark.parametrize("facts", [{"__objects__": [1]}, {"__array__": "x"}, {"params": {}}])
def test_facts_that_are_no_parameters_and_state(facts, folders, tmp_path):
    import shutil

    folder = shutil.copytree(folders / "MVNN", tmp_path / "forged")
    said = json.loads((folder / "skeegclip.json").read_bytes())
    said["content"]["facts"] = facts
    (folder / "skeegclip.json").write_text(json.dumps(sealed(said)))
    with pytest.raises(FolderError):
        skeegclip.load(folder)
