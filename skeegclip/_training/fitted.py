"""What a fit gives back: a network that is trained, and all that is known of how."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from .._utils.seen import Seen
from .._utils.stated import Stated
from ..nets.names import find_net, name_of
from .budget import Budget
from .net import EncoderNet
from .sharing import rebuild_net, weights_of
from .spec import NetSpec


@dataclass(frozen=True, eq=False)
class FittedNet:
    """The one fitted thing that an encoder holds; a fit and a calibration give a new one and change none.

    Attributes
    ----------
    spec : NetSpec
        What the net is built of.
    net : EncoderNet
        The net with its weights.
    subjects : ndarray of str
        Subjects that it knows, sorted.
    n_outputs : int
        Length of an embedding.
    history : list of dict
        Per pass, see ``EEGEncoder.history_``.
    selection : dict
        How the weights were chosen.
    trained_on : dict of str to Seen
        What "fit" and each calibration have seen.
    stated : Stated
        What the epochs said of themselves, and how large their numbers were.
    budget : Budget | None
        Batch size and passes, as numbers; None where it was not trained here.
    pretrained : dict | None
        What arrived of weights trained before, see ``EEGEncoder.pretrained_``; None where it started from nothing.
    """

    spec: NetSpec
    net: EncoderNet
    subjects: np.ndarray
    n_outputs: int
    history: list[dict]
    selection: dict[str, Any]
    trained_on: dict[str, Seen]
    stated: Stated
    budget: Budget | None = None
    pretrained: dict[str, Any] | None = None

    def pack(self, given: Any) -> dict[str, Any]:
        """Fields for a pickle: weights as arrays, and the class by its name, where it has one (`given` is tried first).

        Parametrised modules and some of braindecode's classes cannot be pickled, and a model trained on a GPU must open
        where there is none.
        """
        packed = {field.name: getattr(self, field.name) for field in fields(self)}
        spec = replace(self.spec, net=name_of(self.spec.net, given) or self.spec.net)
        return {**packed, "spec": spec, "net": weights_of(self.net)}

    @classmethod
    def unpack(cls, packed: dict[str, Any], *, device: str, precision: str) -> FittedNet:
        """Undo `pack`, on a device that this machine has."""
        spec = packed["spec"]
        if isinstance(spec.net, str):
            spec = replace(spec, net=find_net(spec.net))
        net = rebuild_net(spec, packed["net"], device=device, precision=precision)
        return cls(**{**packed, "spec": spec, "net": net})


def subject_codes(subject: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Place of each subject among those that are known (sorted), -1 for another."""
    code = np.searchsorted(known, subject).clip(max=len(known) - 1)
    return np.where(known[code] == subject, code, -1).astype(np.int64)
