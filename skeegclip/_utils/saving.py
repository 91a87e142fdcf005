"""One way to keep what is fitted: every estimator as a folder of JSON and safetensors that runs no code when read."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

from sklearn.utils.validation import check_is_fitted

from .contents import FROZEN, Loading, class_named, facts_of, from_content, to_content
from .device import resolve_device
from .folders import Content, FolderError, is_saved, read_folder, write_folder
from .packing import Packer

# Files of saves before there was one format, and the class that still reads its own.
_OLDER = {
    "encoder.json": "EEGEncoder",
    **dict.fromkeys(("prior.json", "low_level.json", "captioner.json", "reconstructor.json")),
}


def save(estimator: Any, folder: str | os.PathLike) -> None:
    """Save a fitted estimator, a Pipeline or a table to a folder, whole or not at all.

    Estimators of skeegclip are written as JSON and safetensors, those of scikit-learn by skops: nothing in the folder
    is a pickle.

    Parameters
    ----------
    estimator : estimator | Pipeline | EmbeddingTable | ImageTable
        What to save. Estimators of skeegclip have the same as a method.
    folder : path-like
        Made if missing. A save of the same kind that is there is replaced; until the new one is complete, the old one
        stays readable.

    Raises
    ------
    NotFittedError
        If it is not fitted.
    FileExistsError
        If the folder holds anything else, which is left as it is.
    TypeError
        If it is anything else, or holds what has no place in a file, such as a function.

    See Also
    --------
    load : Read it again.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> import skeegclip
    >>> from sklearn.linear_model import Ridge
    >>> from sklearn.pipeline import make_pipeline
    >>> rng = np.random.default_rng(0)
    >>> table = skeegclip.EmbeddingTable(["cat", "dog", "owl"], np.eye(3))
    >>> X, y = rng.normal(size=(30, 4, 25)), np.repeat(table.ids, 10)
    >>> decoder = make_pipeline(skeegclip.preprocessing.EpochScaler(), skeegclip.ImageRetriever(Ridge(), targets=table))
    >>> folder = tempfile.mkdtemp()
    >>> skeegclip.save(decoder.fit(X, y), folder)
    >>> bool((skeegclip.load(folder).predict(X) == decoder.predict(X)).all())
    True
    """
    is_own = isinstance(estimator, Savable)
    write_folder(folder, estimator._to_content() if is_own else to_content(_usable(estimator)))


def _usable(estimator: Any) -> Any:
    """Refuse what skops would write as well: a class, a dict, what is not fitted."""
    if not isinstance(estimator, type) and hasattr(estimator, "get_params"):
        check_is_fitted(estimator)
    elif isinstance(estimator, type) or not hasattr(estimator, "_to_content"):
        raise TypeError(f"estimator must be fitted, a Pipeline or a table, got {estimator!r:.60}.")
    return estimator


def load(
    folder: str | os.PathLike, *, device: str = "auto", trusted: bool | list[str] = False, **given: Any
) -> Any:
    """Read what :func:`save`, or the `save` of an estimator, wrote.

    Parameters
    ----------
    folder : path-like
        The folder. It may come from anywhere: it is checked before it is believed, and runs no code.
    device : str
        Torch device for the networks in it; "auto" is the GPU where there is one.
    trusted : bool | list of str
        Types outside scikit-learn, numpy and scipy that a part of another library may be made of, by name, as the error
        lists them; True trusts all, and so whoever made the folder.
    **given : object
        What was a class or a module of your own, which no file may name: ``net=MyNet``, or
        ``encoder__net=MyNet`` for a part.

    Returns
    -------
    estimator
        As it was saved.

    Raises
    ------
    FileNotFoundError
        If the folder holds no save.
    ValueError
        If it is not what was saved, needs something that was not given, or torch has no such device.
    TypeError
        If something was given that nothing in it takes.

    See Also
    --------
    save : Write what this reads, with an example.

    Examples
    --------
    >>> import tempfile
    >>> import skeegclip
    >>> folder = tempfile.mkdtemp()
    >>> skeegclip.save(skeegclip.EmbeddingTable(["cat", "dog"], [[1, 0], [0, 1]]), folder)
    >>> skeegclip.load(folder)
    EmbeddingTable(n=2, n_dims=2)
    """
    return _read(folder, None, device, trusted, given)


def _read(
    folder: str | os.PathLike,
    cls: type[Savable] | None,
    device: str,
    trusted: bool | list[str],
    given: dict[str, Any],
) -> Any:
    """Read a folder; `cls` is the class whose save it must be, which may be one of the user's own."""
    if device != "auto":
        # A net that was on a GPU falls back on the CPU; who asks for one wants to know.
        resolve_device(device)
    if isinstance(trusted, str):  # of which every part would be trusted too
        raise TypeError(
            f"trusted must be True, False or a list of names, got {trusted!r}. Pass trusted=[{trusted!r}]."
        )
    content = None if is_saved(folder) else _older(folder, cls)
    if content is None:
        content = read_folder(folder, kind=None if cls is None else cls.__name__)
    takes = list(_takes(content, cls))
    if unknown := [name for name in given if name not in takes]:
        raise TypeError(
            f"load has no parameter {unknown[0]!r}; of what is in {os.fspath(folder)!r} it takes"
            f" {', '.join(takes) or 'none'}."
        )
    loading = Loading(os.fspath(folder), device, trusted, given)
    return from_content(content, loading) if cls is None else cls._from_content(content, loading)


def _older(folder: str | os.PathLike, cls: type[Savable] | None) -> Content | None:
    """What a save of an older format holds, where it can still be read."""
    names = [name for name in _OLDER if (Path(folder) / name).is_file()]
    if not names:
        return None
    known: Any = class_named(_OLDER[names[0]] or "") if cls is None else cls
    content = None if known is None else known._older_content(folder)
    if content is None:
        raise FolderError(
            f"{os.fspath(folder)!r} is a save of format 1 ({names[0]}), which this version reads for EEGEncoder only."
            " Load it with the version that wrote it, or fit again, and save anew."
        )
    return content


class Savable:
    """Base of estimators that can be saved.

    All parameters are written, and those fitted attributes that `_saved_state` names, whatever they hold: plain values,
    arrays, tables and other estimators. A subclass with a network has its own `_to_content` and `_from_content`.
    """

    # Fitted attributes and their types, which a file cannot change.
    _saved_state: ClassVar[Mapping[str, Any]] = {}
    _may_be_absent: ClassVar[tuple[str, ...]] = ()  # those of them that not every fit sets
    _not_saved: ClassVar[tuple[str, ...]] = ("verbose", "n_jobs")  # parameters of the machine or the run
    _given_on_load: ClassVar[tuple[str, ...]] = ()

    def save(self, folder: str | os.PathLike) -> None:
        """Save to a folder of JSON and safetensors, whole or not at all.

        Parameters
        ----------
        folder : path-like
            Made if missing. A save of the same kind that is there is replaced; until the new one is complete, the old
            one stays readable.

        Raises
        ------
        NotFittedError
            If it is not fitted.
        FileExistsError
            If the folder holds anything else, which is left as it is.
        TypeError
            If it holds what has no place in a file, such as a function.
        """
        save(self, folder)

    @classmethod
    def load(
        cls,
        folder: str | os.PathLike,
        *,
        device: str = "auto",
        trusted: bool | list[str] = False,
        **given: Any,
    ) -> Self:
        """Read what :meth:`save` wrote.

        Parameters
        ----------
        folder : path-like
            The folder. It may come from anywhere: it is checked before it is believed, and runs no code.
        device : str
            Torch device for the networks in it; "auto" is the GPU where there is one.
        trusted : bool | list of str
            Types of other libraries that its parts may be made of, see :func:`skeegclip.load`.
        **given : object
            What was a class or a module of your own, which no file may name: ``net=MyNet``, or
            ``encoder__net=MyNet`` for a part.

        Returns
        -------
        estimator
            As it was saved.

        Raises
        ------
        FileNotFoundError
            If the folder holds no save.
        ValueError
            If it is not what was saved, or needs something that was not given.
        TypeError
            If something was given that nothing in it takes.
        """
        return _read(folder, cls, device, trusted, given)

    @classmethod
    def _older_content(cls, folder: str | os.PathLike) -> Content | None:
        """What an older version saved, if this class can read it."""
        return None

    def _to_content(self) -> Content:
        self._check_fitted()
        params = self._written_params()
        pack = Packer(type(self).__name__, to_content)
        state = {name: getattr(self, name) for name in self._saved_state if hasattr(self, name)}
        return pack.content({"params": pack(params, "params"), "state": pack(state, "state")})

    def _written_params(self) -> dict[str, Any]:
        estimator: Any = self
        params = estimator.get_params(deep=False).items()
        return {name: value for name, value in params if name not in self._not_saved}

    def _check_fitted(self) -> None:
        check_is_fitted(self)

    @classmethod
    def _from_content(cls, content: Content, loading: Loading) -> Self:
        params, state = cls._said(content, loading)
        if unknown := sorted(set(state) - set(cls._saved_state)):
            raise loading.refuse(f"{cls.__name__} has no {unknown[0]!r:.60}")
        for name, value in state.items():
            if not isinstance(value, cls._saved_state[name]):
                raise loading.refuse(f"its {name} is of type {type(value).__name__}")
        try:
            made = cls._made(params, state)
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
            raise loading.refuse(f"{type(error).__name__}: {error}") from error
        absent = set(cls._saved_state) - set(cls._may_be_absent) - set(vars(made))
        if absent:
            raise loading.refuse(f"its {min(absent)} is missing")
        return made

    @classmethod
    def _said(cls, content: Content, loading: Loading) -> tuple[dict[str, Any], dict[str, Any]]:
        """Parameters and fitted attributes as the folder has them; only the parameters are known to be of this class."""
        facts = facts_of(content, loading)
        params, state = facts.get("params"), facts.get("state")
        if len(facts) != 2 or not isinstance(params, dict) or not isinstance(state, dict):
            raise loading.refuse("its params and state are missing")
        own: Any = cls
        known = set(own._get_param_names())
        if unknown := sorted(set(params) - (known - set(cls._not_saved))):
            raise loading.refuse(f"{cls.__name__} has no {unknown[0]!r:.60}")
        if "device" in known:
            params["device"] = loading.device
        return params, state

    @classmethod
    def _made(cls, params: dict[str, Any], state: dict[str, Any]) -> Self:
        """An instance with parameters and fitted attributes; a subclass may look at them first."""
        made = cls(**params)
        for name, value in state.items():
            setattr(made, name, value)
        made._check_fitted()
        return made


def _takes(content: Content, cls: type | None = None, prefix: str = "") -> Iterator[str]:
    """Names of all that a load may be given."""
    cls = cls or class_named(content.kind)
    yield from (prefix + name for name in getattr(cls, "_given_on_load", ()))
    for name, part in content.parts.items():
        # A frozen estimator goes by the name of what it is around.
        yield from _takes(part, None, prefix if content.kind == FROZEN else f"{prefix}{name}__")
