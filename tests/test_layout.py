"""The tests have the tree of the package: what has no test of its name is covered by another, and is listed here."""

from __future__ import annotations

import ast
import re
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

import skeegclip

ROOT, TESTS = Path(skeegclip.__file__).parent, Path(__file__).parent

# Modules without a test of their name, the tests that ask for them instead, and why.
COVERED = {
    # Every network, loss and figure is asked the same, and then what it alone has.
    "nets/*": (
        "nets/test_nets.py",
        "nets/test_registry.py",
        "nets/test_layers.py",
        "nets/test_parity.py",
        "nets/test_atm.py",
    ),
    "losses/*": ("losses/test_mixed.py",),
    "plotting/*": ("plotting/test_figures.py", "plotting/test_comparisons.py", "plotting/test_inspection.py"),
    "recipes/*": ("recipes/test_recipes.py",),
    "generation/prior/nets/*": ("generation/prior/test_nets.py", "generation/prior/test_diffusion_prior.py"),
    "generation/low_level/nets/*": ("generation/low_level/test_decoder.py",),
    # Parts of one estimator, which is asked as a whole.
    "commands/demo/*": ("commands/demo/test_run.py",),
    "commands/_shell.py": ("commands/test_refusals.py", "commands/test_cli.py"),
    "contest/_*": ("contest/test_submission.py",),
    "decoders/reference/formats.py": ("decoders/reference/test_load.py",),
    "decoders/composite.py": ("decoders/test_zero_shot.py", "decoders/test_retrieval.py"),
    "decoders/_foreign.py": ("decoders/test_encoders_of_others.py",),
    "epochs/positions.py": ("epochs/test_regions.py",),
    "epochs/sites.py": ("epochs/test_regions.py",),
    "generation/captions/*": ("generation/captions/test_captioner.py",),
    "generation/generators/training.py": ("generation/generators/test_linear.py",),
    "generation/low_level/*": ("generation/low_level/test_decoder.py",),
    "generation/prior/*": ("generation/prior/test_diffusion_prior.py", "generation/prior/test_posterior.py"),
    "inspection/results.py": ("inspection/test_time.py", "inspection/test_reconstruction.py"),
    "metrics/counts.py": ("metrics/test_ranking.py",),
    "metrics/intervals.py": ("metrics/test_table.py",),
    "metrics/of_estimators.py": ("metrics/test_scorers.py",),
    "model_selection/folds.py": ("model_selection/test_evaluate.py",),
    "embeddings/join.py": ("decoders/test_ensemble.py",),
}


def has_logic(path: Path) -> bool:
    # Not parsed, which of all modules would take a tenth of collecting the tests.
    return re.search("^(def|class) ", path.read_text(encoding="utf-8"), re.MULTILINE) is not None


MODULES = [
    path.relative_to(ROOT)
    for path in sorted(ROOT.rglob("*.py"))
    if not path.name.startswith("__") and has_logic(path)
]


def own_test(module: Path) -> Path:
    """The test of a module's name: of _view.py, which has what view.py needs, it is that of view.py."""
    return module.parent / f"test_{module.stem.lstrip('_')}.py"


@cache
def imports(module: Path) -> set[Path]:
    """The modules of the package that a module imports, anywhere in it."""
    tree = ast.parse((ROOT / module).read_text(encoding="utf-8"))
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = module.parts[: len(module.parts) - node.level]
            base = [*base, *(node.module or "").split(".")] if node.module else list(base)
            for parts in (base, *([*base, alias.name] for alias in node.names)):
                found.add(Path(*parts).with_suffix(".py") if parts else Path("__init__.py"))
    return found & set(MODULES)


def reached(start: set[Path]) -> set[Path]:
    """What modules import, and what that imports."""
    seen: set[Path] = set()
    while start:
        seen |= start
        start = {other for module in start for other in imports(module)} - seen
    return seen


def is_private(module: Path) -> bool:
    return any(part.startswith("_") for part in module.parts)


def rule_for(module: Path) -> str | None:
    return next(
        (rule for rule in sorted(COVERED, key=len, reverse=True) if fnmatch(module.as_posix(), rule)), None
    )


def test_every_module_has_a_test_of_its_name_or_one_that_is_listed():
    with_test = {module for module in MODULES if (TESTS / own_test(module)).exists()}
    # What is private is there for those of its room, and theirs are its tests.
    by_room: dict[str, set[Path]] = {}
    for module in with_test:
        by_room.setdefault(module.parts[0], set()).add(module)
    by_room = {room: reached(modules) for room, modules in by_room.items()}
    everywhere = set().union(*by_room.values())
    without = [
        module.as_posix()
        for module in MODULES
        if module not in with_test
        and rule_for(module) is None
        and not (
            is_private(module)
            and module
            in (everywhere if module.parts[0].startswith("_") else by_room.get(module.parts[0], set()))
        )
    ]
    assert not without, "no test: " + ", ".join(without)


def test_no_rule_is_idle_and_what_it_names_is_there():
    used = {rule_for(module) for module in MODULES if not (TESTS / own_test(module)).exists()}
    assert set(COVERED) <= used, set(COVERED) - used
    named = {test for tests in COVERED.values() for test in tests}
    assert not [test for test in sorted(named) if not (TESTS / test).exists()]


def test_tests_of_several_modules_say_what_they_are_about():
    of_modules = {own_test(path.relative_to(ROOT)) for path in ROOT.rglob("*.py")}
    loose = [path for path in TESTS.rglob("test_*.py") if path.relative_to(TESTS) not in of_modules]
    assert not [path for path in loose if not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))]
