"""SDXLGenerator: pictures by Stable Diffusion XL, guided by an embedding."""

from __future__ import annotations

import warnings
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator

from ..._utils.device import resolve_device
from ..._utils.params import check_number, check_option
from ..._utils.pictures import read_picture, square, to_uint8
from .._sharing import Fitted, Portable, schema
from ._pipeline import Loaded, Source, as_path, load_pipeline, quiet
from .base import check_captions, check_embeddings, check_low_level, row_seeds

# Where each model lies on the hub, and how its authors sample from it.
_MODELS: dict[str, dict[str, Any]] = {
    "sdxl-turbo": {"weights": "stabilityai/sdxl-turbo", "n_steps": 4, "guidance_scale": 0.0, "size": 512},
    "sdxl-base": {
        "weights": "stabilityai/stable-diffusion-xl-base-1.0",
        "n_steps": 30,
        "guidance_scale": 5.0,
        "size": 1024,
    },
}


@schema
class _Facts:
    """Nothing is fitted."""


class SDXLGenerator(Portable, BaseEstimator):
    """Paint pictures with Stable Diffusion XL and an IP-Adapter [1]_ [2]_.

    The adapter hands the embedding to every cross-attention of the network, as if it were that of a picture. It was
    trained on **unnormalised** embeddings of OpenCLIP's ViT-H-14 (``laion2b_s32b_b79k``, 1024 dimensions), so the
    embeddings must be like those: in direction and in length.

    Nothing is loaded before the first picture. Clones share what is loaded, and a pickle leaves it out.

    Parameters
    ----------
    model : {"sdxl-turbo", "sdxl-base"}
        "sdxl-turbo" is distilled: 4 steps without guidance. "sdxl-base" takes more steps, and larger pictures.
    weights : path-like | str | None
        Folder of the model in diffusers' form, or name of another repository of the Hugging Face hub, for a fine-tuned
        one. None takes ``stabilityai/sdxl-turbo`` or ``stabilityai/stable-diffusion-xl-base-1.0``.
    ip_adapter : path-like | None
        File of the adapter, or a folder that holds ``ip-adapter_sdxl_vit-h.safetensors``. None takes
        ``sdxl_models/ip-adapter_sdxl_vit-h.safetensors`` of the hub's ``h94/IP-Adapter``.
    ip_adapter_scale : float
        Weight of the embedding against the caption; 1 as in the paper.
    n_steps : int | None
        Denoising steps; None is 4 for "sdxl-turbo" and 30 for "sdxl-base".
    guidance_scale : float | None
        Classifier-free guidance, at work above 1; None is 0 for "sdxl-turbo" and 5 for "sdxl-base".
    strength : float
        How much a low-level picture is changed, where one is given: 1 forgets it. ``n_steps * strength`` steps are made.
    size : int | None
        Side of the pictures in pixels, a multiple of 8; None is 512 for "sdxl-turbo" and 1024 for "sdxl-base".
    negative_prompt : str | None
        What to avoid, where there is guidance; None guides away from no text at all, as the models were trained.
    dtype : {"auto", "float16", "bfloat16", "float32"}
        Of weights and activations; "auto" is float16 on a GPU and float32 on a CPU.
    device : str
        Torch device; "auto" is the GPU where there is one.
    offload : {None, "model", "sequential"}
        Keep the weights in main memory, and move one model ("model"), or one layer ("sequential", very slow), at a
        time to the GPU.
    batch_size : int
        Pictures painted at once.
    cache_dir : path-like | None
        The hub's cache; None is its default place.
    local_files_only : bool
        Never ask the hub.
    verbose : int
        1 shows a bar over the batches, where someone looks.

    See Also
    --------
    LinearGenerator : Blurry pictures without any weights.
    NearestImageGenerator : The baseline to beat.

    Notes
    -----
    A row has its own seed, for its first noise and that of every step, so that its picture does not depend on the
    batch that it is in (but for the rounding of the matrix products).

    References
    ----------
    .. [1] Ye et al., "IP-Adapter: Text Compatible Image Prompt Adapter for Text-to-Image Diffusion Models",
       arXiv:2308.06721.
    .. [2] Li et al., "Visual Decoding and Reconstruction via EEG Embeddings with Guided Diffusion", NeurIPS 2024,
       section 2.3.

    Examples
    --------
    >>> from skeegclip.generation import SDXLGenerator
    >>> generator = SDXLGenerator("sdxl-turbo", weights="models/sdxl-turbo", ip_adapter="models/ip-adapter")
    >>> pictures = generator.generate(embeddings, captions=captions, random_state=0)  # doctest: +SKIP
    >>> pictures.shape  # doctest: +SKIP
    (200, 512, 512, 3)
    """

    def __init__(
        self,
        model="sdxl-turbo",
        *,
        weights=None,
        ip_adapter=None,
        ip_adapter_scale=1.0,
        n_steps=None,
        guidance_scale=None,
        strength=0.5,
        size=None,
        negative_prompt=None,
        dtype="auto",
        device="auto",
        offload=None,
        batch_size=4,
        cache_dir=None,
        local_files_only=False,
        verbose=1,
    ):
        self.model = model
        self.weights = weights
        self.ip_adapter = ip_adapter
        self.ip_adapter_scale = ip_adapter_scale
        self.n_steps = n_steps
        self.guidance_scale = guidance_scale
        self.strength = strength
        self.size = size
        self.negative_prompt = negative_prompt
        self.dtype = dtype
        self.device = device
        self.offload = offload
        self.batch_size = batch_size
        self.cache_dir = cache_dir
        self.local_files_only = local_files_only
        self.verbose = verbose

    def generate(
        self, embeddings: Any, low_level: Any = None, captions: Any = None, random_state: Any = None
    ) -> np.ndarray:
        """Paint one picture for each embedding.

        Parameters
        ----------
        embeddings : array-like, shape (n, n_dims)
            Unnormalised CLIP ViT-H-14 image embeddings, or what a decoder makes of EEG in their place.
        low_level : sequence of n pictures | None
            Pictures to begin with (image to image), for example those of a LowLevelDecoder.
        captions : list of str, length n | None
            Prompts.
        random_state : None | int | RandomState | Generator | array-like of int, shape (n,)
            Seed; an array gives the seed of each row.

        Returns
        -------
        ndarray of uint8, shape (n, size, size, 3)
            The pictures, in the order of the embeddings.

        Raises
        ------
        FileNotFoundError
            If weights are absent; the message says what to download, and where to put it.
        TypeError, ValueError
            If an argument or a parameter is not usable.
        """
        from ..._utils.progress import is_watched, tqdm

        settings = self._settings()
        Z = check_embeddings(embeddings)
        prompts = check_captions(captions, len(Z))
        starts = check_low_level(low_level, len(Z))
        seeds = row_seeds(random_state, len(Z))
        loaded = self._load()
        check_embeddings(Z[:1], loaded.n_dims)
        _warn_unit_length(Z)
        pictures = np.empty((len(Z), settings["size"], settings["size"], 3), dtype=np.uint8)
        batches = range(0, len(Z), self.batch_size)
        # A bar of one step would only flicker, under the bar of whoever asks for batch after batch.
        hidden = not (self.verbose and len(batches) > 1 and is_watched())
        for start in tqdm(batches, desc="painting", unit="batch", disable=hidden):
            rows = slice(start, start + self.batch_size)
            first = None if starts is None else starts[rows]
            pictures[rows] = self._paint(loaded, settings, Z[rows], first, prompts[rows], seeds[rows])
        return pictures

    def _paint(
        self, loaded: Loaded, settings: dict, Z: np.ndarray, starts: Any, prompts: list[str], seeds: list[int]
    ) -> np.ndarray:
        import torch

        guided = settings["guidance_scale"] > 1
        embeds = torch.from_numpy(Z)[:, None]
        if guided:  # those of "no picture" in front, as the latents are laid out
            embeds = torch.cat([torch.zeros_like(embeds), embeds])
        arguments: dict[str, Any] = {
            "prompt": prompts,
            "negative_prompt": None
            if self.negative_prompt is None
            else [self.negative_prompt] * len(prompts),
            "guidance_scale": settings["guidance_scale"],
            "num_inference_steps": settings["n_steps"],
            # On the CPU, so that a seed gives the same noise on every machine.
            "generator": [torch.Generator("cpu").manual_seed(seed) for seed in seeds],
            "output_type": "np",
        }
        if starts is None:
            arguments |= {"height": settings["size"], "width": settings["size"]}
        else:
            images = [square(read_picture(picture, "low_level"), settings["size"]) for picture in starts]
            arguments |= {
                "image": torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2),
                "strength": self.strength,
            }
        with loaded.lock, quiet():
            pipeline = loaded.form("text" if starts is None else "image")
            pipeline.set_ip_adapter_scale(self.ip_adapter_scale)
            embeds = embeds.to(pipeline.unet.dtype)
            return to_uint8(pipeline(ip_adapter_image_embeds=[embeds], **arguments).images)

    def _settings(self) -> dict[str, Any]:
        """Check the parameters, and fill in what the model decides."""
        check_option("model", self.model, _MODELS)
        settings = dict(_MODELS[self.model])
        for name in ("n_steps", "guidance_scale", "size"):
            if getattr(self, name) is not None:
                settings[name] = getattr(self, name)
        check_number("n_steps", settings["n_steps"], low=1, high=1000, integer=True)
        check_number("guidance_scale", settings["guidance_scale"], low=0)
        check_number("size", settings["size"], low=8, high=8192, integer=True)
        check_number("ip_adapter_scale", self.ip_adapter_scale, low=0)
        check_number("strength", self.strength, low=0, high=1, open_low=True)
        check_number("batch_size", self.batch_size, low=1, integer=True)
        check_option("offload", self.offload, [None, "model", "sequential"])
        check_option("dtype", self.dtype, ["auto", "float16", "bfloat16", "float32"])
        if not isinstance(self.negative_prompt, (str, type(None))):
            raise TypeError(f"negative_prompt must be a text or None, got {self.negative_prompt!r:.60}.")
        if settings["size"] % 8:
            raise ValueError(f"size must be a multiple of 8, got {settings['size']}.")
        if int(settings["n_steps"] * self.strength) < 1:
            raise ValueError(
                f"n_steps * strength must be at least 1, got {settings['n_steps']} * {self.strength}: no step would"
                " be made from a low-level picture. Raise one of them."
            )
        return settings

    def _load(self) -> Loaded:
        device = resolve_device(self.device)
        if self.offload is not None and device == "cpu":
            raise ValueError(
                f"offload={self.offload!r} moves weights to a GPU, but device is 'cpu'. Leave it None."
            )
        dtype = ("float32" if device == "cpu" else "float16") if self.dtype == "auto" else self.dtype
        weights = as_path(self.weights) or _MODELS[self.model]["weights"]
        source = Source(
            weights=weights,
            ip_adapter=as_path(self.ip_adapter),
            dtype=dtype,
            device=device,
            offload=self.offload,
            cache_dir=as_path(self.cache_dir),
            local_files_only=self.local_files_only,
        )
        self._loaded = load_pipeline(source)
        return self._loaded

    # -- saving -------------------------------------------------------------------------------------

    _not_saved = ("device", "offload", "cache_dir", "local_files_only", "verbose", "batch_size")
    _given_on_load = ("weights", "ip_adapter")
    _models: ClassVar = {
        "weights": (None, *(model["weights"] for model in _MODELS.values())),
        "ip_adapter": (None,),
    }

    def _check_params(self) -> None:
        self._settings()

    def _fitted(self) -> Fitted:
        return Fitted(_Facts)

    def __getstate__(self) -> dict:
        # Gigabytes that are on disk already; they are loaded again where the pickle is opened.
        return {name: value for name, value in super().__getstate__().items() if name != "_loaded"}


def _warn_unit_length(Z: np.ndarray) -> None:
    if np.allclose(np.linalg.norm(Z, axis=1), 1, atol=1e-3):
        warnings.warn(
            "embeddings have length 1, but the IP-Adapter was trained on unnormalised CLIP embeddings, and takes short"
            " ones for next to nothing. Train on targets that are not normalised.",
            UserWarning,
            stacklevel=3,
        )
