"""A short way through the library with the lowest versions that pyproject.toml promises: they are what is installed."""

import importlib
import pkgutil
import tempfile
from importlib.metadata import requires, version

import mne
import numpy as np
from packaging.requirements import Requirement
from packaging.version import Version
from sklearn.linear_model import Ridge

import skeegclip
from skeegclip import EEGEncoder, EmbeddingTable, ImageRetriever, evaluate
from skeegclip.model_selection import WithinSubject

RUNTIME = {"bids", "dask", "faiss", "onnx", "peft"}  # the extras that are no tools of developers


def promised() -> dict[str, tuple[Version, Version]]:
    """Of each package needed: the lowest version declared, and the one installed."""
    found = {}
    for text in requires("skeegclip") or []:
        requirement = Requirement(text)
        if requirement.marker is None or any(
            requirement.marker.evaluate({"extra": name}) for name in RUNTIME
        ):
            (lowest,) = (Version(part.version) for part in requirement.specifier if part.operator == ">=")
            found[requirement.name] = lowest, Version(version(requirement.name))
    return found


untrue = {name: versions for name, versions in promised().items() if versions[0] != versions[1]}
assert not untrue, f"pyproject.toml promises lower versions than install together: {untrue}"

for module in pkgutil.walk_packages(skeegclip.__path__, "skeegclip."):
    importlib.import_module(module.name)
for name in (
    "braindecode",
    "dask.distributed",
    "diffusers",
    "faiss",
    "mne_bids",
    "onnxruntime",
    "onnxscript",
    "peft",
):
    importlib.import_module(name)

rng = np.random.default_rng(0)
table = EmbeddingTable([f"image_{i:02d}" for i in range(30)], rng.normal(size=(30, 8)))
y = np.repeat(table.ids, 4)
X = (table.lookup(y) @ rng.normal(size=(8, 4 * 100))).reshape(120, 4, 100) + rng.normal(size=(120, 4, 100))
epochs = mne.EpochsArray(1e-6 * X, mne.create_info(["Oz", "O1", "O2", "Pz"], 100.0, "eeg"), verbose="error")

for net in ("eegnet", "atm-s", "EEGConformer"):  # braindecode's, ours, and braindecode's under its own name
    encoder = EEGEncoder(net, targets=table, max_epochs=2, batch_size=32, random_state=0, device="cpu")
    retriever = ImageRetriever(encoder, gallery=table).fit(epochs, y)
    assert 0 <= retriever.score(epochs, y) <= 1
    with tempfile.TemporaryDirectory() as folder:
        retriever.encoder_.save(folder)
        loaded = EEGEncoder.load(folder, device="cpu")
    np.testing.assert_allclose(loaded.transform(epochs), retriever.encoder_.transform(epochs), atol=1e-6)

tuned = EEGEncoder(
    "EEGConformer",
    pretrained=loaded.net_.module_,
    train="lora",
    targets=table,
    max_epochs=1,
    random_state=0,
    device="cpu",
).fit(epochs, y)
assert tuned.pretrained_["n_tensors"][0] > 0

report = evaluate(Ridge(), X, y, targets=table, cv=WithinSubject(test_stimuli=table.ids[:10]))
assert report.summary(["top-1"])["mean"].item() > 0.5
print(f"{len(promised())} packages at their lowest versions: imported, trained, saved, loaded, evaluated")
