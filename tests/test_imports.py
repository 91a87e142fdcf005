"""The order of the layers, and what importing costs."""

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

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

# Every room, from the ground up, and exactly the rooms it stands on (docs/architecture.md draws them). A room may
# use those below it alone, so that there is no circle; an edge that nothing uses is taken off the list.
EDGES = {
    "_version": "",
    "_utils": "_version",
    "epochs": "_utils",
    "nets": "_utils",
    "losses": "",
    "augmentation": "",
    "embeddings": "_utils",
    "metrics": "_utils",
    "preprocessing": "_utils epochs",
    "datasets": "_utils embeddings epochs preprocessing",
    "_training": "_version _utils nets losses embeddings",
    "decoders": "_utils epochs nets embeddings metrics preprocessing _training",
    "contest": "_version _utils epochs preprocessing _training decoders",
    "recipes": "_utils embeddings preprocessing decoders",
    "generation": "_version _utils nets embeddings metrics preprocessing _training decoders",
    "_evaluation": "_version _utils epochs embeddings metrics preprocessing _training decoders",
    "model_selection": "_version _utils embeddings metrics _evaluation",
    "inspection": "_version _utils epochs metrics preprocessing generation _evaluation model_selection",
    "plotting": "_utils epochs model_selection inspection",
    "commands": (
        "_version _utils epochs nets embeddings metrics preprocessing datasets decoders recipes generation"
        " model_selection inspection plotting"
    ),
    "__init__": "_version",
    "__main__": "commands",
}

# These may need torch or skorch wherever they are imported.
TORCH_AT_TOP = (
    "nets/",
    "losses/",
    "augmentation/",
    "_training/",
    "contest/_solver.py",
    "contest/_modules.py",
    "contest/_translate.py",
    "generation/prior/nets/",
    "generation/prior/noising.py",
    "generation/captions/token_rows.py",
    "generation/low_level/nets/",
)

FILES = {path.relative_to(ROOT).as_posix(): path for path in sorted(ROOT.rglob("*.py"))}


@cache
def tree_of(path):
    return ast.parse(path.read_text(encoding="utf-8"))


def room_of(name):
    return name.split("/")[0].removesuffix(".py")


def imported(name):
    """All that a module imports of skeegclip, anywhere in it, as dotted names from the root."""
    package = name.split("/")[:-1]
    for node in ast.walk(tree_of(FILES[name])):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = [*package[: len(package) - node.level + 1], *(node.module or "").split(".")]
        elif isinstance(node, ast.ImportFrom) and node.module.split(".")[0] == "skeegclip":
            base = node.module.split(".")[1:]
        else:
            continue
        for alias in node.names:
            yield [part for part in [*base, alias.name] if part]


def test_rooms_stand_on_exactly_these():
    found = {room: set() for room in map(room_of, FILES)}
    for name in FILES:
        found[room_of(name)] |= {path[0] for path in imported(name)} - {room_of(name)}
    found["__init__"] -= set(skeegclip.__all__)
    assert {room: sorted(edges) for room, edges in found.items()} == {
        room: sorted(edges.split()) for room, edges in EDGES.items()
    }


def test_every_room_stands_on_those_before_it():
    order = list(EDGES)
    upward = {
        room: [other for other in edges.split() if order.index(other) >= order.index(room)]
        for room, edges in EDGES.items()
    }
    assert not any(upward.values()), upward


def test_no_module_of_a_room_is_in_a_circle():
    modules = {name.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for name in FILES}
    needs = {}
    for name in FILES:
        of = needs.setdefault(name.removesuffix(".py").removesuffix("/__init__").replace("/", "."), set())
        for path in imported(name):
            of |= {".".join(path[:n]) for n in (len(path), len(path) - 1)} & modules
        of.discard(name.removesuffix(".py").removesuffix("/__init__").replace("/", "."))
    while ends := {module for module, of in needs.items() if not of}:  # what needs nothing is in no circle
        needs = {module: of - ends for module, of in needs.items() if module not in ends}
    assert not needs, {module: sorted(of) for module, of in needs.items()}


def test_no_room_reaches_into_the_private_part_of_another():
    offenders = [
        f"{name}: {'.'.join(path)}"
        for name in FILES
        for path in imported(name)
        if path[0] != room_of(name)
        and any(part.startswith("_") and part != "__version__" for part in path[1:])
    ]
    assert not offenders, "\n".join(offenders)


def test_heavy_imports_wait_for_use():
    offenders = []
    for name, path in FILES.items():
        allowed = {"torch", "skorch"} if name.startswith(TORCH_AT_TOP) else set()
        allowed |= (
            {"braindecode"} if name.startswith(("augmentation/", "nets/quickened")) else set()
        )  # whose classes are derived from
        for node in tree_of(path).body:
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module]
            heavy = {module.split(".")[0] for module in names} & HEAVY - allowed
            offenders += [f"{name}: {module} at the top" for module in sorted(heavy)]
    assert not offenders, "\n".join(offenders)


def test_files_stay_small():
    lengths = {name: len(path.read_text(encoding="utf-8").splitlines()) for name, path in FILES.items()}
    assert {name: length for name, length in lengths.items() if length > 500} == {}


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


def test_text_files_name_their_encoding():
    paths = [*FILES.values(), *(ROOT.parent / "examples").rglob("*.py")]
    offenders = [f"{path.name}:{line}" for path in paths for line in text_without_encoding(tree_of(path))]
    assert not offenders, "\n".join(offenders)


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


def test_metrics_tables_and_names_of_figures_need_no_torch_and_no_matplotlib():
    code = (
        "import skeegclip as s; s.metrics.ranks; s.metrics.reconstruction_scores; s.EmbeddingTable; s.EpochsView;"
        " s.EpochsStore; s.ZeroShotClassifier; s.ImageRetriever; [getattr(s.plotting, n) for n in s.plotting.__all__]"
    )
    loaded = modules_after(code)
    assert "skeegclip.plotting.bars" in loaded
    assert not loaded & {"torch", "mne", "braindecode", "matplotlib", "skorch"}


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


@pytest.mark.slow
def test_fitting_and_decoding_go_without_torchs_compiler(tmp_path):
    # torch loads it, which takes longer than scikit-learn, with the first optimizer of a process.
    setting = "import numpy as np, skeegclip; X = np.random.default_rng(0).normal(size=(8, 3, 80))"
    fit = "e = skeegclip.EEGEncoder(max_epochs=1, device='cpu').fit(X, X[:, 0, :5], subject=list('aaaabbbb'))"
    load = f"skeegclip.EEGEncoder.load({str(tmp_path / 'encoder')!r}).transform(X[:1])"
    for code in (f"{fit}; e.save({str(tmp_path / 'encoder')!r})", load):
        loaded = modules_after(f"{setting}; {code}")
        assert "torch" in loaded
        assert not loaded & {"torch._dynamo", "torch._inductor", "torch.onnx", "torchvision", "IPython"}
        assert not loaded & (HEAVY - {"torch", "skorch"})
