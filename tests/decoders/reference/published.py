"""The published networks layer by layer: their weights under their published names, and one function each.

Independent of the package: plain torch, in the order of the paper. A network is a dict of layers; `tree` gives
them the names that they have in the published state dicts.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F


def tree(
    layers: dict[str, nn.Module | torch.Tensor], buffers: dict[str, torch.Tensor] | None = None
) -> nn.Module:
    """A module whose state dict has the layers' entries under these dotted names."""
    root = nn.Module()

    def parent(path: str) -> tuple[nn.Module, str]:
        module = root
        *folders, name = path.split(".")
        for folder in folders:
            if not hasattr(module, folder):
                module.add_module(folder, nn.Module())
            module = getattr(module, folder)
        return module, name

    for path, layer in layers.items():
        module, name = parent(path)
        if isinstance(layer, torch.Tensor):
            module.register_parameter(name, nn.Parameter(layer))
        else:
            module.add_module(name, layer)
    for path, buffer in (buffers or {}).items():
        module, name = parent(path)
        module.register_buffer(name, buffer)
    return root


def positions(n: int, width: int) -> torch.Tensor:
    """Sines in the even columns, cosines in the odd ones."""
    rate = np.exp(np.arange(0, width, 2) * (-np.log(10000.0) / width))
    table = np.zeros((n, width))
    table[:, 0::2] = np.sin(np.arange(n)[:, None] * rate)
    table[:, 1::2] = np.cos(np.arange(n)[:, None] * rate)[:, : width // 2]
    return torch.tensor(table, dtype=torch.float32)


# -- parts ----------------------------------------------------------------------------------------------


def tsconv_layers(n_chans):
    return {
        "enc_eeg.0.tsconv.0": nn.Conv2d(1, 40, (1, 25)),
        "enc_eeg.0.tsconv.2": nn.BatchNorm2d(40),
        "enc_eeg.0.tsconv.4": nn.Conv2d(40, 40, (n_chans, 1)),
        "enc_eeg.0.tsconv.5": nn.BatchNorm2d(40),
        "enc_eeg.0.projection.0": nn.Conv2d(40, 40, 1),
    }


def tsconv(layer, x):
    x = layer("enc_eeg.0.tsconv.0")(x.unsqueeze(1))
    x = F.avg_pool2d(x, (1, 51), (1, 5))
    x = F.elu(layer("enc_eeg.0.tsconv.2")(x))
    x = F.elu(layer("enc_eeg.0.tsconv.5")(layer("enc_eeg.0.tsconv.4")(x)))
    x = layer("enc_eeg.0.projection.0")(x)
    return x.flatten(2).transpose(1, 2).flatten(1)  # windows, then filters


def head_layers(n_features, n_outputs):
    return {
        "proj_eeg.0": nn.Linear(n_features, n_outputs),
        "proj_eeg.1.fn.1": nn.Linear(n_outputs, n_outputs),
        "proj_eeg.2": nn.LayerNorm(n_outputs),
    }


def head(layer, x):
    x = layer("proj_eeg.0")(x)
    return layer("proj_eeg.2")(x + layer("proj_eeg.1.fn.1")(F.gelu(x)))


def time_attention_layers(n_chans, n_times):
    layers = {}
    for name in ("encoder_layer", "transformer_encoder.layers.0"):
        layers |= {
            f"attention_model.{name}.self_attn.in_proj_weight": torch.randn(3 * n_chans, n_chans),
            f"attention_model.{name}.self_attn.in_proj_bias": torch.randn(3 * n_chans),
            f"attention_model.{name}.self_attn.out_proj": nn.Linear(n_chans, n_chans),
            f"attention_model.{name}.linear1": nn.Linear(n_chans, 2048),
            f"attention_model.{name}.linear2": nn.Linear(2048, n_chans),
            f"attention_model.{name}.norm1": nn.LayerNorm(n_chans),
            f"attention_model.{name}.norm2": nn.LayerNorm(n_chans),
        }
    return layers | {"subject_wise_linear.0": nn.Linear(n_times, n_times)}


def time_attention(layer, x):
    """Samples look at each other; then every channel's samples are mixed by the first subject's layer."""
    base = "attention_model.transformer_encoder.layers.0"
    attention = layer(f"{base}.self_attn")
    tokens = x.transpose(1, 2) + layer("attention_model.pos_encoder").pe[: x.shape[-1]]
    q, k, v = (tokens @ attention.in_proj_weight.T + attention.in_proj_bias).chunk(3, -1)
    weights = torch.softmax(q @ k.transpose(1, 2) / q.shape[-1] ** 0.5, -1)
    tokens = layer(f"{base}.norm1")(tokens + attention.out_proj(weights @ v))
    hidden = layer(f"{base}.linear2")(F.relu(layer(f"{base}.linear1")(tokens)))
    tokens = layer(f"{base}.norm2")(tokens + hidden)
    return layer("subject_wise_linear.0")(tokens.transpose(1, 2))


def eegnet_layers(prefix, n_outputs, n_chans, n_times):
    n_left = ((n_times + 1) // 4 + 1) // 8
    return {
        f"{prefix}.conv_temporal": nn.Conv2d(1, 8, (1, 4), bias=False),
        f"{prefix}.bnorm_temporal": nn.BatchNorm2d(8, eps=1e-3),
        f"{prefix}.conv_spatial": nn.Conv2d(8, 160, (n_chans, 1), groups=8, bias=False),
        f"{prefix}.bnorm_1": nn.BatchNorm2d(160, eps=1e-3),
        f"{prefix}.conv_separable_depth": nn.Conv2d(160, 160, (1, 16), groups=160, bias=False),
        f"{prefix}.conv_separable_point": nn.Conv2d(160, 160, 1, bias=False),
        f"{prefix}.bnorm_2": nn.BatchNorm2d(160, eps=1e-3),
        f"{prefix}.final_layer.conv_classifier": nn.Conv2d(160, n_outputs, (1, n_left)),
    }


def eegnet(layer, prefix, x):
    x = layer(f"{prefix}.conv_temporal")(F.pad(x.unsqueeze(1), (2, 2)))
    x = layer(f"{prefix}.bnorm_temporal")(x)
    spatial = layer(f"{prefix}.conv_spatial").weight
    norm = spatial.flatten(1).norm(dim=1)[:, None, None, None]
    x = F.conv2d(x, torch.where(norm > 1, spatial / norm, spatial), groups=8)  # norms of one at most
    x = F.avg_pool2d(F.elu(layer(f"{prefix}.bnorm_1")(x)), (1, 4))
    x = layer(f"{prefix}.conv_separable_point")(layer(f"{prefix}.conv_separable_depth")(F.pad(x, (8, 8))))
    x = F.avg_pool2d(F.elu(layer(f"{prefix}.bnorm_2")(x)), (1, 8))
    return layer(f"{prefix}.final_layer.conv_classifier")(x).flatten(1)


# -- networks: the layers, and what they compute ----------------------------------------------------------


def atms_layers(n_outputs=1024, n_chans=63, n_times=250, n_subject_layers=2):
    embedding, block = "encoder.enc_embedding", "encoder.encoder.attn_layers.0"
    inner = n_times // 4 * 4
    layers = {
        "logit_scale": torch.tensor(np.log(1 / 0.07)),
        f"{embedding}.mask_token": torch.randn(1, n_times),
        f"{embedding}.value_embedding": nn.Linear(n_times, n_times),
        f"{embedding}.temporal_embedding.embed": nn.Linear(4, n_times, bias=False),
        f"{embedding}.subject_embedding.shared_embedding": torch.randn(1, n_times),
        f"{embedding}.subject_embedding.mask_embedding": torch.randn(1, n_times),
        f"{embedding}.subject_embedding.subject_embedding": nn.Embedding(10, n_times),
        f"{block}.attention.query_projection": nn.Linear(n_times, inner),
        f"{block}.attention.key_projection": nn.Linear(n_times, inner),
        f"{block}.attention.value_projection": nn.Linear(n_times, inner),
        f"{block}.attention.out_projection": nn.Linear(inner, n_times),
        f"{block}.conv1": nn.Conv1d(n_times, 256, 1),
        f"{block}.conv2": nn.Conv1d(256, n_times, 1),
        f"{block}.norm1": nn.LayerNorm(n_times),
        f"{block}.norm2": nn.LayerNorm(n_times),
        "encoder.encoder.norm": nn.LayerNorm(n_times),
    }
    layers |= {f"subject_wise_linear.{i}": nn.Linear(n_times, n_times) for i in range(n_subject_layers)}
    n_features = 40 * ((n_times - 75) // 5 + 1)
    layers |= tsconv_layers(n_chans) | head_layers(n_features, n_outputs)
    return tree(layers, {f"{embedding}.position_embedding.pe": positions(5000, n_times)[None]})


def atms(net, x, subject):
    """ATM-S; `subject` is the number at the end of sub-XX, of which ten and more are nobody in particular."""
    layer = net.get_submodule
    embedding, block = layer("encoder.enc_embedding"), layer("encoder.encoder.attn_layers.0")
    tokens = embedding.value_embedding(x) + embedding.position_embedding.pe[0, : x.shape[1]]
    table = embedding.subject_embedding
    own = table.shared_embedding[0] if subject > 9 else table.subject_embedding.weight[subject]
    tokens = torch.cat([own.expand(len(x), 1, -1), tokens], 1)
    q, k, v = (
        getattr(block.attention, f"{name}_projection")(tokens).unflatten(-1, (4, -1)).transpose(1, 2)
        for name in ("query", "key", "value")
    )
    weights = torch.softmax(q @ k.transpose(2, 3) / q.shape[-1] ** 0.5, -1)
    tokens = block.norm1(tokens + block.attention.out_projection((weights @ v).transpose(1, 2).flatten(2)))
    hidden = block.conv2(F.gelu(block.conv1(tokens.transpose(1, 2)))).transpose(1, 2)
    tokens = layer("encoder.encoder.norm")(block.norm2(tokens + hidden))
    return head(layer, tsconv(layer, tokens[:, : x.shape[1]]))


def nice_layers(n_outputs=1024, n_chans=63, n_times=250):
    layers = {"logit_scale": torch.tensor(np.log(1 / 0.07))} | tsconv_layers(n_chans)
    return tree(layers | head_layers(40 * ((n_times - 75) // 5 + 1), n_outputs))


def nice(net, x):
    return head(net.get_submodule, tsconv(net.get_submodule, x))


def atme_layers(n_outputs=1024, n_chans=63, n_times=250, n_features=1440):
    layers = {"logit_scale": torch.tensor(np.log(1 / 0.07))} | time_attention_layers(n_chans, n_times)
    layers |= eegnet_layers("enc_eeg.0.tsconv", n_features, n_chans, n_times)
    layers |= head_layers(n_features, n_outputs)
    return tree(layers, {"attention_model.pos_encoder.pe": positions(5000, n_chans)})


def atme(net, x):
    layer = net.get_submodule
    return head(layer, eegnet(layer, "enc_eeg.0.tsconv", time_attention(layer, x)))


def meta_layers(n_outputs=1024, n_chans=63, n_times=250, n_subject_layers=1):
    layers = {"logit_scale": torch.tensor(np.log(100))} | time_attention_layers(n_chans, n_times)
    layers |= {f"subject_wise_linear.{i}": nn.Linear(n_times, n_times) for i in range(1, n_subject_layers)}
    layers |= {
        "conv_blocks.0.conv1": nn.Conv1d(n_chans, n_times, 3, padding=1),
        "conv_blocks.0.conv2": nn.Conv1d(n_times, n_times, 3, padding=1),
        "conv_blocks.0.conv3": nn.Conv1d(n_times, n_times, 3, padding=1),
        "conv_blocks.0.norm1": nn.LayerNorm(n_times),
        "conv_blocks.0.norm2": nn.LayerNorm(n_times),
        "conv_blocks.0.norm3": nn.LayerNorm(n_times),
        "conv_blocks.0.residual_conv": nn.Conv1d(n_chans, n_times, 1),
        "linear_projection.1": nn.Linear(n_times, n_outputs),
        "temporal_aggregation": nn.Linear(n_times, 1),
    }
    for name in ("clip_head", "mse_head"):
        layers |= {
            f"{name}.layer1.1": nn.LayerNorm(n_outputs),
            f"{name}.layer1.2": nn.Linear(n_outputs, n_outputs),
        }
    return tree(layers, {"attention_model.pos_encoder.pe": positions(5000, n_chans)})


def meta(net, x):
    layer, block = net.get_submodule, net.get_submodule("conv_blocks.0")
    x = time_attention(layer, x)
    residual = block.residual_conv(x)
    for i in (1, 2, 3):
        x = block.get_submodule(f"norm{i}")(F.gelu(block.get_submodule(f"conv{i}")(x)))
    x = layer("linear_projection.1")(x + residual)  # (batch, filters, dimensions)
    x = layer("temporal_aggregation")(x.transpose(1, 2)).squeeze(-1)
    return F.gelu(layer("clip_head.layer1.2")(layer("clip_head.layer1.1")(x)))


def eegnetv4_layers(n_outputs=1024, n_chans=63, n_times=250):
    return tree(
        {"logit_scale": torch.tensor(np.log(1 / 0.07))} | eegnet_layers("eegnet", n_outputs, n_chans, n_times)
    )


def eegnetv4(net, x):
    return eegnet(net.get_submodule, "eegnet", x)


def mlp_layers(n_outputs=1024, n_chans=63, n_times=250, hidden=(64, 1024)):
    def block(times, chans):
        return {
            "0": nn.LayerNorm(times[0]),
            "1": nn.Linear(*times),
            "5": nn.LayerNorm(chans[0]),
            "6": nn.Linear(*chans),
        }

    c, t = hidden
    layers = {"logit_scale": torch.tensor(np.log(100))}
    blocks = {
        ("input_layer", "projector.0"): block((n_times, t), (n_chans, c)),
        ("output_layer", "projector.2"): block((t, n_outputs), (c, 1)),
        ("blocks.0", "projector.1.0"): block((t, t), (c, c)),
        ("blocks.1", "projector.1.1"): block((t, t), (c, c)),
    }
    for names, parts in blocks.items():  # every block is there under two names
        layers |= {f"{name}.{place}": layer for name in names for place, layer in parts.items()}
    return tree(layers)


def mlp(net, x):
    layer = net.get_submodule
    for name in ("input_layer", "blocks.0", "blocks.1", "output_layer"):
        x = F.gelu(layer(f"{name}.1")(layer(f"{name}.0")(x)))
        x = F.gelu(layer(f"{name}.6")(layer(f"{name}.5")(x.transpose(1, 2)))).transpose(1, 2)
    return F.normalize(x.squeeze(1), dim=-1)


def eegitnet_layers(n_outputs=1024, n_chans=63, n_times=250):
    """EEGITNet of braindecode 0.8.1, in the order in which its layers are used."""

    def depthwise(n_filters, kernel):
        return nn.Conv2d(n_filters, n_filters, kernel, groups=n_filters, bias=False)

    layers = {"logit_scale": torch.tensor(np.log(1 / 0.07))}
    for branch, (n_filters, kernel) in enumerate([(2, 16), (4, 32), (8, 64)]):
        layers |= {
            f"inception.{branch}.0": nn.Conv2d(1, n_filters, (1, kernel), bias=False),
            f"inception.{branch}.1": nn.BatchNorm2d(n_filters),
            f"inception.{branch}.2": depthwise(n_filters, (n_chans, 1)),
            f"inception.{branch}.3": nn.BatchNorm2d(n_filters),
        }
    for block in range(4):
        for half in (0, 1):
            layers[f"causal.{block}.{half}.0"] = depthwise(14, (1, 4))
            layers[f"causal.{block}.{half}.1"] = nn.BatchNorm2d(14)
    layers |= {"reduction.0": nn.Conv2d(14, 28, 1), "reduction.1": nn.BatchNorm2d(28)}
    layers["final"] = nn.Linear(28 * (n_times // 4 // 4), n_outputs)
    return tree(layers)


def eegitnet(net, x):
    """Raw outputs: the log-softmax that the paper's code puts behind them is left out."""
    layer = net.get_submodule
    branches = []
    for branch, kernel in enumerate((16, 32, 64)):
        base = f"inception.{branch}"
        left = (kernel - 1) // 2  # padded to the same length
        y = layer(f"{base}.1")(layer(f"{base}.0")(F.pad(x.unsqueeze(1), (left, kernel - 1 - left))))
        branches.append(F.elu(layer(f"{base}.3")(layer(f"{base}.2")(y))))
    x = F.avg_pool2d(torch.cat(branches, 1), (1, 4))
    for block in range(4):
        y = x
        for half in (0, 1):
            base, gap = f"causal.{block}.{half}", 2**block
            y = F.conv2d(F.pad(y, (3 * gap, 0)), layer(f"{base}.0").weight, dilation=(1, gap), groups=14)
            y = F.elu(layer(f"{base}.1")(y))
        x = x + y
    x = F.avg_pool2d(F.elu(layer("reduction.1")(layer("reduction.0")(x))), (1, 4))
    return layer("final")(x.flatten(1))


LAYERS = {
    "ATMS": atms_layers,
    "ATM_E": atme_layers,
    "NICE": nice_layers,
    "MLP": mlp_layers,
    "MetaEEG": meta_layers,
    "EEGNetv4": eegnetv4_layers,
}
FORWARD = {"ATM_E": atme, "NICE": nice, "MLP": mlp, "MetaEEG": meta, "EEGNetv4": eegnetv4}
