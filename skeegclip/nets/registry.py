"""The networks by name."""

from __future__ import annotations

import difflib
import inspect
import sys
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import nn

from .._utils.seeding import seeded_torch
from . import published
from ._braindecode import braindecode_models
from .atm import ATM
from .atm_e import ATME
from .build import build_net, is_braindecode
from .eeg_project import EEGProject
from .eegitnet import EEGITNet
from .meta_eeg import MetaEEG
from .mlp import MLP
from .nice import NICE
from .sizes import check_counts, warn_shrunk

if TYPE_CHECKING:
    import pandas as pd


class _Entry(NamedTuple):
    cls: type[nn.Module] | str  # a string names a class of braindecode.models
    paper: str
    params: Callable[[int], dict[str, Any]] = lambda n_times: {}


_NETS = {
    "atm-s": _Entry(ATM, "arXiv:2403.07721"),
    "atm-e": _Entry(ATME, "arXiv:2403.07721"),
    "atm-eegnet": _Entry(ATM, "arXiv:2403.07721", lambda n_times: {"conv": "eegnet"}),
    "nice": _Entry(NICE, "arXiv:2308.13234"),
    "eegnet": _Entry("EEGNet", "arXiv:1611.08024", published.eegnet),
    "eegconformer": _Entry("EEGConformer", "doi:10.1109/TNSRE.2022.3230250", published.eegconformer),
    "eegitnet": _Entry(EEGITNet, "arXiv:2204.06947", published.eegitnet),
    "shallow": _Entry("ShallowFBCSPNet", "arXiv:1703.05051", published.shallow),
    "atcnet": _Entry("ATCNet", "doi:10.1109/TII.2022.3197419", published.atcnet),
    "mlp": _Entry(MLP, "arXiv:2403.07721"),
    "brain-module": _Entry(MetaEEG, "arXiv:2403.07721"),
    "simpleconv": _Entry("BrainModule", "arXiv:2310.19812", published.simpleconv),
    "eegproject": _Entry(EEGProject, "arXiv:2503.04207"),
    "ridge+atm-s": _Entry(ATM, "arXiv:2403.07721", lambda n_times: {"linear": True}),
}


def get_net(net: str | type[nn.Module], n_times: int | None = None) -> tuple[type[nn.Module], dict[str, Any]]:
    """Look up a network.

    Parameters
    ----------
    net : str or class
        A name that `list_nets` shows, in any case; the name of a class of `braindecode.models`, exactly as it is
        written there; or a subclass of `torch.nn.Module`, which is returned as it is. Where a name can be read both
        ways the capitals decide: "eegnet" has the hyper-parameters of the ATM paper, "EEGNet" braindecode's own.
    n_times : int, default=None
        Number of samples of an epoch. Where it is given, parameters that belong to the name and are lengths in
        samples are shortened to fit, with a warning.

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
    >>> get_net("atm-eegnet")[1]
    {'conv': 'eegnet'}
    """
    if isinstance(net, type) and issubclass(net, nn.Module):
        return net, {}
    if not isinstance(net, str):
        raise TypeError(
            f"net must be a name or a subclass of torch.nn.Module, got {type(net).__name__}; give the class, not "
            "an instance, so that every fit starts from fresh weights."
        )
    named_so = net in [entry.cls for entry in _NETS.values()]
    entry = None if named_so else _NETS.get(net.lower())
    if entry is not None:
        cls = _braindecode_model(entry.cls) if isinstance(entry.cls, str) else entry.cls
        if cls is not None:
            wanted = entry.params(sys.maxsize)
            used = wanted if n_times is None else entry.params(n_times)
            warn_shrunk(n_times or 0, wanted, used)
            return cls, used
    # Importing braindecode takes seconds: not for a misspelt name of ours, which has no capitals.
    elif net.isidentifier() and net[0].isupper() and (cls := _braindecode_model(net)) is not None:
        return cls, {}
    close = difflib.get_close_matches(net.lower(), _NETS, n=1, cutoff=0.5)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    raise ValueError(
        f"net={net!r} is not known.{hint} Known names: {', '.join(map(repr, _NETS))}, and"
        " the classes of braindecode.models."
    )


def _braindecode_model(name: str) -> type[nn.Module] | None:
    cls = getattr(braindecode_models(), name, None)
    return cls if isinstance(cls, type) and issubclass(cls, nn.Module) else None


def list_nets(
    n_chans: int = 63, n_times: int = 250, n_outputs: int = 1024, sfreq: float | None = 250.0
) -> pd.DataFrame:
    """List the networks and their sizes.

    Parameters
    ----------
    n_chans, n_times, n_outputs : int
        Shape of the input and dimension of the embedding for which parameters are counted.
    sfreq : float, default=250.0
        Sampling frequency in Hz.

    Returns
    -------
    DataFrame
        One row a network: name, class, source ("native" or "braindecode"), paper, n_parameters (missing where a
        network cannot take these sizes), takes_subject (whether it uses subjects' ids by itself), and note (what
        it cannot take, else empty).

    Raises
    ------
    ValueError
        If a size is not a positive whole number.

    Examples
    --------
    >>> nets = list_nets().set_index("name")
    >>> nets["n_parameters"]["nice"]
    np.int64(2630912)
    >>> nets["source"]["eegnet"]
    'braindecode'
    """
    import pandas as pd

    check_counts(n_chans=n_chans, n_times=n_times, n_outputs=n_outputs)
    sizes = {"n_outputs": n_outputs, "n_chans": n_chans, "n_times": n_times, "sfreq": sfreq}
    rows = []
    for name, entry in _NETS.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            cls, params = get_net(name, n_times)
            count, note = _count_parameters(cls, {**sizes, **params})
        rows.append(
            {
                "name": name,
                "class": cls.__name__,
                "source": "braindecode" if is_braindecode(cls) else "native",
                "paper": entry.paper,
                "n_parameters": count,
                "takes_subject": "subject" in inspect.signature(cls.forward).parameters,
                "note": note,
            }
        )
    return pd.DataFrame(rows).astype({"n_parameters": "Int64"})


def _count_parameters(cls: type[nn.Module], params: dict[str, Any]) -> tuple[int | None, str]:
    # Our networks are built on the meta device, where nothing is allocated and no random number drawn; some of
    # braindecode's need a real one.
    device = "cpu" if is_braindecode(cls) else "meta"
    try:
        with torch.device(device), seeded_torch(0, "cpu"):
            net = build_net(cls, params)
    except ValueError as error:
        return None, str(error)
    return sum(p.numel() for p in net.parameters()), ""
