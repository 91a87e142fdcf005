"""What several recipes have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .._utils.params import check_option

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

# What the papers that follow UBP have in common.
BUDGET = {
    "lr": 1e-4,
    "optimizer_params": {"weight_decay": 1e-4},
    "batch_size": 1024,
    "max_epochs": 50,
    "validation": 0.05,
    "same_stimulus": "mask",
}


def averaged(protocol: str, encoder: Any, *before: tuple[str, Any]) -> Pipeline:
    """An encoder that learns from averaged repetitions, of the channels that the papers take, behind steps `before` it."""
    from sklearn.pipeline import Pipeline

    from ..decoders.averaging import AveragedTraining
    from ..decoders.retrieval import ImageRetriever
    from ..preprocessing import PickChannels

    check_option("protocol", protocol, ["within", "loso"])
    channels = [("channels", PickChannels("occipito-parietal"))] if protocol == "within" else []
    return Pipeline([*channels, *before, ("retriever", ImageRetriever(AveragedTraining(encoder)))])
