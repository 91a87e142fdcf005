"""The networks in whose features reconstructions are compared, and where their weights come from."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any

import numpy as np

from .._utils.device import resolve_device
from .._utils.hub import first_line, from_hub
from .._utils.pictures import read_picture, square

_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_OPENAI = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
_CLIP_MODEL = "ViT-L-14"
_OF_HUB = re.compile(r"https://huggingface\.co/(\w+/[\w.-]+)/resolve/main/")


@dataclass(frozen=True)
class Network:
    """A published network.

    Parameters
    ----------
    name : str
        Name in messages.
    url : str
        Where its weights are published; in a folder they keep that file name.
    size : int
        Pixels of the square pictures it sees.
    build : callable
        From the path of the weights to a module.
    layers : callable
        From the module and a batch of pictures to a tuple of features.
    scaling : tuple of two tuples of float
        Mean and standard deviation of the three channels.
    """

    name: str
    url: str
    size: int
    build: Callable[[Network, Path], Any]
    layers: Callable[[Any, Any], tuple] = lambda net, x: (net(x),)
    scaling: tuple = _IMAGENET

    @property
    def file(self) -> str:
        return self.url.rpartition("/")[2]


def extract(
    network: Network, module: Any, pictures: Sequence[Any], *, batch_size: int, name: str
) -> Iterator[tuple[np.ndarray, ...]]:
    """Yield, batch by batch, the features of pictures: a float32 array (n, n_features) for each layer."""
    import torch

    device = next(module.parameters()).device
    mean, std = (torch.tensor(part, device=device)[:, None, None] for part in network.scaling)
    for start in range(0, len(pictures), batch_size):
        batch = [square(read_picture(p, name), network.size) for p in pictures[start : start + batch_size]]
        with torch.inference_mode():
            x = torch.from_numpy(np.stack(batch)).to(device).permute(0, 3, 1, 2)
            layers = network.layers(module, (x - mean) / std)
        yield tuple(layer.flatten(1).float().cpu().numpy() for layer in layers)


def load_network(network: Network, weights: Any, device: Any) -> Any:
    """Build a network with its published weights, ready for use.

    Parameters
    ----------
    network : Network
        Which.
    weights : path-like | None
        As of `find_weights`.
    device : str
        Torch device.

    Returns
    -------
    torch.nn.Module
        In evaluation mode, on the device.

    Raises
    ------
    FileNotFoundError
        If there are no weights to be had.
    ValueError
        If the file does not hold this network's weights.
    """
    module = network.build(network, find_weights(network, weights))
    return module.eval().requires_grad_(False).to(resolve_device(device))


def find_weights(network: Network, weights: Any) -> Path:
    """Where a network's weights lie, without reading them: what would take long is begun after this.

    Parameters
    ----------
    network : Network
        Which.
    weights : path-like | None
        Folder with its file; None takes the cache of torch or of the Hugging Face hub, where what it lacks is downloaded.

    Raises
    ------
    FileNotFoundError
        If there are no weights to be had.
    """
    if weights is not None:
        path = Path(os.fspath(weights)) / network.file
        if not path.is_file():
            raise FileNotFoundError(
                f"weights: {path.parent} has no file {network.file}, the weights of {network.name}."
                f" Download {network.url} into that folder."
            )
        return path
    try:
        return _from_cache(network)
    except (OSError, RuntimeError, HTTPException) as error:  # torch's of a wrong digest is a RuntimeError
        raise FileNotFoundError(
            f"weights: those of {network.name} are not in the cache and cannot be downloaded"
            f" ({first_line(error.__cause__ or error)})."
            f" Download {network.url} into a folder, keep its name, and pass weights=folder."
        ) from error


def _from_cache(network: Network) -> Path:
    import torch

    if hub := _OF_HUB.match(network.url):
        command, instead = f"hf download {hub[1]} {network.file}", "pass a folder that holds them as weights="
        return Path(from_hub(hub[1], [network.file], network.name, command=command, instead=instead))
    path = Path(torch.hub.get_dir()) / "checkpoints" / network.file
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        # torchvision's file names end in the hash of the content, SwAV's does not.
        digest = re.search(r"-([0-9a-f]{8})\.pth$", network.file)
        torch.hub.download_url_to_file(network.url, str(path), None if digest is None else digest[1])
    return path


def _state_dict(path: Path) -> dict[str, Any]:
    import torch

    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # zip, pickle and end-of-file errors of many kinds
        raise ValueError(
            f"weights: {path} cannot be read as weights ({error}). Remove it, and let it be downloaded again."
        ) from error


def _fill(network: Network, path: Path, module: Any) -> Any:
    """Give a module that was built without memory its weights."""
    state = {key.removeprefix("module."): value for key, value in _state_dict(path).items()}
    try:
        # Not strict: heads that are not used stay in the file.
        missing = module.load_state_dict(state, strict=False, assign=True).missing_keys
    except RuntimeError as error:
        raise ValueError(f"weights: {network.file} does not fit {network.name} ({error}).") from error
    if missing:
        raise ValueError(
            f"weights: {network.file} lacks {len(missing)} tensors of {network.name} (first: {missing[0]!r})."
            f" Download {network.url} again."
        )
    return module


def _alexnet(network: Network, path: Path) -> Any:
    import torch
    from torchvision.models import alexnet

    with torch.device("meta"):
        net = alexnet()
    net.classifier = torch.nn.Identity()
    return _fill(network, path, net)


def _alexnet_layers(net: Any, x: Any) -> tuple:
    second = net.features[:5](x)
    return second, net.features[5:12](second)


def _inception(network: Network, path: Path) -> Any:
    import torch
    from torchvision.models import inception_v3

    with torch.device("meta"):
        # transform_input, as torchvision sets it for these weights: they were trained on another scaling.
        net = inception_v3(aux_logits=False, init_weights=False, transform_input=True)
    net.fc = torch.nn.Identity()
    return _fill(network, path, net)


def _efficientnet(network: Network, path: Path) -> Any:
    import torch
    from torchvision.models import efficientnet_b1

    with torch.device("meta"):
        net = efficientnet_b1()
    net.classifier = torch.nn.Identity()
    return _fill(network, path, net)


def _resnet(network: Network, path: Path) -> Any:
    import torch
    from torchvision.models import resnet50

    with torch.device("meta"):
        net = resnet50()
    net.fc = torch.nn.Identity()
    return _fill(network, path, net)


def _clip(network: Network, path: Path) -> Any:
    import open_clip

    try:
        # What OpenAI's weights were trained with; a file does not say so.
        return open_clip.create_model(_CLIP_MODEL, pretrained=str(path), force_quick_gelu=True)
    except Exception as error:  # of open_clip and safetensors, without a common base
        raise ValueError(f"weights: {path} cannot be read as {network.name} ({error}).") from error


_TORCHVISION = "https://download.pytorch.org/models/"
ALEXNET = Network("AlexNet", f"{_TORCHVISION}alexnet-owt-7be5be79.pth", 256, _alexnet, _alexnet_layers)
INCEPTION = Network("Inception-v3", f"{_TORCHVISION}inception_v3_google-0cc3c7bd.pth", 342, _inception)
EFFICIENTNET = Network("EfficientNet-B1", f"{_TORCHVISION}efficientnet_b1-c27df63c.pth", 255, _efficientnet)
SWAV = Network(
    "SwAV",
    "https://dl.fbaipublicfiles.com/deepcluster/swav_800ep_pretrain.pth.tar",
    224,
    _resnet,
)
CLIP = Network(
    "CLIP ViT-L/14",
    "https://huggingface.co/timm/vit_large_patch14_clip_224.openai/resolve/main/open_clip_model.safetensors",
    224,
    _clip,
    lambda net, x: (net.encode_image(x),),
    _OPENAI,
)
