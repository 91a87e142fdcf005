"""How fitted parts travel: in pickles, and as folders that are believed only as far as they were checked."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self, dataclass_transform

import numpy as np
from sklearn.utils.validation import check_is_fitted

from .._utils.contents import Loading, to_content
from .._utils.device import device_here
from .._utils.dict_params import DictParams
from .._utils.folders import Content, FolderError, checked
from .._utils.packing import Packer
from .._utils.saving import Savable
from .._utils.state_dicts import arrays_of

if TYPE_CHECKING:
    import torch

History = list[dict[str, bool | int | float | None]]
Selection = dict[str, str | int | float | None]
_NET = "net."


@dataclass_transform(frozen_default=True)
def schema(cls: type) -> type:
    """Make a frozen dataclass of a class, for `checked`: what it does not name is refused."""
    cls.__pydantic_config__ = {"extra": "forbid"}  # type: ignore[attr-defined]
    return dataclass(frozen=True)(cls)


@dataclass(frozen=True)
class Fitted:
    """The fitted attributes that are saved.

    Attributes
    ----------
    facts : type
        A `schema` with a field for each one that is no array.
    arrays : dict of str to tuple
        Shape of each array of numbers. A name is that of another attribute, or of a length that all must agree on.
    """

    facts: type
    arrays: Mapping[str, tuple[int | str, ...]] = dataclasses.field(default_factory=dict)

    @property
    def names(self) -> set[str]:
        """All of them."""
        return {field.name for field in dataclasses.fields(self.facts)} | set(self.arrays)


class Portable(Savable):
    """Base of the parts of a reconstructor: saved in one way, and checked by themselves when they are read."""

    # Training data is not written, nor is what belongs to the machine or the run.
    _not_saved: ClassVar[tuple[str, ...]] = ("images", "tokens", "captions", "device", "verbose")
    # Parameters that name a model elsewhere, and the names that a file may give without being trusted.
    _models: ClassVar[Mapping[str, tuple]] = {}

    def _fitted(self) -> Fitted:
        raise NotImplementedError

    def _check_params(self) -> None:
        raise NotImplementedError

    def _restore(self, weights: dict[str, np.ndarray], device: str) -> None:
        """Refuse parameters and attributes that no fit gives, and make the network."""
        if weights:
            raise ValueError(f"{type(self).__name__} has no network")

    def _to_content(self) -> Content:
        if hasattr(self, "fit"):
            check_is_fitted(self)
        pack = Packer(type(self).__name__, to_content)
        params = self._written_params()
        state = {name: _as_plain(getattr(self, name)) for name in sorted(self._fitted().names)}
        content = pack.content({"params": pack(params, "params"), "state": pack(state, "state")})
        if hasattr(self, "net_"):
            content.arrays.update({_NET + key: value for key, value in arrays_of(self.net_).items()})
        return content

    def _written_params(self) -> dict[str, Any]:
        return {name: plain_param(name, value) for name, value in super()._written_params().items()}

    @classmethod
    def _from_content(cls, content: Content, loading: Loading) -> Self:
        params, state = cls._said(content, loading)
        made = cls._with_params(params, loading)
        weights = {k.removeprefix(_NET): v for k, v in content.arrays.items() if k.startswith(_NET)}
        try:
            made._check_params()
            fitted = made._fitted()
            if set(state) != fitted.names:
                first = sorted(set(state) ^ fitted.names)[0]
                raise ValueError(f"{first!r:.60} is missing, or nothing of {cls.__name__}")
            own = {f"state.{name}": state[name] for name in fitted.arrays}
            arrays = {key: value for key, value in content.arrays.items() if key.startswith("state.")}
            if set(arrays) != set(own) or any(own[key] is not value for key, value in arrays.items()):
                raise ValueError("its arrays are not the ones that it names")
            plain = {
                name: value.tolist() if isinstance(value, np.ndarray) else value
                for name, value in state.items()
                if name not in fitted.arrays
            }
            facts: Any = checked(plain, fitted.facts, loading.folder)
            for name, value in state.items():
                setattr(made, name, value if name in fitted.arrays else getattr(facts, name))
            _check_arrays(made, fitted.arrays)
            made._restore(weights, loading.device)
        except FolderError:
            raise
        except (ValueError, TypeError, KeyError, RuntimeError, OverflowError) as error:
            raise loading.refuse(error) from error
        return made

    @classmethod
    def _with_params(cls, params: dict[str, Any], loading: Loading) -> Self:
        for name, names in cls._models.items():
            params[name] = model_named(loading, name, params.get(name), names)
        if "images" in cls._given_on_load:
            params["images"] = loading.given.get("images")
        return cls(**params)


def _as_plain(value: Any) -> Any:
    return (
        dataclasses.asdict(value)
        if dataclasses.is_dataclass(value) and not isinstance(value, type)
        else value
    )


def plain_param(name: str, value: Any) -> Any:
    """A parameter as it is written: paths as text, and of seeds only those that are numbers."""
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if name == "random_state" and not isinstance(value, (int, np.integer)):
        return None  # a generator's state belongs to the run
    return value


def model_named(loading: Loading, parameter: str, said: Any, known: Iterable[Any]) -> Any:
    """The model that is given, or that a file names: one we know, or of a file that is trusted.

    A name on a hub, or a path, is a place from which more files are read, which a stranger must not choose.
    """
    given = loading.given.get(parameter)
    if given is not None:
        return given
    if said is not None and not isinstance(said, str):
        raise loading.refuse(f"{parameter} is {said!r:.60}, not a name")
    if said in known or loading.trusted is True or (loading.trusted and said in loading.trusted):
        return said
    raise ValueError(
        f"{loading.folder!r} names {said!r:.200} as {parameter}, which is not one of skeegclip's own. Pass the one to"
        f" use: load(folder, {loading.prefix}{parameter}=...); or trusted=True, if you trust who made the folder."
    )


def _check_arrays(made: Any, shapes: Mapping[str, tuple[int | str, ...]]) -> None:
    """Whether arrays are finite numbers of shapes that agree with one another."""
    lengths: dict[str, int] = {}
    for name, shape in shapes.items():
        array = getattr(made, name)
        if not isinstance(array, np.ndarray) or array.dtype not in (np.float32, np.float64):
            raise ValueError(f"{name} is no array of numbers")
        if array.ndim == len(shape):
            for length, symbol in zip(array.shape, shape, strict=True):
                if isinstance(symbol, str):
                    lengths.setdefault(symbol, getattr(made, symbol, length))
        expected = tuple(lengths.get(s, -1) if isinstance(s, str) else s for s in shape)
        if array.shape != expected:
            raise ValueError(f"{name} has shape {array.shape}, not {expected}")
        if not np.isfinite(array).all():
            raise ValueError(f"{name} holds NaN or inf")


# -- networks -------------------------------------------------------------------------------------------------


def device_of(net: torch.nn.Module) -> torch.device:
    """Where a network is."""
    return next(iter(net.state_dict().values())).device


def restore(build: Any, weights: Mapping[str, np.ndarray], device: Any) -> torch.nn.Module:
    """A network as it was, for use, on a device that this machine has.

    The network is laid out without memory, and gets some only once the weights are those of such a network.
    """
    import torch

    device = device_here(device)
    with torch.device("meta"):  # no initial weights are drawn
        net = build()
    wanted = {key: tuple(value.shape) for key, value in net.state_dict().items()}
    for key in [*wanted, *weights]:
        shape = weights[key].shape if key in weights else None
        if key not in wanted or shape != wanted[key]:
            raise ValueError(
                f"weight {key!r:.100} has shape {shape}, but the network wants {wanted.get(key)}"
            )
        if weights[key].dtype.kind != "f" or not np.isfinite(weights[key]).all():
            raise ValueError(f"weight {key!r:.100} holds something else than finite numbers")
    tensors = {key: torch.tensor(value, dtype=torch.float32) for key, value in weights.items()}
    net.load_state_dict(tensors, assign=True)
    return net.to(device).eval().requires_grad_(False)


class NetCarrier(Portable, DictParams):
    """Base of estimators with a fitted ``net_`` that ``_build_net()`` makes: pickled as weights."""

    net_: Any
    device: Any

    def _build_net(self) -> torch.nn.Module:
        raise NotImplementedError

    def _restore(self, weights: dict[str, np.ndarray], device: str) -> None:
        self.net_ = restore(self._build_net, weights, device)

    def __getstate__(self) -> dict:
        # A model trained on a GPU must open where there is none.
        state = dict(super().__getstate__())
        net = state.pop("net_", None)
        if net is not None:
            state["_weights"] = arrays_of(net)
        return state

    def __setstate__(self, state: dict) -> None:
        state = dict(state)
        weights = state.pop("_weights", None)
        super().__setstate__(state)
        if weights is not None:
            self.net_ = restore(self._build_net, weights, self.device)
