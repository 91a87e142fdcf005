"""Pictures by networks of SDXL's sizes with random weights, through the library's own SDXLGenerator."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np
import torch

N_TOKENS = 4  # of the IP-Adapter
# As published; the U-Net has 2,567,463,684 parameters.
FULL = {
    "unet": {
        "sample_size": 64,
        "block_out_channels": (320, 640, 1280),
        "layers_per_block": 2,
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        "attention_head_dim": (5, 10, 20),
        "transformer_layers_per_block": (1, 2, 10),
        "cross_attention_dim": 2048,
        "addition_time_embed_dim": 256,
        "projection_class_embeddings_input_dim": 1280 + 6 * 256,
    },
    "vae": {"block_out_channels": (128, 256, 512, 512), "layers_per_block": 2, "sample_size": 512},
    "text": {
        "hidden_size": 768,
        "intermediate_size": 3072,
        "num_attention_heads": 12,
        "num_hidden_layers": 12,
    },
    "text_2": {
        "hidden_size": 1280,
        "intermediate_size": 5120,
        "num_attention_heads": 20,
        "num_hidden_layers": 32,
    },
    "vocab_size": 49_408,
}
SMALL = {
    "unet": {
        "sample_size": 8,
        "block_out_channels": (8, 16),
        "layers_per_block": 1,
        "norm_num_groups": 4,
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
        "attention_head_dim": (1, 2),
        "transformer_layers_per_block": (1, 1),
        "cross_attention_dim": 32,
        "addition_time_embed_dim": 4,
        "projection_class_embeddings_input_dim": 16 + 6 * 4,
    },
    "vae": {"block_out_channels": (8, 8, 8, 8), "norm_num_groups": 4, "sample_size": 64},
    "text": {"hidden_size": 16, "intermediate_size": 16, "num_attention_heads": 2, "num_hidden_layers": 2},
    "text_2": {"hidden_size": 16, "intermediate_size": 16, "num_attention_heads": 2, "num_hidden_layers": 2},
    "vocab_size": 300,
}


def pictures(bench):
    """Seconds a picture of SDXL-turbo's four steps at 512 x 512, with the weights on the card and off it."""
    from skeegclip.generation import SDXLGenerator

    sizes, n, side = bench.sized(FULL, SMALL), bench.sized(4, 2), bench.sized(512, 64)
    Z = 20 * np.random.default_rng(0).standard_normal((n, 1024)).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        start = time.perf_counter()
        n_weights = write(place, sizes, bench)
        note = f"random; written in {time.perf_counter() - start:.0f} s"
        bench.row("parameters of the U-Net", n_weights, "", note)
        for offload in (None, "model") if bench.on_gpu else (None,):
            bench.fresh()
            generator = SDXLGenerator(
                weights=place / "sdxl", ip_adapter=place, size=side, batch_size=n, device=str(bench.device),
                offload=offload, verbose=0,
            )  # fmt: skip
            generator.generate(Z, random_state=0)  # loads
            bench.sync()
            start = time.perf_counter()
            made = generator.generate(Z, random_state=0)
            seconds = (time.perf_counter() - start) / n
            what = "weights on the device" if offload is None else f"offload={offload!r}"
            bench.row(
                what, seconds, "s a picture", f"{made.shape[1]} x {made.shape[2]} {bench.gigabytes()}".strip()
            )
            del generator


def write(folder, sizes, bench):
    """A pipeline in diffusers' form, and an adapter for it; returns how many parameters the U-Net has."""
    from diffusers import AutoencoderKL, EulerAncestralDiscreteScheduler, StableDiffusionXLPipeline
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

    tokens = {"bos_token_id": 298, "eos_token_id": 299, "pad_token_id": 299, "max_position_embeddings": 77}
    configs = [
        CLIPTextConfig(
            **sizes[name], **tokens, projection_dim=sizes[name]["hidden_size"], vocab_size=sizes["vocab_size"]
        )
        for name in ("text", "text_2")
    ]
    before = torch.get_default_dtype()
    try:
        torch.set_default_dtype(torch.float16 if bench.on_gpu else torch.float32)
        with bench.device:  # on a card random weights cost no time
            parts = {
                "unet": unet_of(sizes),
                "vae": AutoencoderKL(
                    **sizes["vae"],
                    latent_channels=4,
                    down_block_types=("DownEncoderBlock2D",) * 4,
                    up_block_types=("UpDecoderBlock2D",) * 4,
                ),
                "text_encoder": CLIPTextModel(configs[0]),
                "text_encoder_2": CLIPTextModelWithProjection(configs[1]),
            }
    finally:
        torch.set_default_dtype(before)
    pipeline = StableDiffusionXLPipeline(
        **parts,
        tokenizer=tokenizer(CLIPTokenizer),
        tokenizer_2=tokenizer(CLIPTokenizer),
        scheduler=EulerAncestralDiscreteScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", timestep_spacing="trailing"
        ),
        add_watermarker=False,
    )
    # What the published files are called, and what the generator asks for on a card.
    pipeline.save_pretrained(folder / "sdxl", variant="fp16" if bench.on_gpu else None)
    write_adapter(parts["unet"], folder / "ip-adapter_sdxl_vit-h.safetensors")
    return sum(p.numel() for p in parts["unet"].parameters())


def unet_of(sizes):
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel(**sizes["unet"], use_linear_projection=True, addition_embed_type="text_time")


def tokenizer(cls):
    letters = [chr(c) for c in range(33, 127)]
    vocab = {token: i for i, token in enumerate([*letters, *(f"{letter}</w>" for letter in letters)])}
    return cls(vocab={**vocab, "<|startoftext|>": 298, "<|endoftext|>": 299}, merges=[], model_max_length=77)


def write_adapter(unet, path):
    """Random weights under the names and in the shapes of the published file."""
    from safetensors.torch import save_file

    width = unet.config.cross_attention_dim
    state = {
        "image_proj.proj.weight": torch.randn(N_TOKENS * width, 1024) / 32,
        "image_proj.proj.bias": torch.zeros(N_TOKENS * width),
        "image_proj.norm.weight": torch.ones(width),
        "image_proj.norm.bias": torch.zeros(width),
    }
    for number, name in enumerate(unet.attn_processors):
        if "attn2" in name:
            hidden = unet.get_submodule(name.removesuffix(".processor")).to_k.out_features
            for part in ("to_k_ip", "to_v_ip"):
                state[f"ip_adapter.{number}.{part}.weight"] = torch.randn(hidden, width) / width**0.5
    save_file(state, path)
