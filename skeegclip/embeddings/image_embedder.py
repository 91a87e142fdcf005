"""ImageEmbedder: from pictures to tables of the vectors of any image network."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from .._utils.params import check_number, check_option
from ._embedder import PictureEmbedder
from ._recipe import Recipe


class ImageEmbedder(PictureEmbedder):
    """Embed pictures with an image network of transformers, or an autoencoder of diffusers.

    DINOv2, DINOv3, SigLIP, ViT and whatever else ``AutoModel`` and ``AutoImageProcessor`` load, and the latents of
    ``AutoencoderKL``. Pictures go through the model's own image processor, and vectors come out **as they are, not
    scaled to unit length**. For vectors in a space of texts take :class:`CLIPEmbedder`; all else is as there, and a
    folder may serve as the cache of both.

    Parameters
    ----------
    model : path-like
        A folder as ``save_pretrained`` fills it, or a repository of the Hugging Face hub, ``"facebook/dinov2-giant"``.
        Weights are read from safetensors alone, and code that comes with a model is not run.
    revision : str | None
        Commit, tag or branch of the repository; None is ``main``. Whichever it is, ``meta`` records the commit: pass
        that to have the same weights tomorrow.
    layer : "final" | int | float | list
        "final" is the network's output, ``last_hidden_state``, which in most networks has passed a last layer
        normalisation. An int is the number of a block (0 is the first, -1 the last), a float in (0, 1] a fraction of
        the depth: 0.667 of 40 blocks is what has passed 27 of them, block 26. Block ``k`` is ``hidden_states[k + 1]``
        of transformers, *before* the last normalisation, also where transformers puts the normalised output in its
        last place. A list puts the vectors of its layers one after another. Networks whose maps shrink have stages in
        place of blocks; an autoencoder has "final" alone.
    pool : {"mean", "cls", "none"}
        How tokens become one vector: the mean over the patches (without class and register tokens), the class token,
        or all tokens one after another, class and register tokens first. For an autoencoder "none" is the whole latent,
        channels first, on the scale that diffusion pipelines work on.
    size : int | None
        Height and width in pixels that the network gets; a processor that crops keeps its share. Positions are
        interpolated as the model does it. None is the processor's own; for an autoencoder, the ``sample_size`` of its
        configuration. A multiple of the patch size leaves nothing out at the edges.
    blur : float | None
        Standard deviation, in pixels of the model's input, of a Gaussian that pictures are blurred with first.
    foveal : bool
        Whether the blur grows from nothing in the centre to `blur` in the corners.
    n_views : int
        From 2 on the vector is the mean over so many spoilt views of a picture, as in :class:`CLIPEmbedder`.
    batch_size : int
        Pictures (views counted) in a batch.
    device : str
        Torch device; "auto" is the GPU where there is one.
    precision : {"auto", "float32", "bfloat16"}
        Precision of the matrix products; "auto" is bfloat16 on a GPU that has it.
    cache_dir : path-like | None
        Folder where vectors are kept, as in :class:`CLIPEmbedder`. None keeps nothing.
    verbose : int
        1 shows a bar.
    random_state : int | RandomState | Generator | None
        Seed of the views.

    See Also
    --------
    CLIPEmbedder : The image towers of CLIP, and texts.

    Notes
    -----
    DINOv3's processor scales colours before it resizes. With a blur or views, pictures are resized as 8-bit pictures
    first, and differ from that by rounding.

    The network is loaded when the first vector is computed, once for all embedders of the process that name the same
    weights; pickles hold none of it.

    References
    ----------
    .. [1] Oquab et al., DINOv2, TMLR 2024, arXiv:2304.07193.
    .. [2] Rombach et al., CVPR 2022, arXiv:2112.10752 (the autoencoder).

    Examples
    --------
    A tiny model with random weights in a folder stands for ``"facebook/dinov2-giant"``:

    >>> import tempfile
    >>> import numpy as np
    >>> from transformers import BitImageProcessor, Dinov2Config, Dinov2Model
    >>> from skeegclip import ImageEmbedder
    >>> folder = tempfile.mkdtemp()
    >>> config = Dinov2Config(hidden_size=16, num_hidden_layers=3, num_attention_heads=2, image_size=28, patch_size=14)
    >>> Dinov2Model(config).save_pretrained(folder)
    >>> processor = BitImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 28, "width": 28})
    >>> _ = processor.save_pretrained(folder)
    >>> embedder = ImageEmbedder(folder, layer=0.667, pool="mean", size=42, device="cpu", verbose=0)
    >>> table = embedder.embed_images(np.zeros((2, 50, 40, 3), dtype="uint8"), ids=["cat_01", "dog_01"])
    >>> table
    EmbeddingTable(n=2, n_dims=16)
    >>> table.meta["layer"], table.meta["pooling"], table.meta["size"]
    ([0.667], 'mean', 42)
    """

    def __init__(
        self,
        model,
        *,
        revision=None,
        layer="final",
        pool="mean",
        size=None,
        blur=None,
        foveal=False,
        n_views=1,
        batch_size=64,
        device="auto",
        precision="auto",
        cache_dir=None,
        verbose=1,
        random_state=0,
    ):
        self.model = model
        self.revision = revision
        self.layer = layer
        self.pool = pool
        self.size = size
        self.blur = blur
        self.foveal = foveal
        self.n_views = n_views
        self.batch_size = batch_size
        self.device = device
        self.precision = precision
        self.cache_dir = cache_dir
        self.verbose = verbose
        self.random_state = random_state

    def _recipe(self) -> Recipe:
        from ._vision import find_vision

        check_option("pool", self.pool, ["mean", "cls", "none"])
        check_number("size", self.size, low=1, integer=True, none=True)
        return Recipe.of(
            self,
            lambda: find_vision(self.model, self.revision),
            pooling=self.pool,
            size=None if self.size is None else int(self.size),
        )

    def _load(self, recipe: Recipe) -> Any:
        from ._loaded import load_once
        from ._towers import ImageModel, Loaded
        from ._vision import load_vision

        weights, device = recipe.weights, recipe.device
        loaded = load_once(weights.identity, device, lambda: Loaded(*load_vision(weights, device)))
        self._model = ImageModel(loaded, device, recipe.size)
        return self._model

    def _vectors(self, recipe: Recipe) -> Callable[..., Any]:
        from ._towers import image_vectors

        return partial(image_vectors, layers=recipe.layers, pooling=self.pool)

    def _token_rows(self, recipe: Recipe) -> Callable[..., Any]:
        from ._towers import image_tokens

        return partial(image_tokens, layer=recipe.one_layer())
