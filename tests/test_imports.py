"""The order of the layers, and what importing costs."""

import ast
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import skeegclip

ROOT = Path(skeegclip.__file__).parent
HEAVY = {
    "torch",
    "mne",
    "braindecode",
    "open_clip",
    "diffusers",
    "transformers",
    "matplotlib",
    "skorch",
    "torchvision",
    "skimage",
}

# Each part may import itself and what stands in the parts named here.
MAY_IMPORT = {
    "_version": set(),
    "_utils": {"_version"},
    "epochs": {"_utils"},
    "nets": {"_utils"},
    "losses": {"_utils"},
    "embeddings": {"_utils"},
    "metrics": {"_utils"},
    "preprocessing": {"_utils", "epochs", "embeddings", "datasets"},
    "datasets": {"_utils", "epochs", "embeddings"},
    "_training": {"_version", "_utils", "epochs", "nets", "losses", "embeddings", "metrics"},
}
MAY_IMPORT["_sharing"] = {"_training"} | MAY_IMPORT["_training"]
MAY_IMPORT["_fitted_encoder"] = {"_sharing"} | MAY_IMPORT["_sharing"]
MAY_IMPORT["encoder"] = {"_fitted_encoder"} | MAY_IMPORT["_fitted_encoder"]
MAY_IMPORT["_reference"] = {"encoder", "datasets"} | MAY_IMPORT["encoder"]
MAY_IMPORT["_approximate"] = {"_gallery"}
MAY_IMPORT["_gallery"] = {"_approximate"}
MAY_IMPORT["_foreign"] = {"_utils", "embeddings"}
MAY_IMPORT["_composite"] = {"encoder", "_gallery", "_foreign"} | MAY_IMPORT["encoder"]
MAY_IMPORT["zero_shot"] = {"_composite"} | MAY_IMPORT["_composite"]
MAY_IMPORT["retrieval"] = {"_composite", "_approximate"} | MAY_IMPORT["_composite"]
MAY_IMPORT["generation"] = {"preprocessing", "datasets", "_reference", "retrieval"} | MAY_IMPORT["retrieval"]
MAY_IMPORT["online"] = {"retrieval", "zero_shot"} | MAY_IMPORT["retrieval"]
MAY_IMPORT["ensemble"] = {"retrieval"} | MAY_IMPORT["retrieval"]
MAY_IMPORT["averaging"] = (
    {"preprocessing", "_composite"} | MAY_IMPORT["_composite"] | MAY_IMPORT["preprocessing"]
)
MAY_IMPORT["whitening"] = {"_composite"} | MAY_IMPORT["_composite"]
MAY_IMPORT["model_selection"] = {"ensemble", "averaging", "whitening", "zero_shot"} | (
    MAY_IMPORT["ensemble"] | MAY_IMPORT["averaging"] | MAY_IMPORT["whitening"]
)
MAY_IMPORT["inspection"] = {"model_selection", "generation"} | (
    MAY_IMPORT["model_selection"] | MAY_IMPORT["generation"]
)
MAY_IMPORT["recipes"] = (
    {"preprocessing", "ensemble", "averaging"} | MAY_IMPORT["ensemble"] | MAY_IMPORT["averaging"]
)
MAY_IMPORT["plotting"] = {"inspection"} | MAY_IMPORT["inspection"]
MAY_IMPORT["demo"] = (
    {"plotting", "datasets", "generation"} | MAY_IMPORT["plotting"] | MAY_IMPORT["generation"]
)
MAY_IMPORT["_evaluate_command"] = {"recipes", "model_selection", "datasets"} | (
    MAY_IMPORT["recipes"] | MAY_IMPORT["model_selection"]
)
MAY_IMPORT["_reconstruct_command"] = {"generation"} | MAY_IMPORT["generation"]
MAY_IMPORT["cli"] = {"demo", "_evaluate_command", "_reconstruct_command"} | (
    MAY_IMPORT["demo"] | MAY_IMPORT["_evaluate_command"] | MAY_IMPORT["_reconstruct_command"]
)
MAY_IMPORT["__init__"] = {"_version"}
MAY_IMPORT["__main__"] = {"cli"}

# These may need torch or skorch wherever they are imported.
TORCH_AT_TOP = {"nets", "losses", "_training", "generation/_nets"}

FILES = sorted(ROOT.rglob("*.py"))


def part_of(path):
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imported_parts(path, tree):
    """Parts of skeegclip that a module imports, anywhere in it."""
    package = path.relative_to(ROOT).parent.parts
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            if node.level:
                base = package[: len(package) - node.level + 1]
                names = [*base, *(node.module.split(".") if node.module else [])]
                yield from ([names[0]] if names else [alias.name for alias in node.names])
            elif node.module and node.module.split(".")[0] == "skeegclip":
                rest = node.module.split(".")[1:]
                yield from ([rest[0]] if rest else [])


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_one_way(path):
    part = part_of(path)
    found = set(imported_parts(path, ast.parse(path.read_text(encoding="utf-8")))) - {part}
    assert found <= MAY_IMPORT[part], f"{part} must not import {sorted(found - MAY_IMPORT[part])}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_heavy_imports_wait_for_use(path):
    place = path.relative_to(ROOT).as_posix()
    allowed = {"torch", "skorch"} if any(place.startswith(f"{part}/") for part in TORCH_AT_TOP) else set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names = [node.module]
        heavy = {name.split(".")[0] for name in names} & HEAVY
        assert heavy <= allowed, f"{sorted(heavy)} at the top of the module"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_stay_small(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 500


def text_without_encoding(tree):
    """Lines that open a text file in whatever encoding the machine has."""
    for call in ast.walk(tree):
        if not isinstance(call, ast.Call) or any(keyword.arg == "encoding" for keyword in call.keywords):
            continue
        name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        of = ast.unparse(call.func.value) if isinstance(call.func, ast.Attribute) else ""
        is_file = name == "open" and (of == "" or "joinpath" in of)
        mode = call.args[1:2] if of == "" else call.args[:1]
        opens = is_file and not any("b" in ast.unparse(arg) for arg in mode)
        if opens or name == "read_text" or (name == "write_text" and len(call.args) < 2):
            yield call.lineno


@pytest.mark.parametrize(
    "path", [*FILES, *sorted((ROOT.parent / "examples").rglob("*.py"))], ids=lambda path: path.name
)
def test_text_files_name_their_encoding(path):
    assert list(text_without_encoding(ast.parse(path.read_text(encoding="utf-8")))) == []


def test_a_text_file_without_encoding_is_noticed():
    lines = [
        "open('a')",
        "open('a', 'rb')",
        "p.read_text()",
        "f.joinpath('a').open()",
        "open('a', encoding='utf-8')",
    ]
    assert [bool(list(text_without_encoding(ast.parse(line)))) for line in lines] == [
        True,
        False,
        True,
        True,
        False,
    ]


def modules_after(code):
    program = f"{code}\nimport sys; print(*sys.modules)"
    return set(
        subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True
        ).stdout.split()
    )


def test_importing_skeegclip_is_light():
    loaded = modules_after("import skeegclip; dir(skeegclip)")
    assert not loaded & (HEAVY | {"sklearn", "pandas", "scipy", "numpy"})


def test_metrics_and_tables_need_no_torch():
    code = "import skeegclip as s; s.metrics.ranks; s.metrics.reconstruction_scores; s.EmbeddingTable; s.EpochsView; s.EpochsStore; s.ZeroShotClassifier; s.ImageRetriever"
    assert not modules_after(code) & {"torch", "mne", "braindecode", "matplotlib", "skorch"}


def test_everything_public_can_be_reached():
    for name in skeegclip.__all__:
        part = getattr(skeegclip, name)
        for inner in getattr(part, "__all__", []):
            assert getattr(part, inner).__doc__, f"{name}.{inner} has no docstring"


def test_stubs_name_all_that_is_public():
    for stub in ROOT.rglob("*.pyi"):
        tree = ast.parse(stub.read_text(encoding="utf-8"))
        exported = {
            alias.asname for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names
        }
        listed = next(ast.literal_eval(node.value) for node in tree.body if isinstance(node, ast.Assign))
        assert exported == set(listed), stub
        assert sorted(listed) == sorted(set(listed))


def test_a_saved_encoder_decodes_without_torchs_compiler(tmp_path):
    # torch loads it, which takes longer than all else, with the first optimizer of a process.
    X = np.random.default_rng(0).normal(size=(8, 3, 80))
    encoder = skeegclip.EEGEncoder("nice", max_epochs=1, device="cpu").fit(X, X[:, 0, :5])
    encoder.save(tmp_path / "encoder")
    program = (
        f"e = skeegclip.EEGEncoder.load({str(tmp_path / 'encoder')!r}); e.transform(np.zeros((1, 3, 80)))"
    )
    loaded = modules_after(f"import numpy as np, skeegclip; {program}")
    assert "torch" in loaded
    assert "torch._dynamo" not in loaded
