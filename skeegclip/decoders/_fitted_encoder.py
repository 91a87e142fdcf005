"""What a fitted encoder does beside embedding: learn a new subject, show its attention, map other targets."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.utils.validation import check_is_fitted

from .._utils.inputs import as_subject, carried_subject
from .._utils.leaks import LeakWarning
from .._utils.params import check_number
from .._utils.spelling import warn_alike
from .._utils.validation import check_epochs, unchanged_on_error
from ..embeddings.join import joined
from ..epochs.places import places_of
from ..epochs.view import joined as joined_caps
from ._sharing import SharedEncoder

if TYPE_CHECKING:
    from .._training.net import EncoderNet
    from .._utils.epoched import Epoched
    from .._utils.seen import Seen
    from .._utils.stated import Stated
    from ..embeddings import EmbeddingTable


class FittedEncoder(SharedEncoder):
    """Base of EEGEncoder: what needs a network that is trained."""

    projector: int | None
    targets: Any
    text_targets: Any
    batch_size: int | str
    random_state: Any
    verbose: Any
    subject_layer: str
    montage: str | None
    transform: Callable[..., np.ndarray]

    def predict(self, X: Any, subject: Any = None) -> np.ndarray:
        """Embed epochs, in the type that scikit-learn expects of a regressor.

        Parameters
        ----------
        X : array-like, shape (n_epochs, n_chans, n_times)
            Epochs, in any form that fit takes.
        subject : array-like of str, shape (n_epochs,) | None
            Subject of each epoch, where X does not carry it.

        Returns
        -------
        ndarray of float64, shape (n_epochs, n_dims)
            Embeddings, not normalised.
        """
        return self.transform(X, subject=subject).astype(np.float64)

    def calibrate(
        self, X: Any, y: Any, subject: Any = None, *, max_epochs: int = 100, lr: float | None = None
    ) -> Self:
        """Learn a new subject from a few epochs, and leave everything else as it is.

        Only what is this subject's own is fitted: its token or, with ``subject_layer="linear"``, its map of the
        channels (``"latent"``: of what the network gives). It starts as that of an unknown subject; how many passes it is trained is chosen by
        cross-validation over the stimuli, and may be none. ``selection_["calibrated"]`` tells. Leave out the stimuli that
        will be tested: the encoder remembers those that it has seen here (``trained_on_``), and :meth:`score` and, for a
        frozen encoder, :func:`~skeegclip.evaluate` say so if they meet them again.

        Parameters
        ----------
        X : array-like, shape (n_epochs, n_chans, n_times) | Epochs | EpochsView | BaseConcatDataset
            Epochs of the new subject.
        y : array-like of str, shape (n_epochs,) | array-like, shape (n_epochs, n_dims)
            As in fit; at least 4 stimuli.
        subject : str | array-like of str, shape (n_epochs,) | None
            Name of the new subject, where X does not carry it.
        max_epochs : int
            Largest number of passes over the epochs; ten that do not help end it sooner.
        lr : float | None
            Learning rate. None is 3e-3 for a linear map and 3e-2 for a token.

        Returns
        -------
        EEGEncoder
            The encoder, which knows one subject more. With ``unknown_subject="mean"`` the new one counts among the
            known. After an error or Ctrl-C it is as it was before.

        Raises
        ------
        NotFittedError
            If the encoder is not fitted.
        ValueError
            If the subject is known already or not one, if its network holds nothing of a subject's own, or if there
            are too few epochs.
        """
        from .._training.calibrate import calibrate_encoder

        check_is_fitted(self, "net_")
        check_number("max_epochs", max_epochs, low=1, integer=True)
        check_number("lr", lr, low=0, open_low=True, none=True)
        with unchanged_on_error(self):
            read = self._read(X, subject)
            self.fitted_ = calibrate_encoder(self, self.fitted_, read, y, max_epochs=max_epochs, lr=lr)
        return self

    def _warn_of_calibration(self, X: Any, y: Any, targets: Any, subject: Any) -> None:
        """Warn where a person is scored with stimuli that served to learn that person."""
        from .._training.targets import seen_by

        learned = {name: seen for name, seen in self.trained_on_.items() if name != "fit"}
        if not learned:
            return
        people = carried_subject(X) if subject is None else as_subject(subject, len(targets.stimulus))
        for name in [] if people is None else np.intersect1d(people, list(learned)).tolist():
            rows = np.flatnonzero(people == name)
            shown, place = np.unique(targets.stimulus[rows], return_inverse=True)
            scored = seen_by(
                None, np.asarray(y)[rows], replace(targets, vectors=targets.vectors[shown], stimulus=place)
            )
            n = max(
                len(np.intersect1d(getattr(scored, k), getattr(learned[name], k)))
                for k in ("names", "vectors")
            )
            if n:
                warnings.warn(
                    f"y: {n} of {len(shown)} stimuli scored for {name!r} were used to calibrate that person, so the score"
                    " does not show what holds for others. Score stimuli that calibrate has not seen.",
                    LeakWarning,
                    stacklevel=3,
                )

    def attention(self, X: Any, subject: Any = None, layer: int = -1) -> np.ndarray:
        """How much each channel looks at each other one, in networks with attention between channels.

        Parameters
        ----------
        X : array-like, shape (n_epochs, n_chans, n_times) | Epochs | EpochsView | BaseConcatDataset
            Epochs as in fit; not too many at once, for an epoch's attention is larger than the epoch.
        subject : array-like of str, shape (n_epochs,) | None
            Subject of each epoch, where X does not carry it.
        layer : int
            Transformer layer, counted from 0; -1 is the last.

        Returns
        -------
        ndarray of float32, shape (n_epochs, n_heads, n_chans, n_chans)
            Row i holds the shares that channel i's token takes from the token of each channel, itself included;
            it sums to one. ATM's subject token takes part in attention; its row and column are left out, and
            the rows scaled to one again. In the first layer they therefore do not depend on the subject.

        Raises
        ------
        NotFittedError
            If the encoder is not fitted.
        TypeError
            If the network has no attention, or none between channels.
        ValueError
            If X does not fit the encoder, or there is no such layer.

        See Also
        --------
        skeegclip.plotting.plot_attention : Draw it on the head.
        """
        from .._training.attention import channel_attention

        check_is_fitted(self, "net_")
        read = self._read(X, subject)
        codes = self._subject_codes(read.subject, len(read.X))
        return channel_attention(self.net_, read.X, codes, layer, read.places)

    def project(self, vectors: Any) -> np.ndarray:
        """Bring vectors of stimuli into the space of the embeddings.

        Parameters
        ----------
        vectors : array-like, shape (n, n_dims)
            Vectors in the space of the targets.

        Returns
        -------
        ndarray, shape (n, n_outputs)
            Vectors to compare with embeddings: through the learned `projector`, or as they are where there is none; of
            several tables side by side (:func:`~skeegclip.embeddings.join_tables`) their mixture for everybody.

        Raises
        ------
        ValueError
            If the vectors are not as wide as the targets.
        """
        check_is_fitted(self, "net_")
        vectors = np.asarray(vectors)
        if self.fitted_.spec.criterion_params.get("layers"):
            return self._mixed(vectors)
        if self.projector is None:
            return vectors
        weight = self.net_.criterion_.project.weight.detach().cpu().numpy()
        if vectors.ndim != 2 or vectors.shape[1] != weight.shape[1]:
            raise ValueError(
                f"vectors must have shape (n, {weight.shape[1]}), the width of the targets, got {vectors.shape}."
            )
        return vectors @ weight.T

    def _mixed(self, vectors: np.ndarray) -> np.ndarray:
        import torch

        with torch.inference_mode():
            given = torch.tensor(vectors, dtype=torch.float32, device=self.net_.device)
            return self.net_.criterion_.project(given).cpu().numpy()

    def _find_table(self) -> EmbeddingTable | None:
        return joined("targets", self.targets)

    def _read(self, X: Any, subject: Any, *, reset: bool = False) -> Epoched:
        """X as the network takes it; with ``montage="positions"`` of any caps, and with where their channels are."""
        if self.montage is None:
            return check_epochs(self, X, subject=subject, reset=reset)
        X = joined_caps(X)
        read = check_epochs(self, X, subject=subject, reset=reset, any_cap=True)
        places = places_of(X)
        if not reset and (new := set(read.stated.ch_types or ()) - set(self._stated.ch_types or ())):
            raise ValueError(
                f"X has channels of type {sorted(new)[0]!r}, but {type(self).__name__} was fitted with"
                f" {', '.join(sorted(set(self._stated.ch_types or ())))} alone. Pick those, or fit with both."
            )
        return replace(read, places=places)

    def _subject_codes(self, subject: np.ndarray | None, n_rows: int) -> np.ndarray:
        if subject is None or len(self.subjects_) == 0 or self.subject_layer == "none":
            return np.full(n_rows, -1, dtype=np.int64)
        from .._training.fitted import subject_codes

        codes = subject_codes(subject, self.subjects_)
        if (codes < 0).any():
            warn_alike(np.unique(subject[codes < 0]), self.subjects_, stacklevel=3)
        return codes

    # -- what the fitted value holds ----------------------------------------------------------------

    @property
    def net_(self) -> EncoderNet:  # numpydoc ignore=GL08
        return self.fitted_.net

    @property
    def subjects_(self) -> np.ndarray:  # numpydoc ignore=GL08
        return self.fitted_.subjects

    @property
    def n_outputs_(self) -> int:  # numpydoc ignore=GL08
        return self.fitted_.n_outputs

    @property
    def history_(self) -> list[dict]:  # numpydoc ignore=GL08
        return self.fitted_.history

    @property
    def selection_(self) -> dict[str, Any]:  # numpydoc ignore=GL08
        return self.fitted_.selection

    @property
    def trained_on_(self) -> dict[str, Seen]:  # numpydoc ignore=GL08
        return self.fitted_.trained_on

    @property
    def pretrained_(self) -> dict[str, Any] | None:  # numpydoc ignore=GL08
        return self.fitted_.pretrained

    @property
    def temperature_(self) -> float:  # numpydoc ignore=GL08
        return 1 / float(self.net_.criterion_.clip.scale.detach())

    @property
    def layer_weights_(self) -> np.ndarray:  # numpydoc ignore=GL08
        if not self.fitted_.spec.criterion_params.get("layers"):
            raise AttributeError(
                "layer_weights_ is there where several tables of targets are mixed; this encoder has one."
            )
        import torch

        with torch.inference_mode():
            everybody = torch.arange(len(self.subjects_) + 1, device=self.net_.device)
            everybody[-1] = -1
            return self.net_.criterion_.project.weights(everybody).cpu().numpy()

    @property
    def batch_size_(self) -> int | None:  # numpydoc ignore=GL08
        budget = self.fitted_.budget
        return None if budget is None else budget.batch_size

    @property
    def max_epochs_(self) -> int | None:  # numpydoc ignore=GL08
        budget = self.fitted_.budget
        return None if budget is None else budget.max_epochs

    @property
    def _stated(self) -> Stated:
        return self.fitted_.stated
