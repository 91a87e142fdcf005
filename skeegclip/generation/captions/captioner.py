"""EEGCaptioner: from embeddings to captions."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from sklearn.utils import gen_batches
from sklearn.utils.validation import check_is_fitted, validate_data

from ..._utils.missing import refuse_masked
from ..._utils.params import check_number, check_option
from ..._utils.validation import unchanged_on_error
from .._sharing import Fitted, NetCarrier, Portable
from .saved import GIT, NEAREST, check_fits

if TYPE_CHECKING:
    import torch

_MODEL = "microsoft/git-large-coco"


class EEGCaptioner(NetCarrier):
    """Put into words what was seen.

    A network maps an embedding to the tokens that a captioning model's eye would give of the picture, and the model
    (GIT) writes a caption of them (appendix of [1]_). Or, as the baseline that needs no model: the caption of the
    nearest training stimulus.

    Parameters
    ----------
    caption : {"git", "nearest"}
        Write a caption with GIT, or take that of the nearest training stimulus.
    model : str | path-like
        GIT model of transformers: a name on the Hugging Face hub, or a folder.
    tokens : mapping | tuple | None
        Tokens of the stimuli's pictures from the eye of this very model, where ``y`` holds ids: a mapping from id to an
        array (n_tokens, width), or a pair of ids and an array (n_stimuli, n_tokens, width), which may be memory-mapped:
        it is read a batch at a time.
    images : ImageTable | mapping | None
        Pictures by stimulus id, to compute the tokens from where none are given. They are kept in a temporary file while
        fitting, in half precision: half a megabyte a picture with the default model.
    captions : mapping | None
        Caption (str) by stimulus id, for ``"nearest"``; None takes ``y`` as the captions.
    targets : EmbeddingTable | None
        Image embeddings of the stimuli, for ``"nearest"``; None takes the mean embedding of each stimulus in fit.
    max_new_tokens : int
        Longest caption, in tokens of the model's language.
    lr : float
        Learning rate of AdamW.
    batch_size : int
        Rows in a batch, in training and in writing.
    max_epochs : int
        Passes over the training rows.
    validation : float
        Fraction in [0, 1) of the stimuli held out to choose the best pass.
    precision : {"auto", "float32", "bfloat16"}
        Precision of the matrix products; "auto" is bfloat16 on a GPU that has it.
    device : str
        Torch device; "auto" is the GPU where there is one.
    verbose : int
        1 shows progress bars.
    random_state : int | RandomState | Generator | None
        Seed of the training; global generators are not touched. Captions are not random.

    Attributes
    ----------
    net_ : Module
        The projector, on standardised embeddings (``"git"``).
    token_shape_ : tuple of int
        Number and width of the tokens (``"git"``).
    mean_, scale_ : ndarray of float32, shape (n_features,)
        How embeddings are standardised (``"git"``).
    history_ : list of dict
        Per pass: epoch, train_loss, valid_loss, dur, chosen (``"git"``).
    selection_ : dict
        How the weights were chosen (``"git"``).
    captions_ : list of str
        Caption of each stimulus (``"nearest"``).
    vectors_ : ndarray of float32, shape (n_stimuli, n_features)
        What embeddings are compared with, of unit length (``"nearest"``).
    n_features_in_ : int
        Width of an embedding.

    See Also
    --------
    EEGImageReconstructor : Uses the captions as prompts.

    References
    ----------
    .. [1] Li et al., "Visual Decoding and Reconstruction via EEG Embeddings with Guided Diffusion",
       NeurIPS 2024, arXiv:2403.07721.

    Examples
    --------
    >>> import numpy as np
    >>> from skeegclip import EEGCaptioner
    >>> captions = {"cat": "a cat on a mat", "boat": "a boat at sea"}
    >>> captioner = EEGCaptioner("nearest", captions=captions)
    >>> captioner.fit([[1.0, 0.1], [0.1, 1.0]], ["cat", "boat"]).predict([[0.2, 0.9]])
    ['a boat at sea']
    """

    def __init__(
        self,
        caption="git",
        *,
        model=_MODEL,
        tokens=None,
        images=None,
        captions=None,
        targets=None,
        max_new_tokens=25,
        lr=1e-3,
        batch_size=32,
        max_epochs=30,
        validation=0.1,
        precision="auto",
        device="auto",
        verbose=0,
        random_state=None,
    ):
        self.caption = caption
        self.model = model
        self.tokens = tokens
        self.images = images
        self.captions = captions
        self.targets = targets
        self.max_new_tokens = max_new_tokens
        self.lr = lr
        self.batch_size = batch_size
        self.max_epochs = max_epochs
        self.validation = validation
        self.precision = precision
        self.device = device
        self.verbose = verbose
        self.random_state = random_state

    def fit(self, Z: Any, y: Any) -> EEGCaptioner:
        """Learn what tokens, or captions, go with embeddings.

        Parameters
        ----------
        Z : array-like, shape (n, n_features)
            Embeddings: of the stimuli's pictures, or of out-of-fold EEG; best what :meth:`predict` will be given.
        y : array-like of str, shape (n,) | array-like, shape (n, n_tokens, width)
            Stimulus ids. Without `tokens` and `images`, the tokens themselves; for ``"nearest"`` without `captions`,
            the captions.

        Returns
        -------
        EEGCaptioner
            The fitted captioner. After an error or Ctrl-C it is as it was before.

        Raises
        ------
        ValueError, TypeError
            If Z, y or a parameter is not usable.
        KeyError
            If ids are not in `tokens`, `images`, `captions` or `targets`.
        OSError
            If the model cannot be loaded.
        """
        from .captioning import fit_git, fit_nearest

        with unchanged_on_error(self):
            self._check_params()
            refuse_masked(Z, name="Z")
            Z = validate_data(self, Z, dtype=np.float32)
            fitted = (fit_nearest if self.caption == "nearest" else fit_git)(self, Z, y)
            for field in fields(fitted):
                setattr(self, f"{field.name}_", getattr(fitted, field.name))
        return self

    def predict(self, Z: Any) -> list[str]:
        """Write captions.

        Parameters
        ----------
        Z : array-like, shape (n, n_features)
            Embeddings.

        Returns
        -------
        list of str
            One caption per row.

        Raises
        ------
        NotFittedError
            If the captioner is not fitted.
        ValueError
            If Z does not fit the captioner.
        OSError
            If the model cannot be loaded.
        """
        from .captioning import write_captions

        check_is_fitted(self, "n_features_in_")
        refuse_masked(Z, name="Z")
        Z = validate_data(self, Z, dtype=np.float32, reset=False)
        return write_captions(self, Z)

    def predict_tokens(self, Z: Any) -> np.ndarray:
        """Predict the tokens that the model would see (``"git"`` only).

        Parameters
        ----------
        Z : array-like, shape (n, n_features)
            Embeddings.

        Returns
        -------
        ndarray of float32, shape (n, n_tokens, width)
            Tokens.

        Raises
        ------
        NotFittedError
            If there is no fitted projector.
        ValueError
            If Z does not fit the captioner.
        """
        from .captioning import tokens_of_batch

        check_is_fitted(self, "net_")
        refuse_masked(Z, name="Z")
        Z = validate_data(self, Z, dtype=np.float32, reset=False)
        parts = [tokens_of_batch(self, Z[rows]) for rows in gen_batches(len(Z), self.batch_size)]
        return np.concatenate([part.cpu().numpy() for part in parts])

    # -- saving -------------------------------------------------------------------------------------

    _given_on_load = ("model",)
    _models: ClassVar = {"model": (_MODEL,)}

    def _fitted(self) -> Fitted:
        return NEAREST if self.caption == "nearest" else GIT

    def _restore(self, weights: dict[str, np.ndarray], device: str) -> None:
        check_fits(self)
        if self.caption == "git":
            return super()._restore(weights, device)
        self.model = _MODEL  # not used, so that no file may say it
        return Portable._restore(self, weights, device)

    def _build_net(self) -> torch.nn.Module:
        from ..low_level.nets.pixel_projector import PixelProjector

        return PixelProjector(self.n_features_in_, *self.token_shape_)

    def _check_params(self) -> None:
        check_option("caption", self.caption, ["git", "nearest"])
        check_number("max_new_tokens", self.max_new_tokens, low=1, integer=True)
        check_number("lr", self.lr, low=0, open_low=True)
        check_number("batch_size", self.batch_size, low=1, integer=True)
        check_number("max_epochs", self.max_epochs, low=1, integer=True)
        check_number("validation", self.validation, low=0, high=np.nextafter(1, 0))

    def __getstate__(self) -> dict:
        # The model is loaded again where it is needed.
        state = super().__getstate__()
        state.pop("_loaded_git", None)
        return state

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        return tags
