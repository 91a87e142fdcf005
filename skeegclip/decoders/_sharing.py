"""How an encoder travels: folders to share, and pickles."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Self

from sklearn.utils.validation import check_is_fitted

from .._utils.cloning import copy_callbacks
from .._utils.contents import Loading
from .._utils.dict_params import DictParams
from .._utils.folders import Content
from .._utils.saving import Savable

if TYPE_CHECKING:
    from .._training.fitted import FittedNet


class SharedEncoder(Savable, DictParams):
    """Base of EEGEncoder: saving, loading and pickling.

    What belongs to a run rather than to the encoder is not saved: callbacks, augmentation, device, seed.
    """

    net: Any
    device: Any
    precision: Any
    callbacks: Any
    pretrained: Any
    fitted_: FittedNet

    _given_on_load = ("net", "pretrained")

    def _to_content(self) -> Content:
        from .._training.folder import encoder_content

        check_is_fitted(self, "fitted_")
        return encoder_content(self)

    @classmethod
    def _from_content(cls, content: Content, loading: Loading) -> Self:
        from .._training.folder import encoder_from

        return encoder_from(cls, content, loading)

    @classmethod
    def _older_content(cls, folder: str | os.PathLike) -> Content | None:
        from .._training.format_1 import read_format_1

        return read_format_1(folder)

    def export(self, path: str | os.PathLike) -> None:
        """Write the network to an ONNX file, for programs without torch and scikit-learn.

        The file takes what :meth:`transform` takes: ``epochs``, float32 (n_epochs, n_chans, n_times) in microvolts (MEG:
        fT), of any number, and, where the encoder knows subjects, ``subject``, int64 (n_epochs,): the place of each
        epoch's subject in the list in the file, -1 for an unknown one. It gives ``embeddings``, not normalised. Its
        properties (JSON) are ``skeegclip`` (the version), ``net``, ``unit``, ``sfreq``, ``n_chans``, ``n_times``,
        ``n_outputs``, ``ch_names`` and ``subjects``.

        Before it is written, onnxruntime's embeddings are compared with torch's, to 1e-4 of the largest.

        Parameters
        ----------
        path : path-like
            File to write, whole or not at all; the usual suffix is ``.onnx``.

        Raises
        ------
        NotFittedError
            If the encoder is not fitted.
        ImportError
            If the extra "onnx" is not installed.
        ValueError
            If torch cannot translate the network, or the two disagree.

        See Also
        --------
        save : For use with skeegclip.
        """
        from .._training.export import export_encoder

        check_is_fitted(self, "net_")
        export_encoder(self, path)

    def __sklearn_clone__(self) -> Self:
        # Weights in memory are only read: folds and searches share them.
        bare = object.__new__(type(self))
        bare.__dict__.update(vars(self), callbacks=None, pretrained=None)
        copied = super(SharedEncoder, bare).__sklearn_clone__()
        callbacks = copy_callbacks(self.callbacks) if self.callbacks else self.callbacks
        return copied.set_params(callbacks=callbacks, pretrained=self.pretrained)

    def __getstate__(self) -> dict:
        state = dict(super().__getstate__())
        if state.get("callbacks"):
            from .._training.given import check_portable

            check_portable(state["callbacks"])
        if "fitted_" in state:
            state["fitted_"] = state["fitted_"].pack(self.net)
        return state

    def __setstate__(self, state: dict) -> None:
        super().__setstate__(state)
        if "fitted_" in state:
            from .._training.fitted import FittedNet

            self.fitted_ = FittedNet.unpack(state["fitted_"], device=self.device, precision=self.precision)
