"""What a net of an encoder is built of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, eq=False)
class NetSpec:
    """A network and its loss, before they have weights.

    Attributes
    ----------
    net : type
        Class of the network.
    net_params : dict
        All its arguments, as `skeegclip.nets.build.build_net` takes them.
    criterion_params : dict
        All arguments of the loss.
    """

    net: Any
    net_params: dict[str, Any]
    criterion_params: dict[str, Any]

    @property
    def input_spread(self) -> float:
        """How large the numbers of the epochs are that it was trained on."""
        return self.net_params.get("input_spread", 1.0)
