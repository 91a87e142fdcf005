"""CLIPEmbedder: from pictures and texts to tables of CLIP vectors."""

from __future__ import annotations

from collections.abc import Callable, Generator
from functools import partial
from typing import Any

import numpy as np

from .._utils.ids import unique_ids
from .._utils.params import check_option
from ._cache import VectorCache
from ._embedder import PictureEmbedder
from ._layers import picture_tokens, picture_vectors, read_layer
from ._recipe import Recipe
from ._run import embed_all
from ._texts import average_templates, fill_templates
from ._weights import find_weights
from .table import EmbeddingTable


class CLIPEmbedder(PictureEmbedder):
    """Embed pictures and texts with a CLIP model, for encoders to be trained on.

    Pictures go through the evaluation transform of the model (never the training one, whose random crops make poor
    targets), and vectors come out **as they are, not scaled to unit length**: painting needs their length, and
    :meth:`EmbeddingTable.normalized` takes it off. The user guide, :doc:`/user_guide/targets`, tells which targets
    have worked.

    Parameters
    ----------
    model : str
        A model of open_clip (``open_clip.list_models()``), ``"hf-hub:owner/name"``, or ``"local-dir:path"`` for a
        folder with ``open_clip_config.json`` and weights.
    pretrained : path-like
        A tag of open_clip's published weights, or a weights file. Not looked at where `model` is a hub repository or
        a folder.
    layer : "final" | int | float | list
        "final" is CLIP's own vector, ``encode_image``: last normalisation, pooling and projection included. An int is
        the number of a block (0 is the first, -1 the last; a ResNet has five, the stem and its stages), a float in
        (0, 1] a fraction of the depth: 0.35 of 32 blocks is what has passed 11 of them, block 10. Those vectors are
        the block's output, pooled, without normalisation or projection. A list puts the vectors of its layers one
        after another.
    pool : {"mean", "cls"}
        How the tokens of an intermediate layer become one vector: the mean over the patches (without the class
        token), or the class token.
    blur : float | None
        Standard deviation, in pixels of the model's input, of a Gaussian that pictures are blurred with first.
    foveal : bool
        Whether the blur grows from nothing in the centre to `blur` in the corners.
    n_views : int
        From 2 on the vector is the mean over so many spoilt views of a picture: in turns blurred, noisy, of low
        resolution, and in mosaic, the strength being drawn around that of [2]_. 1 takes the picture itself.
    batch_size : int
        Pictures (views counted) or texts in a batch.
    device : str
        Torch device; "auto" is the GPU where there is one.
    precision : {"auto", "float32", "bfloat16"}
        Precision of the matrix products; "auto" is bfloat16 on a GPU that has it.
    cache_dir : path-like | None
        Folder where vectors are kept, keyed by what a picture holds and by all that changes its vector; several
        processes may share it. A run that was stopped goes on from there. None keeps nothing.
    verbose : int
        1 shows a bar.
    random_state : int | RandomState | Generator | None
        Seed of the views. With the pixels it decides all that is drawn, so that a picture's vector does not depend on
        the other pictures. The cache knows vectors again only with an int.

    See Also
    --------
    EmbeddingTable : What comes out.
    skeegclip.embeddings.load_patch_tokens : Read what :meth:`save_patch_tokens` wrote.

    Notes
    -----
    The network is loaded when the first vector is computed, once for all embedders of the process that name the same
    weights; pickles hold none of it. Batches of another size change a vector by the rounding of its precision.

    Files are turned as their EXIF data say, palettes, grey and CMYK pictures are converted to RGB, and what is
    transparent becomes white.

    References
    ----------
    .. [1] Ilharco et al., OpenCLIP, 2021, doi:10.5281/zenodo.5143773.
    .. [2] NeuroBridge, arXiv:2511.06836.

    Examples
    --------
    A tiny model with random weights in a folder stands for one that was downloaded:

    >>> import json, tempfile
    >>> from pathlib import Path
    >>> import numpy as np, open_clip, torch
    >>> from skeegclip import CLIPEmbedder
    >>> config = {"embed_dim": 8,
    ...           "vision_cfg": {"image_size": 32, "layers": 4, "width": 16, "head_width": 8, "patch_size": 16},
    ...           "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 8, "heads": 2, "layers": 1}}
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": config, "preprocess_cfg": {}}), encoding="utf-8")
    >>> torch.save(open_clip.CLIP(**config).state_dict(), folder / "open_clip_pytorch_model.bin")
    >>> embedder = CLIPEmbedder(f"local-dir:{folder}", layer=0.5, device="cpu", verbose=0)
    >>> pictures = np.zeros((2, 50, 40, 3), dtype="uint8")
    >>> embedder.embed_images(pictures, ids=["cat_01", "dog_01"])
    EmbeddingTable(n=2, n_dims=16)
    >>> embedder.embed_texts(["cat", "dog"]).ids.tolist()
    ['cat', 'dog']
    """

    def __init__(
        self,
        model="ViT-H-14",
        pretrained="laion2b_s32b_b79k",
        *,
        layer="final",
        pool="mean",
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
        self.pretrained = pretrained
        self.layer = layer
        self.pool = pool
        self.blur = blur
        self.foveal = foveal
        self.n_views = n_views
        self.batch_size = batch_size
        self.device = device
        self.precision = precision
        self.cache_dir = cache_dir
        self.verbose = verbose
        self.random_state = random_state

    def embed_texts(
        self, texts: Any, ids: Any = None, template: Any = "This picture is {}"
    ) -> EmbeddingTable:
        """Embed texts, such as the names of concepts.

        Parameters
        ----------
        texts : sequence of str, shape (n,)
            What is put into the template.
        ids : sequence of str, shape (n,) | None
            Unique ids; None takes the texts.
        template : str | sequence of str
            Sentences with one ``{}`` each; ``"{}"`` is the text alone. The default is the paper's. With several,
            the direction is that of CLIP's zero-shot classifiers (each vector scaled to unit length, then averaged),
            and the length is the mean of their lengths.

        Returns
        -------
        EmbeddingTable
            A vector per text, not scaled. The layers, the blur and the views are the pictures' alone.

        Raises
        ------
        OSError
            If the weights or the tokenizer are neither here nor to be had.
        TypeError
            If texts or templates are not str.
        ValueError
            If a template has no ``{}``, there are no texts, or ids repeat.
        """
        filled, n_templates = fill_templates(texts, template)
        keys, _ = unique_ids(texts if ids is None else ids, name="ids")
        if len(keys) * n_templates != len(filled):
            raise ValueError(
                f"ids must hold one id per text ({len(filled) // n_templates}), got {len(keys)}."
            )
        recipe = self._recipe()
        settings = recipe.of_texts()
        cache = VectorCache(self.cache_dir, settings) if self.cache_dir is not None else None

        def compute(rows: list[int]) -> Generator[np.ndarray, None, None]:
            clip = self._load(recipe)
            for start in range(0, len(rows), recipe.batch_size):
                batch = [filled[row] for row in rows[start : start + recipe.batch_size]]
                yield clip.encode_texts(batch, self.model, recipe.precision)

        vectors = embed_all(
            filled,
            compute,
            cache=cache,
            name=lambda row: repr(filled[row]),
            verbose=self.verbose,
            unit="text",
        )
        templates = [template] if isinstance(template, str) else list(template)
        return EmbeddingTable(
            keys, average_templates(vectors, n_templates), meta=settings | {"template": templates}
        )

    def _recipe(self) -> Recipe:
        check_option("pool", self.pool, ["mean", "cls"])
        return Recipe.of(
            self,
            lambda: find_weights(self.model, self.pretrained),
            pooling=None if read_layer(self.layer) == ("final",) else self.pool,
        )

    def _load(self, recipe: Recipe) -> Any:
        from ._clip import clip_model

        self._model = clip_model(recipe.weights, recipe.device)
        return self._model

    def _vectors(self, recipe: Recipe) -> Callable[..., Any]:
        return partial(picture_vectors, layers=recipe.layers, pooling=recipe.pooling)

    def _token_rows(self, recipe: Recipe) -> Callable[..., Any]:
        return partial(picture_tokens, layer=recipe.one_layer())
