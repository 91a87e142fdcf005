"""Loading SDXL and its IP-Adapter: from the hub's cache, from the hub, or from a folder."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ADAPTER_REPO = "h94/IP-Adapter"
ADAPTER_FILE = "sdxl_models/ip-adapter_sdxl_vit-h.safetensors"
_PARTS = "model_index.json, scheduler/, text_encoder/, text_encoder_2/, tokenizer/, tokenizer_2/, unet/, vae/"


@dataclass(frozen=True)
class Source:
    """Where a pipeline comes from and where it goes: equal sources share one pipeline."""

    weights: str
    ip_adapter: str | None
    dtype: str
    device: str
    offload: str | None
    cache_dir: str | None
    local_files_only: bool


class Loaded:
    """A pipeline, its image-to-image form with the same weights, and a lock: a scheduler serves one call at a time."""

    def __init__(self, pipeline: Any, n_dims: int, source: Source) -> None:
        self.n_dims = n_dims
        self.lock = threading.Lock()
        self._source = source
        self._forms = {"text": pipeline}
        self._last = ""

    def form(self, name: str) -> Any:
        """Return the form "text" (from noise) or "image" (from a picture)."""
        if name not in self._forms:
            from diffusers import StableDiffusionXLImg2ImgPipeline

            self._forms[name] = _prepare(
                StableDiffusionXLImg2ImgPipeline(**self._forms["text"].components, add_watermarker=False)
            )
        pipeline = self._forms[name]
        if name != self._last:
            # The hooks that move weights belong to one form at a time.
            if self._source.offload == "model":
                pipeline.enable_model_cpu_offload(device=self._source.device)
            elif self._source.offload == "sequential":
                pipeline.enable_sequential_cpu_offload(device=self._source.device)
            self._last = name
        return pipeline


# Clones of one generator, as a grid search makes, must not each load seven gigabytes.
_LOADED: weakref.WeakValueDictionary[Source, Loaded] = weakref.WeakValueDictionary()
_LOADING = threading.Lock()


def load_pipeline(source: Source) -> Loaded:
    """Load a pipeline, or return that of an equal source which is still in use.

    Raises
    ------
    FileNotFoundError
        If weights are absent; the message says which, and where to put them.
    ValueError
        If the IP-Adapter is not one for single image embeddings, or does not fit the UNet.
    """
    with _LOADING:
        loaded = _LOADED.get(source)
        if loaded is None:
            adapter = _read_adapter(source)
            loaded = _LOADED[source] = Loaded(
                _build(source, adapter), adapter["image_proj"]["proj.weight"].shape[1], source
            )
    return loaded


def _build(source: Source, adapter: dict[str, dict]) -> Any:
    import torch
    from diffusers import StableDiffusionXLPipeline

    try:
        pipeline = StableDiffusionXLPipeline.from_pretrained(
            source.weights,
            dtype=getattr(torch, source.dtype),
            variant=_variant(source),
            use_safetensors=True,  # never pickles
            trust_remote_code=False,  # nor code that comes with the weights
            add_watermarker=False,
            cache_dir=source.cache_dir,
            local_files_only=source.local_files_only,
        )
    except (OSError, ValueError) as error:
        raise FileNotFoundError(
            f"weights: {source.weights} is not there to load ({_first_line(error)}). Download the model from the Hugging"
            f" Face hub into a folder, in diffusers' form ({_PARTS}), and pass weights=folder."
        ) from error
    pipeline.vae.enable_slicing()  # decoding a whole batch at once is what takes most memory
    try:
        with quiet():
            pipeline.load_ip_adapter(adapter, subfolder="", weight_name="", image_encoder_folder=None)
    except (RuntimeError, KeyError, ValueError) as error:
        raise ValueError(
            f"ip_adapter: the weights do not fit the UNet of {source.weights} ({_first_line(error)})."
            f" Take {ADAPTER_FILE} of {ADAPTER_REPO}, which is made for SDXL."
        ) from error
    with quiet():
        return _prepare(pipeline if source.offload else pipeline.to(source.device))


def _prepare(pipeline: Any) -> Any:
    pipeline.set_progress_bar_config(disable=True)
    # diffusers repeats embeddings once per row of the batch: right for one that serves all rows, but of several ones
    # every row would get all, mixed. Ours are one per row already.
    pipeline.prepare_ip_adapter_image_embeds = _as_they_are
    return pipeline


def _as_they_are(ip_adapter_image: Any, ip_adapter_image_embeds: list, device: Any, *_: Any) -> list:
    return [embeds.to(device) for embeds in ip_adapter_image_embeds]


def _variant(source: Source) -> str | None:
    """Half-precision files, if that is what there is, or all that is needed: they are half as large."""
    unet = Path(source.weights) / "unet"
    if not unet.is_dir():
        return None if source.dtype == "float32" else "fp16"
    names = [path.name for path in unet.glob("*.safetensors*")]
    half = [name for name in names if ".fp16." in name]
    return "fp16" if half and (source.dtype != "float32" or len(half) == len(names)) else None


def _read_adapter(source: Source) -> dict[str, dict]:
    """State dict of the IP-Adapter in its two parts."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = _find_adapter(source)
    try:
        state = load_file(path)
    except SafetensorError as error:
        raise ValueError(
            f"ip_adapter: {path} is not a readable safetensors file ({error}). Download it again."
        ) from error
    parts: dict[str, dict] = {"image_proj": {}, "ip_adapter": {}}
    for key, value in state.items():
        part, _, name = key.partition(".")
        parts.setdefault(part, {})[name] = value
    if "proj.weight" not in parts["image_proj"] or not parts["ip_adapter"]:
        raise ValueError(
            f"ip_adapter: {path} is not an IP-Adapter for one embedding per picture (it has no"
            f" image_proj.proj.weight; the 'plus' ones take many). Take {ADAPTER_FILE} of {ADAPTER_REPO}."
        )
    return parts


def _find_adapter(source: Source) -> Path:
    if source.ip_adapter is not None:
        given = Path(source.ip_adapter)
        name = ADAPTER_FILE.rpartition("/")[2]
        for path in (given, given / name, given / ADAPTER_FILE):
            if path.is_file():
                return path
        raise FileNotFoundError(
            f"ip_adapter: there is no file {given}, and no folder of that name with {name} in it. Download"
            f" {ADAPTER_FILE} of {ADAPTER_REPO} from the Hugging Face hub, and pass its path."
        )
    from huggingface_hub import hf_hub_download

    try:
        return Path(
            hf_hub_download(
                ADAPTER_REPO,
                ADAPTER_FILE,
                cache_dir=source.cache_dir,
                local_files_only=source.local_files_only,
            )
        )
    except Exception as error:  # of the hub and of its HTTP client, without a common base
        raise FileNotFoundError(
            f"ip_adapter: {ADAPTER_FILE} of {ADAPTER_REPO} is not in the cache and cannot be downloaded"
            f" ({_first_line(error)}). Download it from the Hugging Face hub, and pass ip_adapter=path."
        ) from error


def _first_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else ''}"


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep diffusers from warning that there is no image encoder (none is needed), and of each of its own casts."""
    loggers = [
        logging.getLogger(f"diffusers.{name}") for name in ("loaders.ip_adapter", "models.modeling_utils")
    ]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


def as_path(value: str | os.PathLike | None) -> str | None:
    """Return a path as text, so that equal ones are equal."""
    return None if value is None else os.fspath(value)
