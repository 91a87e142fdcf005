"""The networks by name."""

from __future__ import annotations

import difflib
import inspect
import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import nn

from .atm import ATM
from .eeg_project import EEGProject
from .mlp import MLP
from .nice import NICE

if TYPE_CHECKING:
    import pandas as pd


class _Entry(NamedTuple):
    cls: type[nn.Module]
    params: dict[str, Any]
    paper: str


_NETS = {
    "atm-s": _Entry(ATM, {}, "arXiv:2403.07721"),
    "nice": _Entry(NICE, {}, "arXiv:2308.13234"),
    "mlp": _Entry(MLP, {}, "arXiv:2403.07721"),
    "eegproject": _Entry(EEGProject, {}, "arXiv:2503.04207"),
}


def get_net(net: str | type[nn.Module]) -> tuple[type[nn.Module], dict[str, Any]]:
    """Look up a network.

    Parameters
    ----------
    net : str or class
        A name that `list_nets` shows, in any case; the name of a class of `braindecode.models`; or a subclass of `torch.nn.Module`, which is returned
        as it is.

    Returns
    -------
    cls : class
        The network's class, to be called with `n_outputs`, `n_chans` and `n_times`.
    params : dict
        Parameters that belong to the name, beside the class's own defaults.

    Raises
    ------
    ValueError
        If no network has the name.
    TypeError
        If `net` is neither a name nor a class (a network already built, for example).

    Examples
    --------
    >>> get_net("atm-s")[0].__name__
    'ATM'
    """
    if isinstance(net, str):
        entry = _NETS.get(net.lower())
        if entry is None and (cls := _braindecode_model(net)) is not None:
            return cls, {}
        if entry is None:
            close = difflib.get_close_matches(net.lower(), _NETS, n=1, cutoff=0.5)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            raise ValueError(
                f"net={net!r} is not known.{hint} Known names: {', '.join(map(repr, _NETS))}, and"
                " the classes of braindecode.models."
            )
        return entry.cls, dict(entry.params)
    if isinstance(net, type) and issubclass(net, nn.Module):
        return net, {}
    raise TypeError(
        f"net must be a name or a subclass of torch.nn.Module, got {type(net).__name__}; give the class, not "
        "an instance, so that every fit starts from fresh weights."
    )


def _braindecode_model(name: str) -> type[nn.Module] | None:
    # Importing braindecode takes seconds: not for a misspelt name of ours, which has no capitals.
    if not (name.isidentifier() and name[0].isupper()):
        return None
    import braindecode.models

    cls = getattr(braindecode.models, name, None)
    return cls if isinstance(cls, type) and issubclass(cls, nn.Module) else None


def list_nets(n_chans: int = 63, n_times: int = 250, n_outputs: int = 1024) -> pd.DataFrame:
    """List the networks and their sizes.

    Parameters
    ----------
    n_chans, n_times, n_outputs : int
        Shape of the input and dimension of the embedding for which parameters are counted.

    Returns
    -------
    DataFrame
        One row a network: name, class, paper, n_parameters, takes_subject (whether it uses subjects' ids).

    Examples
    --------
    >>> list_nets().set_index("name")["n_parameters"]["nice"]
    np.int64(2630912)
    """
    import pandas as pd

    rows = []
    for name, (cls, params, paper) in _NETS.items():
        # Nothing is allocated and no random number drawn on the meta device.
        with torch.device("meta"), warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            net = cls(n_outputs=n_outputs, n_chans=n_chans, n_times=n_times, **params)
        rows.append(
            {
                "name": name,
                "class": cls.__name__,
                "paper": paper,
                "n_parameters": sum(p.numel() for p in net.parameters()),
                "takes_subject": "subject" in inspect.signature(cls.forward).parameters,
            }
        )
    return pd.DataFrame(rows)
