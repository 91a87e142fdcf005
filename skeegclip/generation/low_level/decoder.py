"""LowLevelDecoder: from epochs to a blurry picture."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import TransformerMixin
from sklearn.utils.validation import check_consistent_length, check_is_fitted

from ..._utils.contents import Loading
from ..._utils.dict_params import DictParams
from ..._utils.folders import Content
from ..._utils.params import check_number, check_option
from ..._utils.validation import unchanged_on_error
from .._sharing import Fitted, Portable
from .saved import FITTED, encoder_of, with_own, without_own

_VAE = "stabilityai/sdxl-vae"
_REQUESTS = {"subject": True}


class LowLevelDecoder(TransformerMixin, Portable, DictParams):
    """Decode the layout of a picture: light, colour and coarse shape.

    A network maps an epoch to the latent of an autoencoder, which paints it (section 2.3 of [1]_). The blurry picture
    shows where things are, not what they are; a generator starts from it.

    Parameters
    ----------
    vae : str | path-like | Module
        Autoencoder of diffusers (``AutoencoderKL``, ``AutoencoderTiny``): a name on the Hugging Face hub, a folder of
        one or of a pipeline, or the module itself. Not needed to learn from latents and to predict them.
    images : ImageTable | mapping | None
        Pictures by stimulus id, where ``y`` holds ids.
    image_size : int
        The centre square of a picture is resized to this width and height before it is encoded; with the usual
        autoencoders, 512 gives latents of 64 x 64.
    net : {"linear", "reference"} | type
        Ridge regression of the latents' principal components on epochs averaged in time bins, in closed form; the
        published network (transposed convolutions, 143 million weights); or an ``nn.Module`` class of your own with
        braindecode's signature and ``latent_shape``, which gives flat latents. What follows on training concerns
        networks only.
    net_params : dict | None
        Further arguments: ``n_bins`` (25) and ``n_components`` (32) of the regression, or those of the network.
    loss : {"l2", "l1"}
        Mean squared or mean absolute error, on latents scaled to unit variance. The regression has the first.
    lr : float
        Learning rate of AdamW; it decays as a cosine.
    weight_decay : float
        Weight decay of AdamW.
    batch_size : int
        Epochs in a batch, at least 2.
    max_epochs : int
        Passes over the training data.
    validation : float
        Fraction in [0, 1) of the *stimuli* held out to choose the best pass. The regression chooses its penalty by
        cross-validation over stimuli.
    patience : int | None
        Stop after so many passes without a lower validation loss.
    vae_batch_size : int
        Pictures that the autoencoder takes at once.
    precision : {"auto", "float32", "bfloat16"}
        Precision of the network; the autoencoder always runs in float32.
    device : str
        Torch device; "auto" is the GPU where there is one.
    verbose : int
        1 shows progress bars.
    random_state : int | RandomState | Generator | None
        Seed; global generators are not touched.

    Attributes
    ----------
    encoder_ : object
        What maps epochs to flat latents of unit variance: an :class:`EEGEncoder`, or the regression.
    latent_shape_ : tuple of int
        Channels, height and width of a latent.
    latent_mean_ : ndarray of float32, shape ``latent_shape_``
        Mean latent of the training stimuli.
    latent_scale_ : ndarray of float32, shape (n_channels, 1, 1)
        Standard deviation of each channel around it.
    history_ : list of dict
        Per pass, as of :class:`EEGEncoder`; of the regression one row. A loss of 1 (l2) is that of the mean latent.
    n_features_in_ : int
        Number of channels of an epoch.

    See Also
    --------
    EEGImageReconstructor : Uses it as the start of the generator.

    References
    ----------
    .. [1] Li et al., "Visual Decoding and Reconstruction via EEG Embeddings with Guided Diffusion",
       NeurIPS 2024, arXiv:2403.07721.

    Examples
    --------
    >>> import numpy as np
    >>> from skeegclip import LowLevelDecoder
    >>> rng = np.random.default_rng(0)
    >>> latents = rng.normal(size=(60, 4, 8, 8)) + 3 * rng.normal(size=(60, 4, 1, 1))
    >>> X = latents.mean(axis=(2, 3)) @ rng.normal(size=(4, 100)) + rng.normal(size=(60, 100))
    >>> decoder = LowLevelDecoder(random_state=0)
    >>> decoder.fit(X.reshape(60, 5, 20), latents).predict_latents(X.reshape(60, 5, 20)).shape
    (60, 4, 8, 8)
    """

    __metadata_request__fit = _REQUESTS
    __metadata_request__transform = _REQUESTS
    __metadata_request__score = _REQUESTS

    def __init__(
        self,
        vae=_VAE,
        *,
        images=None,
        image_size=512,
        net="linear",
        net_params=None,
        loss="l2",
        lr=1e-3,
        weight_decay=0.01,
        batch_size=64,
        max_epochs=40,
        validation=0.1,
        patience=10,
        vae_batch_size=8,
        precision="auto",
        device="auto",
        verbose=0,
        random_state=None,
    ):
        self.vae = vae
        self.images = images
        self.image_size = image_size
        self.net = net
        self.net_params = net_params
        self.loss = loss
        self.lr = lr
        self.weight_decay = weight_decay
        self.batch_size = batch_size
        self.max_epochs = max_epochs
        self.validation = validation
        self.patience = patience
        self.vae_batch_size = vae_batch_size
        self.precision = precision
        self.device = device
        self.verbose = verbose
        self.random_state = random_state

    def fit(self, X: Any, y: Any, subject: Any = None) -> LowLevelDecoder:
        """Train the network.

        Parameters
        ----------
        X : array-like, shape (n_epochs, n_chans, n_times) | Epochs | EpochsView
            Epochs in microvolts (MEG: fT).
        y : array-like of str, shape (n_epochs,) | sequence of n_epochs pictures | ndarray
            Stimulus ids, looked up in `images`; pictures, as arrays of uint8 (height, width, 3), PIL images or paths; or
            latents, float of shape (n_epochs, n_channels, height, width), scaled as diffusion pipelines have them.
            Equal pictures (latents) count as one stimulus.
        subject : array-like of str, shape (n_epochs,) | None
            Subject of each epoch, where X does not carry it.

        Returns
        -------
        LowLevelDecoder
            The fitted decoder. After an error or Ctrl-C it is as it was before.

        Raises
        ------
        ValueError, TypeError
            If X, y or a parameter is not usable.
        KeyError
            If ids are not in `images`.
        OSError
            If the autoencoder cannot be loaded.
        """
        from .training import fit_low_level

        with unchanged_on_error(self):
            self._check_params()
            fit_low_level(self, X, y, subject)
        return self

    def predict_latents(self, X: Any, subject: Any = None) -> np.ndarray:
        """Predict latents.

        Parameters
        ----------
        X : array-like, shape (n_epochs, n_chans, n_times) | Epochs | EpochsView
            Epochs as in fit.
        subject : array-like of str, shape (n_epochs,) | None
            Subject of each epoch, where X does not carry it.

        Returns
        -------
        ndarray of float32, shape (n_epochs, n_channels, height, width)
            Latents, scaled as diffusion pipelines have them.

        Raises
        ------
        NotFittedError
            If the decoder is not fitted.
        ValueError
            If X does not fit the decoder.
        """
        check_is_fitted(self, "encoder_")
        flat = self.encoder_.transform(X, subject=subject)
        return flat.reshape(-1, *self.latent_shape_) * self.latent_scale_ + self.latent_mean_

    def transform(self, X: Any, subject: Any = None) -> np.ndarray:
        """Paint the predicted latents.

        Parameters
        ----------
        X : array-like, shape (n_epochs, n_chans, n_times) | Epochs | EpochsView
            Epochs as in fit.
        subject : array-like of str, shape (n_epochs,) | None
            Subject of each epoch, where X does not carry it.

        Returns
        -------
        ndarray of uint8, shape (n_epochs, height, width, 3)
            Pictures of the size that the autoencoder makes of the latents.

        Raises
        ------
        NotFittedError
            If the decoder is not fitted.
        ValueError
            If X does not fit the decoder.
        OSError
            If the autoencoder cannot be loaded.
        """
        from .training import paint

        return paint(self, self.predict_latents(X, subject=subject))

    def score(self, X: Any, y: Any, sample_weight: Any = None, subject: Any = None) -> float:
        """Share of the latents' variance that is explained.

        Parameters
        ----------
        X : array-like, shape (n_epochs, n_chans, n_times)
            Epochs.
        y : array-like of str, shape (n_epochs,) | sequence of n_epochs pictures | ndarray
            As in fit.
        sample_weight : array-like, shape (n_epochs,) | None
            Weight of each epoch.
        subject : array-like of str, shape (n_epochs,) | None
            Subject of each epoch.

        Returns
        -------
        float
            One minus the squared error relative to that of the mean latent of training: 1 is perfect, 0 no better.
        """
        from .training import read_latents

        predicted = self.predict_latents(X, subject=subject)
        group, latents = read_latents(self, y)
        check_consistent_length(predicted, group)
        truth = latents[group]
        scale = self.latent_scale_
        wrong = (((predicted - truth) / scale) ** 2).mean(axis=(1, 2, 3))
        at_mean = (((self.latent_mean_ - truth) / scale) ** 2).mean(axis=(1, 2, 3))
        return float(
            1 - np.average(wrong, weights=sample_weight) / np.average(at_mean, weights=sample_weight)
        )

    @property
    def history_(self) -> list[dict]:  # numpydoc ignore=GL08
        check_is_fitted(self, "encoder_")
        return self.encoder_.history_

    @property
    def n_features_in_(self) -> int:  # numpydoc ignore=GL08
        check_is_fitted(self, "encoder_")
        return self.encoder_.n_features_in_

    # -- saving -------------------------------------------------------------------------------------

    _given_on_load = ("net", "vae", "images")
    _models: ClassVar = {"vae": (None, _VAE)}

    def _fitted(self) -> Fitted:
        return FITTED

    def _written_params(self) -> dict[str, Any]:
        return without_own(super()._written_params())

    def _to_content(self) -> Content:
        content = super()._to_content()
        content.parts["encoder"] = self.encoder_._to_content()
        return content

    @classmethod
    def _with_params(cls, params: dict[str, Any], loading: Loading) -> Self:
        return super()._with_params(with_own(params, loading), loading)

    @classmethod
    def _from_content(cls, content: Content, loading: Loading) -> Self:
        made = super()._from_content(content, loading)
        made.encoder_ = encoder_of(made, content, loading)
        return made

    def _check_params(self) -> None:
        if isinstance(self.net, str):
            check_option("net", self.net, ["linear", "reference"])
        elif not isinstance(self.net, type):
            raise TypeError(f"net must be a name or an nn.Module class, got {self.net!r}.")
        check_option("loss", self.loss, ["l2", "l1"])
        if self.net == "linear" and self.loss != "l2":
            raise ValueError('net="linear" minimises the squared error: it goes with loss="l2".')
        check_number("image_size", self.image_size, low=8, high=8192, integer=True)
        check_number("weight_decay", self.weight_decay, low=0)
        check_number("vae_batch_size", self.vae_batch_size, low=1, integer=True)
        # The network's encoder checks the rest, under the same names.

    def __getstate__(self) -> dict:
        # An autoencoder that was loaded by name is loaded again where it is needed.
        state = dict(super().__getstate__())
        state.pop("_loaded_vae", None)
        return state

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.target_tags.required = True
        tags.target_tags.multi_output = True
        tags.target_tags.single_output = False
        tags.transformer_tags.preserves_dtype = []
        return tags
