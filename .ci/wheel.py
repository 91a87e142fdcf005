"""What a wheel holds is all that it should, and works from where it was put: `python .ci/wheel.py FOLDER`.

FOLDER is what `pip install --no-deps --target FOLDER dist/*.whl` filled; the source lies beside this file.
"""

import re
import sys
from importlib.metadata import version
from pathlib import Path

folder, source = Path(sys.argv[1]).resolve(), Path(__file__).resolve().parents[1]
sys.path.insert(0, str(folder))

import skeegclip  # noqa: E402
from skeegclip import ImageRetriever  # noqa: E402
from skeegclip.datasets import load_faces_houses, load_things_sub08  # noqa: E402

assert Path(skeegclip.__file__).parent == folder / "skeegclip", skeegclip.__file__


def files(root: Path) -> set[str]:
    found = (path for path in (root / "skeegclip").rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix() for path in found if "__pycache__" not in path.parts}


assert files(folder) == files(source), files(folder) ^ files(source)
stubs = {path for path in files(folder) if path.endswith(".pyi")}
lazy = {
    path
    for path in files(folder)
    if path.endswith("__init__.py") and "attach_stub" in (folder / path).read_text(encoding="utf-8")
}
assert stubs == {f"{path}i" for path in lazy}, stubs
assert "skeegclip/py.typed" in files(folder)

said = {
    "skeegclip/_version.py": skeegclip.__version__,
    "the wheel": version("skeegclip"),
    "CITATION.cff": re.search(r"^version: (.+)$", (source / "CITATION.cff").read_text("utf-8"), re.M)[1],
    "docs/changelog.md": re.search(r"^## (\S+)", (source / "docs" / "changelog.md").read_text("utf-8"), re.M)[
        1
    ],
}
assert len(set(said.values())) == 1, f"versions disagree: {said}"

person, (X, y) = load_things_sub08(), load_faces_houses(return_X_y=True)
retriever = ImageRetriever("passthrough", gallery=person.image_embeddings).fit(person.X, person.y)
assert retriever.score(person.X, person.y) == 0.36
assert X.shape == (len(y), 4, 232)
size = sum((folder / path).stat().st_size for path in files(folder))
print(
    f"skeegclip {skeegclip.__version__}: {len(files(folder))} files, {size / 1e6:.1f} MB, {len(stubs)} stubs"
)
