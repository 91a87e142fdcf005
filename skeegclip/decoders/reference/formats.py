"""Names and shapes of the published networks' weights, and what each becomes here."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

# Layer kinds and the entries that each has in a state dict.
_LINEAR = ("weight", "bias")
_WEIGHT = ("weight",)
_BATCH_NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
_BARE = ("",)  # a parameter of the network itself

Keys = dict[str, str | None]


@dataclass(frozen=True)
class Format:
    """One published network.

    Attributes
    ----------
    name : str
        Its class in the published code.
    keys : callable
        Gives, for a state dict, every key that the network has and the key that it gets here: None for what
        its forward pass never reads. Keys that share a place are put one below the other.
    net : callable
        Gives, for a state dict, the network's name here and its parameters.
    trains_as : str
        Name of the network that takes its place where one is trained.
    subjects : tuple of str
        Ids of the subjects that the network tells apart.
    """

    name: str
    keys: Callable[[Mapping], Keys]
    net: Callable[[Mapping], tuple[str, dict[str, Any]]]
    trains_as: str
    subjects: tuple[str, ...] = ()


def _layer(theirs: str, ours: str | None, entries: tuple[str, ...] = _LINEAR) -> Keys:
    return {
        f"{theirs}.{entry}".rstrip("."): None if ours is None else f"{ours}.{entry}".rstrip(".")
        for entry in entries
    }


def _unused_subject_layers(state: Mapping, used: Keys | None = None) -> Keys:
    """Linear layers for each subject: as many as the run had, of which the first or none is ever used."""
    numbers = {int(m[1]) for key in state if (m := re.match(r"subject_wise_linear\.(\d+)\.", key))}
    keys: Keys = {}
    for number in sorted({0} | numbers):
        keys |= _layer(f"subject_wise_linear.{number}", None)
    return keys | (used or {})


_LOGIT_SCALE = _layer("logit_scale", "clip.log_scale", _BARE)
_TSCONV = (
    _layer("enc_eeg.0.tsconv.0", "tsconv.temporal")
    | _layer("enc_eeg.0.tsconv.2", "tsconv.temporal_norm", _BATCH_NORM)
    | _layer("enc_eeg.0.tsconv.4", "tsconv.spatial")
    | _layer("enc_eeg.0.tsconv.5", "tsconv.spatial_norm", _BATCH_NORM)
    | _layer("enc_eeg.0.projection.0", "tsconv.projection")
)
_HEAD = (
    _layer("proj_eeg.0", "head.inputs")
    | _layer("proj_eeg.1.fn.1", "head.residual.1")
    | _layer("proj_eeg.2", "head.norm")
)


# Averaging window and its step: not seen in the weights.
_POOL, _STEP = 51, 5
# Samples of an epoch in the published recordings, EEG at 250 Hz and MEG at 200 Hz.
_PUBLISHED_LENGTHS = (250, 201)


def _tsconv_sizes(state: Mapping) -> dict[str, int]:
    temporal, spatial = state["enc_eeg.0.tsconv.0.weight"], state["enc_eeg.0.tsconv.4.weight"]
    return {
        "n_outputs": len(state["proj_eeg.0.weight"]),
        "n_chans": spatial.shape[2],
        "n_filters": len(temporal),
        "kernel_length": temporal.shape[-1],
        "pool_length": _POOL,
        "pool_stride": _STEP,
    }


def _length(remaining: Callable[[int], int], wanted: int) -> int:
    """Number of samples of which `wanted` values remain: a published length where one fits, else the shortest."""
    return next(n for n in (*_PUBLISHED_LENGTHS, *range(1, 10_000)) if remaining(n) == wanted)


# -- ATM-S --------------------------------------------------------------------------------------------


def _atms_keys(state: Mapping) -> Keys:
    embedding, layer = "encoder.enc_embedding", "encoder.encoder.attn_layers.0"
    attention = f"{layer}.attention"
    return (
        _LOGIT_SCALE
        | _layer(f"{embedding}.mask_token", None, _BARE)
        | _layer(f"{embedding}.value_embedding", "embedding")
        | _layer(f"{embedding}.position_embedding.pe", None, _BARE)
        | _layer(f"{embedding}.temporal_embedding.embed", None, _WEIGHT)
        | _layer(f"{embedding}.subject_embedding.shared_embedding", "subject.shared", _BARE)
        | _layer(f"{embedding}.subject_embedding.mask_embedding", None, _BARE)
        | _layer(f"{embedding}.subject_embedding.subject_embedding.weight", "subject.known", _BARE)
        | _layer(f"{attention}.query_projection", "layers.0.attention.qkv")
        | _layer(f"{attention}.key_projection", "layers.0.attention.qkv")
        | _layer(f"{attention}.value_projection", "layers.0.attention.qkv")
        | _layer(f"{attention}.out_projection", "layers.0.attention.out")
        | _layer(f"{layer}.conv1", "layers.0.feed_forward.0")
        | _layer(f"{layer}.conv2", "layers.0.feed_forward.3")
        | _layer(f"{layer}.norm1", "layers.0.attention_norm")
        | _layer(f"{layer}.norm2", "layers.0.feed_forward_norm")
        | _layer("encoder.encoder.norm", "norm")
        | _unused_subject_layers(state)
        | _TSCONV
        | _HEAD
    )


def _atms_net(state: Mapping) -> tuple[str, dict[str, Any]]:
    return "reference/ATMS", {
        **_tsconv_sizes(state),
        "n_times": state["encoder.enc_embedding.value_embedding.weight"].shape[1],
        "n_subjects": len(ATMS_SUBJECTS),
        "n_heads": 4,
        "d_ff": len(state["encoder.encoder.attn_layers.0.conv1.weight"]),
    }


# The published code takes the number at the end of "sub-XX" as a row of a table of ten: row 0 is nobody's, and
# sub-10 lies outside, which gives it the shared token.
ATMS_SUBJECTS = tuple(f"sub-{number:02d}" for number in range(1, 10))


# -- NICE ---------------------------------------------------------------------------------------------


def _nice_net(state: Mapping) -> tuple[str, dict[str, Any]]:
    sizes = _tsconv_sizes(state)
    n_windows = state["proj_eeg.0.weight"].shape[1] // sizes["n_filters"]
    n_times = _length(lambda n: (n - sizes["kernel_length"] - _POOL + 1) // _STEP + 1, n_windows)
    return "nice", {**sizes, "n_times": n_times}


# -- ATM-E and B.D. ("MetaEEG"): attention over time ---------------------------------------------------


def _time_attention(state: Mapping) -> Keys:
    theirs, ours = "attention_model.transformer_encoder.layers.0", "attention.layer"
    # nn.TransformerEncoder copies the layer that it is given; the original stays behind, untrained.
    prototype = "attention_model.encoder_layer"
    keys = _layer("attention_model.pos_encoder.pe", None, _BARE)
    for part, place in {
        "self_attn.out_proj": "attention.out",
        "linear1": "feed_forward.0",
        "linear2": "feed_forward.3",
        "norm1": "attention_norm",
        "norm2": "feed_forward_norm",
    }.items():
        keys |= _layer(f"{prototype}.{part}", None) | _layer(f"{theirs}.{part}", f"{ours}.{place}")
    for entry in _LINEAR:
        keys[f"{prototype}.self_attn.in_proj_{entry}"] = None
        keys[f"{theirs}.self_attn.in_proj_{entry}"] = f"{ours}.attention.qkv.{entry}"
    return keys | _unused_subject_layers(state, _layer("subject_wise_linear.0", "mix_times"))


def _eegnet(theirs: str, ours: str) -> Keys:
    return (
        _layer(f"{theirs}.conv_temporal", f"{ours}conv_temporal", _WEIGHT)
        | _layer(f"{theirs}.bnorm_temporal", f"{ours}bnorm_temporal", _BATCH_NORM)
        # braindecode 0.8 cut the weight down to its norm in the forward pass, 1.x has a parametrization for it.
        | {f"{theirs}.conv_spatial.weight": f"{ours}conv_spatial.parametrizations.weight.original"}
        | _layer(f"{theirs}.bnorm_1", f"{ours}bnorm_1", _BATCH_NORM)
        | _layer(f"{theirs}.conv_separable_depth", f"{ours}conv_separable_depth", _WEIGHT)
        | _layer(f"{theirs}.conv_separable_point", f"{ours}conv_separable_point", _WEIGHT)
        | _layer(f"{theirs}.bnorm_2", f"{ours}bnorm_2", _BATCH_NORM)
        | _layer(f"{theirs}.final_layer.conv_classifier", f"{ours}final_layer.conv_classifier")
    )


def _time_attention_sizes(state: Mapping) -> dict[str, int]:
    return {
        "n_chans": state["attention_model.pos_encoder.pe"].shape[1],
        "n_times": len(state["subject_wise_linear.0.weight"]),
        "d_ff": len(state["attention_model.transformer_encoder.layers.0.linear1.weight"]),
    }


def _atme_net(state: Mapping) -> tuple[str, dict[str, Any]]:
    n_features, n_outputs = state["proj_eeg.0.weight"].shape[::-1]
    return "atm-e", {
        **_time_attention_sizes(state),
        "n_outputs": n_outputs,
        "n_features": n_features,
    }


def _meta_keys(state: Mapping) -> Keys:
    block = "conv_blocks.0"
    keys = _LOGIT_SCALE | _time_attention(state)
    for part in ("conv1", "conv2", "conv3", "norm1", "norm2", "norm3", "residual_conv"):
        keys |= _layer(f"{block}.{part}", f"convs.{part}")
    return (
        keys
        | _layer("linear_projection.1", "projection")
        | _layer("temporal_aggregation", "aggregation")
        | _layer("clip_head.layer1.1", "head.0")
        | _layer("clip_head.layer1.2", "head.1")
        | _layer("mse_head.layer1.1", None)
        | _layer("mse_head.layer1.2", None)
    )


def _meta_net(state: Mapping) -> tuple[str, dict[str, Any]]:
    return "brain-module", {
        **_time_attention_sizes(state),
        "n_outputs": len(state["clip_head.layer1.2.weight"]),
    }


# -- EEGNet -------------------------------------------------------------------------------------------


def _eegnet_net(state: Mapping) -> tuple[str, dict[str, Any]]:
    temporal, spatial = state["eegnet.conv_temporal.weight"], state["eegnet.conv_spatial.weight"]
    classifier = state["eegnet.final_layer.conv_classifier.weight"]
    kernel_length, depthwise = temporal.shape[-1], state["eegnet.conv_separable_depth.weight"].shape[-1]
    n_times = _length(lambda n: _eegnet_length(n, kernel_length, depthwise), classifier.shape[-1])
    return "EEGNet", {
        "n_outputs": len(classifier),
        "n_chans": spatial.shape[2],
        "n_times": n_times,
        "F1": len(temporal),
        "D": len(spatial) // len(temporal),
        "F2": classifier.shape[1],
        "kernel_length": kernel_length,
        "depthwise_kernel_length": depthwise,
        "drop_prob": 0.25,
    }


def _eegnet_length(n_times: int, kernel_length: int, depthwise_kernel_length: int) -> int:
    """Number of samples that EEGNet's last layer sees."""
    pooled = (n_times + 2 * (kernel_length // 2) - kernel_length + 1) // 4
    return (pooled + 2 * (depthwise_kernel_length // 2) - depthwise_kernel_length + 1) // 8


# -- MLP ----------------------------------------------------------------------------------------------


def _mlp_keys(state: Mapping) -> Keys:
    numbers = {int(m[1]) for key in state if (m := re.match(r"blocks\.(\d+)\.", key))}
    blocks = ["input_layer", *(f"blocks.{n}" for n in sorted(numbers)), "output_layer"]
    # The published network keeps every block twice, under its own name and in a sequence.
    again = ["projector.0", *(f"projector.1.{n}" for n in sorted(numbers)), "projector.2"]
    keys = dict(_LOGIT_SCALE)
    for number, (block, twin) in enumerate(zip(blocks, again, strict=True)):
        for place, mixer in ((0, "time_mixers"), (5, "chan_mixers")):
            keys |= _layer(f"{twin}.{place}", f"{mixer}.{number}.0")
            keys |= _layer(f"{twin}.{place + 1}", f"{mixer}.{number}.1")
            keys |= _layer(f"{block}.{place}", None) | _layer(f"{block}.{place + 1}", None)
    return keys


def _mlp_net(state: Mapping) -> tuple[str, dict[str, Any]]:
    return "mlp", {
        "n_outputs": len(state["projector.2.1.weight"]),
        "n_chans": state["projector.0.6.weight"].shape[1],
        "n_times": state["projector.0.1.weight"].shape[1],
        "n_hidden_times": len(state["projector.0.1.weight"]),
        "n_hidden_chans": len(state["projector.0.6.weight"]),
        "n_hidden_blocks": len({key.split(".")[1] for key in state if key.startswith("blocks.")}),
    }


# What has another shape here, by our key: row 0 of the subjects' table is nobody's, and a convolution of kernel 1
# is a linear layer.
ADAPT: dict[str, Callable] = {
    "subject.known": lambda table: table[1:],
    "layers.0.feed_forward.0.weight": lambda kernel: kernel.squeeze(-1),
    "layers.0.feed_forward.3.weight": lambda kernel: kernel.squeeze(-1),
}
# Tables of positions, computed rather than read.
POSITIONS = {"encoder.enc_embedding.position_embedding.pe", "attention_model.pos_encoder.pe"}

FORMATS = (
    Format("ATMS", _atms_keys, _atms_net, "atm-s", ATMS_SUBJECTS),
    Format(
        "ATM_E",
        lambda state: (
            _LOGIT_SCALE | _time_attention(state) | _eegnet("enc_eeg.0.tsconv", "eegnet.net.") | _HEAD
        ),
        _atme_net,
        "atm-e",
    ),
    Format("NICE", lambda state: _LOGIT_SCALE | _TSCONV | _HEAD, _nice_net, "nice"),
    Format("MLP", _mlp_keys, _mlp_net, "mlp"),
    Format("MetaEEG", _meta_keys, _meta_net, "brain-module"),
    Format("EEGNetv4", lambda state: _LOGIT_SCALE | _eegnet("eegnet", ""), _eegnet_net, "eegnet"),
)
