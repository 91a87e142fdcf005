"""A very small SDXL with random weights, saved in diffusers' own format, and an IP-Adapter for it."""

from __future__ import annotations

from pathlib import Path

import pytest

WIDTH = 32  # of the UNet's cross-attention: the two text encoders together
N_TOKENS = 4  # of the IP-Adapter


@pytest.fixture(scope="session")
def tiny_sdxl(tmp_path_factory) -> Path:
    """Folder with ``sdxl/`` (a pipeline of 64 x 64 pixels) and ``ip-adapter_sdxl_vit-h.safetensors``."""
    import torch

    folder = tmp_path_factory.mktemp("tiny-sdxl")
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        pipeline = _pipeline()
        pipeline.save_pretrained(folder / "sdxl")
        _save_adapter(pipeline.unet, folder / "ip-adapter_sdxl_vit-h.safetensors")
    return folder


def _pipeline():
    from diffusers import (
        AutoencoderKL,
        EulerAncestralDiscreteScheduler,
        StableDiffusionXLPipeline,
        UNet2DConditionModel,
    )
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

    text = CLIPTextConfig(
        hidden_size=WIDTH // 2,
        intermediate_size=16,
        num_attention_heads=2,
        num_hidden_layers=2,
        projection_dim=WIDTH // 2,
        vocab_size=300,
        max_position_embeddings=77,
        bos_token_id=298,
        eos_token_id=299,
        pad_token_id=299,
    )
    unet = UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(8, 16),
        norm_num_groups=4,
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=(1, 2),
        transformer_layers_per_block=(1, 1),
        cross_attention_dim=WIDTH,
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=4,
        projection_class_embeddings_input_dim=WIDTH // 2 + 6 * 4,
    )
    vae = AutoencoderKL(
        block_out_channels=(8, 8, 8, 8),
        norm_num_groups=4,
        latent_channels=4,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        sample_size=64,
    )
    # SDXL-turbo's own scheduler and settings: an ancestral sampler, which draws noise at every step.
    scheduler = EulerAncestralDiscreteScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", timestep_spacing="trailing"
    )
    return StableDiffusionXLPipeline(
        vae=vae,
        text_encoder=CLIPTextModel(text),
        text_encoder_2=CLIPTextModelWithProjection(text),
        tokenizer=_tokenizer(CLIPTokenizer),
        tokenizer_2=_tokenizer(CLIPTokenizer),
        unet=unet,
        scheduler=scheduler,
        add_watermarker=False,
    )


def _tokenizer(cls):
    letters = [chr(c) for c in range(33, 127)]
    vocab = {token: i for i, token in enumerate([*letters, *(f"{letter}</w>" for letter in letters)])}
    vocab |= {"<|startoftext|>": 298, "<|endoftext|>": 299}
    return cls(vocab=vocab, merges=[], model_max_length=77)


def _save_adapter(unet, path) -> None:
    """Write random weights under the names and in the shapes of the published file."""
    import torch
    from safetensors.torch import save_file

    state = {
        "image_proj.proj.weight": torch.randn(N_TOKENS * WIDTH, 1024) / 32,
        "image_proj.proj.bias": torch.zeros(N_TOKENS * WIDTH),
        "image_proj.norm.weight": torch.ones(WIDTH),
        "image_proj.norm.bias": torch.zeros(WIDTH),
    }
    # As published: every attention has a number, self-attentions too, and the odd ones, across to the text, have weights.
    for number, name in enumerate(unet.attn_processors):
        if "attn2" in name:
            hidden = unet.get_submodule(name.removesuffix(".processor")).to_k.out_features
            for part in ("to_k_ip", "to_v_ip"):
                state[f"ip_adapter.{number}.{part}.weight"] = torch.randn(hidden, WIDTH) / WIDTH**0.5
    save_file(state, path)
