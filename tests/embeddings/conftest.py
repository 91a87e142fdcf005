"""Tiny CLIP models with random weights, in the forms that real ones come in."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

_TEXT = {"context_length": 77, "vocab_size": 49408, "width": 8, "heads": 2, "layers": 1}
_VIT = {"image_size": 32, "layers": 4, "width": 16, "head_width": 8, "patch_size": 8}
_TIMM = {"image_size": 160, "timm_model_pretrained": False}
CONFIGS: dict[str, dict[str, Any]] = {
    "vit": {"embed_dim": 8, "vision_cfg": _VIT, "text_cfg": _TEXT},
    "resnet": {
        "embed_dim": 8,
        "vision_cfg": {"image_size": 64, "layers": [1, 1, 1, 1], "width": 8, "head_width": 16},
        "text_cfg": _TEXT,
    },
    "timm-vit": {
        "embed_dim": 8,
        "vision_cfg": {**_TIMM, "timm_model_name": "test_vit", "timm_pool": "token"},
        "text_cfg": _TEXT,
    },
    "timm-convnext": {
        "embed_dim": 8,
        "vision_cfg": {**_TIMM, "timm_model_name": "test_convnext", "timm_pool": ""},
        "text_cfg": _TEXT,
    },
    # Normalises what encode_image and encode_text give, unless it is told not to, and pools by attention.
    "coca": {
        "embed_dim": 8,
        "vision_cfg": {**_VIT, "attentional_pool": True, "attn_pooler_heads": 2, "output_tokens": True},
        "text_cfg": {**_TEXT, "context_length": 76, "embed_cls": True, "output_tokens": True},
        "multimodal_cfg": {**_TEXT, "context_length": 76, "attn_pooler_heads": 2},
        "custom_text": True,
    },
}


@dataclass(frozen=True)
class TinyClip:
    """A registered model: its name in open_clip, a file with its weights, and the model built by open_clip alone."""

    name: str
    weights: str
    net: Any
    preprocess: Any

    def encode(self, pictures: list) -> np.ndarray:
        import torch

        with torch.no_grad():
            batch = torch.stack([self.preprocess(picture) for picture in pictures])
            return self.net.encode_image(batch, normalize=False).numpy()


@pytest.fixture(scope="session")
def tiny_clip(tmp_path_factory):
    """From a kind in CONFIGS to a TinyClip."""
    folder = tmp_path_factory.mktemp("tiny_clip")
    made: dict[str, TinyClip] = {}

    def make(kind: str = "vit") -> TinyClip:
        import open_clip
        import torch

        if kind not in made:
            name = f"skeegclip-test-{kind}"
            (folder / f"{name}.json").write_text(json.dumps(CONFIGS[kind]))
            open_clip.add_model_config(folder / f"{name}.json")
            with torch.random.fork_rng():
                torch.manual_seed(0)
                net = open_clip.create_model(name, pretrained_image=False)
            for module in net.modules():  # a new ResNet's blocks add nothing
                if isinstance(module, torch.nn.BatchNorm2d):
                    torch.nn.init.ones_(module.weight)
            path = folder / f"{name}.pt"
            torch.save(net.state_dict(), path)
            net, _, preprocess = open_clip.create_model_and_transforms(name, pretrained=str(path))
            made[kind] = TinyClip(name, str(path), net.eval(), preprocess)
        return made[kind]

    return make


@pytest.fixture(scope="session")
def clip_folder(tiny_clip, tmp_path_factory) -> Path:
    """A folder as `open_clip.push_to_hf_hub` fills it, with a preprocessing of its own."""
    folder = tmp_path_factory.mktemp("clip_folder")
    preprocess = {"mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25], "resize_mode": "squash"}
    about = {"model_cfg": CONFIGS["vit"], "preprocess_cfg": preprocess}
    (folder / "open_clip_config.json").write_text(json.dumps(about))
    shutil.copy(tiny_clip().weights, folder / "open_clip_pytorch_model.bin")
    return folder


@pytest.fixture
def pictures() -> list:
    """Five photographs of noise, of several shapes."""
    rng = np.random.default_rng(0)
    sizes = [(50, 70), (32, 32), (90, 40), (33, 64), (20, 20)]
    return [Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8)) for size in sizes]
