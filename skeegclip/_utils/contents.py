"""What estimators consist of, on the way to a folder, and estimators made of it again."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .folders import Content, FolderError
from .packing import Packer, Unpacker
from .skops_parts import SKOPS, from_skops, to_skops

# The rooms whose public classes a folder may name; nothing else is ever looked up.
_PUBLIC = ("skeegclip", "skeegclip.embeddings", "skeegclip.generation", "skeegclip.preprocessing")
_PIPELINE, FROZEN, _FOREIGN = "Pipeline", "FrozenEstimator", "skops"


@dataclass(frozen=True)
class Loading:
    """How a folder is read.

    Attributes
    ----------
    folder : str
        The folder, and the part of it, for messages.
    device : str
        Torch device.
    trusted : bool or list of str
        As in `load`.
    given : dict
        What the user hands over, by the names of this part.
    prefix : str
        What stands before these names where the user gives them.
    """

    folder: str
    device: str = "auto"
    trusted: bool | list[str] = False
    given: Mapping[str, Any] = field(default_factory=dict)
    prefix: str = ""

    def part(self, name: str) -> Loading:
        """How a part is read."""
        start = f"{name}__"
        given = {key.removeprefix(start): value for key, value in self.given.items() if key.startswith(start)}
        return Loading(f"{self.folder}: {name}", self.device, self.trusted, given, self.prefix + start)

    def need(self, name: str) -> Any:
        """Return what was given under a name, which the folder cannot hold."""
        if self.given.get(name) is None:
            raise ValueError(
                f"{self.folder!r} was saved with a class or a module of your own as {name}, which no file names."
                f" Pass it: load(folder, {self.prefix}{name}=...)."
            )
        return self.given[name]

    def refuse(self, why: Any) -> FolderError:
        """Return the error that says that the folder does not hold what its kind needs."""
        return FolderError(
            f"{self.folder!r} does not describe what this version can build: {why}. Get the folder again."
        )


def to_content(part: Any) -> Content:
    """What an estimator, a Pipeline or a table consists of."""
    from sklearn.frozen import FrozenEstimator
    from sklearn.pipeline import Pipeline

    if isinstance(part, FrozenEstimator):
        return Content(FROZEN, parts={"estimator": to_content(part.estimator)})
    if hasattr(type(part), "_to_content"):
        if class_named(type(part).__name__) is not type(part) and not _is_ours(type(part)):
            raise TypeError(
                f"{type(part).__name__} is a class of your own, which no file may name. Save it by itself, and read it with"
                f" {type(part).__name__}.load(folder)."
            )
        return part._to_content()
    if type(part) is Pipeline:
        pack = Packer(_PIPELINE, to_content)
        steps = [
            [name, pack.part(step, name) if hasattr(step, "get_params") else step]
            for name, step in part.steps
        ]
        return pack.content(
            {"steps": steps, "transform_input": pack(part.transform_input, "transform_input")}
        )
    return Content(_FOREIGN, {"class": type(part).__name__}, files={SKOPS: to_skops(part, _fits)})


def from_content(content: Content, loading: Loading) -> Any:
    """Undo `to_content`."""
    from sklearn.frozen import FrozenEstimator
    from sklearn.pipeline import Pipeline

    if content.kind == FROZEN:
        return FrozenEstimator(from_content(_part(content, "estimator", loading), loading))
    if content.kind == _PIPELINE:
        facts = facts_of(content, loading)
        try:
            steps = [(name, step) for name, step in facts["steps"]]
            for name, step in steps:
                if not isinstance(name, str) or not (
                    step in (None, "passthrough") or hasattr(step, "get_params")
                ):
                    raise TypeError(f"{name!r:.60} is no step")
            return Pipeline(steps, transform_input=facts["transform_input"])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise loading.refuse(f"{type(error).__name__}: {error}") from error
    if content.kind == _FOREIGN:
        return from_skops(content.files.get(SKOPS, b""), loading)
    cls: Any = class_named(content.kind)
    if cls is None:
        raise loading.refuse(f"there is no {content.kind!r:.60}")
    return cls._from_content(content, loading)


def facts_of(content: Content, loading: Loading) -> dict[str, Any]:
    """The facts of a content, with its arrays and parts in their places."""
    of_parts: list[Exception] = []

    def load_part(name: str) -> Any:
        try:
            return from_content(_part(content, name, loading), loading.part(name))
        except Exception as error:
            of_parts.append(error)  # it says itself what is wrong, and may be the user's to mend
            raise

    try:
        facts = Unpacker(content.arrays, load_part)(content.facts)
        if not isinstance(facts, dict):
            raise TypeError(f"facts must be a dict, got {type(facts).__name__}")
        return facts
    except (
        KeyError,
        TypeError,
        AttributeError,
        IndexError,
        OverflowError,
        RecursionError,
        ValueError,
    ) as error:
        if any(error is other for other in of_parts):
            raise
        raise loading.refuse(f"{type(error).__name__}: {error}") from error


def class_named(kind: str) -> type | None:
    """The public class of this package that has a name, if it can be saved."""
    for room in _PUBLIC:
        module = importlib.import_module(room)
        if kind in module.__all__ and hasattr(getattr(module, kind), "_from_content"):
            return getattr(module, kind)
    return None


def _fits(kind: str) -> bool:
    return hasattr(class_named(kind), "fit")


def _is_ours(cls: type) -> bool:
    return cls.__module__.partition(".")[0] == __name__.partition(".")[0]


def _part(content: Content, name: str, loading: Loading) -> Content:
    if name not in content.parts:
        raise loading.refuse(f"its {name!r:.60} is missing")
    return content.parts[name]
