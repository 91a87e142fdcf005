"""DiffusionPrior: from EEG embeddings to image embeddings."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from ..._utils.missing import refuse_masked
from ..._utils.params import check_number, check_option
from ..._utils.validation import unchanged_on_error
from .._sharing import Fitted, NetCarrier, device_of

if TYPE_CHECKING:
    import torch


class DiffusionPrior(ClassNamePrefixFeaturesOutMixin, TransformerMixin, NetCarrier):
    """Draw image embeddings that go with EEG embeddings.

    A diffusion model of p(image embedding | EEG embedding) (section 2.3 of [1]_): a network learns to remove noise
    from image embeddings, given the EEG embedding; started from pure noise it makes a new image embedding. Picture
    generators expect embeddings that look like an image's, which those of EEG do not.

    Parameters
    ----------
    targets : EmbeddingTable | None
        Image embeddings of the stimuli, where ``y`` holds stimulus ids.
    net : {"unet", "mlp", "gaussian"}
        "gaussian" is a joint Gaussian, solved in closed form: ridge regression and the covariance of what it leaves. The
        paper's U-Net of linear layers and a residual MLP learn what departs from that Gaussian. With a few hundred
        stimuli they find nothing, and the Gaussian alone is as good.
    net_params : dict | None
        Further arguments of the network: ``widths`` (unet), ``width`` and ``n_blocks`` (mlp), ``n_time_features``,
        ``dropout``.
    prediction : {"velocity", "sample", "epsilon"}
        What the network predicts: the clean embedding ("sample"), the noise as in [1]_ ("epsilon"), or a mixture of both
        whose error counts least at every step ("velocity"). An error in the noise is magnified more than a hundredfold
        at the noisiest steps; one in the clean embedding remains whole at the last ones, where it blurs what is drawn.
    n_train_steps : int
        Steps of the noise schedule, 25 to 100,000.
    n_steps : int
        Steps when sampling.
    guidance_scale : float
        Factor g in ``unconditional + g * (conditional - unconditional)``: 1 samples the conditional distribution. More pulls
        towards what sets this EEG embedding apart, and draws from no posterior: samples lie beyond its mean, and of its
        spread remain about a half at 2 and a tenth at 5 (of directions of which the condition leaves a third open). The paper's text writes ``(1 + w) *
        conditional - w * unconditional``, which is g = 1 + w; its code uses g = 5.
    condition_dropout : float
        Share of rows in [0, 1) whose condition is left out in training, anew in each pass: what guidance needs.
    scheduler : {"auto", "dpmsolver++", "ddpm", "ddim"}
        How to sample. "dpmsolver++", of second order, has the full spread from 20 steps on; the other two, of first
        order, draw about a twentieth too little at 50 steps and a sixth at 20. "auto" is the first, and "ddpm", which
        the published code has, with `reference_quirks`.
    n_samples : int | None
        Samples that :meth:`transform` averages. None gives what the mean of ever more of them approaches, in one step:
        the network's expectation (where it predicts noise it has none, and one sample is drawn). It is nearest to the
        truth by cosine, but shorter than an image's embedding. Guidance moves it g times as far from the mean embedding,
        further than it moves samples.
    lr : float
        Learning rate of AdamW after `n_warmup` steps; it decays as a cosine.
    n_warmup : int
        Steps over which the learning rate rises.
    weight_decay : float
        Weight decay of AdamW.
    batch_size : int
        Rows in a batch.
    max_epochs : int
        Passes over the training rows.
    validation : float
        Fraction in [0, 1) of the *stimuli* held out to choose the best pass. Nothing is held out if that makes
        fewer than 2 stimuli or leaves fewer than 2.
    patience : int | None
        Stop after so many passes without a lower validation loss.
    ema : float | None
        Decay in (0, 1) of the moving average of the weights, which is what is validated and kept. None keeps the weights
        themselves.
    reference_quirks : bool
        As the published code of [1]_ does: a network without a Gaussian beneath, embeddings not standardised, the
        predicted embedding clipped to [-1, 1] at every sampling step, conditions dropped for whole batches, noise
        predicted, no moving average. For comparison, and for its checkpoints (:meth:`from_reference`).
    precision : {"auto", "float32", "bfloat16"}
        Precision of the matrix products; "auto" is bfloat16 on a GPU that has it.
    device : str
        Torch device; "auto" is the GPU where there is one.
    verbose : int
        1 shows progress bars.
    random_state : int | RandomState | Generator | None
        Seed of training and of sampling, drawn in fit: transform gives the same samples each time. Global generators
        are not touched.

    Attributes
    ----------
    net_ : Module
        The fitted torch network, on standardised embeddings.
    condition_mean_, condition_scale_ : ndarray of float32, shape (n_features,)
        How EEG embeddings are standardised, from the training rows.
    target_mean_, target_scale_ : ndarray of float32, shape (n_dims,)
        How image embeddings are standardised, dimension by dimension, so that nothing needs to be clipped.
    history_ : list of dict
        Per pass: epoch, train_loss, valid_loss, dur (seconds), chosen. A loss of 1 is that of knowing nothing.
    selection_ : dict
        How the weights were chosen: ``rule`` ("validation", "last", or the Gaussian's "cross-validation"), ``epoch``,
        ``n_stimuli_held_out``; of the Gaussian also ``penalty`` and ``identity``, the multiple of the identity to
        which its regression shrinks.
    n_dims_ : int
        Width of an image embedding.
    n_features_in_ : int
        Width of an EEG embedding.
    seed_ : int
        The seed drawn in fit.

    See Also
    --------
    EEGImageReconstructor : Fits a prior on out-of-fold embeddings.

    Notes
    -----
    Each row's noise is seeded by the row itself: its samples do not depend on the other rows of a batch, on their
    order, or on rounding. The embeddings to fit on must be out-of-fold, from encoders that have not seen the stimulus:
    those of an encoder's own training epochs are far better than any it will give later.

    References
    ----------
    .. [1] Li et al., "Visual Decoding and Reconstruction via EEG Embeddings with Guided Diffusion",
       NeurIPS 2024, arXiv:2403.07721.

    Examples
    --------
    >>> import numpy as np
    >>> from skeegclip import DiffusionPrior
    >>> rng = np.random.default_rng(0)
    >>> images = rng.normal(size=(300, 8)) * [1, 2, 3, 4, 5, 6, 7, 8] + 10
    >>> Z = images @ rng.normal(size=(8, 6)) + rng.normal(size=(300, 6))
    >>> small = {"widths": (64, 32), "n_time_features": 32}
    >>> prior = DiffusionPrior(net_params=small, n_steps=10, scheduler="ddim", random_state=0, device="cpu")
    >>> prior.fit(Z, images).transform(Z).shape
    (300, 8)
    >>> prior.sample(Z[:5], n_samples=3).shape
    (5, 3, 8)
    """

    def __init__(
        self,
        *,
        targets=None,
        net="unet",
        net_params=None,
        prediction="velocity",
        n_train_steps=1000,
        n_steps=50,
        guidance_scale=1.0,
        condition_dropout=0.1,
        scheduler="auto",
        n_samples=None,
        lr=1e-3,
        n_warmup=100,
        weight_decay=0.01,
        batch_size=256,
        max_epochs=100,
        validation=0.1,
        patience=40,
        ema=0.999,
        reference_quirks=False,
        precision="auto",
        device="auto",
        verbose=0,
        random_state=None,
    ):
        self.targets = targets
        self.net = net
        self.net_params = net_params
        self.prediction = prediction
        self.n_train_steps = n_train_steps
        self.n_steps = n_steps
        self.guidance_scale = guidance_scale
        self.condition_dropout = condition_dropout
        self.scheduler = scheduler
        self.n_samples = n_samples
        self.lr = lr
        self.n_warmup = n_warmup
        self.weight_decay = weight_decay
        self.batch_size = batch_size
        self.max_epochs = max_epochs
        self.validation = validation
        self.patience = patience
        self.ema = ema
        self.reference_quirks = reference_quirks
        self.precision = precision
        self.device = device
        self.verbose = verbose
        self.random_state = random_state

    def fit(self, Z: Any, y: Any) -> DiffusionPrior:
        """Train the network.

        Parameters
        ----------
        Z : array-like, shape (n, n_features)
            EEG embeddings, from encoders that have not seen the stimulus of the row.
        y : array-like of str, shape (n,) | array-like, shape (n, n_dims)
            Stimulus ids, looked up in `targets`; or the image embeddings themselves, where equal rows count as one
            stimulus.

        Returns
        -------
        DiffusionPrior
            The fitted prior. After an error or Ctrl-C it is as it was before.

        Raises
        ------
        ValueError, TypeError
            If Z, y or a parameter is not usable, or the loss is not finite.
        KeyError
            If ids are not in `targets`.
        """
        from ..._training.targets import read_targets
        from .training import fit_prior

        with unchanged_on_error(self):
            self._check_params()
            refuse_masked(Z, name="Z")
            Z = validate_data(self, Z, dtype=np.float32)
            targets = read_targets(y, len(Z), table=self.targets, owner=type(self).__name__)
            fitted = fit_prior(self, Z, targets)
            for field in fields(fitted):
                setattr(self, f"{field.name}_", getattr(fitted, field.name))
        return self

    def transform(self, Z: Any) -> np.ndarray:
        """Give the image embedding that is expected for each EEG embedding, or the mean of `n_samples` draws.

        Parameters
        ----------
        Z : array-like, shape (n, n_features)
            EEG embeddings.

        Returns
        -------
        ndarray of float32, shape (n, n_dims)
            Image embeddings, on the scale of the targets.

        Raises
        ------
        NotFittedError
            If the prior is not fitted.
        ValueError
            If Z does not fit the prior.
        """
        check_is_fitted(self, "net_")
        self._check_sampling()
        if self.n_samples is not None or self.prediction_ == "epsilon":
            return self.sample(Z, self.n_samples or 1).mean(axis=1)
        from .sampling import expect

        return self._generated(expect, Z, prediction=self.prediction_)

    def sample(self, Z: Any, n_samples: int) -> np.ndarray:
        """Draw several image embeddings for each EEG embedding.

        Parameters
        ----------
        Z : array-like, shape (n, n_features)
            EEG embeddings.
        n_samples : int
            Samples of each row. More of them begin with the same ones.

        Returns
        -------
        ndarray of float32, shape (n, n_samples, n_dims)
            Image embeddings, on the scale of the targets.

        Raises
        ------
        NotFittedError
            If the prior is not fitted.
        ValueError, TypeError
            If Z does not fit the prior, or a parameter is not usable.
        """
        from .sampling import draw_samples

        check_is_fitted(self, "net_")
        self._check_sampling()
        check_number("n_samples", n_samples, low=1, integer=True)
        return self._generated(
            draw_samples, Z, n_samples=n_samples, n_steps=self.n_steps, seed=self.seed_, verbose=self.verbose
        )

    def _generated(self, make: Any, Z: Any, **options: Any) -> np.ndarray:
        """What a function of `sampling` makes of standardised rows, on the scale of the targets."""
        from ..._utils.device import resolve_precision

        refuse_masked(Z, name="Z")
        Z = validate_data(self, Z, dtype=np.float32, reset=False)
        x = make(
            self.net_,
            self._scheduler(self.scheduler),
            (Z - self.condition_mean_) / self.condition_scale_,
            n_dims=self.n_dims_,
            guidance_scale=self.guidance_scale,
            precision=resolve_precision(self.precision, str(device_of(self.net_))),
            **options,
        )
        return x * self.target_scale_ + self.target_mean_

    def predict(self, Z: Any) -> np.ndarray:
        """Do what transform does, for tools that ask for predictions (``cross_val_predict``, a composite's encoder).

        Parameters
        ----------
        Z : array-like, shape (n, n_features)
            EEG embeddings.

        Returns
        -------
        ndarray of float32, shape (n, n_dims)
            Image embeddings.
        """
        return self.transform(Z)

    def score(self, Z: Any, y: Any, sample_weight: Any = None) -> float:
        """Mean cosine of what :meth:`transform` gives and the true image embeddings.

        Parameters
        ----------
        Z : array-like, shape (n, n_features)
            EEG embeddings.
        y : array-like of str, shape (n,) | array-like, shape (n, n_dims)
            As in fit.
        sample_weight : array-like, shape (n,) | None
            Weight of each row.

        Returns
        -------
        float
            In [-1, 1]. Note what predicting the mean of the targets scores: unrelated CLIP embeddings have cosines
            of about 0.4.
        """
        from sklearn.preprocessing import normalize

        from ..._training.targets import read_targets

        x = self.transform(Z)
        truth = read_targets(y, len(x), table=self.targets, owner=type(self).__name__)
        cosine = (normalize(x) * normalize(truth.vectors)[truth.stimulus]).sum(axis=1)
        return float(np.average(cosine, weights=sample_weight))

    @classmethod
    def from_reference(cls, weights: Any, **params: Any) -> Self:
        """Make a fitted prior from a checkpoint of the ATM paper's published code.

        Parameters
        ----------
        weights : path-like | dict of str to Tensor
            State dict of ``DiffusionPriorUNet`` or ``DiffusionPrior``, or a ``.pt``, ``.pth`` or ``.safetensors`` file of
            one, which is read without running code from it.
        **params : object
            Parameters of the prior, such as ``guidance_scale``; ``reference_quirks`` is True.

        Returns
        -------
        DiffusionPrior
            A fitted prior.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If the names or shapes of the weights are not those of such a network.
        """
        from .reference import reference_prior

        return reference_prior(cls, weights, params)

    # -- saving -------------------------------------------------------------------------------------

    def _fitted(self) -> Fitted:
        from .saved import FITTED

        return FITTED

    def _restore(self, weights: dict[str, np.ndarray], device: str) -> None:
        from .saved import check_fits

        check_fits(self, weights)
        super()._restore(weights, device)

    # -- helpers ------------------------------------------------------------------------------------

    @property
    def prediction_(self) -> str:  # numpydoc ignore=GL08
        if self.reference_quirks:
            return "epsilon"
        return "sample" if self.net == "gaussian" and self.prediction == "velocity" else self.prediction

    def _build_net(self) -> torch.nn.Module:
        return self._net_of(self.n_dims_, self.n_features_in_)

    def _net_of(self, n_dims: int, n_features: int) -> torch.nn.Module:
        from .training import build_prior_net

        more = self.net_params, self.n_train_steps, self.prediction_, self.reference_quirks
        return build_prior_net(self.net, n_dims, n_features, *more)

    def _scheduler(self, name: str) -> Any:
        from .sampling import make_scheduler

        return make_scheduler(
            name,
            n_train_steps=self.n_train_steps,
            prediction=self.prediction_,
            reference_quirks=self.reference_quirks,
        )

    def _check_params(self) -> None:
        from .training import NETS

        check_option("net", self.net, NETS)
        check_option("prediction", self.prediction, ["sample", "epsilon", "velocity"])
        check_number("n_train_steps", self.n_train_steps, low=25, high=100_000, integer=True)
        check_number("condition_dropout", self.condition_dropout, low=0, high=np.nextafter(1, 0))
        check_number("lr", self.lr, low=0, open_low=True)
        check_number("n_warmup", self.n_warmup, low=0, integer=True)
        check_number("weight_decay", self.weight_decay, low=0)
        check_number("batch_size", self.batch_size, low=1, integer=True)
        check_number("max_epochs", self.max_epochs, low=1, integer=True)
        check_number("validation", self.validation, low=0, high=np.nextafter(1, 0))
        check_number("patience", self.patience, low=1, integer=True, none=True)
        check_number("ema", self.ema, low=0, high=np.nextafter(1, 0), open_low=True, none=True)
        if self.net == "gaussian" and self.prediction_ != "sample":
            raise ValueError(
                'net="gaussian" gives clean embeddings: it goes with prediction="sample" and reference_quirks=False.'
            )
        self._check_sampling()

    def _check_sampling(self) -> None:
        from .sampling import SCHEDULERS

        check_option("scheduler", self.scheduler, SCHEDULERS)
        if self.reference_quirks and self.scheduler == "dpmsolver++":
            raise ValueError(
                'reference_quirks clips in every step, which scheduler="dpmsolver++" cannot. Pass "ddpm" or "ddim".'
            )
        check_number("n_steps", self.n_steps, low=1, high=self.n_train_steps, integer=True)
        check_number("guidance_scale", self.guidance_scale, low=0, high=1e3)
        check_number("n_samples", self.n_samples, low=1, high=100_000, integer=True, none=True)

    # -- scikit-learn -------------------------------------------------------------------------------

    @property
    def _n_features_out(self) -> int:
        return self.n_dims_

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.target_tags.multi_output = True
        tags.target_tags.single_output = False
        tags.transformer_tags.preserves_dtype = []
        return tags
