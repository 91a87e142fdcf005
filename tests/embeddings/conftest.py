"""Tiny CLIP models with random weights, in the forms that real ones come in."""

from __future__ import annotations

import contextlib
import functools
import http.server
import json
import os
import shutil
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import huggingface_hub.constants
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


@pytest.fixture
def offline(monkeypatch, tmp_path):
    """No network, and an empty hub cache."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture
def in_hub_cache(tmp_path):
    """Put files where the hub's client keeps what it has downloaded."""

    def put(repository, commit, *files):
        folder = tmp_path / "hub" / f"models--{repository.replace('/', '--')}"
        snapshot = folder / "snapshots" / commit
        snapshot.mkdir(parents=True)
        (folder / "refs").mkdir(exist_ok=True)
        (folder / "refs" / "main").write_text(commit)
        for file in files:
            shutil.copy(file, snapshot)
        return snapshot

    return put


class _Hub(http.server.SimpleHTTPRequestHandler):
    """Serves files as the hub does: /owner/name/resolve/main/file, with the commit in a header."""

    def translate_path(self, path):
        return os.path.join(self.directory, path.partition("?")[0].rpartition("/")[2])

    def end_headers(self):
        revision = self.path.split("/")[-2]
        self.send_header("X-Repo-Commit", "0" * 40 if revision == "main" else revision)
        self.send_header("ETag", '"' + self.path.rpartition("/")[2] + '"')
        if not os.path.exists(self.translate_path(self.path)):
            self.send_header("X-Error-Code", "EntryNotFound")
        super().end_headers()

    def log_message(self, *args):
        pass


@pytest.fixture
def serve():
    """From a folder to the address of a server that gives its files as the hub does."""
    with contextlib.ExitStack() as stack:

        def start(folder):
            handler = functools.partial(_Hub, directory=str(folder))
            serving = stack.enter_context(http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler))
            thread = threading.Thread(target=serving.serve_forever, daemon=True)
            thread.start()
            stack.callback(thread.join)
            stack.callback(serving.shutdown)
            return f"http://127.0.0.1:{serving.server_port}"

        yield start


@pytest.fixture
def to_hub(monkeypatch):
    """Let the hub's client talk to a server of ours."""

    def direct(server):
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", server)
        template = server + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)

    return direct
