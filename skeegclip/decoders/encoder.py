"""EEGEncoder: from epochs to embeddings."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import ClassNamePrefixFeaturesOutMixin, RegressorMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from .._utils.params import check_number, check_option, check_schedule
from .._utils.size import check_size
from .._utils.stated import check_alike
from .._utils.validation import unchanged_on_error
from ._fitted_encoder import FittedEncoder

_REQUESTS = {"subject": True}


class EEGEncoder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, RegressorMixin, FittedEncoder):
    """Map EEG or MEG epochs into the space of image embeddings.

    A network is trained so that the embedding of an epoch lies near that of the picture that was shown:
    ``Loss = loss_weight * CLIP + (1 - loss_weight) * MSE`` (section 2.4 of [1]_). Test categories need not
    have been seen: in that space one can name (:class:`ZeroShotClassifier`) and retrieve
    (:class:`ImageRetriever`) what was never trained on.

    Parameters
    ----------
    net : str | type
        Name of a network (see :func:`skeegclip.nets.list_nets`), name or class of a braindecode model, or an
        ``nn.Module`` class with braindecode's signature. The default is ATM-S beside ridge regression, from which it
        starts (:doc:`/user_guide/training`); "atm-s" is the published network alone. It is fed epochs of unit spread, whatever their unit: X
        divided by the typical standard deviation of the training epochs.
    net_params : dict | None
        Further arguments of the network. What the epochs tell of names, places and rate of the channels is handed to
        its constructor and to its forward where they ask for it; what is given here goes first.
    targets : EmbeddingTable | list of EmbeddingTable | dict of str to EmbeddingTable | None
        Vectors of the stimuli, where ``y`` holds stimulus ids. Several tables of the same stimuli, such as layers of one
        image model, are mixed with learned weights (`layer_mixing`): of one width, or each through a projector
        of its own. Needs ``loss_weight=1``.
    loss_weight : float | list of float
        Lambda in [0, 1]: 1 trains on the CLIP loss alone, 0 on the mean squared error alone. The error is
        divided by the variance of the training targets (1 = predicting their mean), and below 1 what the network
        gives is multiplied by their standard deviation, so that lambda means the same for unit and raw vectors.
        Two numbers or more are spread evenly over `max_epochs`, with straight lines between them; what is held out is
        always judged by the last one, so that passes can be compared.
    mmd_weight : float | list of float
        Share in [0, 1] of the CLIP loss that gives way to the maximum mean discrepancy between embeddings and targets,
        which asks for the place of all, not of each; ``(1, 0, 0)`` fades it out over the first half. As `loss_weight`.
    normalize : {"none", "eeg", "image", "both"}
        Which side the CLIP loss scales to unit length.
    temperature : float
        Start value (or fixed value) of the temperature of the CLIP loss.
    temperature_mode : {"learnable", "fixed", "raw"}
        Whether the temperature is learned (exponentiated, as in CLIP), fixed, or used raw (as in the
        published code of [1]_).
    same_stimulus : {"positive", "mask", "negative"}
        What the CLIP loss does with other epochs of one stimulus in a batch.
    text_targets : EmbeddingTable | None
        Text vectors of the stimuli, for a second CLIP term.
    text_weight : float
        Weight of the text term in [0, 1]; the paper's retrieval models use 0.01.
    layer_mixing : float
        Of several tables of targets, the probability in [0, 1] with which a row in training has the mixture of its own
        subject, ``softmax(g + b_subject)``; the others, and everybody afterwards, have ``softmax(g)``.
    subject_layer : {"token", "linear", "latent", "none"}
        What is learned about each subject: the token of networks that have one, a linear map of the channels in
        front of any network, a linear map behind any network, which then has ``net_params["n_latents"]`` outputs (184)
        and a head behind the map, or nothing. Before a head nothing starts from ridge regression: with "latent"
        "ridge+atm-s" is "atm-s".
    projector : int | None
        Width of a linear map of the targets, learned with the network: embeddings then lie in the space it maps
        to, and :meth:`project` brings other targets there. Needs ``loss_weight=1``. None compares with the targets
        themselves.
    unknown_subject : {"shared", "mean"}
        What stands for a subject not seen in fit: the shared token or map, or the mean of the known ones.
    montage : {None, "positions"}
        None wants the channels of fit of all epochs ever after. "positions" takes any cap in fit and afterwards, several
        in one list or view (:doc:`/user_guide/other_caps`): a layer before the network maps the channels that an epoch has
        to those of all caps of fit, by where they are.
    pretrained : path-like | str | Mapping | Module | callable | None
        Weights that somebody trained before, to start from (:doc:`/user_guide/pretrained`): a file (safetensors, or
        pickled tensors alone), a folder with one or that :meth:`save` wrote, "owner/name" of the hub
        ("owner/name@revision:file"), a state dict or module, or a function without arguments that returns one, such as
        ``functools.partial(Labram.from_pretrained, ...)``. `pretrained_` tells what arrived; nothing is an error.
    train : {"all", "head", "lora", "probe"}
        What of the network is trained. "head": its last layers, while all before them stays bit by bit as it is and is
        run as in use, without dropout and with fixed statistics. "lora": low-rank updates of its linear layers, and the
        head. "probe": nothing by steps; a linear map of what reaches the head, in its place, is found by ridge regression. What
        did not arrive, and what is learned of each subject, is trained as the head is, but not by a probe.
    lora_rank : int
        Rank of the updates. They need peft, the extra "peft", and are added to the weights at the end.
    layer_decay : float
        In (0, 1]: the learning rate is multiplied by it for each layer or block that lies between a weight and the head.
    head_lr : float | None
        Learning rate of the head and of what did not arrive; None is `lr`.
    optimizer : {"adamw", "adam", "sgd"} | type
        Optimizer, or a torch optimizer class.
    optimizer_params : dict | None
        Further arguments of the optimizer, such as ``{"weight_decay": 1e-4}``.
    lr : float
        Learning rate.
    lr_scheduler : None | "cosine" | "warmup-cosine" | type | functools.partial
        Schedule of the learning rate: a torch scheduler class, stepped once a pass. "warmup-cosine" rises over the first
        tenth of all steps, and is stepped once a batch.
    batch_size : int | "auto"
        Epochs in a batch, at least 2; batches are of even size. "auto" is a sixteenth of the epochs, to the nearest
        power of two within 32 and 1024; `batch_size_` tells.
    max_epochs : int | "auto"
        Passes over the training data. "auto" is 40, and more where 40 would be fewer than 320 steps; `max_epochs_`
        tells.
    augment : None | Transform | list of Transform
        Augmentations of ``braindecode.augmentation``, applied to every training batch, one after the other, in the
        unit of X. They are copied, and the copies draw their numbers from `random_state`.
    validation : float | "last-batch"
        Fraction in [0, 1) of the *stimuli* held out to choose the best pass. Nothing is held out if that makes
        fewer than 2 stimuli or leaves fewer than 2. Of codes of classes none is held out; "ridge+atm-s" holds out as large a
        share of the *epochs* then, a tenth at least, and keeps its network only where it is better on them than ridge
        regression, which gets them back afterwards (10 or more epochs, else nothing). "last-batch" holds out the
        last `batch_size` epochs, as [1]_ did, whether or not their stimuli are trained on.
    patience : int | None
        Stop after so many passes without a lower validation loss.
    ema : float | None
        Decay in (0, 1) of an exponential moving average of the weights over the steps, such as 0.999: the average is
        what is validated and kept. None keeps the weights themselves.
    precision : {"auto", "float32", "bfloat16"}
        Precision of the matrix products; "auto" is bfloat16 on a GPU that has it. On a CPU, where it is never chosen,
        bfloat16 may be faster ("atm-s") or slower ("eegproject").
    device : str
        Torch device; "auto" is the GPU where there is one.
    callbacks : list | None
        Callbacks of skorch, or pairs of name and callback. They act as given, so that a logger logs and a list fills.
        Folds and searches work on clones, which get copies of a callback's own lists, numbers and arrays, but share
        what it reports to (a writer, a run, a trial).
    checkpoint_dir : path-like | None
        Folder where a run's state is kept after each pass; a run that was killed goes on from there and ends
        with the same weights. Needs a fixed `random_state`.
    warm_start : bool
        Whether fit goes on from the weights of the last fit, whose unit, rate and channels X must then have.
    verbose : int
        1 shows a progress bar.
    random_state : int | RandomState | Generator | None
        Seed. Two fits with one seed give the same weights; global generators are not touched.

    Attributes
    ----------
    fitted_ : FittedNet
        All that fit gives, in one value that nothing changes; the attributes below show its parts.
    net_ : EncoderNet
        The fitted skorch net (``net_.module_`` is the torch network).
    history_ : list of dict
        Per pass: epoch, train_loss, valid_loss, valid_top1, dur (seconds), and whether its weights were chosen.
    selection_ : dict
        How the weights were chosen: ``rule`` ("validation", "last-batch", "epochs" of known classes, "last" where nothing was
        held out, "ridge" of a probe, or "callback" where one with ``load_best`` put its choice back),
        ``epoch`` (0 where ridge regression alone was kept), ``n_stimuli_held_out`` (those that were not trained on).
    trained_on_ : dict of str to object
        Fingerprints of what "fit" and each calibration (by its subject) has seen: some of the epochs, and the stimuli.
        :func:`~skeegclip.evaluate` recognises test data by them where the encoder is frozen; they are saved with it.
    batch_size_, max_epochs_ : int | None
        What "auto" stood for, or what was given; None for published weights that were not trained here.
    pretrained_ : dict | None
        What arrived of `pretrained`: ``n_tensors`` and ``n_parameters``, each [arrived, of the network], ``not_arrived``
        (why, by name), ``left_over`` (names there that nothing here has), ``dropped`` and ``added`` (how names there
        and here begin), and where it came from (``source``, ``file``, ``sha256``, ``revision``).
    temperature_ : float
        Temperature of the CLIP loss after training.
    layer_weights_ : ndarray of float32, shape (n_subjects + 1, n_tables)
        Of several tables of targets, how much each counts for the `subjects_`, and in the last row for everybody: those
        of the last row are used after fit.
    subjects_ : ndarray of str
        Subjects seen in fit, sorted; empty where none was given.
    n_chans_, n_times_in_ : int
        Shape of an epoch.
    n_features_in_ : int
        The same as ``n_chans_``, the name that scikit-learn reads.
    n_outputs_ : int
        Length of an embedding.
    ch_names_ : tuple of str | None
        Channel names, where X had some.

    See Also
    --------
    ZeroShotClassifier : Name what was seen.
    ImageRetriever : Find the picture that was seen.

    References
    ----------
    .. [1] Li et al., "Visual Decoding and Reconstruction via EEG Embeddings with Guided Diffusion",
       NeurIPS 2024, arXiv:2403.07721.

    Examples
    --------
    >>> import numpy as np
    >>> from skeegclip import EEGEncoder, EmbeddingTable
    >>> rng = np.random.default_rng(0)
    >>> table = EmbeddingTable(["cat", "dog", "owl"], np.eye(3))
    >>> y = np.repeat(table.ids, 20)
    >>> X = np.repeat(10 * rng.normal(size=(3, 4, 25)), 20, axis=0) + rng.normal(size=(60, 4, 25))
    >>> encoder = EEGEncoder("eegproject", targets=table, max_epochs=15, lr=3e-3, random_state=0, device="cpu")
    >>> encoder.fit(X, y).transform(X).shape
    (60, 3)
    >>> encoder.score(X, y)
    1.0
    """

    __metadata_request__fit = {**_REQUESTS, "sample_weight": True}
    __metadata_request__transform = _REQUESTS
    __metadata_request__predict = _REQUESTS
    __metadata_request__score = _REQUESTS

    _usual_patience: int | None = (
        None  # a default of which there is nothing to say; LowLevelDecoder has another
    )
    _error = "l2"  # what the second term of the loss is; LowLevelDecoder may take the absolute error

    def __init__(
        self,
        net="ridge+atm-s",
        *,
        net_params=None,
        targets=None,
        loss_weight=1.0,
        mmd_weight=0.0,
        normalize="both",
        temperature=0.07,
        temperature_mode="learnable",
        same_stimulus="positive",
        text_targets=None,
        text_weight=0.0,
        layer_mixing=0.7,
        subject_layer="token",
        projector=None,
        unknown_subject="shared",
        montage=None,
        pretrained=None,
        train="all",
        lora_rank=8,
        layer_decay=1.0,
        head_lr=None,
        optimizer="adamw",
        optimizer_params=None,
        lr=3e-4,
        lr_scheduler=None,
        batch_size="auto",
        max_epochs="auto",
        augment=None,
        validation=0.05,
        patience=None,
        ema=None,
        precision="auto",
        device="auto",
        callbacks=None,
        checkpoint_dir=None,
        warm_start=False,
        verbose=0,
        random_state=None,
    ):
        self.net = net
        self.net_params = net_params
        self.targets = targets
        self.loss_weight = loss_weight
        self.mmd_weight = mmd_weight
        self.normalize = normalize
        self.temperature = temperature
        self.temperature_mode = temperature_mode
        self.same_stimulus = same_stimulus
        self.text_targets = text_targets
        self.text_weight = text_weight
        self.layer_mixing = layer_mixing
        self.subject_layer = subject_layer
        self.projector = projector
        self.unknown_subject = unknown_subject
        self.montage = montage
        self.pretrained = pretrained
        self.train = train
        self.lora_rank = lora_rank
        self.layer_decay = layer_decay
        self.head_lr = head_lr
        self.optimizer = optimizer
        self.optimizer_params = optimizer_params
        self.lr = lr
        self.lr_scheduler = lr_scheduler
        self.batch_size = batch_size
        self.max_epochs = max_epochs
        self.augment = augment
        self.validation = validation
        self.patience = patience
        self.ema = ema
        self.precision = precision
        self.device = device
        self.callbacks = callbacks
        self.checkpoint_dir = checkpoint_dir
        self.warm_start = warm_start
        self.verbose = verbose
        self.random_state = random_state

    # -- fitting ------------------------------------------------------------------------------------

    def fit(self, X: Any, y: Any, subject: Any = None, sample_weight: Any = None) -> EEGEncoder:
        """Train the network.

        In a process group of torch (:doc:`/scaling`) all its processes must call it with the same data: they train one
        network together.

        Parameters
        ----------
        X : array-like, shape (n_epochs, n_chans, n_times) | Epochs | EpochsView | BaseConcatDataset
            Epochs in microvolts (MEG: fT).
        y : array-like of str, shape (n_epochs,) | array-like, shape (n_epochs, n_dims)
            Stimulus ids, looked up in `targets`; or the embeddings themselves, where equal rows count as one
            stimulus.
        subject : array-like of str, shape (n_epochs,) | None
            Subject of each epoch, where X does not carry it.
        sample_weight : array-like, shape (n_epochs,) | None
            Weight of each epoch in the loss, not negative. One of weight 2 counts as two equal epochs of its batch,
            also among those that the others are compared with; one of weight 0 is left out.

        Returns
        -------
        EEGEncoder
            The fitted encoder. After an error or Ctrl-C it is as it was before.

        Raises
        ------
        ValueError, TypeError
            If X, y or a parameter is not usable, or the loss is not finite.
        RuntimeError
            If another process of the group ends or fails.
        KeyError
            If ids are not in `targets`.
        """
        from .._training.fit import fit_encoder

        with unchanged_on_error(self):
            self._check_params()
            # The weights that go on learned from epochs of one unit, rate and order of channels.
            before = getattr(self, "fitted_", None) if self.warm_start else None
            read = self._read(X, subject, reset=True)
            if before is not None:
                owner = f"{type(self).__name__}(warm_start=True) was fitted with"
                check_alike(read.stated, before.stated, owner)
                check_size(read.stated.size, before.stated.size, owner)
            self.fitted_ = fit_encoder(self, read, y, sample_weight, before=before)
        return self

    def _check_params(self) -> None:
        check_option("normalize", self.normalize, ["none", "eeg", "image", "both"])
        check_option("temperature_mode", self.temperature_mode, ["learnable", "fixed", "raw"])
        check_option("same_stimulus", self.same_stimulus, ["positive", "mask", "negative"])
        check_option("subject_layer", self.subject_layer, ["token", "linear", "latent", "none"])
        check_option("unknown_subject", self.unknown_subject, ["shared", "mean"])
        check_option("montage", self.montage, [None, "positions"])
        check_schedule("loss_weight", self.loss_weight, low=0, high=1)
        check_schedule("mmd_weight", self.mmd_weight, low=0, high=1)
        check_number("layer_mixing", self.layer_mixing, low=0, high=1)
        check_number("text_weight", self.text_weight, low=0, high=1)
        check_number("temperature", self.temperature, low=0, open_low=True)
        check_number("lr", self.lr, low=0, open_low=True)
        check_option("train", self.train, ["all", "head", "lora", "probe"])
        check_number("lora_rank", self.lora_rank, low=1, integer=True)
        check_number("layer_decay", self.layer_decay, low=0, high=1, open_low=True)
        check_number("head_lr", self.head_lr, low=0, open_low=True, none=True)
        for name, low in (("batch_size", 2), ("max_epochs", 1)):
            value = getattr(self, name)
            if isinstance(value, str):
                check_option(name, value, ["auto"])
            else:
                check_number(name, value, low=low, integer=True)
        if isinstance(self.validation, str):
            check_option("validation", self.validation, ["last-batch"])
        else:
            check_number("validation", self.validation, low=0, high=np.nextafter(1, 0))
        check_number("projector", self.projector, low=1, integer=True, none=True)
        check_number("ema", self.ema, low=0, high=np.nextafter(1, 0), open_low=True, none=True)
        check_number("patience", self.patience, low=1, integer=True, none=True)
        if self.text_weight > 0 and self.text_targets is None:
            raise ValueError(
                f"text_weight is {self.text_weight} but text_targets is None. Pass the text embeddings."
            )
        if self.train == "probe" and self.projector is not None:
            raise ValueError(
                f"projector={self.projector} is learned by steps, and train='probe' takes none. Pass projector=None, or"
                " train='head'."
            )
        if self.checkpoint_dir is not None and self.random_state is None:
            raise ValueError(
                "checkpoint_dir needs random_state: a run with a fresh seed cannot be told from another."
                " Pass random_state=0, say."
            )

    def fit_transform(self, X: Any, y: Any = None, subject: Any = None) -> np.ndarray:
        """Train the network, then embed the same epochs.

        Parameters
        ----------
        X : array-like, shape (n_epochs, n_chans, n_times)
            Epochs, in any form that fit takes.
        y : array-like of str, shape (n_epochs,) | array-like, shape (n_epochs, n_dims)
            As in fit.
        subject : array-like of str, shape (n_epochs,) | None
            Subject of each epoch, where X does not carry it.

        Returns
        -------
        ndarray of float32, shape (n_epochs, n_dims)
            Embeddings of the training epochs: far better than those of new ones.
        """
        return self.fit(X, y, subject=subject).transform(X, subject=subject)

    # -- using --------------------------------------------------------------------------------------

    def transform(self, X: Any, subject: Any = None) -> np.ndarray:
        """Embed epochs.

        Parameters
        ----------
        X : array-like, shape (n_epochs, n_chans, n_times) | Epochs | EpochsView | BaseConcatDataset
            Epochs as in fit.
        subject : array-like of str, shape (n_epochs,) | None
            Subject of each epoch, where X does not carry it. One not seen in fit gets the shared token or the
            mean of the known ones (`unknown_subject`), row by row.

        Returns
        -------
        ndarray of float32, shape (n_epochs, n_dims)
            Embeddings, not normalised.

        Raises
        ------
        NotFittedError
            If the encoder is not fitted.
        ValueError
            If X does not fit the encoder.
        """
        from .._training.net import embed

        check_is_fitted(self, "net_")
        read = self._read(X, subject)
        codes = self._subject_codes(read.subject, len(read.X))
        return embed(self.net_, read.X, codes, places=read.places).numpy()

    def score(self, X: Any, y: Any, sample_weight: Any = None, subject: Any = None) -> float:
        """Top-1 retrieval accuracy in the gallery of the distinct stimuli in y.

        Parameters
        ----------
        X : array-like, shape (n_epochs, n_chans, n_times)
            Epochs.
        y : array-like of str, shape (n_epochs,) | array-like, shape (n_epochs, n_dims)
            As in fit.
        sample_weight : array-like, shape (n_epochs,) | None
            Weight of each epoch.
        subject : array-like of str, shape (n_epochs,) | None
            Subject of each epoch.

        Returns
        -------
        float
            Share of epochs whose own stimulus is the nearest by cosine; chance is one over the number of
            distinct stimuli.

        Warns
        -----
        LeakWarning
            If stimuli of a person are scored by which :meth:`calibrate` learned that person.
        """
        from .._training.targets import read_targets
        from ..metrics import cosine_similarity, ranks

        z = self.transform(X, subject=subject)
        truth = read_targets(y, len(z), table=self.targets, owner=type(self).__name__)
        self._warn_of_calibration(X, y, truth, subject)
        rank = ranks(cosine_similarity(z, self.project(truth.vectors)), truth.stimulus)
        return float(np.average(rank == 1, weights=sample_weight))

    # -- scikit-learn -------------------------------------------------------------------------------

    @property
    def _n_features_out(self) -> int:
        return self.n_outputs_

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.target_tags.required = True
        tags.target_tags.multi_output = True
        tags.target_tags.single_output = False
        tags.transformer_tags.preserves_dtype = []
        # The score is retrieval accuracy, which for scikit-learn's one-dimensional targets is at chance: the
        # cosine of numbers is plus or minus one.
        tags.regressor_tags.poor_score = True
        return tags
